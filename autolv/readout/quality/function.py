"""Volumes, ejection fractions and masses that no heart, or hardly one, has.

The ranges are about a quarter wider than those of ACDC's 100 patients with and without disease: EDV 49 to 374 ml, EF 10 to
82 %, RV EDV 47 to 295 ml, RV EF 2 to 86 %, ED mass 34 to 272 g, mass at end-systole up to 47 % (98th percentile 37 %) off
that at end-diastole. They hold for adults.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.ndimage import binary_erosion

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.quality._check import Check, Example, Found, add
from autolv.readout.quality._example import CAVITY, RV, SPACING_MM, WALL, Labels, healthy, spoilt, swapped_phases
from autolv.readout.quality._heart import Heart
from autolv.readout.volumes import ejection_fraction_percent, myocardial_mass_g

_SOURCE = "a choice of this project, about a quarter beyond ACDC's 100 patients"


def _from_readout(heart: Heart, name: str) -> float | None:
    quantity = None if heart.readout is None else heart.readout.quantities.get(name)
    return None if quantity is None else quantity.value


def _edv_ml(heart: Heart) -> float | str:
    return heart.ed.cavity_ml


def _rv_edv_ml(heart: Heart) -> float | str:
    return heart.ed.volume_ml(heart.ed.masks.rv)


def _mass_g(heart: Heart) -> float | str:
    return myocardial_mass_g(heart.ed.volume_ml(heart.ed.masks.wall))


def _ef_percent(heart: Heart) -> float | str:
    if heart.es is None:
        return "it takes two frames"
    return ejection_fraction_percent(heart.ed.cavity_ml, heart.es.cavity_ml)


def _rv_ef_percent(heart: Heart) -> float | str:
    if heart.es is None:
        return "it takes two frames"
    volumes = (frame.volume_ml(frame.masks.rv) for frame in (heart.ed, heart.es))
    return ejection_fraction_percent(*volumes)


def _mass_difference_percent(heart: Heart) -> float | str:
    if heart.es is None:
        return "it takes two frames"
    diastole, systole = (frame.volume_ml(frame.masks.wall) for frame in (heart.ed, heart.es))
    return 100 * abs(systole - diastole) / diastole if diastole > 0 else math.nan


def _find(measure: Callable[[Heart], float | str], quantity: str, words: str) -> Callable[[Check, Heart], Found]:
    """Return how a check looks at one number, the read-out's where it has it; ``words`` take ``value`` and ``limit``."""

    def find(check: Check, heart: Heart) -> Found:
        value = _from_readout(heart, quantity) if quantity else None
        measured = measure(heart) if value is None else value
        if isinstance(measured, str):
            return measured
        if not math.isfinite(measured):
            return "there is no volume to divide by"
        if not check.beyond(measured):
            return []
        return [check.finding(words.format(value=measured, limit=check.threshold), value=measured)]

    return find


def _scaled(in_plane: float) -> Example:
    """Return the healthy heart with pixels ``in_plane`` times as large."""
    z, y, x = SPACING_MM
    return Example(frames={1: healthy(), 2: healthy(1.0)}, spacing_mm=(z, in_plane * y, in_plane * x))


def _beats(contraction: float) -> Example:
    return Example(frames={1: healthy(), 2: healthy(contraction)}, spacing_mm=SPACING_MM)


def _rv_grows() -> Example:
    """Return the healthy heart with end-diastole's RV, and what the LV gives up beside it, at end-systole."""
    diastole, systole = healthy(), healthy(1.0)
    systole[(diastole == RV) & (systole == 0)] = RV
    diastole[:, :, :24][diastole[:, :, :24] == RV] = 0
    return Example(frames={1: diastole, 2: systole}, spacing_mm=SPACING_MM)


def _thin_wall(labels: Labels) -> None:
    whole = np.isin(labels, (CAVITY, WALL))
    kept = np.stack([binary_erosion(plane, iterations=3) for plane in whole])
    labels[whole & ~kept & (labels == WALL)] = 0


_LV, _WALL, _RIGHT = (LV_CAVITY,), (LV_CAVITY, LV_MYOCARDIUM), (LV_CAVITY, RV_CAVITY)

