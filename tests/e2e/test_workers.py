# SPDX-License-Identifier: Apache-2.0
"""A pre-forking service whose workers die and come back: every generation is there, with its end, and a restart loop is
told from kills at random, from workers that are replaced in good order, and from time-outs."""

import http.client
import json
import os
import random
import re
import signal
import time
from collections import Counter
from contextlib import nullcontext
from datetime import datetime, timezone
from pathlib import Path

import pytest

import harness
from cgroup import limited_cgroup, why_none
from service import GUNICORN, Service

GENERATIONS = 100 if harness.FULL else 8
WORKERS = 4
LIMIT = 320 << 20
BITE = 8 << 20

pytestmark = pytest.mark.skipif(not GUNICORN.exists(), reason=f"no gunicorn here: tools/setup test ({GUNICORN})")


class Hungry(Service):
    """The service that eats, and who was killed in it."""

    def __init__(self, directory, *arguments: str, cgroup: Path | None = None):
        environment = harness.recording_environment(directory, 4096, HEAPECHO_NOTICE="1",
                                                    HEAPECHO_BUDGET="32MiB")
        super().__init__("--workers", str(WORKERS), *arguments, environment=environment,
                         application="hungry:application", cgroup=cgroup)
        self.directory = directory
        self.killed: set[int] = set()

    def ask(self, path: str) -> int | None:
        """Which worker answered; None: it died of the request, or had to give it up."""
        try:
            return self.get(path)["pid"]
        except (AssertionError, OSError, http.client.HTTPException, ValueError):
            return None

    def booted(self) -> set[int]:
        return {int(pid) for line in self.log for pid in re.findall(r"Booting worker with pid: (\d+)", line)}

    def wait_for_generations(self, count: int) -> None:
        """Until so many were booted, and each of them has begun its recording: one that is stopped before it has
        allocated anything leaves none."""
        deadline = time.monotonic() + harness.DEADLINE_S
        while len(self.booted()) < count or not self.booted() <= self.recorded():
            assert time.monotonic() < deadline, f"{self.booted() - self.recorded()} left no recording"
            assert self._master.poll() is None, "".join(self.log)
            self.ask("/")

    def wait_until_all_answer(self) -> None:
        """Until each worker that runs has answered: one that is still booting when the service stops misses its SIGTERM,
        and the master kills it in the end."""
        self.wait_for_generations(0)
        deadline = time.monotonic() + harness.DEADLINE_S
        answered: set[int | None] = set()
        while not {pid for pid in self.booted() if Path(f"/proc/{pid}").exists()} <= answered:
            assert time.monotonic() < deadline, f"{self.booted() - answered} never answered"
            answered.add(self.ask("/"))

    def recorded(self) -> set[int]:
        return {int(path.name.split("-")[2]) for path in harness.recordings(self.directory)}


def report(directory, command: str) -> dict:
    done = harness.execute([harness.COMMAND, command, "--json", directory], harness.plain_environment())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def generations_of(service: Hungry, parsed: dict) -> tuple[dict, dict[int, dict]]:
    """The master's group, and its generations by pid: exactly those that the service says it booted."""
    (group,) = [group for group in parsed["workers"] if group.get("parent_pid") == service.pid]
    rows = {row["pid"]: row for row in group["generations"]}
    assert len(rows) == len(group["generations"]), "each generation once"
    assert set(rows) == service.booted(), "every generation is there"
    return group, rows


def ended_well(row: dict) -> bool:
    """By itself, or by the master's SIGTERM at the end of the service, which a worker that is just booting dies of."""
    return row.get("exit_status") == 0 or row.get("signal") == signal.SIGTERM


def rules(parsed: dict) -> Counter:
    return Counter(finding["rule"] for finding in parsed["findings"])


def notices(service: Hungry) -> dict[int, str]:
    found = [re.match(r"heapecho: worker (\d+) (.*)", line) for line in service.log]
    return {int(line[1]): line[2] for line in found if line}


@pytest.mark.parametrize("preload", [False, True])
def test_workers_killed_at_random_are_no_loop(preload, directory):
    generator = random.Random()
    with Hungry(directory, *["--preload"] * preload) as service:
        service.wait_for_generations(WORKERS)
        # What they hold when they are killed is never near what the one before held.
        meals = (10 << 20, 60 << 20, 160 << 20)
        for turn in range(GENERATIONS):
            victim = service.ask(f"/eat?{int(meals[turn % 3] * generator.uniform(1, 1.2))}")
            os.kill(victim, signal.SIGKILL)
            service.killed.add(victim)
            service.wait_for_generations(WORKERS + turn + 1)
        service.wait_until_all_answer()
    assert service.stop() == 0, "".join(service.log)
    parsed = report(directory, "workers")
    group, rows = generations_of(service, parsed)
    for pid, row in rows.items():
        assert row["oom_kill"] == "no" and not row["timed_out"], row
        if pid in service.killed:
            assert (row["end"], row["signal"]) == ("killed", signal.SIGKILL), row
            assert row["top_site"]["function"] == "eat" and row["peak_rss_bytes"] > meals[0], row
        else:
            assert ended_well(row), row
    assert not group["restart_loop"] and not rules(parsed), parsed["findings"]
    assert set(notices(service)) == service.killed
    for pid, said in notices(service).items():
        assert re.match(r"killed by SIGKILL at [\d.]+( of [\d.]+)? [MG]iB; \d+ % \w+\.py:\d+ eat\(\); heapecho report ", said), said
        site = rows[pid]["top_site"]
        assert f" {site['file'].rsplit('/', 1)[-1]}:{site['line']} eat()" in said, "the line that workers names"


