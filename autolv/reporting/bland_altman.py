"""Bland-Altman drawings of read-outs against references (Bland & Altman 1986, Lancet 327:307) as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autolv.readout.dictionary import DICTIONARY
from autolv.reporting._drawing import line, plain, text, ticks
from autolv.reporting._html import escaped
from autolv.reporting._text import number
from autolv.reporting.quantity_table import unit_text
from autolv.schema.results import Agreement

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 380.0, 262.0, 40.0, 44.0, 46.0, 36.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A quantity of several cases as read out and by the reference, and how far the two agree."""

    name: str
    cases: Sequence[str]
    read: Sequence[float]
    reference: Sequence[float]
    agreement: Agreement


def bland_altman_svg(comparison: Comparison) -> str:
    """Return the drawing: across the mean of both, up the read-out less the reference, lines at bias and limits."""
    entry, found = DICTIONARY[comparison.name], comparison.agreement
    unit = unit_text(entry.unit)
    means = [(a + b) / 2 for a, b in zip(comparison.read, comparison.reference, strict=True)]
    differences = [a - b for a, b in zip(comparison.read, comparison.reference, strict=True)]
    levels = [(value, name) for value, name in (
        (found.upper_limit, "limit"), (found.bias, "bias"), (found.lower_limit, "limit")) if not math.isnan(value)]  # fmt: skip
    x_ends, y_ends = _ends(means), _ends([*differences, *(value for value, _ in levels), 0.0])

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_ends[0]) / (x_ends[1] - x_ends[0]), (y - y_ends[0]) / (y_ends[1] - y_ends[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    right, low = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [
        f'<svg class="drawing agreement" viewBox="0 0 {plain(_WIDTH)} {plain(_HEIGHT)}" role="img" '
        f'aria-label="{escaped(entry.label)}">',
        text(_LEFT, 13, f"{entry.label}, {found.n} case{'' if found.n == 1 else 's'}", "title", "start"),
        text(_LEFT, 29, agreement_words(found, unit), "tick", "start"),
    ]
    for value in ticks(*y_ends):
        y = at(0, value)[1]
        parts += [
            line(_LEFT, y, right, y, "axis" if value == 0 else "grid"),
            text(_LEFT - 5, y + 4, plain(value), "tick", "end"),
        ]
    for value in ticks(*x_ends):
        parts.append(text(at(value, 0)[0], low + 14, plain(value), "tick"))
    for value, name in levels:
        y = at(0, value)[1]
        parts += [
            line(_LEFT, y, right, y, name),
            text(right + 3, y + 4, number(value, 1, signed=True), "tick", "start"),
        ]
    for case, mean, difference in zip(comparison.cases, means, differences, strict=True):
        x, y = at(mean, difference)
        words = f"{case}: {number(difference, 1, signed=True)} {unit} at {number(mean, 1)}"
        parts.append(
            f'<circle cx="{plain(x)}" cy="{plain(y)}" r="3" class="pair"><title>{escaped(words)}</title></circle>'
        )
    parts.append(
        text((_LEFT + right) / 2, _HEIGHT - 4, f"mean of both [{unit}]; up: read out - reference [{unit}]", "tick")
    )
    return "".join([*parts, "</svg>"])


def agreement_words(found: Agreement, unit: str) -> str:
    """Return in a line the correlation, the bias and the limits of agreement; what is not defined is left out."""
    parts = [] if math.isnan(found.r) else [f"r {number(found.r, 3)}"]
    parts.append(f"bias {number(found.bias, 1, signed=True)} {unit}")
    if not math.isnan(found.sd):
        limits = " to ".join(number(value, 1, signed=True) for value in (found.lower_limit, found.upper_limit))
        parts.append(f"limits {limits} {unit}")
    return ", ".join(parts)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin
