"""Writes local_times.csv: what Python's zoneinfo says of instants around changes of clocks, and of random ones.

    pip install tzdata && PYTHONTZPATH= python3 local_times.py > local_times.csv
"""
import datetime as dt
import random
import zoneinfo

ZONES = """Europe/Moscow Europe/Kaliningrad Asia/Yekaterinburg Asia/Almaty Europe/Berlin Europe/London Europe/Dublin
Atlantic/Azores America/New_York America/Santiago America/Sao_Paulo America/St_Johns Australia/Lord_Howe
Australia/Adelaide Pacific/Chatham Pacific/Apia Asia/Kathmandu Asia/Tehran Asia/Kolkata Africa/Casablanca
Africa/Cairo America/Asuncion Asia/Gaza Antarctica/Troll UTC""".split()

random.seed(1)
START, END = (int(dt.datetime(y, 1, 1, tzinfo=dt.UTC).timestamp()) for y in (1990, 2045))
print("zone,unix_s,local")
for name in ZONES:
    zone = zoneinfo.ZoneInfo(name)
    offset = lambda s: dt.datetime.fromtimestamp(s, zone).utcoffset()
    steps = range(START, END, 6 * 3600)
    changes = []
    for s in steps:
        low, high = s, s + 6 * 3600
        if offset(low) != offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            changes.append(high)
    chosen = random.sample(changes, min(8, len(changes)))
    instants = [s + d for s in chosen for d in (-1, 0, 1800)] + [random.randrange(START, END) for _ in range(8)]
    for s in sorted(instants):
        print(f"{name},{s},{dt.datetime.fromtimestamp(s, zone):%Y-%m-%dT%H:%M}")
