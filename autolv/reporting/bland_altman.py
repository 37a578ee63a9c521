"""Bland-Altman drawings of two sides of a quantity (Bland & Altman 1986, Lancet 327:307) as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autolv.reporting._drawing import line, plain, text, ticks, upwards
from autolv.reporting._html import escaped
from autolv.reporting._text import number
from autolv.schema.results import Agreement

WIDTH, HEIGHT = 380.0, 272.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 44.0, 42.0, 40.0
_TICKS = 7  # about as many on either axis
_APART = 11.0  # between the numbers of two lines, so that each can be read


LINES = "Thick: bias; dashed: limits of agreement, bias \u00b1 1.96 SD (Bland and Altman 1986); thin: no difference."


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A quantity of several cases or patients as read and by the reference, and how far the two agree.

    ``title`` and ``unit`` are for people; ``names`` are of what is counted, in words ``counted`` ("case", "patient");
    ``side`` says what was ``read`` ("prediction"). There is at least one pair, and no value is NaN.
    """

    title: str
    unit: str
    counted: str
    side: str
    names: Sequence[str]
    read: Sequence[float]
    reference: Sequence[float]
    agreement: Agreement


def bland_altman_svg(comparison: Comparison) -> str:
    """Return the drawing for a page, whose style sheet gives lines and points their looks; ``LINES`` explains them."""
    return (
        f'<svg class="drawing agreement" viewBox="0 0 {plain(WIDTH)} {plain(HEIGHT)}" role="img" '
        f'aria-label="{escaped(comparison.title)}">{bland_altman_parts(comparison)}</svg>'
    )


def bland_altman_parts(comparison: Comparison) -> str:
    """Return what is in the drawing, of ``WIDTH`` x ``HEIGHT``.

    Across: the mean of both sides; up: the read less the reference; lines at bias and limits of agreement, where there are any.
    Each point tells its name and values to a pointer that rests on it.
    """
    found, unit, side = comparison.agreement, comparison.unit, comparison.side
    means = [(a + b) / 2 for a, b in zip(comparison.read, comparison.reference, strict=True)]
    differences = [a - b for a, b in zip(comparison.read, comparison.reference, strict=True)]
    levels = [value for value in (found.lower_limit, found.bias, found.upper_limit) if not math.isnan(value)]
    x_ends, y_ends = _ends(means), _ends([*differences, *levels, 0.0])
    right, low = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_ends[0]) / (x_ends[1] - x_ends[0]), (y - y_ends[0]) / (y_ends[1] - y_ends[0])
        return _LEFT + across * (right - _LEFT), low - up * (low - _TOP)

    counted = f"{found.n} {comparison.counted}{'' if found.n == 1 else 's'}"
    parts = [
        text(_LEFT, 13, f"{comparison.title}, {counted}", "title", "start"),
        text(_LEFT, 29, agreement_words(found, unit), "tick", "start"),
    ]
    for value in ticks(*x_ends, _TICKS):
        x = at(value, 0)[0]
        parts += [line(x, _TOP, x, low, "grid"), text(x, low + 14, f"{value:.6g}", "tick")]
    for value in ticks(*y_ends, _TICKS):
        y = at(0, value)[1]
        parts += [line(_LEFT, y, right, y, "axis" if value == 0 else "grid"),
                  text(_LEFT - 5, y + 4, f"{value:.6g}", "tick", "end")]  # fmt: skip
    parts += _lines(found, right, lambda value: at(0, value)[1])
    for name, mean, difference in zip(comparison.names, means, differences, strict=True):
        x, y = at(mean, difference)
        words = f"{name}: {number(difference, 1, signed=True)} {unit} at {number(mean, 1)}"
        parts.append(
            f'<circle cx="{plain(x)}" cy="{plain(y)}" r="3" class="pair"><title>{escaped(words)}</title></circle>'
        )
    parts += [
        text((_LEFT + right) / 2, HEIGHT - 8, f"mean of {side} and reference [{unit}]", "tick"),
        upwards(13, (_TOP + low) / 2, f"{side} \u2212 reference [{unit}]", "tick"),
    ]
    return "".join(parts)


def agreement_words(found: Agreement, unit: str) -> str:
    """Return in a line the correlation, the bias and the limits of agreement; what is not defined is left out."""
    parts = [] if math.isnan(found.r) else [f"r {number(found.r, 3)}"]
    parts.append(f"bias {number(found.bias, 1, signed=True)} {unit}")
    if not math.isnan(found.sd):
        limits = " to ".join(number(value, 1, signed=True) for value in (found.lower_limit, found.upper_limit))
        parts.append(f"limits {limits} {unit}")
    return ", ".join(parts)


def _lines(found: Agreement, right: float, height_of: Callable[[float], float]) -> list[str]:
    """Return the lines at bias and limits with their numbers, which keep apart where the lines are close."""
    middle = height_of(found.bias)
    levels = [(found.bias, "bias", middle)]
    if not math.isnan(found.sd):
        levels += [
            (found.upper_limit, "limit", min(height_of(found.upper_limit), middle - _APART)),
            (found.lower_limit, "limit", max(height_of(found.lower_limit), middle + _APART)),
        ]
    parts = []
    for value, name, place in levels:
        y = height_of(value)
        parts += [line(_LEFT, y, right, y, name),
                  text(right + 3, place + 4, number(value, 1, signed=True), "tick", "start")]  # fmt: skip
    return parts


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin
