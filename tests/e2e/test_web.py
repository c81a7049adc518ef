# SPDX-License-Identifier: Apache-2.0
"""Requests that run at once in one worker of gunicorn's, in threads or greenlets, keep their stacks apart."""

import re

import pytest

import harness
from service import GUNICORN, Service, python_frames, recording_of

REQUESTS = 100_000 if harness.FULL else 600
CLIENTS = 16
TURNS = 20
TURN_BYTES = 20_000

pytestmark = pytest.mark.skipif(not GUNICORN.exists(), reason=f"no gunicorn here: tools/setup test ({GUNICORN})")

WORKER_CLASSES = {"gthread": ["--worker-class", "gthread", "--threads", "8"],
                  "gevent": ["--worker-class", "gevent", "--worker-connections", "100"]}
ENTRY = {"gthread": "ThreadWorker.handle_request", "gevent": "AsyncWorker.handle_request"}


@pytest.mark.parametrize("kind", WORKER_CLASSES)
def test_requests_that_run_at_once_keep_their_stacks_apart(kind, directory, capsys):
    environment = harness.recording_environment(directory, 4096)
    with Service("--workers", "1", "--keep-alive", "5", *WORKER_CLASSES[kind], environment=environment) as service:
        worker = service.get("/health")["pid"]
        statuses = service.drive([f"/turn/{n % TURNS}" for n in range(REQUESTS)], CLIENTS)
        assert service.get("/health")["pid"] == worker, "the worker is the one that began"
        assert statuses == {200: REQUESTS}
    assert service.stop() == 0, "".join(service.log)
    path = recording_of(directory, worker)
    seen = {k: 0.0 for k in range(TURNS)}
    for site in harness.report(path, value="allocated")["sites"]:
        names = [function for function, _, _ in python_frames(site)]
        asked = {int(said[1]) for name in names if (said := re.fullmatch(r"(?:turn|work)_(\d+)", name))}
        assert len(asked) <= 1, f"frames of several requests: {names}"
        if not any(name.startswith("work_") for name in names):
            continue
        (k,) = asked
        outermost = site["frames"][-1]
        assert outermost["kind"] == "python" or "Greenlet" in outermost["function"], "nothing is outside of its own"
        if names[0] == f"work_{k}":  # not what handing over asks for, further in
            seen[k] += site["bytes"]
        # As the request runs: from the server's entry through Django into its view, and nothing twice.
        outermost_first = names[::-1]
        at = [outermost_first.index(name) for name in (ENTRY[kind], "WSGIHandler.__call__", f"turn_{k}", f"work_{k}")]
        assert at == sorted(at), outermost_first
        assert outermost_first.count(ENTRY[kind]) == 1 and outermost_first.count(f"turn_{k}") == 1, outermost_first
    # Each request asked for four marked blocks. One escapes this interval with a probability of e^-4.9, which puts the
    # standard error of all of a view's (120 and more) below 0.8 % of them: six errors, for twenty views.
    for k, bytes_seen in seen.items():
        truth = 4 * (TURN_BYTES + k) * (REQUESTS // TURNS)
        assert abs(bytes_seen - truth) < 0.05 * truth, (k, bytes_seen, truth)
    drops = harness.report(path)["recordings"][0]["drops"]
    with capsys.disabled():
        print(f"\nNote: {kind}: {REQUESTS} requests, {len(harness.report(path)['sites'])} live sites, "
              f"unwind_broken {drops['unwind_broken']}, python_truncated {drops['python_truncated']}, "
              f"stacks_folded {drops['stacks_folded']}")
