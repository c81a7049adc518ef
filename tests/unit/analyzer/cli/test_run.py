# SPDX-License-Identifier: Apache-2.0
"""heapecho run: becomes the command, with the library in it; or says why it cannot be recorded."""

import json
import os
import shutil
import struct
import subprocess
import sys

import pytest

from command import COMMAND, HOLDER, LIBRARY, environment, heapecho

# What the command sees of its environment, without a shell in between.
SHOW = [sys.executable, "-S", "-c", "import os; print(dict(os.environ))"]


LIBRARY_PLACES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")


def seen(*options, **extra):
    answer = heapecho("run", *options, "--", *SHOW, **extra)
    assert answer.returncode == 0, answer.stderr
    return eval(answer.stdout)  # pylint: disable=eval-used


def test_the_command_has_the_library_first_and_by_its_absolute_path(tmp_path):
    assert seen("--dir", tmp_path)["LD_PRELOAD"] == str(LIBRARY.resolve())


def test_an_allocator_that_is_preloaded_stays_the_next_one(tmp_path):
    found = [path for path in (os.path.join(place, "libjemalloc.so.2") for place in LIBRARY_PLACES)
             if os.path.exists(path)]
    if not found:
        pytest.skip("jemalloc is not installed")
    assert seen("--dir", tmp_path, LD_PRELOAD=found[0])["LD_PRELOAD"] == f"{LIBRARY.resolve()}:{found[0]}"


def test_options_become_variables_and_the_directory_is_absolute(tmp_path):
    variables = seen("--dir", os.path.relpath(tmp_path), "--interval", "64K", "--budget=8MiB")
    assert variables["HEAPECHO_INTERVAL"] == "64K" and variables["HEAPECHO_BUDGET"] == "8MiB"
    assert os.path.isabs(variables["HEAPECHO_DIR"])
    assert os.path.samefile(variables["HEAPECHO_DIR"], tmp_path)


def test_what_the_caller_set_stays_where_no_option_says_otherwise(tmp_path):
    variables = seen(HEAPECHO_DIR=str(tmp_path), HEAPECHO_INTERVAL="1M", HEAPECHO_SHORT="drop")
    assert variables["HEAPECHO_DIR"] == str(tmp_path)
    assert variables["HEAPECHO_INTERVAL"] == "1M"
    assert variables["HEAPECHO_SHORT"] == "drop"


def test_short_processes_are_kept_unless_the_caller_said_otherwise(tmp_path):
    assert seen("--dir", tmp_path)["HEAPECHO_SHORT"] == "keep"
    assert heapecho("run", "--dir", tmp_path, "--interval", "1", HOLDER).returncode == 0
    assert list(tmp_path.glob("holds_blocks-*.heapecho"))


def test_an_allocator_that_is_asked_for_serves_and_the_report_says_so(tmp_path):
    if not any(os.path.exists(os.path.join(place, "libjemalloc.so.2")) for place in LIBRARY_PLACES):
        pytest.skip("jemalloc is not installed")
    answer = heapecho("run", "--dir", tmp_path, "--interval", "1", "--allocator", "jemalloc", HOLDER)
    assert answer.returncode == 0, answer.stderr
    report = heapecho("report", tmp_path)
    assert "malloc served by libjemalloc.so.2\n" in report.stdout, report.stdout
    (recording,) = json.loads(heapecho("report", "--json", tmp_path).stdout)["recordings"]
    assert recording["allocator"].endswith("/libjemalloc.so.2")
    assert recording["samples"] > 0


def test_the_c_librarys_own_allocator_is_named_too(tmp_path):
    assert heapecho("run", "--dir", tmp_path, "--interval", "1", HOLDER).returncode == 0
    assert "malloc served by libc.so.6\n" in heapecho("report", tmp_path).stdout


def test_an_allocator_that_nobody_knows_or_that_does_not_load_is_refused_with_its_name(tmp_path):
    status, line = refusal("--allocator", "bestmalloc", "--", "true")
    assert status == 2 and "bestmalloc" in line and "jemalloc" in line
    status, line = refusal("--allocator", tmp_path / "no.so", "--", "true")
    assert status == 2 and str(tmp_path / "no.so") in line
    (tmp_path / "text.so").write_text("no library")
    status, line = refusal("--allocator", tmp_path / "text.so", "--", "true")
    assert status == 2 and f"refuses {tmp_path / 'text.so'}" in line


