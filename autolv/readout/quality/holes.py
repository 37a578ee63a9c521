"""Criteria 1 to 3, 7 and 8 of Painchaud 2020: holes in a structure, and gaps between two that touch.

In 1828 slices of ACDC's reference masks there is no hole and no gap but between RV and septum (at most 9 pixels); the authors
allow none. Here what is smaller than three coarse pixels is let pass.
"""

from __future__ import annotations

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.quality._check import PAINCHAUD, TOLERANCE_MM2, Check, add, by_slice
from autolv.readout.quality._example import CAVITY, RV, WALL, block, outer_mm, painted, radius_mm
from autolv.readout.quality._example import MIDDLE as _MIDDLE
from autolv.readout.quality._heart import Plane
from autolv.readout.quality._plane import beside, enclosed, regions

_SOURCE = f"{PAINCHAUD}; tolerance three coarse pixels, of which ACDC's reference masks need none"


def _lv_holes_mm2(plane: Plane) -> float:
    return int(np.count_nonzero(plane.within_cavity)) * plane.pixel_mm2


def _rv_holes_mm2(plane: Plane) -> float:
    return int(np.count_nonzero(plane.within_rv)) * plane.pixel_mm2


def _wall_holes_mm2(plane: Plane) -> float:
    return _within_lv(plane, touching_cavity=False) * plane.pixel_mm2


def _lv_wall_gap_mm2(plane: Plane) -> float:
    return _within_lv(plane, touching_cavity=True) * plane.pixel_mm2


def _within_lv(plane: Plane, *, touching_cavity: bool) -> int:
    """Return how many pixels the LV encloses, but not its cavity alone, in regions that touch the cavity or do not."""
    inside = plane.within_lv & ~plane.within_cavity
    if not inside.any():
        return 0
    return sum(int(region.sum()) for region in regions(inside) if beside(region, plane.cavity) == touching_cavity)


def _rv_wall_gap_mm2(plane: Plane) -> float:
    """Return what LV and RV enclose together and neither encloses alone."""
    if not (plane.rv.any() and plane.lv.any()):
        return 0.0
    between = enclosed(plane.lv | plane.rv)
    if between.any():
        between &= ~plane.within_lv & ~plane.within_rv
    return int(np.count_nonzero(between)) * plane.pixel_mm2


_INNER, _OUTER = radius_mm(_MIDDLE), outer_mm(_MIDDLE)

add(Check(
    name="lv_holes", level="fail", threshold=TOLERANCE_MM2, unit="mm²", structure=LV_CAVITY, source=_SOURCE,
    meaning="The LV cavity has a hole; in this convention papillary muscles belong to the cavity.",
    find=by_slice(_lv_holes_mm2, lambda value, _: f"The LV cavity has holes of {value:.0f} mm²"),
    example=lambda: painted(block((-3.0, 3.0), (-3.0, 3.0)), 0),
))  # fmt: skip
add(Check(
    name="rv_holes", level="review", threshold=TOLERANCE_MM2, unit="mm²", structure=RV_CAVITY, source=_SOURCE,
    meaning="The RV cavity has a hole: unusual, though trabeculae and the moderator band cross it.", needs=(RV_CAVITY,),
    find=by_slice(_rv_holes_mm2, lambda value, _: f"The RV cavity has holes of {value:.0f} mm²"),
    example=lambda: painted(block((-3.0, 3.0), (-_OUTER - 10.0, -_OUTER - 5.0)), 0, over=(RV,)),
))  # fmt: skip
add(Check(
    name="wall_holes", level="fail", threshold=TOLERANCE_MM2, unit="mm²", structure=LV_MYOCARDIUM, source=_SOURCE,
    meaning="The myocardium has a hole that is not the cavity.", needs=(LV_CAVITY, LV_MYOCARDIUM),
    find=by_slice(_wall_holes_mm2, lambda value, _: f"The myocardium has holes of {value:.0f} mm²", basal=False),
    example=lambda: painted(block((-4.5, 4.5), (_INNER + 3.0, _OUTER - 3.0)), 0, over=(WALL,)),
))  # fmt: skip
add(Check(
    name="lv_wall_gap", level="fail", threshold=TOLERANCE_MM2, unit="mm²", structure=LV_CAVITY, source=_SOURCE,
    meaning="Between the LV cavity and its myocardium lies something unlabelled.", needs=(LV_CAVITY, LV_MYOCARDIUM),
    find=by_slice(_lv_wall_gap_mm2, lambda value, _: f"A gap of {value:.0f} mm² lies between LV cavity and myocardium",
                  basal=False),
    example=lambda: painted(block((-6.0, 6.0), (_INNER - 3.0, _INNER + 1.5)), 0, over=(CAVITY, WALL)),
))  # fmt: skip
add(Check(
    name="rv_wall_gap", level="review", threshold=2 * TOLERANCE_MM2, unit="mm²", structure=RV_CAVITY,
    meaning="Between the RV cavity and the septum lies something unlabelled.", needs=(LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY),
    source=f"{PAINCHAUD}, who ignores up to H W / 2^14 pixels; ACDC's reference masks have up to 9 pixels of it",
    find=by_slice(_rv_wall_gap_mm2, lambda value, _: f"A gap of {value:.0f} mm² lies between RV cavity and septum",
                  basal=False),
    example=lambda: painted(block((-9.0, 9.0), (-_OUTER - 4.5, -_OUTER + 1.0)), 0, over=(RV,)),
))  # fmt: skip
