# SPDX-License-Identifier: Apache-2.0
"""Whole-process overhead on the demo service: paired bursts of requests against the same service without."""

import contextlib
import dataclasses
import http.client
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence

from driver import environment, figures

_SERVICE = pathlib.Path(__file__).resolve().parents[2] / "tools" / "demo-service"
_WORKER = pathlib.Path(__file__).resolve().parents[1] / "python" / "worker.py"
VIEWS = {"json": "/catalogue", "orm": "/customers", "parquet": "/readings/{}"}
_ROW_GROUPS = 8

_BURST = 20
_WARM_UP = 40
_BURSTS = 8
# A worker serves for hours; what it and the recording do once, when they begin, is over by then.
_BEGINNING_CPU_SECONDS = 2

# The same service once more, without a preload: what two processes differ by with nothing to differ in.
TWIN = "twin"
# With heapecho, the interpreter's own allocator left alone.
FRAMES = "frames"
_PLAIN = (environment.NOTHING, TWIN)
_RECORDED = {environment.HEAPECHO: "service", FRAMES: "service_frames"}  # and its figures' section
_VARIANTS = (*_PLAIN, *_RECORDED)


@dataclasses.dataclass(frozen=True)
class _Burst:
    seconds: float  # of the client, a request
    cpu_seconds: float  # of the worker's threads, a request


