# SPDX-License-Identifier: Apache-2.0
"""Figures, the budget they are held against, and the table and JSON they are shown in."""

import dataclasses
import fnmatch
import json
import pathlib
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: section.what.where, dots between; what the budget's patterns match.
        unit: "x" for a ratio, else "ns", "us", "instructions", "KiB", "%".
        value: the median over the rounds, in `unit`.
        low: the least round's value.
        high: the greatest round's value.
        beside: further numbers that explain this one, by name; their unit ends the name.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    beside: dict[str, float] = dataclasses.field(default_factory=dict)


def over_rounds(
    name: str, unit: str, values: Sequence[float], beside: dict[str, float] | None = None
) -> Figure:
    """The figure of one value a round. `values` must not be empty."""
    return Figure(name, unit, statistics.median(values), min(values), max(values), beside or {})


@dataclasses.dataclass(frozen=True)
class Bound:
    """At most `at_most` for every figure whose name matches `figure` (a shell pattern)."""

    figure: str
    at_most: float


class Budget:
    """The bounds of budget.json. The first bound whose pattern matches a figure is the one it is held to."""

    def __init__(self, bounds: Sequence[Bound]):
        self._bounds = tuple(bounds)

    @classmethod
    def read(cls, path: pathlib.Path) -> "Budget":
        """Reads a budget file. Raises ValueError naming the file when it is not one."""
        try:
            entries = json.loads(path.read_text())["bounds"]
            return cls([Bound(entry["figure"], float(entry["at_most"])) for entry in entries])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a budget: {error!r}") from error

    def asked(self, figure: Figure) -> float | None:
        """The bound of `figure`, None where the budget asks nothing."""
        for bound in self._bounds:
            if fnmatch.fnmatchcase(figure.name, bound.figure):
                return bound.at_most
        return None

    def misses(self, figures: Sequence[Figure]) -> list[Figure]:
        """The figures above their bounds."""
        return [
            figure
            for figure in figures
            if (asked := self.asked(figure)) is not None and figure.value > asked
        ]


def table(figures: Sequence[Figure], budget: Budget) -> str:
    """What, asked, got, the range over the rounds, ok or miss, and what explains it.

    The median decides. "noise": the bound lies within the rounds' range, so another run may say otherwise.
    """
    rows = [("what", "asked", "got", "min..max", "", "beside")]
    for figure in figures:
        asked = budget.asked(figure)
        verdict = "" if asked is None else "ok" if figure.value <= asked else "MISS"
        if asked is not None and figure.low <= asked < figure.high:
            verdict += ", noise"
        beside = ", ".join(f"{name} {_number(value)}" for name, value in figure.beside.items())
        rows.append((
            figure.name,
            "-" if asked is None else f"{_number(asked)} {figure.unit}",
            f"{_number(figure.value)} {figure.unit}",
            f"{_number(figure.low)}..{_number(figure.high)}",
            verdict,
            beside,
        ))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def as_json(figures: Sequence[Figure], budget: Budget, unmeasured: dict[str, str]) -> str:
    """The same as a document: figures with their bounds, and why a section has none."""
    entries = []
    for figure in figures:
        asked = budget.asked(figure)
        entries.append({
            **dataclasses.asdict(figure),
            "at_most": asked,
            "ok": asked is None or figure.value <= asked,
        })
    return json.dumps({"schema": 1, "figures": entries, "unmeasured": unmeasured}, indent=1)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
