# SPDX-License-Identifier: Apache-2.0
"""walk.py LIBRARY FRAMES BATCHES: prints as JSON the median ns of walking so many frames of distinct functions."""

import ctypes
import json
import statistics
import sys

library = ctypes.PyDLL(sys.argv[1])  # with the GIL held
library.heapecho_bench_walk.restype = ctypes.c_long
library.heapecho_bench_walk.argtypes = [ctypes.POINTER(ctypes.c_double), ctypes.c_long]
library.heapecho_bench_verdict.restype = ctypes.c_char_p
frames, batches = int(sys.argv[2]), int(sys.argv[3])
times = (ctypes.c_double * batches)()


def innermost() -> int:
    return library.heapecho_bench_walk(times, batches)


# The module's frame and innermost's are two of them.
called = innermost
for number in range(frames - 2):
    names = {"called": called}
    exec(compile(f"def function_{number}():\n    return called()\n", f"file_{number}.py", "exec"), names)
    called = names[f"function_{number}"]
found = called()
if found != frames:
    sys.exit(f"found {found} frames and not {frames}: {library.heapecho_bench_verdict()}")
print(json.dumps({"median": statistics.median(times), "p99": sorted(times)[batches * 99 // 100]}))
