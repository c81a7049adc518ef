# SPDX-License-Identifier: Apache-2.0
"""gunicorn with the application of web/, and clients for it."""

import http.client
import json
import re
import subprocess
import threading
from collections import Counter
from pathlib import Path

import harness
import wire

WEB = Path(__file__).resolve().parent / "web"
GUNICORN = harness.BUILD / "python" / "bin" / "gunicorn"
DEADLINE_S = 120


class Service:
    """A running gunicorn; `environment` decides whether it records. Ends as a context."""

    def __init__(self, *arguments: str, environment: dict[str, str], application: str = "leaky:application",
                 cgroup: Path | None = None):
        """`cgroup`: a file that takes processes into a control group."""
        enter = ["/bin/sh", "-c", f'echo $$ > {cgroup} && exec "$@"', "sh"] if cgroup is not None else []
        self._master = subprocess.Popen(
            [*enter, GUNICORN, "--bind", "127.0.0.1:0", "--pythonpath", WEB, *arguments, application],
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1"}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self.port = 0
        for line in self._master.stderr:
            self.log.append(line)
            if said := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                self.port = int(said[1])
                break
        assert self.port, "".join(self.log)
        self._reader = threading.Thread(target=self.log.extend, args=(self._master.stderr,))
        self._reader.start()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._master.pid

    def stop(self) -> int:
        """Ends the service as an operator would; its exit status."""
        if self._master.poll() is None:
            self._master.terminate()
        try:
            return self._master.wait(DEADLINE_S)
        finally:
            self._master.kill()
            self._reader.join()

    def get(self, path: str) -> dict:
        with Client(self) as client:
            return client.get(path)

    def drive(self, paths: list[str], clients: int) -> Counter:
        """All of `paths`, shared among so many clients that keep their connections; {status: answers}."""
        waiting = iter(paths)
        lock = threading.Lock()
        statuses: Counter = Counter()

        def work() -> None:
            with Client(self) as client:
                while True:
                    with lock:
                        path = next(waiting, None)
                    if path is None:
                        return
                    status, _ = client.request(path)
                    with lock:
                        statuses[status] += 1

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses


def recording_of(directory: Path, pid: int) -> Path:
    (path,) = [path for path in harness.recordings(directory) if wire.Recording(path).header.pid == pid]
    return path


def python_frames(site: dict) -> list[tuple[str, str, int]]:
    """(function, file, line) of a site's Python frames, innermost first."""
    return [(frame["function"], frame.get("file", ""), frame.get("line", 0)) for frame in site["frames"]
            if frame["kind"] == "python"]


class Client:
    """One connection, kept where the server keeps it."""

    def __init__(self, service: Service):
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=DEADLINE_S)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self._connection.close()

    def request(self, path: str) -> tuple[int, bytes]:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, response.read()

    def get(self, path: str) -> dict:
        status, body = self.request(path)
        assert status == 200, f"{path}: {status} {body[:300]!r}"
        return json.loads(body)
