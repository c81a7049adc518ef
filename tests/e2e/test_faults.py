# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to its directory or its descriptors, the program runs as without: same output, same status,
at most one line more on stderr; the recording, if there is one, says why it ended."""

import errno
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import harness
import mounts
import wire

NOBODY = 65534
# Low enough that every table of a recording grows.
INTERVAL = 64


@pytest.fixture(scope="module")
def undisturbed():
    done = harness.execute([harness.program("steady_work")], harness.plain_environment())
    assert done.returncode == 7 and done.stdout.startswith(b"sum ") and done.stderr == b""
    return done


def run_into(directory, **extra) -> subprocess.CompletedProcess:
    return harness.execute([harness.program("steady_work")],
                           harness.recording_environment(directory, INTERVAL, **extra))


def check_same(done, undisturbed) -> None:
    assert done.stdout == undisturbed.stdout
    assert done.returncode == undisturbed.returncode
    lines = done.stderr.decode().splitlines()
    assert len(lines) <= 1, lines
    assert all(line.startswith("heapecho: ") for line in lines), lines


def check_says_disk_full(path: Path) -> None:
    recording = wire.Recording(path)
    assert recording.header.recording_end == wire.DISK_FULL
    assert recording.header.recording_end_ns > 0
    text = harness.report_text(path)
    assert "full" in text.lower() or "space" in text.lower(), text
    harness.report(path)


@pytest.mark.parametrize("size", ["64k", "256k", "1m", "3m"])
def test_a_tmpfs_that_fills_up_ends_the_recording_not_the_program(size, tmp_path, undisturbed):
    with mounts.tmpfs(tmp_path / "small", size) as small:
        check_same(run_into(small), undisturbed)
        for path in harness.recordings(small):
            check_says_disk_full(path)
        # A file without its beginning would be worse than none.
        assert not [path for path in small.iterdir() if path.stat().st_size == 0]


@pytest.mark.parametrize("megabytes", [2, 8])
def test_an_ext4_that_fills_up_ends_the_recording_not_the_program(megabytes, tmp_path, undisturbed):
    with mounts.image(tmp_path / "small", "ext4", megabytes) as small:
        check_same(run_into(small), undisturbed)
        for path in harness.recordings(small):
            check_says_disk_full(path)


def test_a_large_enough_tmpfs_is_no_fault(tmp_path, undisturbed):
    """The faults above are of the disk's making: the same file system with room keeps a whole recording."""
    with mounts.tmpfs(tmp_path / "large", "200m") as large:
        done = run_into(large)
        check_same(done, undisturbed)
        assert done.stderr == b""
        recording = wire.Recording(harness.only_recording(large))
        assert recording.header.recording_end == wire.COMPLETE
        assert recording.header.process_end == wire.EXITED


