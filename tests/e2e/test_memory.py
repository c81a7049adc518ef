# SPDX-License-Identifier: Apache-2.0
"""Where the memory went: programs of a known split, which say themselves what they hold, and what the report says of them.

Each ends by _exit with everything in hand, so that its last look is at what it told. The interval is small against what
they hold: of 40 MiB in blocks of 96 KiB the estimate's standard error is 3 %, and the bounds are 10 %.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import allocators
import arrow_versions
import harness

INTERVAL = 32 << 10
MIB = 1 << 20

# What a part may be off by: a tenth of the truth, and what every process has (its libraries' data, its first heap).
SHARE = 0.10
SLACK = 3 * MIB


def memory_of(command: list, directory: Path, allocator: Path | None = None) -> tuple[dict, dict]:
    """What the program said of itself, and what the report says of it."""
    done = harness.execute(command, harness.recording_environment(directory, INTERVAL, allocator))
    assert done.returncode == 0, done.stderr.decode()
    said = harness.json_lines(done.stdout)[-1]
    seen = harness.report(harness.only_recording(directory))["recordings"][0]["memory"]
    return said, seen


def part(seen: dict, name: str) -> float:
    return seen["retained"].get(name, 0) if name in ("malloc", "python", "arrow") else seen.get(f"{name}_bytes", 0)


def check(said: dict, seen: dict) -> None:
    for name, truth in said.items():
        got = part(seen, name)
        print(f"{name}: {got / MIB:.1f} MiB of {truth / MIB:.1f}")
        assert abs(got - truth) <= SHARE * truth + SLACK, (name, said, seen)
    print(f"unexplained: {seen['unexplained_bytes'] / MIB:.1f} of {seen['rss_bytes'] / MIB:.1f} MiB")
    assert abs(seen["unexplained_bytes"]) < 0.10 * seen["rss_bytes"], seen


def test_what_leaked_is_live_and_what_of_it_was_never_touched_is_told(directory):
    check(*memory_of([harness.program("memory_split"), "leaked"], directory))


def test_what_16_threads_freed_and_glibc_keeps_is_kept_by_malloc(directory):
    said, seen = memory_of([harness.program("memory_split"), "arenas"], directory)
    assert said["malloc"] > 10 * said["live"]
    check(said, seen)


def test_what_malloc_keeps_is_told_beside_more_that_is_live_and_was_never_touched(directory):
    said, seen = memory_of([harness.program("memory_split"), "arenas_untouched"], directory)
    assert said["untouched"] > said["malloc"]
    check(said, seen)


@pytest.mark.parametrize("name", [name for name in allocators.NAMES if name != "glibc"])
def test_what_another_allocator_keeps_is_known_too(name, directory):
    # How much of it goes back to the system is the allocator's to know; what does not is nowhere but in what it keeps.
    said, seen = memory_of([harness.program("memory_split"), "arenas"], directory, allocators.path_of(name))
    del said["malloc"], said["file_backed"]  # its libraries are files, too
    assert seen["retained"]["malloc"] > seen["rss_bytes"] / 2
    check(said, seen)


def test_a_mapped_file_is_no_leak(directory, tmp_path):
    file = tmp_path / "mapped"
    file.write_bytes(os.urandom(MIB) * 100)
    check(*memory_of([harness.program("memory_split"), "file", file], directory))


# As the loader maps a library, and the C library an arena behind its zeroed data: by calls that no hook sees. The kernel
# shows zeroed data and arena as one mapping; what may be executed as another one, at its end.
LIBRARY = """
import ctypes, mmap, os, struct, sys
MIB = 1 << 20
libc = ctypes.CDLL(None)
libc.syscall.restype = ctypes.c_void_p
libc.syscall.argtypes = [ctypes.c_long] + [ctypes.c_size_t] * 6
READ, WRITE, EXECUTE, PRIVATE, FIXED, ANONYMOUS = 1, 2, 4, 2, 16, 32
NOTHING = 2 ** 64 - 1
def place(address, size, access, flags, file=NOTHING, offset=0):
    got = libc.syscall(9, address, size, access, flags | PRIVATE, file, offset)
    assert address in (0, got), (address, got)
    if access & WRITE:
        ctypes.memset(got, 1, size)
    return got
