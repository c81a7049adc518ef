# SPDX-License-Identifier: Apache-2.0
"""scripts.py NAME: allocates as Python programs do, and prints the seconds of CPU time that it took."""

import json
import sys
import time


class Point:
    def __init__(self, x: int, y: int):
        self.x = x
        self.y = y

    def moved(self, by: int) -> "Point":
        return Point(self.x + by, self.y + by)


def run_json() -> None:
    rows = [{"id": n, "name": f"article {n}", "tags": [f"tag {n % 7}", f"tag {n % 11}"], "price": n / 4}
            for n in range(400)]
    for _ in range(160):
        rows = json.loads(json.dumps(rows))


def run_lists() -> None:
    kept: list = []
    for n in range(1200):
        made = [[k, str(k + 1000), (k, n)] for k in range(400)]
        kept = kept[-20:] + [made[::2]]


def run_dicts() -> None:
    kept: dict = {}
    for n in range(900):
        made = {f"key {k}": {"n": n + k, "of": k} for k in range(300)}
        kept[n % 20] = dict(made)


def run_classes() -> None:
    kept: list = []
    for n in range(700):
        made = [Point(k, n).moved(1000) for k in range(400)]
        kept = kept[-20:] + [made[:200]]


ROUNDS = 30  # a second and more
SCRIPTS = {"json": run_json, "lists": run_lists, "dicts": run_dicts, "classes": run_classes}

if __name__ == "__main__":
    run = SCRIPTS[sys.argv[1]]
    run()  # arenas are made, stacks are seen
    start = time.process_time()
    for _ in range(ROUNDS):
        run()
    print(time.process_time() - start)
