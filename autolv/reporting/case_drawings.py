"""The drawings of a case for paper: curve, every slice of a frame, bullseye, cut along the axis. Axes in, nothing out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.reporting._canvas import INK, colour_of
from autolv.reporting._drawing import scale_colour
from autolv.reporting._text import label_of, number
from autolv.reporting.bullseye import RINGS
from autolv.reporting.curve_drawing import fit_at
from autolv.reporting.long_axis import STEP_MM, cut_of, runs
from autolv.reporting.sprites import Pictures, outlines
from autolv.schema.readout import Curve, Quantity, Readout, Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOFT = "#5B616B"
EMPTY = "#F0F1F3"
FLAGGED = "#FF5A4F"
_GAP = 0.02  # between tiles, of a tile
_SMALL = 6.5  # points
_BEHIND_TEXT = {"facecolor": "black", "alpha": 0.45, "linewidth": 0, "pad": 1.0}


def draw_curve(axes: Axes, readout: Readout, curve: Curve) -> None:
    """Draw the volume over the cycle: frames as measured, the fit, muscle and RV, end-diastole and end-systole."""
    frames = len(curve.volume_ml)
    known = curve.frame_time_ms is not None
    span = 100.0 if curve.frame_time_ms is None else curve.frame_time_ms * frames
    times = np.arange(frames) * span / frames
    for series, name, style in ((curve.rv_ml, RV_CAVITY, ":"), (curve.wall_ml, LV_MYOCARDIUM, "--")):
        if series:
            axes.plot(times, series, color=colour_of(name), linewidth=1.2, linestyle=style, label=label_of(name))
    places = np.linspace(0, (frames - 1) / frames, 240)
    colour = colour_of(LV_CAVITY)
    axes.plot(places * span, fit_at(curve, places), color=colour, linewidth=1.6, label="LV cavity, fitted")
    axes.plot(times, curve.volume_ml, "o", color=colour, markerfacecolor="white", markersize=3.2, label="as measured")
    axes.set_ylim(bottom=0.0)
    for frame, words in ((readout.ed_frame, "ED"), (readout.es_frame, "ES")):
        if frame is not None:
            x = (frame - 1) * span / frames
            axes.axvline(x, color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
            axes.annotate(words, (x, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
                          ha="center", fontsize=7, fontweight="bold", color=INK)  # fmt: skip
    axes.set_xlabel("ms" if known else "% of the cycle", fontsize=7, color=SOFT, labelpad=1)
    axes.set_ylabel("ml", fontsize=7, color=SOFT, labelpad=1)
    axes.tick_params(labelsize=7, colors=SOFT, length=2)
    axes.grid(visible=True, color="#E3E5E8", linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=_SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)


def grid_of(count: int, width: float, height: float, ratio: float, widest: float) -> tuple[int, float]:
    """Return how many tiles stand in a row, and how wide each is, so that ``count`` fill a place best.

    ``ratio`` is a tile's height over its width. None gets wider than ``widest``.
    """
    best = max(
        (
            (min(width / across, height / math.ceil(count / across) / ratio, widest), -across)
            for across in range(1, count + 1)
        ),
    )
    return -best[1], best[0]


def draw_slices(
    axes: Axes, pictures: Pictures, view: tuple[slice, slice], frame: int, across: int, flagged: Collection[int]
) -> None:
    """Draw every slice of ``frame`` in the file's order, ``across`` in a row, with its outlines and its number."""
    labels = np.asarray(pictures.labels[frame][:, *view])
    image = pictures.images.get(frame)
    grey = None if image is None else np.asarray(image[:, *view], dtype=np.float32)
    low, high = (0.0, 1.0) if grey is None else (float(v) for v in np.nanpercentile(grey, (0.5, 99.5)))
    depth, rows, columns = labels.shape
    down = math.ceil(depth / across)
    for place, z in enumerate(pictures.in_file_order()):
        row, column = divmod(place, across)
        left, top = column * columns * (1 + _GAP), row * rows * (1 + _GAP)
        picture = np.zeros((rows, columns), np.float32) if grey is None else np.nan_to_num(grey[z], nan=low)
        axes.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="bicubic",
                    extent=(left, left + columns, top + rows, top))  # fmt: skip
        for channel, name in reversed(
            list(enumerate(pictures.structures, start=1))
        ):  # the cavity's line above the wall's
            for line in outlines(labels[z] == channel):
                axes.plot(left + (line[:, 0] + 1) / 2, top + (line[:, 1] + 1) / 2, color=colour_of(name), linewidth=0.8)
        if z in flagged:
            x, y = [left, left + columns, left + columns, left, left], [top, top, top + rows, top + rows, top]
            axes.plot(x, y, color=FLAGGED, linewidth=1.6)
        axes.text(left + columns * 0.04, top + rows * 0.04, str(pictures.slice_number(z)), color="white", fontsize=_SMALL,
                  va="top", bbox=_BEHIND_TEXT)  # fmt: skip
    axes.set_xlim(-columns * _GAP, (columns * (1 + _GAP)) * across)
    axes.set_ylim((rows * (1 + _GAP)) * down, -rows * _GAP)
    axes.set_aspect(pictures.spacing_mm[1] / pictures.spacing_mm[2], anchor="NW")
    axes.set_axis_off()


