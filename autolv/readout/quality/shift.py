"""Slices that lie beside their neighbours: each was taken in a breath-hold of its own."""

from __future__ import annotations

import numpy as np

from autolv.core.labels import LV_CAVITY
from autolv.readout.masks import Floats
from autolv.readout.quality._check import TOLERANCE_MM, Check, Found, add, at
from autolv.readout.quality._example import MIDDLE, Labels, spoilt
from autolv.readout.quality._heart import Heart


def _shifted(places: Floats, threshold_mm: float) -> list[tuple[int, float]]:
    """Return which rows of ``places`` (slices, 2) lie further than that from the middle of their neighbours, and how far.

    The furthest is taken first and put in the middle, so that a shifted slice does not count against its neighbours.
    """
    places, found = places.copy(), []
    for _ in range(len(places) - 2):
        middles = (places[:-2] + places[2:]) / 2
        apart = np.linalg.norm(places[1:-1] - middles, axis=1)
        worst = int(apart.argmax())
        if not apart[worst] > threshold_mm:
            break
        found.append((worst + 1, float(apart[worst])))
        places[worst + 1] = middles[worst]
    return found


def _find_shift(check: Check, heart: Heart) -> Found:
    """Basal slices whose ring the valve plane cuts open are left out: the centre of half a ring lies elsewhere."""
    found = []
    for frame in heart.frames:
        cut = {plane.index for plane in frame.planes if not plane.cavity.any() or plane.open_mm > TOLERANCE_MM}
        cut &= heart.basal[frame.number]
        used = [row for row, z in enumerate(frame.lv_slices) if int(z) not in cut]
        slices = frame.lv_slices[used]
        if len(slices) < 3 or slices[-1] - slices[0] + 1 != len(slices):
            continue  # a missing slice is another check's finding
        shifted = _shifted(frame.lv_centres_mm[used], check.threshold)
        if shifted:
            row, apart = shifted[0]
            where = at(heart, frame.number, int(slices[row]))
            message = f"The left ventricle in {where} lies {apart:.0f} mm beside its neighbours"
            if len(shifted) > 1:
                message += ", and further slices are shifted too"
            rows = sorted(row for row, _ in shifted)
            found.append(check.finding(message, value=apart, frame=frame.number, slices=slices[rows].tolist()))
    return found


def _one_slice_shifted(labels: Labels) -> None:
    labels[MIDDLE] = np.roll(labels[MIDDLE], 9, axis=0)  # 13.5 mm


add(Check(
    name="slice_shift", level="review", threshold=8.0, unit="mm", structure=LV_CAVITY, find=_find_shift,
    source="a choice of this project: about the thickness of a wall; the 99th percentile of ACDC's slices is 12 mm",
    meaning="A slice's LV lies beside the line between its neighbours', as when breath was held at another depth.",
    example=lambda: spoilt(_one_slice_shifted, both=True),
))  # fmt: skip
