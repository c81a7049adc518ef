# SPDX-License-Identifier: Apache-2.0
"""Runs programs with and without the preload and reads their recordings through the built command.

Truth is what tests/programs/truth.h prints; estimates are what `heapecho report --json` prints. Both are
keyed by site: the innermost function of a stack whose name begins with "site_".
"""

import json
import math
import os
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

BUILD = Path(os.environ.get("BUILD_DIR", Path(__file__).resolve().parents[2] / "build"))
LIBRARY = BUILD / "libheapecho.so"
COMMAND = BUILD / "heapecho"
PROGRAMS = BUILD / "tests" / "programs"
FULL = os.environ.get("HEAPECHO_TEST_FULL", "") not in ("", "0")

# A hang is a failure of its own, not a slow test: nothing here takes a tenth of this.
DEADLINE_S = 300


def program(name: str) -> Path:
    return PROGRAMS / name


def plain_environment(**extra: str) -> dict[str, str]:
    """The caller's environment without anything of heapecho's or a preload, and `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEAPECHO_") and k != "LD_PRELOAD"}
    return kept | extra


def recording_environment(directory: Path, interval: int | str = 1, allocator: Path | None = None,
                          **extra: str) -> dict[str, str]:
    """The environment in which a program records into `directory`, `allocator` serving below the preload."""
    preload = str(LIBRARY) if allocator is None else f"{LIBRARY}:{allocator}"
    return plain_environment(**{"LD_PRELOAD": preload, "HEAPECHO_DIR": str(directory),
                                "HEAPECHO_INTERVAL": str(interval), "HEAPECHO_SHORT": "keep"} | extra)


def execute(command: list, environment: dict[str, str], **options) -> subprocess.CompletedProcess:
    """Runs `command` to its end; stdout and stderr are bytes."""
    return subprocess.run([str(part) for part in command], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=DEADLINE_S, **options)


def recordings(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.heapecho"))


def only_recording(directory: Path) -> Path:
    found = recordings(directory)
    assert len(found) == 1, f"one recording in {[path.name for path in found]}"
    return found[0]


@dataclass
class SiteEstimate:
    bytes: float = 0
    bytes_variance: float = 0
    objects: float = 0
    domains: set = field(default_factory=set)

    @property
    def bytes_error(self) -> float:
        return math.sqrt(self.bytes_variance)


def report(*paths: Path, value: str = "live") -> dict:
    """The parsed `report --json` of `paths`; fails when the command does."""
    done = execute([COMMAND, "report", "--json", "--value", value, *paths], plain_environment())
    assert done.returncode == 0, f"report {paths}: {done.returncode} {done.stderr.decode()}"
    return json.loads(done.stdout)


def report_text(*paths: Path) -> str:
    done = execute([COMMAND, "report", *paths], plain_environment())
    assert done.returncode == 0, f"report {paths}: {done.returncode} {done.stderr.decode()}"
    return done.stdout.decode()


def by_site(parsed: dict) -> dict[str, SiteEstimate]:
    """What `parsed` says of each marked site. Unmarked stacks (the C library's own) are left out."""
    sites: dict[str, SiteEstimate] = defaultdict(SiteEstimate)
    for row in parsed["sites"]:
        name = next((frame["function"] for frame in row["frames"]
                     if frame["function"].startswith("site_")), None)
        if name is None:
            continue
        site = sites[name]
        site.bytes += row["bytes"]
        site.bytes_variance += row["bytes_error"] ** 2
        site.objects += row["objects"]
        site.domains.add(row["domain"])
    return sites


def estimates(*paths: Path, value: str = "live") -> dict[str, SiteEstimate]:
    return by_site(report(*paths, value=value))


def json_lines(output: bytes) -> list[dict]:
    return [json.loads(line) for line in output.decode().splitlines() if line.startswith("{")]


def without_pids(output: bytes) -> bytes:
    """What a program said, but for the process ids in it."""
    return re.sub(rb'"pid": \d+', b'"pid": 0', output)


# {site: {size: blocks}}
Truth = dict[str, dict[int, int]]


def truth(output: bytes, value: str, pid: int | None = None) -> Truth:
    """What the program (or its process `pid`) said of "live" or "allocated" blocks, by site and size."""
    sites: Truth = defaultdict(dict)
    for line in json_lines(output):
        if "site" in line and pid in (None, line["pid"]):
            sizes = sites[line["site"]]
            sizes[line["size"]] = sizes.get(line["size"], 0) + line[value]
    assert sites, f"the program says its truth: {output[:200]!r}"
    return sites


def check_exactly(path: Path, said: Truth, value: str) -> None:
    """At interval 1 every block is sampled and an estimate is a count: each site is as `said`.

    A block of 32 bytes and more escapes with e^-32; a thousand million blocks would not make that likely. Where more
    threads were interrupted in the middle of a sample than there are buffers, the samples that found none are counted,
    and no more than those are missing.
    """
    parsed = report(path, value=value)
    seen = by_site(parsed)
    lost = parsed["recordings"][0]["drops"]["no_scratch_buffer"]
    for name, sizes in said.items():
        assert all(size >= 32 for size in sizes), "smaller blocks are not certain to be sampled"
        total = sum(size * blocks for size, blocks in sizes.items())
        blocks = sum(sizes.values())
        got = seen.get(name, SiteEstimate())
        assert blocks - lost <= got.objects <= blocks, f"{value} of {name} in {path.name}"
        assert lost > 0 or got.bytes == total, f"{value} of {name} in {path.name}"
        assert got.domains <= {"malloc"}
    strangers = set(seen) - set(said)
    assert not strangers, f"sites that the program did not name: {strangers}"
