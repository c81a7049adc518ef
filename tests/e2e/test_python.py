# SPDX-License-Identifier: Apache-2.0
"""Interpreters and pyarrow: the same output with and without the preload, over each allocator.

The interpreters are Debian's, the one of the build's virtual environment, and pyenv's where there are any.
"""

import os
import subprocess
from pathlib import Path

import pytest

import allocators
import harness
import wire

# The newest pyarrow that has a wheel for each version of Python.
PYARROW = {"3.7": "12.0.1", "3.8": "17.0.0", "3.9": "21.0.0", "3.10": "21.0.0", "3.11": "21.0.0", "3.12": "21.0.0",
           "3.13": "21.0.0"}
VENVS = harness.BUILD / "e2e-python"
ALLOCATORS = allocators.NAMES

BAD_ALLOC = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
say = kind(lambda line: sys.stdout.write(line.decode() + "\\n"))
library.run_bad_alloc(say)
"""

WORK = """
import json, threading, subprocess, sys
data = [{"n": n, "text": "x" * (n % 100), "list": list(range(n % 20))} for n in range(20000)]
text = json.dumps(data)
assert json.loads(text) == data
results = []
def work(k):
    results.append(sum(len(str(i * k)) for i in range(20000)))
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(text), sorted(results))
print(subprocess.check_output(["/bin/echo", "child"]).decode().strip())
sys.exit(3)
"""

POOL = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(sum(pool.map(len, [["x" * n] * n for n in range(500)])))
"""

ARROW = """
import pyarrow as pa, pyarrow.parquet as pq
table = pa.table({"n": list(range(100000)), "text": ["row %d" % n for n in range(100000)]})
pq.write_table(table, sys.argv[1], row_group_size=25000)
file = pq.ParquetFile(sys.argv[1])
total = 0
kept = []
for group in range(file.num_row_groups):
    read = file.read_row_group(group)
    kept.append(read)
    total += sum(row["n"] for row in read.to_pylist())
print(total, sum(len(group) for group in kept), sum(group.nbytes for group in kept))
"""


def interpreters() -> list[Path]:
    found = [harness.BUILD / "python" / "bin" / "python", Path("/usr/bin/python3")]
    roots = {Path(os.environ.get("PYENV_ROOT", "")), Path.home() / ".pyenv"}
    for root in sorted(roots):
        if root.is_absolute():
            found += sorted((root / "versions").glob("3.*/bin/python3"))
    return [path for path in found if path.exists()]


def version_of(interpreter: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


INTERPRETERS = interpreters()


def name_of(interpreter) -> str:
    return str(interpreter).strip("/").replace("/", "-")[-40:]


def run_both(command: list, directory, interval, allocator, **extra):
    bare = harness.plain_environment(PYTHONHASHSEED="0", **({} if allocator is None else {
        "LD_PRELOAD": str(allocator)}), **extra)
    without = harness.execute(command, bare)
    done = harness.execute(command, harness.recording_environment(directory, interval, allocator,
                                                                  PYTHONHASHSEED="0", **extra))
    assert (done.returncode, done.stdout, done.stderr) == (without.returncode, without.stdout, without.stderr)
    return done


@pytest.fixture(scope="session")
def with_pyarrow():
    """A function from an interpreter to one beside it that has pyarrow; skips where there can be none."""

    def of(interpreter: Path) -> Path:
        if subprocess.run([interpreter, "-c", "import pyarrow"], capture_output=True).returncode == 0:
            return interpreter
        version = version_of(interpreter)
        if version not in PYARROW:
            pytest.skip(f"no pyarrow for Python {version}")
        venv = VENVS / name_of(interpreter)
        python = venv / "bin" / "python"
        if python.exists() and subprocess.run([python, "-c", "import pyarrow"], capture_output=True).returncode == 0:
            return python
        for step in ([interpreter, "-m", "venv", "--clear", venv],
                     [python, "-m", "pip", "install", "-q", "--only-binary", ":all:", f"pyarrow=={PYARROW[version]}"]):
            done = subprocess.run(step, capture_output=True, text=True)
            if done.returncode != 0:
                pytest.skip(f"no pyarrow for {interpreter}: {done.stderr.strip().splitlines()[-1:]}")
        return python

    return of


# Every interpreter over glibc; the short form runs the other allocators under the first two alone.
@pytest.mark.parametrize("interpreter, allocator",
                         [(interpreter, allocator) for interpreter in INTERPRETERS for allocator in ALLOCATORS
                          if allocator == "glibc" or harness.FULL or interpreter in INTERPRETERS[:2]], ids=name_of)
def test_new_fails_as_without_where_libstdcxx_arrives_by_dlopen(interpreter, allocator, directory):
    done = run_both([interpreter, "-c", BAD_ALLOC, harness.program("bad_alloc_library.so")], directory, 1024,
                    allocators.path_of(allocator))
    if allocator != "mimalloc":  # whose operator new ends the program where no handler is
        assert b"new throws: 1" in done.stdout, done.stderr


@pytest.mark.parametrize("interpreter", INTERPRETERS, ids=name_of)
def test_an_interpreter_runs_as_without(interpreter, directory):
    done = run_both([interpreter, "-c", WORK], directory, 1024, None)
    assert done.returncode == 3
    named = [path for path in harness.recordings(directory) if path.name.startswith("python")]
    assert len(named) == 1
    recording = wire.Recording(named[0])
    assert (recording.header.process_end, recording.header.exit_status) in ((wire.EXITED, 3), (wire.EXITED, -1))
    assert recording.header.live_bytes > 0
    harness.report(named[0])


@pytest.mark.parametrize("interpreter", INTERPRETERS, ids=name_of)
def test_a_pool_of_forked_workers_works_and_each_knows_its_parent(interpreter, directory):
    """Without a thread of its own in the library, forking warns of none (Python 3.12 and later look)."""
    done = run_both([interpreter, "-W", "error", "-c", POOL], directory, 1024, None)
    assert done.stdout == b"124750\n" and done.returncode == 0
    heads = [wire.Recording(path).header for path in harness.recordings(directory)]
    (master,) = [head for head in heads if head.parent_id == bytes(16)]
    workers = [head for head in heads if head is not master]
    assert len(workers) == 3
    assert all(head.parent_id == master.id and head.ppid == master.pid for head in workers)


@pytest.mark.parametrize("pool", ["default", "system"])
@pytest.mark.parametrize("allocator", ALLOCATORS)
@pytest.mark.parametrize("interpreter", INTERPRETERS if harness.FULL else INTERPRETERS[:1], ids=name_of)
def test_pyarrow_runs_as_without(interpreter, allocator, pool, directory, tmp_path, with_pyarrow):
    python = with_pyarrow(interpreter)
    extra = {} if pool == "default" else {"ARROW_DEFAULT_MEMORY_POOL": pool}
    run_both([python, "-c", ARROW, tmp_path / "table.parquet"], directory, 4096, allocators.path_of(allocator),
             **extra)
    path = harness.only_recording(directory)
    parsed = harness.report(path, value="allocated")
    arrow = sum(row["bytes"] for row in parsed["sites"]
                if any(frame.get("module", "").startswith("libarrow") for frame in row["frames"]))
    # On malloc the pool is seen through malloc: the columns alone are that large.
    if pool == "system":
        assert arrow > 100000 * 8
