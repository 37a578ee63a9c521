"""Agreement of a quantity by patient as an SVG after Bland & Altman 1986."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autolv.evaluation.agreement import agreement_of
from autolv.evaluation.patients import Pair
from autolv.reporting._drawing import line, plain, text, ticks
from autolv.reporting._html import escaped
from autolv.reporting._text import number

_WIDTH, _HEIGHT = 360.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 44.0, 26.0, 42.0


def bland_altman_svg(name: str, pairs: Sequence[Pair]) -> str:
    """Return the drawing of a quantity ``name`` ("EDV [ml]"): differences over means, bias and limits of agreement.

    Patients in whom a side is undefined are left out; empty text where nobody is left.
    """
    known = [pair for pair in pairs if not math.isnan(pair.predicted + pair.reference)]
    if not known:
        return ""
    agreement = agreement_of(known)
    quantity, unit = name.removesuffix("]").split(" [")
    lines = [(value, kind) for value, kind in ((agreement.upper_limit, "limit"), (agreement.bias, "axis"),
                                               (agreement.lower_limit, "limit")) if not math.isnan(value)]  # fmt: skip
    points = [((pair.predicted + pair.reference) / 2, pair.predicted - pair.reference) for pair in known]
    x_low, x_high = _span([x for x, _ in points])
    y_low, y_high = _span([*(y for _, y in points), *(value for value, _ in lines), 0.0])

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="drawing" viewBox="0 0 {plain(_WIDTH)} {plain(_HEIGHT)}" role="img" '
             f'aria-label="{escaped(quantity)}: differences over means">',
             text(_LEFT, 14, f"{quantity}, {agreement.n} patients", "title", "start")]  # fmt: skip
    for value in ticks(y_low, y_high):
        y = at(x_low, value)[1]
        parts += [line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"), text(_LEFT - 5, y + 4, plain(value), "tick", "end")]
    for value in ticks(x_low, x_high):
        parts.append(text(at(value, y_low)[0], _HEIGHT - _BOTTOM + 15, plain(value), "tick"))
    for x, y in points:
        across, up = at(x, y)
        parts.append(f'<circle cx="{plain(across)}" cy="{plain(up)}" r="3.2" class="point"/>')
    for value, kind in lines:
        y = at(x_low, value)[1]
        parts += [line(_LEFT, y, _WIDTH - _RIGHT, y, kind),
                  text(_WIDTH - _RIGHT + 4, y + 4, number(value, 1, signed=True), "tick", "start")]  # fmt: skip
    parts.append(
        text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, f"mean of both; up: prediction - reference [{unit}]", "tick")
    )
    return "".join([*parts, "</svg>"])


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max(0.07 * (high - low), 0.5)
    return low - margin, high + margin
