"""Criteria 4 to 6 of Painchaud 2020: within a slice each structure is one piece.

In 1828 slices of ACDC's reference masks the LV cavity always is; RV and myocardium have stray pixels of at most 1 and, in an
open basal ring, 6. The authors allow none.
"""

from __future__ import annotations

from collections.abc import Callable

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.quality._check import PAINCHAUD, TOLERANCE_MM2, Check, add, by_slice
from autolv.readout.quality._example import CAVITY, MIDDLE, RV, WALL, block, outer_mm, painted, radius_mm
from autolv.readout.quality._heart import Plane
from autolv.readout.quality._plane import pixels_apart

_SOURCE = f"{PAINCHAUD}; tolerance three coarse pixels, of which ACDC's reference masks need one outside of the base"


def _words(name: str) -> Callable[[float, Plane], str]:
    return lambda value, _: f"The {name} is in pieces: {value:.0f} mm² lie apart from the largest,"


_INNER, _OUTER = radius_mm(MIDDLE), outer_mm(MIDDLE)

add(Check(
    name="lv_pieces", level="fail", threshold=TOLERANCE_MM2, unit="mm²", structure=LV_CAVITY, source=_SOURCE,
    meaning="The LV cavity is in several pieces within one slice.",
    find=by_slice(lambda plane: pixels_apart(plane.cavity) * plane.pixel_mm2, _words("LV cavity")),
    example=lambda: painted(block((-4.5, 4.5), (_INNER + 3.0, _OUTER - 3.0)), CAVITY, over=(WALL,)),
))  # fmt: skip
add(Check(
    name="rv_pieces", level="review", threshold=2 * TOLERANCE_MM2, unit="mm²", structure=RV_CAVITY, source=_SOURCE,
    meaning="The RV cavity is in several pieces within one slice: unusual, but near its base and apex it may be.",
    find=by_slice(lambda plane: pixels_apart(plane.rv) * plane.pixel_mm2, _words("RV cavity")), needs=(RV_CAVITY,),
    example=lambda: painted(block((26.0, 36.0), (-34.0, -26.0)), RV, over=(0,)),
))  # fmt: skip
add(Check(
    name="wall_pieces", level="fail", threshold=TOLERANCE_MM2, unit="mm²", structure=LV_MYOCARDIUM, source=_SOURCE,
    meaning="The myocardium is in several pieces within one slice, other than where the valve plane cuts its ring.",
    find=by_slice(lambda plane: pixels_apart(plane.wall) * plane.pixel_mm2, _words("myocardium"), basal=False),
    needs=(LV_CAVITY, LV_MYOCARDIUM), example=lambda: painted(block((-6.0, 6.0), (38.0, 50.0)), WALL),
))  # fmt: skip
