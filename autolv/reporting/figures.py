"""Figures of a training run and of a segmentation, as PNG files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM
from autolv.reporting._canvas import INK, colour_of, plain_axes, save, sheet
from autolv.reporting._text import label_of, number, short_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DICE = "dice_"
_MOST_SLICES = 15
_FEW = 25  # epochs up to which each is marked by a dot


def progress_figure(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw loss, Dice per structure, learning rate and seconds over epochs, and write it to ``path``.

    Each row of ``history`` has ``epoch``, ``loss``, ``learning_rate``, ``seconds`` and ``dice_<structure>``; NaN
    leaves a gap. Without any row the panels stay empty.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = sheet(10.0, 6.6)
    panels = figure.subplots(2, 2)
    (loss, dice), (rate, seconds) = panels
    epochs = [row["epoch"] for row in history]
    _line(loss, epochs, [row["loss"] for row in history], INK)
    _line(rate, epochs, [row["learning_rate"] for row in history], INK)
    _line(seconds, epochs, [row["seconds"] for row in history], INK)
    for key in [key for key in (history[0] if history else {}) if key.startswith(_DICE)]:
        name, values = key.removeprefix(_DICE), [row[key] for row in history]
        _line(dice, epochs, values, colour_of(name), f"{short_of(name)} {number(values[-1], 3)}")
    if dice.lines:
        place = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.99), "borderpad": 0.0}  # above the panel, by the title
        dice.legend(fontsize=9, frameon=False, ncols=len(dice.lines), handlelength=1.2, columnspacing=1.2, **place)
        dice.set_ylim(top=1.0)
    rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    seconds.set_ylim(0.0, 1.15 * max((row["seconds"] for row in history), default=1.0) or 1.0)
    titles = ("Training loss", "Dice on patches", "Learning rate", "Time per epoch [s]")
    for axes, title in zip(panels.flat, titles, strict=True):
        plain_axes(axes, title, "epoch")
        axes.set_xlim(min(epochs, default=1) - 0.5, max(epochs, default=1) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    save(figure, path)


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, label: str | None = None) -> None:
    axes.plot(x, y, color=colour, linewidth=1.8, marker="o" if len(x) <= _FEW else None, markersize=3.5, label=label)


def overlay_figure(
    image: NDArray[np.generic],
    labels: NDArray[np.integer],
    reference: NDArray[np.integer] | None,
    path: Path,
    structures: Sequence[str],
) -> None:
    """Draw the slices of ``image`` in which anything is labelled, with contours, and write them to ``path``.

    All arrays are (z, y, x), labels hold 0 and 1 + the position in ``structures``; in-plane pixels are taken as square.
    Coloured lines are ``labels``, dashed white ones the ``reference``. Of more than 15 slices, 15 spread over the heart
    are shown; where nothing is labelled at all, slices of the whole field.
    """
    if image.ndim != 3 or labels.shape != image.shape or (reference is not None and reference.shape != image.shape):
        raise ValueError("image, labels and reference must be (z, y, x) arrays of one shape")
    labelled = labels > 0 if reference is None else (labels > 0) | (reference > 0)
    slices = _spread(np.flatnonzero(labelled.any(axis=(1, 2))), len(image))
    rows, columns = heart_window(np.asarray(labelled.any(axis=0)))
    picture = np.asarray(image, dtype=np.float32)[slices][:, rows, columns]
    low, high = np.nanpercentile(picture, (0.5, 99.5))
    across = min(5, len(slices))
    down = math.ceil(len(slices) / across)
    side = 2.4
    figure = sheet(side * across, side * down * picture.shape[1] / picture.shape[2] + 0.45, background="black")
    for index, z in enumerate(slices):
        axes = figure.add_subplot(down, across, index + 1)
        axes.imshow(picture[index], cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="bicubic")
        for channel, name in reversed(list(enumerate(structures, start=1))):  # the cavity's line above the wall's
            draw_contours(axes, labels[z, rows, columns] == channel, colour_of(name), 1.6, "-")
        if reference is not None:
            for mask in _outlines(reference[z, rows, columns], structures):
                draw_contours(axes, mask, "white", 0.9, (0, (2, 2)))
        axes.set_axis_off()
        axes.text(0.03, 0.97, f"slice {z + 1}", color="white", fontsize=8, va="top", transform=axes.transAxes)
    draw_legend(figure, structures, with_reference=reference is not None)
    save(figure, path)


def _spread(occupied: NDArray[np.intp], total: int) -> list[int]:
    """Return the slices to show: those occupied, or all, thinned evenly to at most ``_MOST_SLICES``."""
    chosen = occupied if occupied.size else np.arange(total)
    if chosen.size > _MOST_SLICES:
        chosen = chosen[np.linspace(0, chosen.size - 1, _MOST_SLICES).round().astype(int)]
    return [int(z) for z in chosen]


def heart_window(occupied: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of a square about ``occupied`` (y, x) with a margin, in the field; all if empty."""
    if not occupied.any():
        return slice(None), slice(None)
    y, x = (np.flatnonzero(occupied.any(axis=1 - axis)) for axis in (0, 1))
    side = round(max(int(np.ptp(y)), int(np.ptp(x))) * 1.3) + 8
    return _about(y, side, occupied.shape[0]), _about(x, side, occupied.shape[1])


def _about(occupied: NDArray[np.intp], side: int, size: int) -> slice:
    length = min(side, size)
    start = (int(occupied[0]) + int(occupied[-1]) + 1 - length) // 2
    start = min(max(0, start), size - length)
    return slice(start, start + length)


def draw_contours(
    axes: Axes, mask: NDArray[np.bool_], colour: str, width: float, style: str | tuple[int, tuple[int, int]]
) -> None:
    """Draw the outlines of ``mask`` (y, x) between its pixels and those about it."""
    from skimage.measure import find_contours

    padded = np.pad(mask, 1).astype(np.float32)
    for line in find_contours(padded, 0.5):  # type: ignore[no-untyped-call]  # (points, 2): y, x
        axes.plot(line[:, 1] - 1, line[:, 0] - 1, color=colour, linewidth=width, linestyle=style)


def _outlines(labels: NDArray[np.integer], structures: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Return a mask per structure, the wall's with the cavity in it: dashes drawn twice fill each other's gaps."""
    masks = {name: labels == channel for channel, name in enumerate(structures, start=1)}
    if LV_CAVITY in masks and LV_MYOCARDIUM in masks:
        masks[LV_MYOCARDIUM] = masks[LV_MYOCARDIUM] | masks[LV_CAVITY]
    return list(masks.values())


def draw_legend(figure: Figure, structures: Sequence[str], *, with_reference: bool) -> None:
    """Say below a black figure which colour is which structure, and what the dashes are."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour_of(name), linewidth=2.0, label=label_of(name)) for name in structures]
    if with_reference:
        lines.append(Line2D([], [], color="white", linewidth=1.0, linestyle=(0, (2, 2)), label="reference"))
    figure.legend(handles=lines, loc="outside lower center", ncols=4, fontsize=9, frameon=False, labelcolor="white")
