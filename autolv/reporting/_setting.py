"""Text set on a page of a figure: lines wrapped by the width of their letters, from the top down, in points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from autolv.reporting._canvas import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.font_manager import FontProperties

A4_POINTS = (595.0, 842.0)  # width and height: 210 x 297 mm at 72 points an inch
_LEADING = 1.32  # of a line, in sizes of its letters
_RULER = 100.0  # the size at which letters are measured
_SLACK = 1.04  # pictures of pixels set letters up to 4 % wider than they are drawn
_MISSING = "\N{WHITE SQUARE}"  # for letters that the font does not have


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    x: float
    y: float
    words: str
    size: float
    bold: bool
    colour: str
    align: Literal["left", "right", "center"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    x: float
    y: float
    width: float
    height: float
    colour: str


class Setting:
    """What is to stand on a page. ``y`` is how far down it reaches, in points; ``scale`` multiplies all sizes of letters."""

    def __init__(self, *, left: float, top: float, width: float, scale: float = 1.0) -> None:
        self.left, self.width, self.y, self.scale = left, width, top, scale
        self._parts: list[_Text | _Box] = []

    def words(
        self, text: str, size: float, *, x: float | None = None, width: float | None = None, bold: bool = False,
        colour: str = INK, most_lines: int = 100, align: Literal["left", "right", "center"] = "left",
    ) -> None:  # fmt: skip
        """Set a paragraph at ``x`` within ``width``, and move down by its height; ``most_lines`` cuts it with an ellipsis.

        To the right or about the centre of the paragraph's place it goes by ``align``.
        """
        size *= self.scale
        x = self.left if x is None else x
        width = self.left + self.width - x if width is None else width
        place = {"left": x, "right": x + width, "center": x + width / 2}[align]
        for line in wrapped(text, size, width, bold=bold, most_lines=most_lines):
            self.y += size * _LEADING
            self._parts.append(
                _Text(x=place, y=self.y - size * 0.3, words=line, size=size, bold=bold, colour=colour, align=align)
            )

    def space(self, points: float) -> None:
        """Move down."""
        self.y += points * self.scale

    def rule(self, colour: str = "#D9DCE1", height: float = 0.6) -> None:
        """Draw a line across."""
        self.box(self.y, height, colour)

    def box(
        self, top: float, height: float, colour: str, *, x: float | None = None, width: float | None = None
    ) -> None:
        """Draw a box below all text."""
        x, width = self.left if x is None else x, self.width if width is None else width
        self._parts.append(_Box(x=x, y=top, width=width, height=height, colour=colour))

    def draw(self, page: Figure | SubFigure) -> None:
        """Put all that was set on a page of A4."""
        from matplotlib.patches import Rectangle

        wide, high = A4_POINTS
        for part in self._parts:
            if isinstance(part, _Box):
                corner = (part.x / wide, 1 - (part.y + part.height) / high)
                page.add_artist(Rectangle(corner, part.width / wide, part.height / high, facecolor=part.colour,
                                          linewidth=0, transform=page.transSubfigure, zorder=-1))  # fmt: skip
            else:
                page.text(part.x / wide, 1 - part.y / high, part.words, fontproperties=_font(part.bold), size=part.size,
                          color=part.colour, ha=part.align, va="baseline", parse_math=False)  # fmt: skip


def axes_at(page: Figure | SubFigure, x: float, y: float, width: float, height: float) -> Axes:
    """Return axes on a page of A4 with their upper left corner at ``x``, ``y``, in points from that of the page."""
    wide, high = A4_POINTS
    return page.add_axes((x / wide, 1 - (y + height) / high, width / wide, height / high))


def wrapped(text: str, size: float, width: float, *, bold: bool = False, most_lines: int = 100) -> list[str]:
    """Return the lines of ``text`` in letters of ``size`` points that fit within ``width`` points.

    A word that is wider is broken. Of more than ``most_lines`` the rest is left out, for which an ellipsis stands.
    """
    lines, line = [], ""
    for word in printable(text).split():
        for piece in _pieces(word, size, width, bold=bold):
            longer = f"{line} {piece}".strip()
            if line and width_of(longer, size, bold=bold) > width:
                lines.append(line)
                line = piece
            else:
                line = longer
    lines += [line] if line else []
    if len(lines) <= most_lines:
        return lines
    last = lines[most_lines - 1]
    while last and width_of(f"{last} …", size, bold=bold) > width:
        last = last[:-1].rstrip()
    return [*lines[: most_lines - 1], f"{last} …"]


def _pieces(word: str, size: float, width: float, *, bold: bool) -> Sequence[str]:
    if width_of(word, size, bold=bold) <= width:
        return [word]
    pieces, piece = [], ""
    for letter in word:
        if piece and width_of(piece + letter, size, bold=bold) > width:
            pieces.append(piece)
            piece = ""
        piece += letter
    return [*pieces, piece]


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line in points."""
    return sum(_advance(letter, bold) for letter in text) * size * _SLACK / _RULER


def printable(text: str) -> str:
    """Return ``text`` with a white square for each letter that the figures' font does not have."""
    return "".join(letter if letter.isspace() or _known(letter) else _MISSING for letter in text)


@cache
def _advance(letter: str, bold: bool) -> float:  # noqa: FBT001 - a key of the cache
    from matplotlib.textpath import TextToPath

    return float(TextToPath().get_text_width_height_descent(letter, _font(bold, _RULER), False)[0])  # noqa: FBT003


@cache
def _known(letter: str) -> bool:
    from matplotlib.font_manager import fontManager, get_font

    return bool(get_font(fontManager.findfont(_font(False))).get_char_index(ord(letter)))  # noqa: FBT003


@cache
def _font(bold: bool, size: float = 10.0) -> FontProperties:  # noqa: FBT001 - a key of the cache
    from matplotlib.font_manager import FontProperties

    return FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