def draw_bullseye(
    axes: Axes, segments: Sequence[Segment], title: str, unit: str, value_of: Callable[[Segment], Quantity],
    bounds: tuple[float, float], digits: int,
) -> None:  # fmt: skip
    """Draw one quantity of the segments, anterior above and the septum on the left; those without a value stay empty."""
    from matplotlib.patches import Circle, Rectangle, Wedge

    by_number = {segment.number: segment for segment in segments}
    for first, count, inner, outer, start in RINGS:
        for index in range(count):
            begin, step = start + index * 360.0 / count, 360.0 / count
            value = value_of(by_number[first + index]).value
            part = 0.0 if value is None else (value - bounds[0]) / (bounds[1] - bounds[0])
            fill, ink = scale_colour(part)
            axes.add_patch(Wedge((0, 0), outer, begin, begin + step, width=outer - inner, edgecolor="white", linewidth=0.8,
                                 facecolor=EMPTY if value is None else fill))  # fmt: skip
            if value is not None:
                middle, radius = math.radians(begin + step / 2), (inner + outer) / 2
                axes.text(radius * math.cos(middle), radius * math.sin(middle), number(value, digits), ha="center",
                          va="center", fontsize=6, color=INK if ink == "on-bright" else "white")  # fmt: skip
    axes.add_patch(Circle((0, 0), RINGS[-1][2], facecolor=EMPTY, edgecolor="white", linewidth=0.8))
    for step in range(20):
        axes.add_patch(
            Rectangle((-80 + 8 * step, -128), 8.3, 9, facecolor=scale_colour((step + 0.5) / 20)[0], linewidth=0)
        )
    for x, words, align in (
        (-80, number(bounds[0], digits), "left"),
        (80, f"{number(bounds[1], digits)} {unit}", "right"),
    ):
        axes.text(x, -133, words, ha=align, va="top", fontsize=6, color=SOFT)
    axes.set_title(title, fontsize=7, color=INK, pad=2)
    axes.set_xlim(-112, 112)
    axes.set_ylim(-150, 110)
    axes.set_aspect("equal", anchor="N")
    axes.set_axis_off()


def draw_cut(
    axes: Axes, pictures: Pictures, frame: int, degrees: float, title: str, *, base_first: bool | None
) -> bool:
    """Draw the cut along the long axis through the LV's centre, each slice as a band; return whether there is one."""
    from matplotlib.patches import Rectangle

    cut = cut_of(pictures, frame, degrees)
    axes.set_axis_off()
    if cut is None:
        return False
    depth, length = cut.labels.shape
    high, width = pictures.spacing_mm[0], length * STEP_MM
    order = range(depth) if base_first is not False else range(depth - 1, -1, -1)
    picture = np.zeros((depth, length), np.uint8) if cut.grey is None else cut.grey[list(order)]
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=(0, width, depth * high, 0))
    for row, z in enumerate(order):
        for channel, name in enumerate(pictures.structures, start=1):
            for start, stop in runs(cut.labels[z] == channel):
                axes.add_patch(Rectangle((start * STEP_MM, row * high), (stop - start) * STEP_MM, high, linewidth=0.5,
                                         facecolor=(colour_of(name), 0.35), edgecolor=colour_of(name)))  # fmt: skip
        axes.text(
            -2, (row + 0.5) * high, str(pictures.slice_number(z)), ha="right", va="center", fontsize=5, color=SOFT
        )
    if base_first is not None:
        for y, words, align in ((3, "base", "top"), (depth * high - 3, "apex", "bottom")):
            axes.text(width - 3, y, words, ha="right", va=align, fontsize=6, color="white", bbox=_BEHIND_TEXT)
    axes.set_title(title, fontsize=7, color=INK, pad=2)
    axes.set_xlim(-14, width)
    axes.set_ylim(depth * high, 0)
    axes.set_aspect("equal", anchor="N")
    return True
