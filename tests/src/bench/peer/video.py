#!/usr/bin/env python3
"""The peer of Cardea's H.264: FFmpeg's decoder, as OpenCV's wheel brings it, on one thread.

The first argument is a JSON object with the path of a byte stream (Annex B). For each line on standard input it reads and
decodes one more picture, without making colours of it, and answers with a line of JSON: the milliseconds of processor time.
"""

import json
import sys
import time

import cv2


def main():
    setup = json.loads(sys.argv[1])
    film = cv2.VideoCapture(setup["file"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not film.isOpened():
        sys.exit("OpenCV cannot open " + setup["file"])
    for _ in sys.stdin:
        start = time.process_time()
        came = film.grab()
        elapsed = (time.process_time() - start) * 1e3
        if not came:
            sys.exit("the film has ended")
        print(json.dumps({"cpu_ms": elapsed}), flush=True)


if __name__ == "__main__":
    main()
