# SPDX-License-Identifier: Apache-2.0
"""Records the demo service, kills one of its workers, and looks for its leak in what is left: demo.py BUILD_DIR

Everything that it makes lies in BUILD_DIR/demo. Exit status: 0 the recordings show what happened, 1 they do not
or the service did not run.
"""

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

WORKERS = 2
LEAKED_BEFORE_KILL = 64 << 20  # bytes, of each worker: enough that sampling errors are small beside it
REQUESTS_AFTER_KILL = 600
DEADLINE_S = 60
MIXTURE = ["/login", "/catalogue", "/customers", "/login", "/readings/0"]
# The leak's path through the native library, outermost first.
LEAK = ("session_cache_store", "session_entry_new")
LIBRARY = "libsession_cache.so"
# How far an estimate may be from the truth, in standard errors: a sound recording fails one time in a million.
STANDARD_ERRORS = 5


class DemoFailed(Exception):
    """The demo cannot show what it promises; the message says what is missing."""


def mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"


class Service:
    """gunicorn under `heapecho run`, and what its workers say that they leaked."""

    def __init__(self, build: Path, work: Path, recordings: Path) -> None:
        self.leaked: dict[int, int] = {}  # worker's pid -> bytes of sessions that it holds
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._log = work / "gunicorn.log"
        with self._log.open("wb") as log:
            self.master = subprocess.Popen(
                [build / "heapecho", "run", "--dir", recordings, "--",
                 build / "python/bin/gunicorn", "--workers", str(WORKERS), "--worker-class", "sync", "--preload",
                 "--bind", "127.0.0.1:0", "shop.wsgi"],
                stdout=log, stderr=subprocess.STDOUT,
                env=os.environ | {"SHOP_DATA": str(work), "PYTHONPATH": str(Path(__file__).parent),
                                  "PYTHONDONTWRITEBYTECODE": "1"})
        self._port = 0
        self._wait_for("gunicorn listens", self._find_port)

    def log_tail(self) -> str:
        return "".join(self._log.read_text(errors="replace").splitlines(keepends=True)[-20:])

    def get(self, path: str) -> dict:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise DemoFailed(f"{path} answered {response.status}; see {self._log}")
            return json.loads(body)
        finally:
            connection.close()

    def request(self, path: str) -> None:
        """One request of the load; a failure is counted, not raised: it must not end a client's thread."""
        try:
            reply = self.get(path)
        except (OSError, http.client.HTTPException, DemoFailed) as error:
            with self._lock:
                self.failures[f"{path}: {error}"] += 1
            return
        if "session_bytes" in reply:
            with self._lock:
                self.leaked[reply["pid"]] = max(self.leaked.get(reply["pid"], 0), reply["session_bytes"])

    def drive(self, enough) -> int:
        """Two clients send the mixture of requests until enough() says so. Returns the number of requests."""
        sent = itertools.count()
        deadline = time.monotonic() + DEADLINE_S

        def client(offset: int) -> None:
            for path in itertools.islice(itertools.cycle(MIXTURE), offset, None):
                if enough() or time.monotonic() > deadline:
                    return
                self.request(path)
                next(sent)

        clients = [threading.Thread(target=client, args=(i,)) for i in range(2)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        if not enough():
            raise DemoFailed(f"the workers did not answer enough requests in {DEADLINE_S} s: {self.leaked} "
                             f"{dict(self.failures)}")
        return next(sent)

    def kill_one_worker(self) -> int:
        """Kills the worker that leaked most, waits for gunicorn to put another in its place, returns its pid."""
        victim = max(self.leaked, key=lambda pid: self.leaked[pid])
        before = set(self.leaked)
        os.kill(victim, signal.SIGKILL)
        self._wait_for("gunicorn replaces the killed worker", lambda: self.get("/health")["pid"] not in before)
        return victim

    def stop(self) -> int:
        """Ends the service as an operator would, returns gunicorn's exit status."""
        self.master.terminate()
        return self.master.wait(DEADLINE_S)

    def _find_port(self) -> bool:
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self._log.read_text(errors="replace"))
        self._port = int(found.group(1)) if found else 0
        return bool(found)

    def _wait_for(self, what: str, condition) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            if self.master.poll() is not None:
                raise DemoFailed(f"gunicorn ended with {self.master.returncode}:\n{self.log_tail()}")
            try:
                if condition():
                    return
            except (OSError, http.client.HTTPException):
                pass  # a worker that is starting or was just killed; ask again
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited {DEADLINE_S} s in vain until {what}:\n{self.log_tail()}")
            time.sleep(0.02)


