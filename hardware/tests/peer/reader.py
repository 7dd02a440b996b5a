"""A reader made of libosdp, the C library in most OSDP products, which shares no code with Cardea; on a pseudo-terminal of its own.

Orders come on standard input, a line each:

    plug, unplug        the adapter, a link at --path to a new pseudo-terminal
    card BITS HEX       a card is shown
    tamper 0|1          the housing is closed, or opened
    lose N              the next N replies never reach the line
    damage N            the next N replies have a wrong bit
    forge N             the next N replies have a wrong bit in their MAC, and the CRC to go with it

What happens is a line each on standard output, in JSON: {"secure": true}, {"key": "30…"}, {"led": {…}}, {"buzzer": {…}}.
"""

import argparse
import binascii
import json
import os
import queue
import sys
import threading
import time

from osdp import Capability, CardFormat, Command, Event, LibFlag, LogLevel, PDCapabilities, PDInfo, PeripheralDevice, StatusReportType
from osdp.channel import Channel

# How the CRC of OSDP begins (SIA OSDP v2.2, annex C).
CRC_START = 0x1D0F
MAC_BYTES = 4
CRC_BYTES = 2
# A security block with a MAC: its length, and SCS_16 or SCS_18.
MACS = (0x16, 0x18)


def tell(what):
    print(json.dumps(what), flush=True)


class Adapter(Channel):
    """The line; whoever opens the link speaks to the reader."""

    def __init__(self, path):
        super().__init__()
        self.path, self.line = path, None
        self.lose = self.damage = self.forge = 0

    def plug(self):
        self.line, end = os.openpty()
        os.set_blocking(self.line, False)
        os.symlink(os.ttyname(end), self.path)
        os.close(end)

    def unplug(self):
        os.unlink(self.path)
        os.close(self.line)
        self.line = None

    def read(self, max_bytes):
        try:
            return os.read(self.line, max_bytes) if self.line is not None else b""
        except OSError:
            # nothing has come, or nobody has the other end open
            return b""

    def write(self, buf):
        sent = self.worsened(bytearray(buf))
        if sent and self.line is not None:
            try:
                os.write(self.line, sent)
            except OSError:
                pass
        return len(buf)

    def worsened(self, frame):
        begin = 1 if frame[0] == 0xFF else 0
        if self.lose:
            self.lose -= 1
            return b""
        if self.damage:
            self.damage -= 1
            frame[-CRC_BYTES - 1] ^= 0x10
        elif self.forge and frame[begin + 4] & 0x08 and frame[begin + 6] in MACS:
            self.forge -= 1
            frame[-CRC_BYTES - MAC_BYTES] ^= 0x10
            frame[-CRC_BYTES:] = binascii.crc_hqx(frame[begin:-CRC_BYTES], CRC_START).to_bytes(CRC_BYTES, "little")
        return frame

    def flush(self):
        pass


class Reader:
    def __init__(self, wish):
        self.adapter, self.secure = Adapter(wish.path), False
        key = bytes.fromhex(wish.key) if wish.key else None
        flags = [LibFlag.EnforceSecure] if key else [LibFlag.InstallMode]
        able = PDCapabilities([
            (Capability.CardDataFormat, 1, 1), (Capability.LEDControl, 4, 1), (Capability.AudibleControl, 2, 1),
            (Capability.Readers, 1, 1),
        ])
        info = PDInfo(wish.address, self.adapter, scbk=key, flags=flags, name="peer")
        # Its loop is here, so that whatever is heard is answered at once.
        self.device = PeripheralDevice(info, able, log_level=LogLevel.Critical, command_handler=self.obey).ctx

    def obey(self, command):
        if command["command"] == Command.LED:
            tell({"led": {key: value for key, value in command.items() if key != "command"}})
        elif command["command"] == Command.Buzzer:
            tell({"buzzer": {key: value for key, value in command.items() if key != "command"}})
        elif command["command"] == Command.Keyset:
            tell({"key": command["data"].hex()})
        return 0, None

    def show(self, bits, data):
        data = bytes.fromhex(data)
        self.device.submit_event({
            "event": Event.CardRead, "reader_no": 0, "direction": 0, "format": CardFormat.Wiegand, "length": int(bits),
            "data": data,
        })

    def tamper(self, opened):
        self.device.submit_event({
            "event": Event.Status, "type": StatusReportType.Local, "report": bytes([int(opened), 0]),
        })

    def order(self, line):
        what, *given = line.split()
        if what in ("plug", "unplug"):
            getattr(self.adapter, what)()
        elif what in ("lose", "damage", "forge"):
            setattr(self.adapter, what, int(given[0]))
        elif what == "card":
            self.show(*given)
        elif what == "tamper":
            self.tamper(*given)

    def turn(self):
        self.device.refresh()
        if self.device.is_sc_active() != self.secure:
            self.secure = not self.secure
            tell({"secure": self.secure})


def hear(orders):
    for line in sys.stdin:
        orders.put(line)
    orders.put(None)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--path", required=True)
    arguments.add_argument("--address", type=int, default=5)
    arguments.add_argument("--key", help="its SCBK in hexadecimal; without one it is as it left the factory")
    reader, orders = Reader(arguments.parse_args()), queue.Queue()
    threading.Thread(target=hear, args=(orders,), daemon=True).start()
    while True:
        while not orders.empty():
            if (line := orders.get()) is None:
                return
            reader.order(line)
        reader.turn()
        time.sleep(0.002)


main()
