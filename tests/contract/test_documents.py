# SPDX-License-Identifier: Apache-2.0
"""What the documents say is what the code does: options, counters, container examples, commands, dependencies."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def table(document: str, first_heading: str) -> list[list[str]]:
    """Rows of the Markdown table whose first column is headed so."""
    lines = iter((ROOT / document).read_text().splitlines())
    assert any(line.startswith(f"| {first_heading} |") for line in lines), f"no such table in {document}"
    next(lines)  # the rule below the heading
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_readme_lists_every_option_with_its_default_and_meaning():
    options = re.findall(r'^OPTION\(\w+, \w+, "(\w+)", "(.*?)", "(.*)"\)$',
                         (ROOT / "preload/base/options.inc").read_text(), re.MULTILINE)
    assert options
    assert table("README.md", "variable") == [
        [f"`{variable}`", f"`{default}`" if default else "", meaning] for variable, default, meaning in options]


def test_every_counter_of_loss_is_explained():
    counters = re.findall(r'^COUNTER\((\w+), "(.*)"\)$', (ROOT / "preload/base/counters.inc").read_text(), re.MULTILINE)
    assert counters
    assert table("analyzer/README.md", "counter") == [[f"`{name}`", meaning] for name, meaning in counters]


@pytest.mark.parametrize("example", ["Dockerfile", "compose.yaml"])
def test_readme_shows_the_container_examples_as_they_are(example):
    text = (ROOT / "tools/container" / example).read_text()
    shown = "\n".join(line for line in text.splitlines() if "SPDX-License-Identifier" not in line)
    assert shown in (ROOT / "README.md").read_text()


def test_every_tool_is_described():
    described = "\n".join(row[0] for row in table("tools/README.md", "program"))
    tools = [path.name for path in (ROOT / "tools").iterdir()
             if path.is_file() and path.read_bytes().startswith(b"#!")]
    missing = [name for name in tools if f"`{name} " not in described and name != "without-address-randomisation"]
    assert not missing


def test_every_package_that_setup_installs_to_build_or_test_has_its_licence_stated():
    stated = (ROOT / "tools/THIRD_PARTY.md").read_text().lower()
    for file in ("tools/demo-service/requirements.txt", "tests/requirements.txt"):
        for name in re.findall(r"^(\w+)==", (ROOT / file).read_text(), re.MULTILINE):
            assert name.lower() in stated, f"{file}: {name}"


@pytest.mark.parametrize("arguments", [["tools/demo", "--nonsense"], ["tools/setup", "--nonsense"],
                                       ["tools/setup", "test", "--build"]])
def test_a_wrong_argument_of_a_script_is_usage(arguments):
    done = subprocess.run([ROOT / arguments[0], *arguments[1:]], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
