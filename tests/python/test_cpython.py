# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests come to the same outcomes with and without the preload, at an interval of 1 KiB.

The short form runs a few modules on one interpreter; HEAPECHO_TEST_FULL=1 runs all of them on several.
"""

import signal
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

import harness
import interpreters
import wire

SHORT = ["test_gc", "test_generators", "test_json"]
WHOLE = SHORT + ["test_threading", "test_asyncgen", "test_sys_settrace", "test_weakref", "test_subprocess", "test_os",
                 "test_fork1", "test_pickle", "test_sqlite3", "test_multiprocessing_fork"]
VERSIONS = [(3, 8), (3, 11), (3, 12), (3, 13)]
NAMES_BEFORE = {"test_sqlite3": ((3, 11), "test_sqlite")}  # {module: (renamed in, what it was before)}
DEADLINE_S = 3600

# 3.11 and 3.12 do not install these; this is what they are.
MULTIPROCESSING = """
import unittest
from test import _test_multiprocessing
_test_multiprocessing.install_tests_in_module_dict(globals(), "fork")
if __name__ == "__main__":
    unittest.main()
"""


def has(interpreter: interpreters.Interpreter, *modules: str) -> bool:
    done = harness.execute([interpreter.path, "-c", f"import {','.join(modules)}"], harness.plain_environment())
    return done.returncode == 0


def outcomes(report: Path) -> dict[str, str]:
    """{name of a test: what became of it}."""
    said: dict[str, str] = {}
    for case in xml.parse(report).iter("testcase"):
        name = case.get("name")
        while name in said:  # doctests and the tests of generated classes share names
            name += "'"
        kinds = {part.tag for part in case} & {"failure", "error", "skipped"}
        said[name] = case.get("result", "") + "".join(sorted(kinds))
    return said


def run(interpreter, module: str, environment: dict[str, str], scratch: Path) -> tuple[int, dict[str, str], str]:
    """Status, outcomes and the end of the output of regrtest over one module."""
    scratch.mkdir()
    report = scratch / "report.xml"
    command = [interpreter.path, "-B", "-m", "test", "-v", "--junit-xml", report]
    if module == "test_multiprocessing_fork" and not has(interpreter, f"test.{module}"):
        module = "test_of_forked_processes"  # regrtest looks for a folder of the other name
        (scratch / f"{module}.py").write_text(MULTIPROCESSING)
        command += ["--testdir", scratch]
    # Some tests interrupt themselves, which a shell's background jobs have learnt to ignore.
    done = subprocess.run(command + [module], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE_S, cwd=scratch,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    text = done.stdout.decode(errors="replace")
    (scratch / "output.txt").write_text(text)
    assert report.exists(), f"{interpreter} {module}: {done.returncode}\n{text[-3000:]}"
    return done.returncode, outcomes(report), text[-3000:]


def chosen() -> list:
    """One interpreter of each version that carries its tests."""
    found = []
    for version in VERSIONS if harness.FULL else [(3, 11)]:
        of_version = [one for one in interpreters.FOUND if one.version[:2] == version]
        with_tests = [one for one in of_version if has(one, "test.libregrtest", "test.test_gc", "test.test_json")]
        if with_tests:
            found += [(with_tests[-1], module) for module in (WHOLE if harness.FULL else SHORT)]
        else:
            why = "has not its tests" if of_version else "is not here"
            found.append(pytest.param(None, None, marks=pytest.mark.skip(
                reason=f"Python {version[0]}.{version[1]} {why}")))
    return found


def name_of(value) -> str:
    return value.name if isinstance(value, interpreters.Interpreter) else str(value)


@pytest.mark.parametrize("interpreter, module", chosen(), ids=name_of)
def test_outcomes_are_those_without(interpreter, module, directory, tmp_path, capsys):
    renamed, before = NAMES_BEFORE.get(module, ((0,), module))
    module = before if interpreter.version < renamed else module
    bare = harness.plain_environment(PYTHONHASHSEED="0")
    status, without, _ = run(interpreter, module, bare, tmp_path / "without")
    recorded, within, text = run(interpreter, module,
                                 harness.recording_environment(directory, 1024, PYTHONHASHSEED="0"), tmp_path / "with")
    counts = {what: list(without.values()).count(what) for what in sorted(set(without.values()))}
    with capsys.disabled():
        print(f"\nNote: {interpreter} {module}: {len(without)} tests, {counts}, "
              f"{len(harness.recordings(directory))} recordings")
    differ = {name: (without.get(name), within.get(name)) for name in without.keys() | within.keys()
              if without.get(name) != within.get(name)}
    assert not differ, f"(without, with): {differ}\n{text}"
    assert status == recorded, text
    for path in harness.recordings(directory):
        assert wire.Recording(path).broken_live == 0, path
