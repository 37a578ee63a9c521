"""Labels that stand for each other's structures: the myocardium must enclose the LV cavity."""

from __future__ import annotations

import math

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.ops.enclosure import POOR, count_contacts, swap_that_fits
from autolv.readout.quality._check import Check, Example, Found, add
from autolv.readout.quality._example import CAVITY, RV, SPACING_MM, healthy
from autolv.readout.quality._heart import Heart

_NAMES = {LV_CAVITY: "LV cavity", LV_MYOCARDIUM: "myocardium", RV_CAVITY: "RV cavity"}


def _find_swapped(check: Check, heart: Heart) -> Found:
    codes = {name: heart.structures.index(name) + 1 for name in _NAMES if name in heart.structures}
    counted = [count_contacts(frame.labels.astype(np.uint8), list(codes.values())) for frame in heart.frames]
    swap = swap_that_fits(np.sum(counted, axis=0), codes)
    if swap is None:
        return []
    moved = [_NAMES[name] for name, code in codes.items() if swap.labels[name] != code]
    share = 100 * swap.enclosed
    message = (f"Only {share:.0f} % of the LV cavity's border touches myocardium; with {' and '.join(moved)} exchanged it "
               f"would be {100 * swap.enclosed_if_swapped:.0f} %: the labels look swapped")  # fmt: skip
    return [check.finding(message, value=share if math.isfinite(share) else 0.0)]


def _exchanged() -> Example:
    frames = {}
    for number, labels in ((1, healthy()), (2, healthy(1.0))):
        frames[number] = labels.copy()
        frames[number][labels == CAVITY], frames[number][labels == RV] = RV, CAVITY
    return Example(frames=frames, spacing_mm=SPACING_MM)


add(Check(
    name="swapped_labels", level="fail", threshold=100 * POOR, unit="%", below=True, structure=LV_CAVITY,
    source="the rule by which datasets are checked before training", needs=(LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY),
    meaning="Two structures seem to have each other's label: the myocardium encloses the RV.", find=_find_swapped,
    example=_exchanged,
))  # fmt: skip
