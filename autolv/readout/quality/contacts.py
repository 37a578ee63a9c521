"""Criteria 9 to 11 of Painchaud 2020: what lies beside what. The RV lies at the septum, the LV cavity within its wall.

In ACDC's reference masks the RV always touches the myocardium; the LV cavity shares at most 1 % of its border with the RV and,
below the basal slice, none with the background. In basal slices the ring may be open: the valve plane is oblique to them.
"""

from __future__ import annotations

import math

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.base import RING
from autolv.readout.quality._check import PAINCHAUD, TOLERANCE_MM, Check, Found, add, at, by_slice
from autolv.readout.quality._example import CAVITY, MIDDLE, RV, WALL, Labels, block, disc, outer_mm, painted, spoilt
from autolv.readout.quality._heart import Heart, Plane
from autolv.readout.quality._plane import around, border_mm, distance_mm

_SOURCE = f"{PAINCHAUD}; tolerance three coarse pixels, of which ACDC's reference masks need none below the base"
_LARGE = (
    0.98  # of the largest slice's cavity, as in base_cut: a ventricle is narrower where the valve plane opens its ring
)


def _rv_apart_mm(plane: Plane) -> float:
    if not (plane.rv.any() and plane.wall.any()) or (around(plane.rv) & plane.wall).any():
        return 0.0
    return distance_mm(plane.rv, plane.wall, plane.pixel_mm)


def _lv_rv_mm(plane: Plane) -> float:
    return border_mm(plane.cavity, plane.rv, plane.pixel_mm)


def _open_mm(plane: Plane) -> float:
    return plane.open_mm


def _along(what: str, value: float, plane: Plane) -> str:
    share = 100 * value / plane.cavity_border_mm
    return f"The LV cavity touches the {what} along {share:.0f} % of its border ({value:.0f} mm)"


def _find_open_base(check: Check, heart: Heart) -> Found:
    found = []
    for frame in heart.frames:
        largest = float(frame.cavity_mm2.max(initial=0.0))
        for plane in frame.planes:
            border = plane.cavity_border_mm
            share = 100 * plane.open_mm / border if border else math.nan
            large = frame.cavity_mm2[plane.index] > _LARGE * largest
            if large and plane.index in heart.basal[frame.number] and check.beyond(share):
                message = (
                    f"In the basal {at(heart, frame.number, plane.index)}, {share:.0f} % of the LV cavity's border have no "
                    "myocardium: it may be atrium or outflow tract"
                )
                found.append(check.finding(message, value=share, frame=frame.number, slices=(plane.index,)))
    return found


def _without_lateral_wall(labels: Labels) -> None:
    labels[1][block((-60.0, 60.0), (-10.0, 60.0)) & (labels[1] == WALL)] = 0


def _rv_moved_away(labels: Labels) -> None:
    plane = labels[MIDDLE]
    plane[plane == RV] = 0
    plane[disc(0.0, -_OUTER - 24.0, 12.0)] = RV


_OUTER = outer_mm(MIDDLE)

add(Check(
    name="rv_apart", level="fail", threshold=TOLERANCE_MM, unit="mm", structure=RV_CAVITY, source=_SOURCE,
    meaning="The RV cavity does not reach the septum.", needs=(LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY),
    find=by_slice(_rv_apart_mm, lambda value, _: f"The RV cavity lies {value:.0f} mm away from the myocardium", basal=False),
    example=lambda: spoilt(_rv_moved_away),
))  # fmt: skip
add(Check(
    name="lv_touches_rv", level="fail", threshold=TOLERANCE_MM, unit="mm", structure=LV_CAVITY, source=_SOURCE,
    meaning="The LV cavity touches the RV cavity without a septum between them.", needs=(LV_CAVITY, RV_CAVITY),
    find=by_slice(_lv_rv_mm, lambda value, plane: _along("RV cavity", value, plane)),
    example=lambda: painted(block((-7.5, 7.5), (-_OUTER - 1.0, -10.0)), CAVITY, over=(WALL,)),
))  # fmt: skip
add(Check(
    name="lv_touches_background", level="fail", threshold=TOLERANCE_MM, unit="mm", structure=LV_CAVITY, source=_SOURCE,
    meaning="The ring of myocardium about the LV cavity is open below the base.", needs=(LV_CAVITY, LV_MYOCARDIUM),
    find=by_slice(_open_mm, lambda value, plane: _along("background", value, plane), basal=False),
    example=lambda: painted(block((-7.5, 7.5), (10.0, _OUTER + 1.0)), CAVITY, over=(WALL,)),
))  # fmt: skip
add(Check(
    name="open_base", level="review", threshold=100 * (1 - RING), unit="%", structure=LV_CAVITY,
    meaning="The basal slice has the largest cavity of all, and less than half of it is enclosed by myocardium.",
    source="the share of ring from which a basal slice counts as ventricle in the basal rule ring50; ACDC's reference masks "
           "have up to 15 % open", needs=(LV_CAVITY, LV_MYOCARDIUM),
    find=_find_open_base, example=lambda: spoilt(_without_lateral_wall),
))  # fmt: skip
