# SPDX-License-Identifier: Apache-2.0
"""What programs map for themselves: at its line, to the byte; and the ranges of a process are those that the kernel has."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import allocators
import arrow_versions
import harness
import wire

PAGE = 4096
MIB = 1 << 20
FAST_CLOCK = 1000  # of the programs that wait for a look at /proc/self/maps
SEEN, RESERVE, MEASURED = 1, 2, 4                    # RangeFlags
ANONYMOUS, SHARED, FILE, STACK, HEAP, OWN = range(1, 7)  # RangeKind
MALLOC, PYTHON, ARROW, MMAP, NOBODYS = 0, 1, 2, 3, 0xFF  # Domain

NOTHING = {"live": {"bytes": 0}}

CHURNED = ("site_map_private", "site_map_shared", "site_map_fixed", "site_remap")
IN_PART = ("site_reserve", "site_give_back", "site_sbrk")


class Smaps:
    """A copy of /proc/PID/smaps: lines as (start, end, resident bytes)."""

    def __init__(self, path: Path):
        self.lines = []
        for line in path.read_text().splitlines():
            if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) [r-][w-][x-]", line):
                start, end = int(head[1], 16), int(head[2], 16)
            elif resident := re.match(r"Rss:\s+(\d+) kB", line):
                if end <= 1 << 47:
                    self.lines.append((start, end, int(resident[1]) << 10))

    def pages(self) -> set[int]:
        return {page for start, end, _ in self.lines for page in range(start // PAGE, end // PAGE)}

    def resident(self, start: int, end: int) -> int:
        """Of the lines between, which none crosses."""
        inside = [line for line in self.lines if line[0] < end and start < line[1]]
        assert all(start <= low and high <= end for low, high, _ in inside), (hex(start), hex(end), inside)
        return sum(resident for _, _, resident in inside)


def pages_of(ranges) -> set[int]:
    return {page for mapped in ranges
            for page in range(mapped.start // PAGE, (mapped.start + mapped.length) // PAGE)}


def churn(directory: Path, *arguments) -> subprocess.CompletedProcess:
    environment = harness.recording_environment(directory, "auto", FAST_CLOCK=str(FAST_CLOCK))
    environment["LD_PRELOAD"] += f":{harness.program('fast_clock.so')}"
    done = harness.execute([harness.program("mapping_churn"), *arguments], environment, cwd=directory)
    assert done.returncode == 0, done.stderr
    return done


def check_against_the_kernel(path: Path, said: list[dict]) -> None:
    recording = wire.Recording(path)
    pid = recording.header.pid
    smaps = Smaps(path.parent / f"smaps.{pid}")
    assert recording.broken_ranges == recording.torn_ranges == 0
    assert recording.counters["ranges_dropped"] == 0
    own = pages_of(mapped for mapped in recording.ranges if mapped.kind == OWN)
    there = pages_of(mapped for mapped in recording.ranges if mapped.kind != OWN)
    assert there - own == smaps.pages() - own
    measured = [mapped for mapped in recording.ranges if mapped.flags & MEASURED and mapped.weight]
    assert len(measured) == 2
    for mapped in measured:
        # The range that pages were given back of lies in the middle of a larger line of the kernel's.
        if mapped.length == 8 * MIB:
            assert mapped.counted == smaps.resident(mapped.start, mapped.start + mapped.length)
    if recording.counters["range_changes_lost"]:
        return  # the kernel told what there is, not who mapped it
    seen = harness.estimates(path)
    live = {line["mapped"]: line["bytes"] for line in said if line.get("pid") == pid and "mapped" in line}
    assert set(live) == set(CHURNED)
    for site, total in live.items():
        assert seen[site].bytes == total and seen[site].bytes_error == 0, site
        assert seen[site].domains == {"mmap"}


def check_used_in_part(path: Path, said: list[dict]) -> None:
    seen = harness.estimates(path)
    for line in said:
        if line.get("site") in IN_PART:
            assert seen[line["site"]].bytes == line["size"], line["site"]


@pytest.mark.parametrize("threads", [1, 4])
def test_after_churn_ranges_and_sites_are_what_is_mapped(threads, directory):
    operations = 200_000 if harness.FULL else 5_000
    said = harness.json_lines(churn(directory, threads, operations).stdout)
    path = harness.only_recording(directory)
    if threads == 1:  # nobody else has the table, so nothing is ever lost
        assert wire.Recording(path).counters["range_changes_lost"] == 0
    check_against_the_kernel(path, said)
    check_used_in_part(path, said)


def test_a_forked_child_goes_on_with_its_parents_ranges(directory):
    said = harness.json_lines(churn(directory, 1, 2_000, "fork").stdout)
    paths = harness.recordings(directory)
    assert len(paths) == 2
    for path in paths:
        check_against_the_kernel(path, said)


def test_the_program_does_the_same_with_and_without(directory):
    """Its own checks of errno are those of the C library."""
    plain = harness.plain_environment(LD_PRELOAD=str(harness.program("fast_clock.so")), FAST_CLOCK=str(FAST_CLOCK))
    alone = harness.execute([harness.program("mapping_churn"), 1, 1000], plain, cwd=directory)
    assert alone.returncode == 0, alone.stderr
    assert harness.without_pids(alone.stdout) == harness.without_pids(churn(directory, 1, 1000).stdout)


def test_killed_in_the_middle_of_churn_no_range_is_broken(directory):
    for kill in range(100 if harness.FULL else 8):
        folder = directory / str(kill)
        folder.mkdir()
        process = subprocess.Popen([harness.program("mapping_churn"), "4", "100000000"], cwd=folder,
                                   env=harness.recording_environment(folder, "auto"), stdout=subprocess.DEVNULL)
        while not harness.recordings(folder):
            assert process.poll() is None
        end = time.monotonic() + 0.02 * kill  # where the kill comes, not what is waited for
        while time.monotonic() < end:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        path = harness.only_recording(folder)
        recording = wire.Recording(path)
        assert recording.broken_ranges == 0 and recording.torn_ranges <= 1
        report = harness.report(path)
        assert not [line for line in report["warnings"] if "range" in line]
        path.unlink()


PYTHON_MAPS = """
import mmap, os, signal
def site_shared(): return mmap.mmap(-1, 64 << 20)
def site_private(): return mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def site_closed(): mmap.mmap(-1, 16 << 20).close()
held = site_shared(), site_private(), site_closed()
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_python(directory: Path, script: str, allocator=None, python=sys.executable, **extra: str) -> Path:
    """Runs a script that kills itself; its recording."""
    environment = harness.recording_environment(directory, 64 << 10, allocator, **extra)
    done = harness.execute([python, "-c", script], environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return harness.only_recording(directory)


def test_what_python_maps_stands_at_its_line_to_the_byte(directory):
    path = run_python(directory, PYTHON_MAPS)
    rows = [row for row in harness.report(path)["sites"] if row["domain"] == "mmap"]
    sites = {frame["function"]: (row["bytes"], row["objects"], frame["line"])
             for row in rows for frame in row["frames"] if frame["kind"] == "python" and frame["function"] != "<module>"}
    assert sites == {"site_shared": (64 * MIB, 1, 3), "site_private": (32 * MIB, 1, 4)}
    domain = harness.report(path)["recordings"][0]["domains"]["mmap"]
    assert domain["live"]["bytes"] == 96 * MIB and domain["live"]["bytes_error"] == 0
    # The interpreter's arenas are its allocator's, and counted there.
    ranges = wire.Recording(path).ranges
    assert [mapped for mapped in ranges if mapped.domain == PYTHON and mapped.flags & RESERVE]
    assert not [mapped for mapped in ranges if mapped.domain == PYTHON and mapped.weight]


SPACE = """
import ctypes, mmap, os, signal
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
held = libc.mmap(None, 100 << 30, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_address_space_that_is_only_reserved_is_not_live(directory):
    path = run_python(directory, SPACE)
    space, = (mapped for mapped in wire.Recording(path).ranges if mapped.length == 100 << 30)
    assert space.flags & MEASURED and space.counted == 0
    assert harness.report(path)["recordings"][0]["domains"].get("mmap", NOTHING)["live"]["bytes"] == 0


BEHIND = """
import ctypes, mmap
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
bytearray(4 << 20)  # the recording begins
end = max(int(line.split()[0].split("-")[1], 16) for line in open("/proc/self/maps") if ".heapecho" in line)
def site_behind(): return libc.mmap(end, 4096, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
print(site_behind() == end)
"""


def test_what_is_mapped_right_behind_the_recording_is_the_programs(directory):
    """It was taken for the zeroed data of a library at the next look: gone from its line."""
    # Sampled but for odds of e^-16. At an interval of 1 byte an interpreter whose start fills the tables of stacks left none
    # for what comes after it.
    done = harness.execute([sys.executable, "-c", BEHIND], harness.recording_environment(directory, PAGE // 16))
    assert done.returncode == 0, done.stderr
    if done.stdout != b"True\n":
        pytest.skip("something else is mapped right behind the recording")
    path = harness.only_recording(directory)
    assert harness.estimates(path)["site_behind"].bytes == PAGE


FILE_MAP = """
import mmap, os, sys
path = sys.argv[1]
with open(path, "wb") as file:
    file.truncate(64 << 20)
def site_file():
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 64 << 20)
held = site_file()
for page in range(0, 5 << 20, 4096):
    held[page] = 1
with open(sys.argv[2], "w") as copy:
    copy.write(open("/proc/self/smaps").read())
os._exit(0)
"""


def test_a_mapped_file_counts_for_the_pages_that_it_has(directory, tmp_path):
    environment = harness.recording_environment(directory, 64 << 10)
    done = harness.execute([sys.executable, "-c", FILE_MAP, tmp_path / "file", directory / "smaps"], environment)
    assert done.returncode == 0, done.stderr
    path = harness.only_recording(directory)
    mapped, = (mapped for mapped in wire.Recording(path).ranges if mapped.length == 64 * MIB)
    if mapped.kind == SHARED:  # a file of tmpfs is memory, all of it
        assert harness.estimates(path)["site_file"].bytes == 64 * MIB
        return
    present = Smaps(directory / "smaps").resident(mapped.start, mapped.start + mapped.length)
    assert 5 * MIB <= present <= 6 * MIB  # the kernel maps a few pages around
    assert harness.estimates(path)["site_file"].bytes == present


def test_off_nothing_that_is_mapped_is_recorded(directory):
    path = run_python(directory, PYTHON_MAPS, HEAPECHO_MMAP="off")
    assert wire.Recording(path).ranges == []
    assert harness.report(path)["recordings"][0]["domains"].get("mmap", NOTHING)["live"]["bytes"] == 0


@pytest.mark.parametrize("name", sorted(allocators.FILES))
def test_what_an_allocator_maps_is_its_raw_material(name, directory):
    script = "import os, signal\nheld = [bytearray(100_000) for _ in range(300)]\nos.kill(os.getpid(), signal.SIGKILL)"
    path = run_python(directory, script, allocator=allocators.path_of(name))
    ranges = wire.Recording(path).ranges
    assert sum(mapped.length for mapped in ranges if mapped.domain == MALLOC and mapped.flags & RESERVE and
               mapped.flags & SEEN) >= 30 * MIB
    assert harness.report(path)["recordings"][0]["domains"].get("mmap", NOTHING)["live"]["bytes"] == 0


ARROW_HOLDS = """
import os, signal
import pyarrow as pa
held = pa.allocate_buffer(50_000_000)
print(pa.default_memory_pool().backend_name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_arrow_maps_is_its_pools_raw_material(directory):
    path = run_python(directory, ARROW_HOLDS, python=arrow_versions.python_with(arrow_versions.VERSIONS[-1]))
    ranges = wire.Recording(path).ranges
    assert sum(mapped.length for mapped in ranges if mapped.domain == ARROW and mapped.flags & RESERVE) >= 50_000_000
    domains = harness.report(path)["recordings"][0]["domains"]
    assert domains["arrow"]["live"]["bytes"] == 50_000_000
    assert domains.get("mmap", NOTHING)["live"]["bytes"] < MIB
