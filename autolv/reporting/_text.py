"""Plain text of numbers, and tables that line up: the same on a terminal, in a file and in a log."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY

UNDEFINED = "-"
_GAP = "  "
_LABELS = {LV_CAVITY: "LV cavity", LV_MYOCARDIUM: "LV myocardium", RV_CAVITY: "RV cavity"}
_SHORT = {LV_CAVITY: "LV", LV_MYOCARDIUM: "MYO", RV_CAVITY: "RV"}


def label_of(structure: str) -> str:
    """Return a structure's name as people write it: ``"LV cavity"``."""
    return _LABELS.get(structure, structure)


def short_of(structure: str) -> str:
    """Return a structure's name as table heads have it: ``"MYO"``."""
    return _SHORT.get(structure, structure)


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """Return ``value`` with ``digits`` decimals; ``"-"`` for NaN; never a negative zero."""
    if math.isnan(value):
        return UNDEFINED
    rounded = round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:+.{digits}f}" if signed and rounded else f"{rounded:.{digits}f}"


def interval(bounds: tuple[float, float], digits: int, *, signed: bool = False) -> str:
    """Return ``"0.912 to 0.934"``; ``"-"`` where a bound is NaN."""
    if any(math.isnan(b) for b in bounds):
        return UNDEFINED
    return " to ".join(number(b, digits, signed=signed) for b in bounds)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return the lines of a table: head, rule, rows. The first ``left`` columns begin left, the others end right."""
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(head)} cells is needed, got {row}")
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        aligned = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return _GAP.join(aligned).rstrip()

    return [line(head), _GAP.join("-" * w for w in widths), *(line(row) for row in rows)]
