"""How good a segmentation is expected to be, from its shape and its probabilities: no reference is needed.

The signals are of one prediction as cross-validation makes it, by the networks of one fold, so that they mean the same for
a patient on whom they were learnt and for one to come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry, Spacing
from autolv.core.labels import LV_CAVITY
from autolv.ops.crop import box_slices
from autolv.ops.temperature import with_temperature
from autolv.schema.predicted_quality import PredictedQuality
from autolv.schema.preprocessed import Box
from autolv.schema.readout import Quantity

EDV, ESV, EF = "lv_edv_ml", "lv_esv_ml", "lv_ef_percent"  # the quantities that get an interval
SIGNALS = ("soft_dice", "worst_slice", "border", "volume", "reviews", "fails")
# those of which more never means a better segmentation
DOUBTS = ("soft_dice", "worst_slice", "border", "reviews", "fails")
# a voxel whose foreground is less probable than this is background: stored probabilities end at 0.001
_LEAST_FOREGROUND = 0.01
_SMALL_SLICE = 0.1  # of a structure's largest slice: less is left out when the worst is looked for
_LEAST_SOFT_DICE = 1e-3
_FURTHEST = 4.0  # standard deviations of the cross-validation's cases, at which a signal ends
_LEAST_ERROR = 0.01  # of a volume, whatever Dice is expected
Signals = dict[str, NDArray[np.float64]]


def signals_of(
    probabilities: NDArray[np.float32], box: Box, labels: NDArray[np.uint8], structures: Sequence[str],
    spacing_mm: Spacing, temperature: float,
) -> Signals:  # fmt: skip
    """Return the ``SIGNALS`` of each structure that is there, of one frame.

    ``probabilities`` (classes, z, y, x), not calibrated, lie in ``box`` of the frame, outside which the background is certain;
    ``labels`` (z, y, x) are of the whole frame. In this order they are: ln((1 - s) / s) of the Dice s that the calibrated
    probabilities give the labels to expect, the same of the worst slice, ln of border length per area [1/mm], ln of the
    volume [ml], ln(1 + n) of what the verdict's checks find to review, and to fail.
    """
    if not labels.any():
        return {}
    inside = labels[box_slices(box)]
    places = np.flatnonzero((probabilities[0] < 1 - _LEAST_FOREGROUND) | (inside != 0))
    slices = places // max(math.prod(inside.shape[1:]), 1)
    # class by class in memory, which sums fast: (classes, voxels)
    likely = with_temperature(probabilities.reshape(len(probabilities), -1).take(places, axis=1), temperature)
    at = inside.ravel()[places]
    reviews, fails = _findings(labels, structures, spacing_mm)
    found = {}
    for channel, name in enumerate(structures, start=1):
        mask = labels == channel
        if mask.any():
            soft, worst = soft_dice(likely[channel], at == channel, slices)
            found[name] = np.array([
                _doubt(soft), _doubt(worst), math.log(_border_per_area(mask, spacing_mm)),
                math.log(int(np.count_nonzero(mask)) * math.prod(spacing_mm) / 1000.0),
                math.log1p(reviews), math.log1p(fails),
            ])  # fmt: skip
    return found


def soft_dice(
    probabilities: NDArray[np.floating], mask: NDArray[np.bool_], slices: NDArray[np.integer]
) -> tuple[float, float]:
    """Return the Dice to be expected of a structure's ``mask`` by its ``probabilities``, and that of its worst slice.

    All are (voxels,); ``slices`` says in which slice each lies. It is twice the probability within the mask over the mask's
    voxels and all probability: the expected overlap over the expected sum of sizes. Slices of less than a tenth of the
    largest's size are no worst slice. NaN where there is neither mask nor probability.
    """
    common = np.bincount(slices, probabilities * mask)
    sizes = np.bincount(slices, probabilities + mask)
    total = float(sizes.sum())
    if not total > 0:
        return math.nan, math.nan
    kept = sizes >= _SMALL_SLICE * sizes.max()
    return 2 * float(common.sum()) / total, float((2 * common[kept] / sizes[kept]).min())


def expected_dice(quality: PredictedQuality, signals: Signals) -> dict[str, float]:
    """Return the Dice that ``quality`` expects of each structure with ``signals``, which end 4 SD beyond what it has seen."""
    found = {}
    for name, values in signals.items():
        if name in quality.dice:
            one = quality.dice[name]
            steps = (values - np.array(one.centre)) / np.array(one.scale)
            found[name] = dice_of(one.intercept + float(np.dot(np.clip(steps, -_FURTHEST, _FURTHEST), one.weights)))
    return found


def dice_of(doubt: float) -> float:
    """Return the Dice d of which ``doubt`` is ln((1 - d) / d)."""
    return 1.0 / (1.0 + math.exp(min(doubt, 50.0)))


def volume_scale_ml(volume_ml: float, dice: float) -> float:
    """Return how far a volume may lie from the truth when ``dice`` is expected, but for a factor: volume x (1 - dice)."""
    return volume_ml * max(1.0 - dice, _LEAST_ERROR)


def scales(edv_ml: float, esv_ml: float, ed_dice: float, es_dice: float) -> dict[str, float]:
    """Return the scales of EDV and ESV [ml] and, by their propagation to first order, of EF [points].

    EF = 100 (1 - ESV / EDV) has the derivatives 100 ESV / EDV² and -100 / EDV. NaN for an EDV that is not positive.
    """
    edv, esv = volume_scale_ml(edv_ml, ed_dice), volume_scale_ml(esv_ml, es_dice)
    ef = 100 * math.hypot(esv_ml / edv_ml * edv, esv) / edv_ml if edv_ml > 0 else math.nan
    return {EDV: edv, ESV: esv, EF: ef}


def with_intervals(
    quantities: Mapping[str, Quantity], factors: Mapping[str, float], ed_dice: float | None, es_dice: float | None
) -> dict[str, Quantity]:
    """Return ``quantities`` with the intervals of EDV, ESV and EF as far as the phases' expected Dice of the LV is known."""
    edv, esv = (quantities[name].value if name in quantities else None for name in (EDV, ESV))
    known = scales(edv or math.nan, math.nan if esv is None else esv, _or_nan(ed_dice), _or_nan(es_dice))
    found = dict(quantities)
    for name, scale in known.items():
        quantity = found.get(name)
        half = factors.get(name, math.nan) * scale
        if quantity is not None and quantity.value is not None and math.isfinite(half):
            low, high = quantity.value - half, quantity.value + half
            bounds = (low, min(high, 100.0)) if name == EF else (max(low, 0.0), high)
            found[name] = quantity.model_copy(update={"interval": bounds})
    return found


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _findings(labels: NDArray[np.uint8], structures: Sequence[str], spacing_mm: Spacing) -> tuple[int, int]:
    """Return how many findings to review and to fail the verdict has on this frame alone."""
    from autolv.readout.quality import (
        judge,
    )  # here, since it takes a while to import and choosing a model may need none

    if LV_CAVITY not in structures:
        return 0, 0
    z, y, x = labels.shape
    verdict = judge({1: labels}, structures, Geometry.from_spacing(spacing_mm, (z, y, x)))
    fails = sum(finding.level == "fail" for finding in verdict.findings)
    return len(verdict.findings) - fails, fails


def _doubt(dice: float) -> float:
    kept = min(max(dice, _LEAST_SOFT_DICE), 1 - _LEAST_SOFT_DICE)
    return math.log((1 - kept) / kept)


def _border_per_area(mask: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """Return the length of the border within slices, along pixel edges, per area, of a ``mask`` that is not empty."""
    _, y_mm, x_mm = spacing_mm
    rows, columns = (np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    kept = mask[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(kept, ((0, 0), (1, 1), (1, 1)))
    along_y = int(np.count_nonzero(padded[:, 1:] != padded[:, :-1]))
    along_x = int(np.count_nonzero(padded[:, :, 1:] != padded[:, :, :-1]))
    return (along_y * x_mm + along_x * y_mm) / (int(np.count_nonzero(kept)) * y_mm * x_mm)