def test_a_disk_that_is_full_from_the_start_changes_nothing(tmp_path, undisturbed):
    with mounts.tmpfs(tmp_path / "small", "64k") as small:
        filler = os.open(small / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(filler, bytes(4096)) > 0:
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
        finally:
            os.close(filler)
        check_same(run_into(small), undisturbed)
        for path in harness.recordings(small):
            check_says_disk_full(path)


def test_a_disk_without_inodes_changes_nothing(tmp_path, undisturbed):
    with mounts.tmpfs(tmp_path / "small", "16m", "nr_inodes=1") as small:
        check_same(run_into(small), undisturbed)
        assert harness.recordings(small) == []


def test_a_read_only_file_system_changes_nothing(tmp_path, undisturbed):
    with mounts.tmpfs(tmp_path / "read-only", "16m") as read_only:
        subprocess.run(["mount", "-o", "remount,ro", str(read_only)], check=True)
        done = run_into(read_only)
        check_same(done, undisturbed)
        assert str(read_only) in done.stderr.decode()


def test_a_directory_that_another_user_owns_changes_nothing(undisturbed):
    if os.geteuid() != 0:
        pytest.skip("needs root to run a program as somebody else")
    # Everybody can reach what the program needs, whatever the build directory lies in.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        closed = folder / "closed"
        closed.mkdir(mode=0o755)
        folder.chmod(0o755)
        copies = [shutil.copy(path, folder) for path in (harness.program("steady_work"), harness.LIBRARY)]
        environment = harness.recording_environment(closed, INTERVAL, LD_PRELOAD=copies[1])
        done = harness.execute([copies[0]], environment, user=NOBODY, group=NOBODY, extra_groups=[])
        check_same(done, undisturbed)
        assert harness.recordings(closed) == []
        # The directory is what kept it from recording.
        closed.chmod(0o1777)
        done = harness.execute([copies[0]], environment, user=NOBODY, group=NOBODY, extra_groups=[])
        check_same(done, undisturbed)
        assert harness.only_recording(closed).stat().st_uid == NOBODY


@pytest.mark.parametrize("kind", ["missing", "below a file", "a file", "empty name", "too long"])
def test_a_directory_that_cannot_be_changes_nothing(kind, tmp_path, undisturbed):
    file = tmp_path / "file"
    file.write_text("kept\n")
    where = {"missing": tmp_path / "no" / "such" / "folder", "below a file": file / "folder", "a file": file,
             "empty name": "", "too long": tmp_path / ("x" * 300)}[kind]
    done = run_into(where)
    check_same(done, undisturbed)
    assert file.read_text() == "kept\n"


def test_a_directory_removed_while_running_changes_nothing(tmp_path, undisturbed):
    gone = tmp_path / "gone"
    gone.mkdir()
    process = subprocess.Popen([harness.program("steady_work"), "wait"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=harness.recording_environment(gone, INTERVAL))
    assert process.stdout.readline() == b"ready\n"
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    stdout, stderr = process.communicate(timeout=harness.DEADLINE_S)
    assert stdout == undisturbed.stdout
    assert process.returncode == undisturbed.returncode
    assert len(stderr.splitlines()) <= 1
    assert not gone.exists()


def test_a_daemon_that_closes_and_reuses_every_descriptor_keeps_its_files(tmp_path, directory):
    folder = tmp_path / "daemon"
    folder.mkdir()
    done = harness.execute([harness.program("closes_descriptors"), folder],
                           harness.recording_environment(directory, INTERVAL))
    assert done.returncode == 0, "its files are as it wrote them"
    assert done.stdout == done.stderr == b""
    path = harness.only_recording(directory)
    recording = wire.Recording(path)
    assert (recording.header.process_end, recording.header.recording_end) == (wire.EXITED, wire.COMPLETE)
    assert recording.header.last_event_ns > recording.header.begin_ns
    assert harness.estimates(path)["site_daemon"].bytes > 0


@pytest.mark.parametrize("name, limit", [
    ("RLIMIT_FSIZE", 0), ("RLIMIT_FSIZE", 1 << 20), ("RLIMIT_NOFILE", 4), ("RLIMIT_AS", 20 << 20),
    ("RLIMIT_AS", 70 << 20), ("RLIMIT_AS", 90 << 20), ("RLIMIT_MEMLOCK", 0)])
def test_a_resource_limit_changes_nothing(name, limit, directory, undisturbed):
    number = getattr(resource, name)
    done = harness.execute([harness.program("steady_work")], harness.recording_environment(directory, INTERVAL),
                           preexec_fn=lambda: resource.setrlimit(number, (limit, limit)))
    check_same(done, undisturbed)


def test_without_proc_the_program_runs_as_with_it(directory, undisturbed):
    script = 'umount --lazy /proc && LD_PRELOAD="$1" exec "$0"'
    probe = subprocess.run(["unshare", "--mount", "sh", "-c", 'umount --lazy /proc'], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"no mount namespace of its own here: {probe.stderr.strip()}")
    done = harness.execute(["unshare", "--mount", "sh", "-c", script, harness.program("steady_work"), harness.LIBRARY],
                           harness.recording_environment(directory, INTERVAL, LD_PRELOAD=""))
    check_same(done, undisturbed)


def test_a_recording_keeps_no_descriptor_open(directory):
    show = "ls -l /proc/self/fd | wc -l"
    without = harness.execute(["/bin/sh", "-c", show], harness.plain_environment())
    with_it = harness.execute(["/bin/sh", "-c", show], harness.recording_environment(directory, INTERVAL))
    assert with_it.stdout == without.stdout
