#!/usr/bin/env python3
"""The peer of Cardea's 1:N search: faiss' flat index of 8-bit codes, one thread.

Arguments: rows, values to a row. For each line on standard input it searches for one probe and its runner-up, and answers
with a line of JSON: the milliseconds of processor time.
"""

import json
import sys
import time

import faiss
import numpy as np

BLOCK = 50_000


def units(random, count, dimensions):
    vectors = random.standard_normal((count, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def main():
    rows, dimensions = int(sys.argv[1]), int(sys.argv[2])
    faiss.omp_set_num_threads(1)
    random = np.random.default_rng(1)
    index = faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, rows, BLOCK):
        block = units(random, min(BLOCK, rows - start), dimensions)
        if start == 0:
            index.train(block)
        index.add(block)
    print(json.dumps({"rows": index.ntotal}), flush=True)
    for _ in sys.stdin:
        probe = units(random, 1, dimensions)
        start = time.thread_time()
        index.search(probe, 2)
        print(json.dumps({"cpu_ms": (time.thread_time() - start) * 1e3}), flush=True)


if __name__ == "__main__":
    main()
