"""The 17 segments of the American Heart Association as a bullseye (Cerqueira 2002): anterior above, the septum on the left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from autolv.reporting._drawing import plain, scale_colour, text
from autolv.reporting._html import escaped
from autolv.reporting._text import number
from autolv.schema.readout import Quantity, Segment

_CENTRE = 120.0
# of each ring: first segment, how many, inner and outer radius, where the first begins (degrees from the right, upwards)
RINGS = ((1, 6, 76.0, 108.0, 60.0), (7, 6, 44.0, 76.0, 60.0), (13, 4, 16.0, 44.0, 45.0))


def bullseye_svg(
    segments: Sequence[Segment], title: str, unit: str, value_of: Callable[[Segment], Quantity], bounds: tuple[float, float],
    digits: int = 0,
) -> str:  # fmt: skip
    """Return the drawing of one quantity of all segments; those without a value stay empty, and say why when pointed at."""
    by_number = {segment.number: segment for segment in segments}
    parts = [f'<svg class="drawing bull" viewBox="-4 -14 248 300" role="img" aria-label="{escaped(title)}">',
             text(_CENTRE, -2, title, "title")]  # fmt: skip
    for first, count, inner, outer, start in RINGS:
        for index in range(count):
            begin = start + index * 360.0 / count
            segment = by_number[first + index]
            parts += _sector(
                segment, value_of(segment), (inner, outer), (begin, begin + 360.0 / count), bounds, unit, digits
            )
    apex = by_number[17]
    parts += [
        f'<circle cx="{plain(_CENTRE)}" cy="{plain(_CENTRE)}" r="16" class="sector empty">'
        f"<title>{escaped(_words(apex, value_of(apex), unit, digits))}</title></circle>",
        *_scale(bounds, unit, digits),
    ]  # fmt: skip
    return "".join([*parts, "</svg>"])


def _sector(
    segment: Segment, quantity: Quantity, radii: tuple[float, float], degrees: tuple[float, float],
    bounds: tuple[float, float], unit: str, digits: int,
) -> list[str]:  # fmt: skip
    inner, outer = radii
    corners = [_at(outer, degrees[0]), _at(outer, degrees[1]), _at(inner, degrees[1]), _at(inner, degrees[0])]
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = corners
    path = (
        f"M{plain(x1)} {plain(y1)}A{plain(outer)} {plain(outer)} 0 0 0 {plain(x2)} {plain(y2)}"
        f"L{plain(x3)} {plain(y3)}A{plain(inner)} {plain(inner)} 0 0 1 {plain(x4)} {plain(y4)}z"
    )
    title = f"<title>{escaped(_words(segment, quantity, unit, digits))}</title>"
    if quantity.value is None:
        return [f'<path d="{path}" class="sector empty">{title}</path>']
    fill, ink = scale_colour((quantity.value - bounds[0]) / (bounds[1] - bounds[0]))
    x, y = _at((inner + outer) / 2, sum(degrees) / 2)
    return [
        f'<path d="{path}" class="sector" fill="{fill}">{title}</path>',
        f'<text x="{plain(x)}" y="{plain(y + 4)}" class="value {ink}" text-anchor="middle">'
        f"{number(quantity.value, digits)}</text>",
    ]


def _scale(bounds: tuple[float, float], unit: str, digits: int) -> list[str]:
    """Return the legend: a bar of twenty steps with its ends."""
    parts = [
        f'<rect x="{40 + 8 * step}" y="248" width="8.3" height="10" fill="{scale_colour((step + 0.5) / 20)[0]}"/>'
        for step in range(20)
    ]
    ends = (f"{number(bounds[0], digits)}", f"{number(bounds[1], digits)} {unit}")
    return [*parts, text(40, 274, ends[0], "tick", "start"), text(200, 274, ends[1], "tick", "end")]


def _at(radius: float, degrees: float) -> tuple[float, float]:
    return _CENTRE + radius * math.cos(math.radians(degrees)), _CENTRE - radius * math.sin(math.radians(degrees))


def _words(segment: Segment, quantity: Quantity, unit: str, digits: int) -> str:
    what = quantity.reason if quantity.value is None else f"{number(quantity.value, digits)} {unit}"
    return f"{segment.number} {segment.name}: {what}"