@pytest.mark.parametrize("preload", [False, True])
def test_workers_that_die_at_the_memory_limit_are_a_loop(preload, directory, capsys):
    no_cgroup = why_none()
    if no_cgroup is not None:
        with capsys.disabled():
            print(f"\nNote: {no_cgroup}: a killer watches the limit instead")
    with limited_cgroup(LIMIT) if no_cgroup is None else nullcontext() as group_file:
        with Hungry(directory, *["--preload"] * preload, cgroup=group_file) as service:
            service.wait_for_generations(WORKERS)
            for turn in range(GENERATIONS):
                while len(service.booted()) < WORKERS + turn + 1:
                    pid = service.ask(f"/eat?{BITE}")
                    if no_cgroup is not None and pid is not None and rss_of(pid) > LIMIT // 2:
                        os.kill(pid, signal.SIGKILL)
                        service.wait_for_generations(WORKERS + turn + 1)
            service.wait_until_all_answer()
        assert service.stop() == 0, "".join(service.log)
    parsed = report(directory, "workers")
    group, rows = generations_of(service, parsed)
    killed = {pid: row for pid, row in rows.items() if row.get("signal") == signal.SIGKILL}
    assert len(killed) >= GENERATIONS
    assert all(ended_well(row) for pid, row in rows.items() if pid not in killed)
    if no_cgroup is None:
        assert all(row["oom_kill"] == "yes" and row["limit_bytes"] == LIMIT for row in killed.values()), killed
        assert all(said.startswith("OOM-killed at ") and " of 320.00 MiB; " in said
                   for said in notices(service).values()), notices(service)
    else:
        assert all(row["oom_kill"] == "no" for row in killed.values()), killed
    assert set(notices(service)) == set(killed)
    assert group["restart_loop"] and rules(parsed)["restart_loop"] == 1
    (finding,) = [finding for finding in parsed["findings"] if finding["rule"] == "restart_loop"]
    assert finding["evidence"]["workers"] >= 3
    assert "eat (hungry.py" in finding["evidence"]["site"]
    assert finding in report(directory, "report")["findings"], "the report says so too"
    assert "restart loop" in harness.report_text(directory)


def rss_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    said = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(said[1]) << 10 if said else 0


def test_workers_that_are_replaced_in_good_order_are_no_loop(directory):
    with Hungry(directory, "--max-requests", "5") as service:
        service.wait_for_generations(WORKERS + GENERATIONS)
        service.wait_for_generations(WORKERS)  # max_requests may have come round for others meanwhile
        stopped_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")  # as the report writes times
    assert service.stop() == 0, "".join(service.log)
    parsed = report(directory, "workers")
    group, rows = generations_of(service, parsed)
    # One that was just booting when the service stopped may have missed its SIGTERM: the master kills it later.
    replaced = {pid: row for pid, row in rows.items() if row["ended_at"] < stopped_at}
    assert len(replaced) >= GENERATIONS - WORKERS
    assert all(ended_well(row) and not row["timed_out"] and row["oom_kill"] == "no"
               for row in replaced.values()), replaced
    assert not group["restart_loop"] and "restart_loop" not in rules(parsed), parsed["findings"]
    assert not set(notices(service)) & set(replaced)


def test_time_outs_are_told_from_kills(directory):
    hung = 3
    with Hungry(directory, "--timeout", "2", "--workers", "1") as service:
        service.wait_for_generations(1)
        for turn in range(hung):
            assert service.ask("/hang") is None, "the arbiter ends the worker that hangs"
            service.wait_for_generations(turn + 2)
    assert service.stop() == 0, "".join(service.log)
    parsed = report(directory, "workers")
    group, rows = generations_of(service, parsed)
    timed_out = [row for row in rows.values() if row["timed_out"]]
    assert len(timed_out) == hung and all(row["oom_kill"] == "no" for row in rows.values()), rows
    assert not group["restart_loop"]
    assert rules(parsed) == {"worker_timeouts": 1}
    by_pid = {row["pid"]: row for row in report(directory, "report")["recordings"]}
    for row in timed_out:
        assert f"its parent gunicorn {service.pid} sent SIG" in by_pid[row["pid"]]["end_evidence"]