zeroed, behind, further = (int(word) * MIB for word in sys.argv[2:])
segment = lambda access, at, of_file, of_memory: struct.pack("<IIQQQQQQ", 1, access, at, at, at, of_file, of_memory, 4096)
header = struct.pack("<16sHHIQQQIHHHHHH", b"\\x7fELF\\2\\1\\1", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
with open(sys.argv[1], "wb") as file:
    file.write((header + segment(4, 0, 4096, 4096) + segment(6, 4096, 4096, 4096 + zeroed)).ljust(8192, b"\\0"))
if zeroed:
    file = os.open(sys.argv[1], os.O_RDONLY)
    at = place(0, 8192 + zeroed + behind + further, 0, ANONYMOUS)
    place(at, 4096, READ, FIXED, file)
    place(at + 4096, 4096, READ | WRITE, FIXED, file, 4096)
    place(at + 8192, zeroed, READ | WRITE, FIXED | ANONYMOUS)
    place(at + 8192 + zeroed, behind, READ | WRITE, FIXED | ANONYMOUS)
    place(at + 8192 + zeroed + behind, further, READ | WRITE | EXECUTE, FIXED | ANONYMOUS)
    lines = [line for line in open("/proc/self/maps") if f"{at + 8192 + zeroed:x}-" in line]
    assert not lines, ("the kernel tells them apart", lines)
os._exit(0)
"""


def test_what_lies_behind_a_librarys_zeroed_data_is_not_the_librarys(directory, tmp_path):
    """Half of the time an arena of glibc's stood twice in the account of a server with threads: as malloc's and as a file's."""
    def seen(name, *sizes):
        recordings = directory / name
        command = [sys.executable, "-c", LIBRARY, tmp_path / name, *map(str, sizes)]
        done = harness.execute(command, harness.recording_environment(recordings, INTERVAL))
        assert done.returncode == 0, done.stderr.decode()
        return harness.report(harness.only_recording(recordings))["recordings"][0]["memory"]
    without, mapped = seen("without", 0, 0, 0), seen("mapped", 8, 32, 16)
    assert mapped["rss_bytes"] - without["rss_bytes"] == pytest.approx(56 * MIB, abs=SLACK)
    assert mapped["file_backed_bytes"] - without["file_backed_bytes"] == pytest.approx(8 * MIB, abs=SLACK)


PYMALLOC = """
import os, sys
def objects():
    return [(i, i + 1, i + 2) for i in range(1000000)]
def thinned():
    return objects()[::40]
kept = thinned()
sys._debugmallocstats()
os._exit(0)
"""


def pymalloc_keeps(text: str) -> int:
    """By pymalloc's own statistics: its arenas less the blocks in them."""
    arenas, bytes_each = re.search(r"(\d+) arenas \* (\d+) bytes/arena", text).groups()
    blocks = re.search(r"bytes in allocated blocks *= *([\d,]+)", text).group(1).replace(",", "")
    return int(arenas) * int(bytes_each) - int(blocks)


def test_what_pymalloc_keeps_is_kept_by_python(directory):
    # It says nothing where another's function stands in front of it, so it is asked in a run of its own.
    command = [sys.executable, "-c", PYMALLOC]
    said = pymalloc_keeps(harness.execute(command, harness.plain_environment()).stderr.decode())
    assert said > 50 * MIB
    harness.execute(command, harness.recording_environment(directory, INTERVAL))
    seen = harness.report(harness.only_recording(directory))["recordings"][0]["memory"]
    check({"python": said, "arrow": 0}, seen)


# The pool's blocks lie in its mappings; what of these is resident, the kernel says.
ARROW = """
import bisect, json, os
import pyarrow as pa
pool = pa.mimalloc_memory_pool()
def buffers():
    return [pa.allocate_buffer(6000, memory_pool=pool) for _ in range(20000)]
def filled():
    made = buffers()
    for buffer in made:
        pa.FixedSizeBufferWriter(buffer).write(b"x" * 6000)
    return made
made = filled()
addresses = sorted(buffer.address for buffer in made)
kept = made[::40]
del made
lines = open("/proc/self/smaps").read().splitlines()
resident, within = 0, False
for line in lines:
    words = line.split()
    if "-" in words[0] and not words[0].endswith(":"):
        start, end = (int(part, 16) for part in words[0].split("-"))
        at = bisect.bisect_left(addresses, start)
        within = at < len(addresses) and addresses[at] < end
    elif within and words[0] == "Rss:":
        resident += int(words[1]) << 10
live = pool.bytes_allocated()
print(json.dumps({"arrow": resident - live}), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("version", arrow_versions.VERSIONS)
def test_what_arrows_pool_keeps_is_kept_by_arrow(version, directory):
    python = arrow_versions.python_with(version)
    done = subprocess.run([python, "-c", "import pyarrow as pa; pa.mimalloc_memory_pool()"], capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"pyarrow {version} has no mimalloc")
    said, seen = memory_of([python, "-c", ARROW], directory)
    assert said["arrow"] > 50 * MIB
    check(said, seen)
