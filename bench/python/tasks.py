# SPDX-License-Identifier: Apache-2.0
"""tasks.py LIBRARY FRAMES BATCHES: prints as JSON the median ns of handing a task to a thread pool's thread.

LIBRARY looks as Arrow does. Batches are small and far apart: more tasks a second than heapecho follows would be cheap.
"""

import ctypes
import json
import statistics
import sys
import time

BATCH = 100
PAUSE_S = 0.03

library = ctypes.CDLL(sys.argv[1])
spawn = library.like_spawn
spawn.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.c_int]
frames, batches = int(sys.argv[2]), int(sys.argv[3])


def innermost() -> list[float]:
    times = []
    for _ in range(batches):
        start = time.perf_counter_ns()
        for _ in range(BATCH):
            spawn(0, 0, 0)
        times.append((time.perf_counter_ns() - start) / BATCH)
        time.sleep(PAUSE_S)
    return times


# The module's frame and innermost's are two of them.
called = innermost
for number in range(frames - 2):
    names = {"called": called}
    exec(compile(f"def function_{number}():\n    return called()\n", f"file_{number}.py", "exec"), names)
    called = names[f"function_{number}"]
measured = called()
library.like_join()
print(json.dumps({"median": statistics.median(measured)}))