def test_the_commands_words_reach_it_unchanged(tmp_path):
    words = ["--dir", "-o", "", "a b", "--", "ä;$(x)"]
    code = "import sys; print(sys.argv[1:])"
    answer = heapecho("run", "--dir", tmp_path, "--", sys.executable, "-S", "-c", code, *words)
    assert eval(answer.stdout) == words  # pylint: disable=eval-used


def test_the_exit_status_is_the_commands(tmp_path):
    assert heapecho("run", "--dir", tmp_path, "--", "sh", "-c", "exit 37").returncode == 37
    assert heapecho("run", "--dir", tmp_path, "--", "sh", "-c", "kill -9 $$").returncode == -9


def test_a_script_runs_under_its_interpreter(tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!{sys.executable}\nprint('ran')\n")
    script.chmod(0o755)
    answer = heapecho("run", "--dir", tmp_path, script)
    assert (answer.returncode, answer.stdout) == (0, "ran\n")


def refusal(*words, **extra):
    answer = heapecho("run", *words, **extra)
    assert answer.stdout == "" and answer.stderr.startswith("heapecho: ")
    assert answer.stderr.count("\n") == 1
    return answer.returncode, answer.stderr


def test_a_command_that_is_not_there_or_may_not_run_ends_as_in_a_shell(tmp_path):
    status, line = refusal("--", "no-such-command")
    assert status == 127 and "no-such-command" in line
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    status, line = refusal("--", plain)
    assert status == 126 and str(plain) in line


def elf_program(path, loader):
    """The headers of a program for this machine that asks for `loader`; none: a static one."""
    machine = {"x86_64": 62, "aarch64": 183}[os.uname().machine]
    name = loader.encode() + b"\0"
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, machine, 1, 0, 64, 0, 0,
                         64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 3 if loader else 1, 4, 120, 120, 120, len(name), len(name), 1)
    path.write_bytes(header + segment + name)
    path.chmod(0o755)
    return path


def test_musl_and_static_programs_are_refused_with_that_word(tmp_path):
    status, line = refusal("--", elf_program(tmp_path / "alpine", "/lib/ld-musl-x86_64.so.1"))
    assert status == 2 and "musl" in line and "alpine" in line
    status, line = refusal("--", elf_program(tmp_path / "static", ""))
    assert status == 2 and "statically linked" in line


def test_a_loader_that_is_not_there_is_named(tmp_path):
    status, line = refusal("--", elf_program(tmp_path / "odd", "/lib/no-such-loader.so.2"))
    assert status == 2 and "/lib/no-such-loader.so.2" in line


@pytest.fixture
def installed(tmp_path):
    """Returns a copy of the command in a folder of that name, and runs it."""
    def run(folder, library, *words):
        target = tmp_path / folder
        target.mkdir(exist_ok=True)
        shutil.copy(COMMAND, target / "heapecho")
        if library is not None:
            where = tmp_path / library
            where.parent.mkdir(parents=True, exist_ok=True)
            if not where.exists():
                shutil.copy(LIBRARY, where)
        return subprocess.run([str(word) for word in (target / "heapecho", *words)], capture_output=True,
                              text=True, env=environment(HEAPECHO_DIR=str(tmp_path / "out")), timeout=300)
    return run


def test_the_library_is_found_in_lib_heapecho_of_an_installation(installed, tmp_path):
    answer = installed("bin", "lib/heapecho/libheapecho.so", "run", "--", *SHOW)
    assert answer.returncode == 0, answer.stderr
    assert eval(answer.stdout)["LD_PRELOAD"] == str(tmp_path / "lib/heapecho/libheapecho.so")


def test_a_library_that_is_not_there_is_named_with_the_places(installed, tmp_path):
    answer = installed("bin", None, "run", "--", "true")
    assert answer.returncode == 2
    assert str(tmp_path / "bin/libheapecho.so") in answer.stderr
    assert "lib/heapecho/libheapecho.so" in answer.stderr


def test_a_library_that_the_loader_refuses_is_named_with_the_loaders_own_words(installed, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/libheapecho.so").write_text("no library")
    answer = installed("bin", "bin/libheapecho.so", "run", "--", "true")
    assert answer.returncode == 2 and "refuses the library" in answer.stderr


def test_a_path_that_ld_preload_cannot_hold_is_refused(installed):
    answer = installed("a folder", "a folder/libheapecho.so", "run", "--", "true")
    assert answer.returncode == 2 and "spaces" in answer.stderr
