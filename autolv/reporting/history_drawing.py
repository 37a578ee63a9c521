"""Learning curves of all folds of a configuration as one SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autolv.reporting._drawing import line, plain, text, ticks
from autolv.reporting._html import escaped

Series = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT = 460.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 44.0, 36.0
_MOST_POINTS = 250
# Okabe & Ito 2008, those that can be seen on white and on black
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def histories_svg(title: str, series: Mapping[str, Series]) -> str:
    """Return the drawing of (epoch, value) points by name, in the order given; NaN is passed over, empty text for none."""
    known = {name: [(x, y) for x, y in points if not math.isnan(y)] for name, points in series.items()}
    known = {name: points for name, points in known.items() if points}
    if not known:
        return ""
    every = [point for points in known.values() for point in points]
    x_low, x_high = min(x for x, _ in every), max(x for x, _ in every)
    y_low, y_high = min(y for _, y in every), max(y for _, y in every)
    margin = max(0.06 * (y_high - y_low), 1e-3)
    y_low, y_high = y_low - margin, y_high + margin

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / max(x_high - x_low, 1e-9), (y - y_low) / (y_high - y_low)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="drawing" viewBox="0 0 {plain(_WIDTH)} {plain(_HEIGHT)}" role="img" aria-label="{escaped(title)}">',
             text(_LEFT, 14, title, "title", "start")]  # fmt: skip
    for value in ticks(y_low, y_high):
        y = at(x_low, value)[1]
        parts += [line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"), text(_LEFT - 5, y + 4, f"{value:.4g}", "tick", "end")]
    for value in ticks(x_low, x_high):
        parts.append(text(at(value, y_low)[0], _HEIGHT - _BOTTOM + 15, plain(value), "tick"))
    each = (_WIDTH - _LEFT - _RIGHT) / max(len(known), 5)
    for index, (name, points) in enumerate(known.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        joined = " ".join(f"{plain(x)},{plain(y)}" for x, y in (at(*point) for point in _thinned(points)))
        parts.append(f'<polyline points="{joined}" class="series" stroke="{colour}"/>')
        if len(points) == 1:
            x, y = at(*points[0])
            parts.append(f'<circle cx="{plain(x)}" cy="{plain(y)}" r="3" fill="{colour}"/>')
        x = _LEFT + index * each
        parts += [f'<line x1="{plain(x)}" y1="30" x2="{plain(x + 14)}" y2="30" stroke="{colour}" stroke-width="3"/>',
                  text(x + 18, 34, name, "tick", "start")]  # fmt: skip
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, "epoch", "tick"))
    return "".join([*parts, "</svg>"])


def _thinned(points: Series) -> Series:
    """Return every k-th point and the last one."""
    step = math.ceil(len(points) / _MOST_POINTS)
    return [*points[::step], *([] if (len(points) - 1) % step == 0 else points[-1:])]