add(Check(
    name="lv_edv_small", level="review", threshold=35.0, unit="ml", below=True, structure=LV_CAVITY, source=_SOURCE,
    meaning="The LV's end-diastolic volume is too small for an adult.", needs=_LV, example=lambda: _scaled(0.5),
    find=_find(_edv_ml, "lv_edv_ml", "The LV's end-diastolic volume of {value:.0f} ml is less than {limit:.0f} ml"),
))  # fmt: skip
add(Check(
    name="lv_edv_large", level="review", threshold=470.0, unit="ml", structure=LV_CAVITY, source=_SOURCE,
    meaning="The LV's end-diastolic volume is larger than even a failing heart's.", needs=_LV, example=lambda: _scaled(2.5),
    find=_find(_edv_ml, "lv_edv_ml", "The LV's end-diastolic volume of {value:.0f} ml is more than {limit:.0f} ml"),
))  # fmt: skip
add(Check(
    name="rv_edv_small", level="review", threshold=35.0, unit="ml", below=True, structure=RV_CAVITY, source=_SOURCE,
    meaning="The RV's end-diastolic volume is too small for an adult.", needs=_RIGHT, example=lambda: _scaled(0.5),
    find=_find(_rv_edv_ml, "rv_edv_ml", "The RV's end-diastolic volume of {value:.0f} ml is less than {limit:.0f} ml"),
))  # fmt: skip
add(Check(
    name="rv_edv_large", level="review", threshold=370.0, unit="ml", structure=RV_CAVITY, source=_SOURCE,
    meaning="The RV's end-diastolic volume is larger than even a failing heart's.", needs=_RIGHT,
    example=lambda: _scaled(3.0),
    find=_find(_rv_edv_ml, "rv_edv_ml", "The RV's end-diastolic volume of {value:.0f} ml is more than {limit:.0f} ml"),
))  # fmt: skip
add(Check(
    name="lv_mass_small", level="review", threshold=25.0, unit="g", below=True, structure=LV_MYOCARDIUM, source=_SOURCE,
    meaning="The LV's mass is too small for an adult.", needs=_WALL, example=lambda: _scaled(0.4),
    find=_find(_mass_g, "lv_ed_mass_g", "The LV's mass of {value:.0f} g is less than {limit:.0f} g"),
))  # fmt: skip
add(Check(
    name="lv_mass_large", level="review", threshold=340.0, unit="g", structure=LV_MYOCARDIUM, source=_SOURCE,
    meaning="The LV's mass is larger than even a hypertrophic heart's.", needs=_WALL, example=lambda: _scaled(2.0),
    find=_find(_mass_g, "lv_ed_mass_g", "The LV's mass of {value:.0f} g is more than {limit:.0f} g"),
))  # fmt: skip
add(Check(
    name="ef_not_positive", level="fail", threshold=0.0, unit="%", below=True, structure=LV_CAVITY,
    source="a ventricle does not grow in systole", meaning="The LV is larger at end-systole than at end-diastole.", needs=_LV,
    find=_find(_ef_percent, "lv_ef_percent", "The ejection fraction is {value:.0f} %: end-systole is larger than end-diastole"),
    example=swapped_phases,
))  # fmt: skip
add(Check(
    name="ef_low", level="review", threshold=8.0, unit="%", below=True, structure=LV_CAVITY, source=_SOURCE,
    meaning="The ejection fraction is lower than even a failing heart's.", needs=_LV, example=lambda: _beats(0.05),
    find=_find(_ef_percent, "lv_ef_percent", "The ejection fraction of {value:.0f} % is less than {limit:.0f} %"),
))  # fmt: skip
add(Check(
    name="ef_high", level="review", threshold=85.0, unit="%", structure=LV_CAVITY, source=_SOURCE,
    meaning="The ejection fraction is higher than even a hypertrophic heart's.", needs=_LV, example=lambda: _beats(1.6),
    find=_find(_ef_percent, "lv_ef_percent", "The ejection fraction of {value:.0f} % is more than {limit:.0f} %"),
))  # fmt: skip
add(Check(
    name="rv_ef_not_positive", level="review", threshold=0.0, unit="%", below=True, structure=RV_CAVITY,
    source="a ventricle does not grow in systole; ACDC's least is 2 %, and the RV's volume is known less well",
    meaning="The RV is larger at the LV's end-systole than at its end-diastole.", needs=_RIGHT, example=_rv_grows,
    find=_find(_rv_ef_percent, "rv_ef_percent", "The RV's ejection fraction is {value:.0f} %: it is larger at end-systole"),
))  # fmt: skip
add(Check(
    name="mass_difference", level="review", threshold=40.0, unit="%", structure=LV_MYOCARDIUM,
    source="muscle is incompressible; a choice of this project between ACDC's 98th percentile (37 %) and largest (47 %)",
    meaning="The myocardium's mass differs between end-diastole and end-systole.", needs=_WALL,
    find=_find(_mass_difference_percent, "",
               "The myocardium's mass differs by {value:.0f} % between end-diastole and end-systole"),
    example=lambda: spoilt(_thin_wall),
))  # fmt: skip
