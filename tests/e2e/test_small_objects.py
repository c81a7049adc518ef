# SPDX-License-Identifier: Apache-2.0
"""A view behind gunicorn leaks dicts, strings and instances: the report's first site is the view's own line, with as many
bytes as the view itself counts."""

import os
import re
import signal

import pytest

import harness
from service import GUNICORN, WEB, Service, python_frames, recording_of

LEAKY = (WEB / "leaky.py").read_text().splitlines()
LEAK_LINE = next(number for number, line in enumerate(LEAKY, 1) if line.endswith("# leaks"))
VIEW = ("leak", str(WEB / "leaky.py"), LEAK_LINE)

# Four workers are measured. That two of the four lie beyond three standard errors, or one beyond five, happens to a
# right implementation with a probability of 6 * 0.0027**2 + 4 * 6e-7 < 1 / 20000.
WORKERS = 4
RECORDS = 60_000  # of each worker

pytestmark = pytest.mark.skipif(not GUNICORN.exists(), reason=f"no gunicorn here: tools/setup test ({GUNICORN})")


def measure_leak(directory) -> list[float]:
    """How many standard errors each worker's recording is off; looks at the first one's report on the way."""
    off = []
    for _ in range(WORKERS):
        environment = harness.recording_environment(directory, 16 << 10)
        with Service("--workers", "1", environment=environment) as service:
            for _ in range(10):
                truth = service.get(f"/leak?count={RECORDS // 10}")
            os.kill(truth["pid"], signal.SIGKILL)
        path = recording_of(directory, truth["pid"])
        parsed = harness.report(path)
        # In the domain of malloc there is what pymalloc needs itself, as for the first block of an arena.
        sites = [site for site in parsed["sites"]
                 if python_frames(site)[:1] == [VIEW] and site["domain"] == "python"]
        assert python_frames(parsed["sites"][0])[:1] == [VIEW], "the first site is the view's own line"
        estimate = sum(site["bytes"] for site in sites)
        error = sum(site["bytes_error"] ** 2 for site in sites) ** 0.5
        assert error < 0.05 * truth["bytes"], "there are enough samples for this to mean something"
        off.append((estimate - truth["bytes"]) / error)
        if len(off) == 1:
            check_pictures(path)
    return off


def check_pictures(path) -> None:
    """The summary's first line of the application is the view's; the flame graph reads from the WSGI entry to it."""
    text = harness.report_text(path)
    first = text.split("Which lines of the application", 1)[1].split("\n  2. ")[0]
    assert f"     leak web/leaky.py:{LEAK_LINE}\n" in first, first
    done = harness.execute([harness.COMMAND, "export", "--format", "folded", "--lines", path],
                           harness.plain_environment())
    weights = {stack: int(weight) for stack, weight in
               (line.rsplit(" ", 1) for line in done.stdout.decode().splitlines())}
    largest = max(weights, key=weights.get)
    in_order = (r"SyncWorker\.handle_request \(sync\.py:\d+\);"
                r"WSGIHandler\.__call__ \(wsgi\.py:\d+\);"
                rf".*;leak \(leaky\.py:{LEAK_LINE}\)(;|$)")
    assert re.search(in_order, largest), largest


def test_small_objects_that_a_view_leaks_are_found_at_its_line(directory, capsys):
    off = measure_leak(directory)
    with capsys.disabled():
        print("\nNote: a view's leak of small objects, off by", ", ".join(f"{z:+.2f}" for z in off), "standard errors")
    assert sum(abs(z) > 3 for z in off) <= 1 and all(abs(z) < 5 for z in off), off
