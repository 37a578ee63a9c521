"""Criteria 12 to 16 of Painchaud 2020: how deep the structures' outlines are dented, and how round they are.

Seen in ACDC's reference masks outside of open basal rings: dents of the LV cavity up to 3.1 mm (99 % of 1808 slices: 0), of the
RV up to 31.5 mm (99 %: 19), of the outer border of the LV 0; roundness of the cavity from 0.64, of the outer border from 0.79.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.quality._check import PAINCHAUD, Check, add, by_slice
from autolv.readout.quality._example import CAVITY, MIDDLE, RV, WALL, Labels, block, disc, outer_mm, painted, spoilt
from autolv.readout.quality._heart import Plane
from autolv.readout.quality._plane import circularity, dent_mm

_ROUND = "4 pi area / perimeter²; the authors' threshold is 0.2"


def _dented(name: str) -> Callable[[float, Plane], str]:
    return lambda value, _: f"The outline of the {name} has a dent of {value:.0f} mm"


def _not_round(name: str) -> Callable[[float, Plane], str]:
    return lambda value, _: f"The {name} has a roundness of {value:.2f} (a circle has 1)"


def _lv_roundness(plane: Plane) -> float:
    return circularity(plane.whole_cavity, plane.pixel_mm)


def _wall_roundness(plane: Plane) -> float:
    return circularity(plane.whole_lv, plane.pixel_mm)


def _rv_around_lv(labels: Labels) -> None:
    plane = labels[MIDDLE]
    plane[plane == RV] = 0
    outside = disc(0.0, 0.0, _OUTER + 15.0) & (plane == 0)
    plane[outside & ~block((-60.0, 60.0), (22.0, 60.0))] = RV


def _slit(labels: Labels) -> None:
    plane = labels[MIDDLE]
    plane[plane == CAVITY] = WALL
    plane[block((-2.0, 2.0), (-20.0, 20.0))] = CAVITY


def _flat(labels: Labels) -> None:
    plane = labels[MIDDLE]
    plane[np.isin(plane, (CAVITY, WALL))] = 0
    plane[block((-10.0, 10.0), (-40.0, 40.0))] = WALL
    plane[block((-4.0, 4.0), (-32.0, 32.0))] = CAVITY


_OUTER = outer_mm(MIDDLE)

add(Check(
    name="lv_dent", level="review", threshold=4.0, unit="mm", structure=LV_CAVITY, source=PAINCHAUD,
    meaning="The LV cavity's outline is dented, more than a papillary muscle does.",
    find=by_slice(lambda plane: dent_mm(plane.whole_cavity, plane.pixel_mm), _dented("LV cavity"), basal=False),
    example=lambda: painted(block((-6.0, 6.0), (8.0, 40.0)), WALL, over=(CAVITY,)),
))  # fmt: skip
add(Check(
    name="rv_dent", level="review", threshold=30.0, unit="mm", structure=RV_CAVITY, source=PAINCHAUD,
    meaning="The RV cavity reaches further around the LV than a crescent does.", needs=(RV_CAVITY,),
    find=by_slice(lambda plane: dent_mm(plane.rv | plane.within_rv, plane.pixel_mm), _dented("RV cavity")),
    example=lambda: spoilt(_rv_around_lv),
))  # fmt: skip
add(Check(
    name="wall_dent", level="review", threshold=2.0, unit="mm", structure=LV_MYOCARDIUM,
    source=f"{PAINCHAUD}, who allows 0; here one coarse pixel of ACDC",
    meaning="The myocardium's outer border is dented, which is convex in every reference mask.",
    needs=(LV_CAVITY, LV_MYOCARDIUM),
    find=by_slice(lambda plane: dent_mm(plane.whole_lv, plane.pixel_mm), _dented("myocardium's outer border"), basal=False),
    example=lambda: painted(block((-7.5, 7.5), (_OUTER - 7.5, 60.0)), 0, over=(WALL,)),
))  # fmt: skip
add(Check(
    name="lv_roundness", level="review", threshold=0.5, unit="", structure=LV_CAVITY, below=True,
    source=f"{PAINCHAUD}: {_ROUND}; ACDC's least is 0.64", meaning="The LV cavity is far from round.",
    find=by_slice(_lv_roundness, _not_round("LV cavity"), basal=False), example=lambda: spoilt(_slit),
))  # fmt: skip
add(Check(
    name="wall_roundness", level="review", threshold=0.6, unit="", structure=LV_MYOCARDIUM, below=True,
    source=f"{PAINCHAUD}: {_ROUND}; ACDC's least is 0.79 outside of open rings",
    meaning="The LV as a whole is far from round.", needs=(LV_CAVITY, LV_MYOCARDIUM),
    find=by_slice(_wall_roundness, _not_round("left ventricle with its wall"), basal=False),
    example=lambda: spoilt(_flat),
))  # fmt: skip
