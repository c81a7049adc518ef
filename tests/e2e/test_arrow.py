# SPDX-License-Identifier: Apache-2.0
"""Arrow's memory pools: what pyarrow says it holds is what the recording says, at the line that asked for it."""

import os
import signal
from pathlib import Path

import pytest

import arrow_versions
import harness

# Every block of a pool is sampled for certain: the smallest one that the programs make escapes with e^-64.
INTERVAL = 64

# Each says, as its last line, what the pools hold, and is killed with it in hand.
HOLD_AND_DIE = """
def die(pool):
    print(pool.bytes_allocated(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

BUFFERS = """
import os, signal, sys
import pyarrow as pa
pool = {"default": pa.default_memory_pool, "system": pa.system_memory_pool, "jemalloc": pa.jemalloc_memory_pool,
        "mimalloc": pa.mimalloc_memory_pool, "proxy": lambda: pa.proxy_memory_pool(pa.default_memory_pool())}[sys.argv[1]]()
def site_kept():
    kept = []
    for size in (4096, 65536, 1000000, 30000000):
        kept.append(pa.allocate_buffer(size, memory_pool=pool))
    return kept
def site_grown():
    grown = []
    for size in (100000, 5000000):
        buffer = pa.allocate_buffer(4096, memory_pool=pool, resizable=True)
        buffer.resize(size)
        grown.append(buffer)
    return grown
def site_shrunk():
    buffer = pa.allocate_buffer(8000000, memory_pool=pool, resizable=True)
    buffer.resize(10000, shrink_to_fit=True)
    return buffer
def site_emptied():
    buffer = pa.allocate_buffer(1000000, memory_pool=pool, resizable=True)
    buffer.resize(0, shrink_to_fit=True)
    return buffer
def site_dropped():
    for size in (4096, 700000):
        pa.allocate_buffer(size, memory_pool=pool)
def site_refused():
    try:
        pa.allocate_buffer(1 << 62, memory_pool=pool)
    except (MemoryError, pa.ArrowException, OSError, ValueError):
        return True
kept = site_kept(), site_grown(), site_shrunk(), site_emptied(), site_dropped()
assert site_refused()
""" + HOLD_AND_DIE + "die(pool)\n"


def run_and_kill(version: str, code: str, *arguments, directory: Path, interval=INTERVAL, **extra: str):
    """Runs `code` under the preload until it kills itself; returns what its pools held and the report."""
    python = arrow_versions.python_with(version)
    done = harness.execute([python, "-c", code, *arguments],
                           harness.recording_environment(directory, interval, None, **extra))
    if b"NotImplementedError" in done.stderr:
        pytest.skip(f"pyarrow {version} has no such pool")
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (path,) = [path for path in harness.recordings(directory) if path.name.startswith("python")]
    return int(done.stdout.split()[-1]), harness.report(path)


def of_domain(parsed: dict, domain: str) -> list[dict]:
    return [site for site in parsed["sites"] if site["domain"] == domain]


@pytest.mark.parametrize("pool", ["default", "system", "jemalloc", "mimalloc", "proxy"])
@pytest.mark.parametrize("version", arrow_versions.VERSIONS)
def test_each_pool_s_blocks_are_counted_once_as_they_are_had_grown_and_freed(version, pool, directory):
    held, parsed = run_and_kill(version, BUFFERS, pool, directory=directory)
    live = parsed["recordings"][0]["domains"]["arrow"]["live"]["bytes"]
    assert live == held
    sites = harness.by_site({"sites": of_domain(parsed, "arrow")})
    assert sites["site_kept"].bytes == sum(-(-size // 64) * 64 for size in (4096, 65536, 1000000, 30000000))
    assert sites["site_kept"].objects == 4
    assert sites["site_grown"].objects == 2 and sites["site_shrunk"].objects == 1
    assert set(sites) == {"site_kept", "site_grown", "site_shrunk"}
    # What a pool asks malloc for is its own; malloc's are the small objects that stand for the buffers.
    assert harness.by_site({"sites": of_domain(parsed, "malloc")})["site_kept"].bytes < 65536
    assert parsed["recordings"][0]["arrow"][0]["state"] == "recorded"
