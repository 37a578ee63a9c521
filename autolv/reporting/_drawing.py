"""What the report's SVG drawings share: numbers as text, axes with round ticks, colours of a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autolv.reporting._html import escaped

# five points of viridis (van der Walt and Smith 2015), which is even in lightness for any kind of colour vision
_SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def plain(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round values between ``low`` and ``high``, about as many as ``wanted``."""
    span = max(high - low, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / wanted))
    step *= next((factor for factor in (1, 2, 5) if span / (step * factor) <= wanted + 1), 10)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def scale_colour(part: float) -> tuple[str, str]:
    """Return the fill for a part (0 to 1) of a scale, and the class of ink that can be read on it."""
    place = min(max(part, 0.0), 1.0) * (len(_SCALE) - 1)
    index = min(int(place), len(_SCALE) - 2)
    red, green, blue = (
        round(a + (b - a) * (place - index)) for a, b in zip(_SCALE[index], _SCALE[index + 1], strict=True)
    )
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    return f"#{red:02x}{green:02x}{blue:02x}", "on-bright" if bright > 120 else "on-dark"


def text(x: float, y: float, words: str, name: str = "", anchor: str = "middle") -> str:
    """Return a text in an SVG."""
    return f'<text x="{plain(x)}" y="{plain(y)}" class="{name}" text-anchor="{anchor}">{escaped(words)}</text>'


def upwards(x: float, y: float, words: str, name: str) -> str:
    """Return a text in an SVG that is read from below, its middle at (x, y)."""
    place = f"translate({plain(x)} {plain(y)}) rotate(-90)"
    return f'<text transform="{place}" class="{name}" text-anchor="middle">{escaped(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """Return a line in an SVG."""
    return f'<line x1="{plain(x1)}" y1="{plain(y1)}" x2="{plain(x2)}" y2="{plain(y2)}" class="{name}"/>'


def polyline(points: Sequence[tuple[float, float]], name: str) -> str:
    """Return a line through points in an SVG."""
    joined = " ".join(f"{plain(x)},{plain(y)}" for x, y in points)
    return f'<polyline points="{joined}" class="{name}"/>'
