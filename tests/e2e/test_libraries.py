# SPDX-License-Identifier: Apache-2.0
"""Libraries that hold data: numpy's and pandas' stand at the line that asked for them; polars, whose allocator is linked
into it, at the line for which it mapped memory, and the report says that no more can be seen."""

import json

import pytest

import harness

PYTHON = harness.BUILD / "python" / "bin" / "python"
INTERVAL = 16 << 10

# Each holds more than an allocator keeps in reserve, says how many bytes, and ends with them in hand: polars' allocator
# reserves address space and uses it page by page, which is looked at now and then, and at the end.
PROGRAM = """
import json, os
import numpy as np
import pandas as pd
import polars as pl

def site_numpy():
    return np.ones(8_000_000)

def site_pandas():
    return pd.DataFrame({"a": np.arange(2_000_000), "b": np.arange(2_000_000) * 0.5})

def site_polars():
    return pl.int_range(0, 16_000_000, eager=True) * 3

kept = {name: function() for name, function in list(globals().items()) if name.startswith("site_")}
print(json.dumps({"site_numpy": kept["site_numpy"].nbytes, "site_polars": kept["site_polars"].estimated_size(),
                  "site_pandas": int(kept["site_pandas"].memory_usage(index=False).sum())}), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """(what the program says that it holds, the report's JSON)"""
    have = harness.execute([PYTHON, "-c", "import numpy, pandas, polars"], harness.plain_environment())
    if have.returncode != 0:
        pytest.skip(f"numpy, pandas or polars is not here: tools/setup test ({have.stderr.decode().splitlines()[-1]})")
    directory = tmp_path_factory.mktemp("recordings")
    done = harness.execute([PYTHON, "-c", PROGRAM], harness.recording_environment(directory, INTERVAL))
    assert done.returncode == 0, done.stderr.decode()
    # Importing may start programs of its own.
    (path,) = [path for path in harness.recordings(directory) if path.name.startswith("python")]
    return json.loads(done.stdout), harness.report(path)


def bytes_at(parsed: dict, function: str, *domains: str) -> float:
    return sum(site["bytes"] for site in parsed["sites"] if site["domain"] in domains
               and any(frame["function"] == function and frame["kind"] in ("python", "behalf") for frame in site["frames"]))


@pytest.mark.parametrize("site", ["site_numpy", "site_pandas"])
def test_arrays_stand_at_the_line_that_asked_for_them(site, held):
    truth, parsed = held
    # Blocks of some megabytes are sampled for certain, whatever comes beside them is small.
    assert bytes_at(parsed, site, "malloc") == pytest.approx(truth[site], rel=0.02)


def test_polars_memory_stands_where_it_was_mapped_and_a_finding_says_what_is_hidden(held):
    truth, parsed = held
    mapped = bytes_at(parsed, "site_polars", "mmap")
    # Its allocator maps in steps of its own and keeps what a query needed on the way.
    assert truth["site_polars"] <= mapped <= 4 * truth["site_polars"]
    (finding,) = [finding for finding in parsed["findings"] if finding["rule"] == "allocator_inside"]
    assert finding["evidence"]["library"] == "polars"
