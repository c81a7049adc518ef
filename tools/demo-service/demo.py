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
LOGINS_BEFORE_KILL = 60  # of each worker, so that the killed one has leaked enough to be looked for
REQUESTS_AFTER_KILL = 400
DEADLINE_S = 60
MIXTURE = ["/login", "/catalogue", "/customers", "/login", "/readings/0"]
# The leak's path through the native library, outermost first, as the folded export writes it.
LEAK = "session_cache_store (libsession_cache.so);session_entry_new (libsession_cache.so)"


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


def leaked_in(folded: str) -> float:
    """Bytes of all stacks that go through the leak."""
    return sum(float(line.rpartition(" ")[2]) for line in folded.splitlines() if LEAK in line)


def check(build: Path, recordings: Path, killed: int, leaked: dict[int, int]) -> None:
    """Compares what the workers held, by their own word, with what their recordings say."""
    summary = json.loads(heapecho(build, "report", "--json", recordings))
    files = {recording["pid"]: Path(recording["file"]) for recording in summary["recordings"]}
    missing = sorted(set(leaked) - set(files))
    if missing:
        raise DemoFailed(f"workers without a recording: {missing}")

    def compare(what: str, where: list[Path], truth: int) -> None:
        found = leaked_in(heapecho(build, "export", "--format", "folded", *where))
        print(f"  {what}: held {mebibytes(truth)}, its recording says {mebibytes(found)}")
        # Wider than sampling errors are at any interval that the library may choose for this load.
        if not 0.5 * truth < found < 1.5 * truth:
            raise DemoFailed(f"{what}: the leak's native path is not in the flame graph as it should be: {LEAK}")

    for pid, truth in sorted(leaked.items()):
        name = f"worker {pid}" + (" (killed)" if pid == killed else "")
        if truth:
            compare(name, [recordings / files[pid].name], truth)
    compare("all workers in one picture", [recordings], sum(leaked.values()))


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
            and all(held >= LOGINS_BEFORE_KILL * (256 << 10) for held in service.leaked.values()))
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
