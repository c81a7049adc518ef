# SPDX-License-Identifier: Apache-2.0
"""Instructions that callgrind counts within the functions named Counted: they repeat exactly."""

import pathlib
import re
from collections.abc import Callable, Sequence

from driver import environment

# Of the blocks that a counted program holds to be sampled, far fewer than are to be expected.
_LEAST_SAMPLES = 10


def count(
    build: environment.Build,
    variant: str,
    allocator: str,
    command: Sequence[str | pathlib.Path],
    parent: pathlib.Path | None,
    extra: dict[str, str] | None = None,
    check: Callable[[dict], None] = lambda recording: None,
) -> int:
    """All instructions of `command`'s Counted, run as `variant` over `allocator` with the `extra` variables.

    Under heapecho the one recording that it leaves is handed to `check` as the report's JSON has it.

    Raises:
      RuntimeError: callgrind counted nothing, or heapecho recorded too little for a live set.
    """
    with environment.recordings_directory(parent) as directory:
        counts = directory / "callgrind.out"
        recordings = directory / "recordings"
        recordings.mkdir()
        environment.output_of(
            ["valgrind", "--tool=callgrind", "--toggle-collect=Counted", f"--callgrind-out-file={counts}", *command],
            environment.variables(build, variant, allocator, recordings, environment.UNSAMPLED) | (extra or {}),
        )
        what = " ".join(str(word) for word in command[1:])
        if variant == environment.HEAPECHO:
            (recording,) = environment.report(build, recordings)["recordings"]
            if recording["samples"] < _LEAST_SAMPLES:
                raise RuntimeError(
                    f"heapecho recorded {recording['samples']} samples of {what} over {allocator}: a count without a"
                    " live set would say nothing"
                )
            check(recording)
        total = re.search(r"^totals: (\d+)$", counts.read_text(), re.MULTILINE)
        if total is None or int(total[1]) == 0:
            raise RuntimeError(f"callgrind counted nothing of {what} over {allocator}")
        return int(total[1])