def heapecho(build: Path, *arguments: str | Path) -> str:
    done = subprocess.run([build / "heapecho", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise DemoFailed(f"heapecho {' '.join(map(str, arguments))} ended with {done.returncode}")
    return done.stdout


def leak_in(build: Path, where: Path) -> tuple[float, float]:
    """Bytes of the flame graph that go through the leak's path, and their standard error."""
    path = ";".join(f"{function} ({LIBRARY})" for function in LEAK)
    found = sum(float(line.rpartition(" ")[2])
                for line in heapecho(build, "export", "--format", "folded", where).splitlines() if path in line)
    innermost_first = [(function, LIBRARY) for function in reversed(LEAK)]
    sites = json.loads(heapecho(build, "report", "--json", where))["sites"]
    variance = sum(site["bytes_error"] ** 2 for site in sites
                   if [(frame["function"], frame.get("module")) for frame in site["frames"][:2]] == innermost_first)
    return found, variance ** 0.5


def check(build: Path, recordings: Path, killed: int, leaked: dict[int, int]) -> None:
    """Compares what the workers held, by their own word, with what their recordings say."""
    summary = json.loads(heapecho(build, "report", "--json", recordings))
    of_pid = {recording["pid"]: recording for recording in summary["recordings"]}
    missing = sorted(set(leaked) - set(of_pid))
    if missing:
        raise DemoFailed(f"workers without a recording: {missing}")
    if of_pid[killed]["end"] != "killed":
        raise DemoFailed(f"worker {killed} was killed, but its recording says: {of_pid[killed]['end']}")

    def compare(what: str, where: Path, truth: int) -> None:
        found, error = leak_in(build, where)
        print(f"  {what:<26} held {mebibytes(truth):>9}, recorded {mebibytes(found):>9} ± {mebibytes(error)}")
        if truth < LEAKED_BEFORE_KILL:
            return  # too little to be sure that any of it was sampled
        # The error comes with the estimate; if that is too low by chance, so is the error. Taken at the truth:
        if not found or abs(found - truth) > STANDARD_ERRORS * error * max(1, truth / found) ** 0.5:
            raise DemoFailed(f"{what}: the leak's path {' -> '.join(LEAK)} is not in the picture as it should be")

    for pid, truth in sorted(leaked.items()):
        compare(f"worker {pid}" + (" (killed)" if pid == killed else ""),
                recordings / Path(of_pid[pid]["file"]).name, truth)
    compare("all of them, merged", recordings, sum(leaked.values()))


def run(build: Path) -> None:
    work = build / "demo"
    recordings = work / "recordings"
    for made in (recordings, work / "shop.sqlite3"):
        shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)
    recordings.mkdir(parents=True)
    here = Path(__file__).parent
    python = build / "python/bin/python"
    subprocess.run(["cc", "-O2", "-g", "-shared", "-fPIC", "-fvisibility=hidden", "-o", work / "libsession_cache.so",
                    here / "shop/session_cache.c"], check=True)
    subprocess.run([python, here / "prepare.py"], check=True,
                   env=os.environ | {"SHOP_DATA": str(work), "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"})

    print(f"Starting gunicorn with {WORKERS} workers under heapecho")
    service = Service(build, work, recordings)
    try:
        requests = service.drive(
            lambda: len(service.leaked) >= WORKERS
            and min(service.leaked.values()) >= LEAKED_BEFORE_KILL)
        killed = service.kill_one_worker()
        print(f"Killed worker {killed} with SIGKILL after {requests} requests")
        more = itertools.count()
        requests += service.drive(lambda: next(more) >= REQUESTS_AFTER_KILL)
        print(f"Ending the service after {requests} requests")
        status = service.stop()
    finally:
        if service.master.poll() is None:
            service.master.kill()
            service.master.wait()
    if status != 0:
        raise DemoFailed(f"gunicorn ended with {status}:\n{service.log_tail()}")
    if service.failures:
        raise DemoFailed(f"requests failed: {dict(service.failures)}")

    html, svg = work / "flamegraph.html", work / "flamegraph.svg"
    print()
    print(heapecho(build, "report", recordings))
    heapecho(build, "flamegraph", recordings, "-o", html)
    heapecho(build, "flamegraph", recordings, "-o", svg)
    for page in (html, svg):
        if not all(function in page.read_text() for function in LEAK):
            raise DemoFailed(f"{page} does not show {' -> '.join(LEAK)}")
    print("The leak, by the workers' own word and by what was recorded:")
    check(build, recordings, killed, service.leaked)
    print(f"\nRecordings:   {recordings}\nFlame graph:  {html}\n              {svg}")


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: demo.py BUILD_DIR", file=sys.stderr)
        return 2
    try:
        run(Path(sys.argv[1]).resolve())
    except (DemoFailed, OSError, subprocess.SubprocessError) as error:
        print(f"tools/demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
