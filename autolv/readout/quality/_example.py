"""A small healthy heart drawn by formula, to be spoilt by the checks' examples."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autolv.readout.quality._check import Example
from autolv.schema.readout import Method, Readout

Labels = NDArray[np.uint8]
CAVITY, WALL, RV = 1, 2, 3
SPACING_MM = (10.0, 1.5, 1.5)
MIDDLE = 4  # a slice in the middle of the LV
_SHAPE = (10, 96, 96)
_CENTRE_MM = (72.0, 81.0)  # of the LV, (y, x); the RV lies towards smaller x
_FIRST, _LAST = 1, 8  # slices of the LV; the base is first
_LAST_RV = 6
_RADIUS_MM, _WALL_MM = 24.0, 9.0  # where the cavity is widest, at end-diastole
_RV_RADIUS_MM, _RV_AWAY_MM = 30.0, 28.0


def disc(y_mm: float, x_mm: float, radius_mm: float) -> NDArray[np.bool_]:
    """Return the pixels (y, x) within ``radius_mm`` of a place given in mm from the LV's centre."""
    y = np.arange(_SHAPE[1])[:, None] * SPACING_MM[1] - _CENTRE_MM[0] - y_mm
    x = np.arange(_SHAPE[2])[None, :] * SPACING_MM[2] - _CENTRE_MM[1] - x_mm
    return np.asarray(np.hypot(y, x) <= radius_mm)


def block(y_mm: tuple[float, float], x_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Return the pixels (y, x) between two rows and two columns given in mm from the LV's centre."""
    y = np.arange(_SHAPE[1])[:, None] * SPACING_MM[1] - _CENTRE_MM[0]
    x = np.arange(_SHAPE[2])[None, :] * SPACING_MM[2] - _CENTRE_MM[1]
    return (y >= y_mm[0]) & (y <= y_mm[1]) & (x >= x_mm[0]) & (x <= x_mm[1])


def radius_mm(index: int, contraction: float = 0.0) -> float:
    """Return the cavity's radius in slice ``index``; ``contraction`` is 0 at end-diastole, 1 at end-systole."""
    along = (index - _FIRST) / (_LAST - _FIRST + 1)
    return _RADIUS_MM * math.sqrt(1 - 0.75 * along**2) * (1 - 0.4 * contraction)


def outer_mm(index: int, contraction: float = 0.0) -> float:
    """Return the outer radius there, such that the wall keeps its area."""
    wall = (radius_mm(index) + _WALL_MM) ** 2 - radius_mm(index) ** 2
    return math.sqrt(radius_mm(index, contraction) ** 2 + wall)


def healthy(contraction: float = 0.0) -> Labels:
    """Return labels uint8 (z, y, x) of a heart in which no check finds anything."""
    labels = np.zeros(_SHAPE, dtype=np.uint8)
    for index in range(_FIRST, _LAST + 1):
        if index <= _LAST_RV:
            size = (1 - 0.1 * (index - _FIRST)) * (1 - 0.25 * contraction)
            labels[index][disc(0.0, -_RV_AWAY_MM, _RV_RADIUS_MM * size)] = RV
        labels[index][disc(0.0, 0.0, outer_mm(index, contraction))] = WALL
        labels[index][disc(0.0, 0.0, radius_mm(index, contraction))] = CAVITY
    return labels


def spoilt(change: Callable[[Labels], None], *, both: bool = False) -> Example:
    """Return the healthy heart after ``change``, which works in place, at end-diastole or ``both`` there and at end-systole."""
    diastole, systole = healthy(), healthy(1.0)
    change(diastole)
    if both:
        change(systole)
    return Example(frames={1: diastole, 2: systole}, spacing_mm=SPACING_MM)


def painted(pixels: NDArray[np.bool_], label: int, *, over: tuple[int, ...] = (0, CAVITY, WALL, RV)) -> Example:
    """Return the healthy heart with ``label`` at those ``pixels`` (y, x) of the middle slice that have a label of ``over``."""

    def change(labels: Labels) -> None:
        plane = labels[MIDDLE]
        plane[pixels & np.isin(plane, over)] = label

    return spoilt(change)


def cycle(contractions: list[float]) -> Example:
    """Return a cine of whole hearts, one frame for each contraction."""
    frames = {number: healthy(contraction) for number, contraction in enumerate(contractions, start=1)}
    return Example(frames=frames, spacing_mm=SPACING_MM, whole_cycle=True)


def beat(frames: int) -> list[float]:
    """Return the contraction at ``frames`` moments of a cycle."""
    return [(1 - math.cos(2 * math.pi * moment / frames)) / 2 for moment in range(frames)]


def swapped_phases() -> Example:
    """Return the healthy heart whose read-out takes end-systole for end-diastole."""
    readout = Readout(
        case="", patient="", sources=(), ed_frame=2, es_frame=1, quantities={},
        method=Method(basal_rule="as_segmented", papillary_rule="in_cavity", density_g_per_ml=1.05, bsa_formula="mosteller",
                      slice_distance_mm=SPACING_MM[0], slice_distance_rule="", pixel_mm=SPACING_MM[1:], phases_rule="",
                      time_rule=""),
    )  # fmt: skip
    return Example(frames={1: healthy(), 2: healthy(1.0)}, spacing_mm=SPACING_MM, readout=readout)