@dataclasses.dataclass(frozen=True)
class _Memory:
    anonymous_kib: int  # of the worker
    ours_anonymous_kib: int  # in mappings that bear our name
    ours_file_kib: int
    threads: int


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: no port to find free."""

    def __init__(self, path: str):
        super().__init__("127.0.0.1", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class _Service:
    """A running gunicorn with one worker."""

    def __init__(self, process: subprocess.Popen, address: str):
        self._process = process
        self._address = address
        deadline = time.monotonic() + 60
        while True:
            try:
                self.worker = json.loads(self.get("/health"))["pid"]
                return
            except (OSError, http.client.HTTPException):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the service at {address} does not answer") from None
                time.sleep(0.05)

    def get(self, path: str) -> bytes:
        """One request. Raises RuntimeError unless it is answered with 200."""
        connection = _UnixConnection(self._address)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} was answered with {response.status}")
        return body

    def burst(self, path: str) -> _Burst:
        cpu = self._cpu_ns()
        start = time.perf_counter()
        for number in range(_BURST):
            self.get(path.format(number % _ROW_GROUPS))
        seconds = time.perf_counter() - start
        return _Burst(seconds / _BURST, (self._cpu_ns() - cpu) / 1e9 / _BURST)

    def begin(self) -> None:
        """Requests of each kind until the worker has used the CPU time of its beginning."""
        number = 0
        while self._cpu_ns() < _BEGINNING_CPU_SECONDS * 1e9:
            for path in VIEWS.values():
                self.get(path.format(number % _ROW_GROUPS))
            number += 1

    def memory(self) -> _Memory:
        """What the worker's memory is made of now."""
        status = pathlib.Path(f"/proc/{self.worker}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        anonymous = file = 0
        name = ""
        for line in pathlib.Path(f"/proc/{self.worker}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                name = words[5] if len(words) > 5 else ""
                resident = 0
            elif words[0] == "Rss:":
                resident = int(words[1])
            elif words[0] == "Anonymous:" and "heapecho" in name:
                anonymous += int(words[1])
                file += resident - int(words[1])
        return _Memory(
            int(values["RssAnon"].split()[0]), anonymous, file, int(values["Threads"].split()[0])
        )

    def _cpu_ns(self) -> int:
        """CPU time of the worker's threads, to the nanosecond (field 1 of schedstat)."""
        tasks = pathlib.Path(f"/proc/{self.worker}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


def measure(
    build: environment.Build, rounds: int, parent: pathlib.Path | None
) -> list[figures.Figure]:
    """Figures service.VIEW.{time,cpu}, ratios with heapecho's defaults over nothing; service_frames.VIEW.… with
    HEAPECHO_PYTHON=frames; service.memory.

    A round starts the service anew in each variant and lets all of them run, idle but for the one that
    has its burst. Its value is the median over groups of bursts, one directly after the other, of the
    burst's ratio to the mean of the two without.

    Raises:
        environment.Unmeasurable: the build has no interpreter with the service's packages, or no compiler.
        RuntimeError: the service did not start or answered with an error, or was not recorded.
    """
    python = build.directory / "python" / "bin" / "python"
    if not python.exists():
        raise environment.Unmeasurable(
            f"{python} does not exist: tools/setup demo --build {build.directory} makes it"
        )
    build.library  # noqa: B018 (missing: said before anything is started)
    bursts: list[dict[str, dict[str, list[_Burst]]]] = []
    memory: list[dict[str, _Memory]] = []
    with environment.recordings_directory(parent) as data:
        _prepare(python, data)
        for number in range(rounds):
            environment.progress(f"service: round {number + 1} of {rounds}")
            with contextlib.ExitStack() as running:
                services = {
                    variant: running.enter_context(_started(build, python, data, variant, number))
                    for variant in _in_turn(_VARIANTS, number)
                }
                for service in services.values():
                    service.begin()
                bursts.append(_bursts(services))
                memory.append({variant: service.memory() for variant, service in services.items()})
            for variant in _RECORDED:
                if environment.samples_recorded(build, _recordings(data, variant, number)) == 0:
                    raise RuntimeError(f"heapecho recorded nothing of the service ({variant})")
    environment.progress("")
    found = []
    for variant in _RECORDED:
        for view in VIEWS:
            found.append(_figure(variant, view, "time", "seconds", bursts))
            found.append(_figure(variant, view, "cpu", "cpu_seconds", bursts))
    found.append(_memory_figure(memory))
    return found


def _prepare(python: pathlib.Path, data: pathlib.Path) -> None:
    """Makes the service's data and its native library."""
    try:
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-o", data / "libsession_cache.so",
             _SERVICE / "shop" / "session_cache.c"],
            check=True,
        )
    except OSError as error:
        raise environment.Unmeasurable(f"no compiler for the service's library: {error}") from error
    environment.output_of([python, _SERVICE / "prepare.py"], _settings(data, os.environ))


def _settings(data: pathlib.Path, variables: dict[str, str]) -> dict[str, str]:
    return {
        **variables,
        "SHOP_DATA": str(data),
        "PYTHONPATH": str(_SERVICE),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def _started(
    build: environment.Build, python: pathlib.Path, data: pathlib.Path, variant: str, number: int
) -> Iterator[_Service]:
    """A service, stopped at the end of the block."""
    recordings = _recordings(data, variant, number)
    recordings.mkdir(parents=True)
    preload = environment.HEAPECHO if variant in _RECORDED else environment.NOTHING
    variables = environment.variables(build, preload, "glibc", recordings, None)
    if variant == FRAMES:
        variables["HEAPECHO_PYTHON"] = "frames"
    address = str(data / f"{variant}.socket")
    with open(data / f"{variant}.log", "ab") as log:
        process = subprocess.Popen(
            [python, "-m", "gunicorn", "--workers", "1", "--bind", f"unix:{address}",
             "--log-level", "warning", "--config", _WORKER, "shop.wsgi:application"],
            env=_settings(data, variables),
            stdout=log,
            stderr=log,
        )
    try:
        yield _Service(process, address)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _bursts(services: dict[str, _Service]) -> dict[str, dict[str, list[_Burst]]]:
    """By view and variant; the bursts of one index were made one directly after the other."""
    results = {}
    for view, path in VIEWS.items():
        for service in services.values():
            for number in range(_WARM_UP):
                service.get(path.format(number % _ROW_GROUPS))
        found: dict[str, list[_Burst]] = {variant: [] for variant in services}
        for number in range(_BURSTS):
            for variant in _in_turn(list(services), number):
                found[variant].append(services[variant].burst(path))
        results[view] = found
    return results


def _in_turn(variants: Sequence[str], number: int) -> list[str]:
    """Beginning with another one each time."""
    start = number % len(variants)
    return [*variants[start:], *variants[:start]]


def _recordings(data: pathlib.Path, variant: str, number: int) -> pathlib.Path:
    return data / "recordings" / variant / str(number)


def _figure(
    recorded: str,
    view: str,
    what: str,
    attribute: str,
    rounds: Sequence[dict[str, dict[str, list[_Burst]]]],
) -> figures.Figure:
    def ratio(bursts: dict[str, list[_Burst]], variant: str, over: Sequence[str]) -> float:
        return statistics.median(
            getattr(burst, attribute) / statistics.mean(getattr(each, attribute) for each in plain)
            for burst, *plain in zip(bursts[variant], *(bursts[name] for name in over))
        )

    ratios = [ratio(each[view], recorded, _PLAIN) for each in rounds]
    twins = [ratio(each[view], TWIN, [environment.NOTHING]) for each in rounds]
    plain = [
        getattr(burst, attribute) for each in rounds for burst in each[view][environment.NOTHING]
    ]
    return figures.over_rounds(
        f"{_RECORDED[recorded]}.{view}.{what}",
        "x",
        ratios,
        {
            "error_x": _error_of_median(ratios),
            "twin_x": statistics.median(twins),
            "twin_least_x": min(twins),
            "twin_most_x": max(twins),
            "nothing_ms": statistics.median(plain) * 1000,
        },
    )


def _error_of_median(values: Sequence[float]) -> float:
    """Standard error of the median, as for a normal distribution (Kendall and Stuart: sqrt(pi / 2) of the mean's)."""
    if len(values) < 2:
        return float("nan")
    return (math.pi / 2) ** 0.5 * statistics.stdev(values) / len(values) ** 0.5


def _memory_figure(rounds: Sequence[dict[str, _Memory]]) -> figures.Figure:
    def median(attribute: str) -> float:
        return statistics.median(getattr(each[environment.HEAPECHO], attribute) for each in rounds)

    return figures.over_rounds(
        "service.memory",
        "KiB",
        [
            each[environment.HEAPECHO].anonymous_kib - each[environment.NOTHING].anonymous_kib
            for each in rounds
        ],
        {
            "ours_anonymous_kib": median("ours_anonymous_kib"),
            "ours_file_kib": median("ours_file_kib"),
            "threads": median("threads"),
        },
    )
