"""What lies outside of what the model was trained on: another spacing, another scanner's contrast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from autolv.core.labels import LV_CAVITY
from autolv.ops.normalise import central
from autolv.readout.quality._check import Check, Example, Found, add
from autolv.readout.quality._example import CAVITY, RV, SPACING_MM, WALL, healthy
from autolv.readout.quality._heart import Heart
from autolv.readout.quality._limits import FEWEST_CASES, Limits, Range

_UNKNOWN = "what the model was trained on is not known"
_AXES = ("slice distance", "pixel height", "pixel width")


def _reason(limits: Limits) -> str:
    return (
        ""
        if limits.cases >= FEWEST_CASES
        else f"the model was trained on {limits.cases} cases, too few to tell a range"
    )


def _beyond_percent(value: float, limits: Range) -> float:
    """Return by how many percent ``value`` (positive) exceeds the larger or falls short of the smaller of ``limits``."""
    low, high = limits
    return 100 * max(value / high - 1, low / value - 1, 0.0)


def _find_spacing(check: Check, heart: Heart) -> Found:
    if heart.limits is None:
        return _UNKNOWN
    if why := _reason(heart.limits):
        return why
    found = []
    for name, value, limits in zip(_AXES, heart.geometry.spacing_mm, heart.limits.spacing_mm, strict=True):
        beyond = _beyond_percent(value, limits)
        if check.beyond(beyond):
            message = (f"The {name} of {value:.3g} mm lies outside of what the model was trained on, {limits[0]:.3g} to "
                       f"{limits[1]:.3g} mm")  # fmt: skip
            found.append(check.finding(message, value=beyond))
    return found


def _relative(heart: Heart) -> tuple[list[float], list[float]] | str:
    """Return brightness and contrast of the heart (see ``Limits``) at end-diastole and end-systole."""
    bright, contrast = [], []
    for frame in (heart.ed, heart.es):
        image = None if frame is None or heart.images is None else heart.images.get(frame.number)
        if frame is None or image is None or not frame.box[0].stop:
            continue
        whole = np.asarray(image, dtype=np.float32)
        inside = whole[:, frame.box[0], frame.box[1]][frame.labels[:, 2:-2, 2:-2] != 0]
        centre = central(whole, heart.geometry.spacing_mm[1:])
        sd = float(centre.std())
        if not (math.isfinite(sd) and sd > 0):
            return "the image is constant or has values that are not finite"
        bright.append((float(inside.mean()) - float(centre.mean())) / sd)
        contrast.append(float(inside.std()) / sd)
    return (bright, contrast) if bright else "no image was given"


def _find_intensity(which: int, words: str) -> Callable[[Check, Heart], Found]:
    def find(check: Check, heart: Heart) -> Found:
        if heart.limits is None:
            return _UNKNOWN
        low, high = heart.limits.contrast if which else heart.limits.brightness
        if why := _reason(heart.limits):
            return why
        if not high > low:  # NaN too
            return "the model's fingerprint has no intensities of the field's centre"
        relative = _relative(heart)
        if isinstance(relative, str):
            return relative
        value = float(np.mean(relative[which]))
        beyond = 100 * max(value - high, low - value, 0.0) / (high - low)
        if not check.beyond(beyond):
            return []
        message = f"{words} is {value:.2f} SD of the centre, in the training images {low:.2f} to {high:.2f} (another scanner?)"
        return [check.finding(message, value=beyond)]

    return find


_EXAMPLE_LIMITS = Limits(
    cases=20, spacing_mm=((8.0, 10.0), (1.2, 1.8), (1.2, 1.8)), brightness=(0.5, 1.5), contrast=(0.6, 1.4)
)


def _painted(signal: Sequence[float]) -> Example:
    """Return the healthy heart with an image: background, cavity, wall and RV have these signals, in stripes of +- 0.2."""
    labels = {1: healthy(), 2: healthy(1.0)}
    table = np.zeros(4, dtype=np.float32)
    table[[0, CAVITY, WALL, RV]] = signal
    stripes = np.where(np.arange(labels[1].shape[2]) % 2 == 0, 0.2, -0.2).astype(np.float32)
    images = {number: table[frame] + stripes for number, frame in labels.items()}
    return Example(frames=labels, spacing_mm=SPACING_MM, limits=_EXAMPLE_LIMITS, images=images)


def _far_slices() -> Example:
    limits = replace(_EXAMPLE_LIMITS, spacing_mm=((5.0, 6.0), *_EXAMPLE_LIMITS.spacing_mm[1:]))
    return Example(frames={1: healthy(), 2: healthy(1.0)}, spacing_mm=SPACING_MM, limits=limits)


add(Check(
    name="spacing", level="review", threshold=10.0, unit="%", structure=LV_CAVITY, find=_find_spacing,
    source="a choice of this project: a tenth beyond the training cases' smallest and largest",
    meaning="Slice distance or pixel size lie outside of what the model was trained on.", example=_far_slices,
))  # fmt: skip
add(Check(
    name="heart_brightness", level="review", threshold=25.0, unit="%", structure=LV_CAVITY,
    source="a choice of this project: a quarter of the training cases' range beyond it",
    meaning="The heart is brighter or darker against what surrounds it than in any training image.",
    find=_find_intensity(0, "The heart's mean less that of the field's centre"), example=lambda: _painted((0.5, 0.4, 0.3, 0.4)),
))  # fmt: skip
add(Check(
    name="heart_contrast", level="review", threshold=25.0, unit="%", structure=LV_CAVITY,
    source="a choice of this project: a quarter of the training cases' range beyond it",
    meaning="Blood and muscle differ more or less from each other, against what surrounds them, than in any training image.",
    find=_find_intensity(1, "The spread within the heart"), example=lambda: _painted((0.5, 2.0, 0.3, 2.0)),
))  # fmt: skip
