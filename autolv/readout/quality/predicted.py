"""What the model itself expects of its labels, learnt from the patients of its cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.quality._check import Check, Example, Found, add, in_frame
from autolv.readout.quality._example import SPACING_MM, healthy
from autolv.readout.quality._heart import Heart


def _find(structure: str, words: str) -> Callable[[Check, Heart], Found]:
    def find(check: Check, heart: Heart) -> Found:
        if not heart.expected_dice:
            return "the model does not tell the Dice that it expects"
        found = []
        for frame, dice in heart.expected_dice.items():
            value = dice.get(structure, float("nan"))
            if check.beyond(value):
                message = f"The model expects a Dice of {value:.2f} of its {words}{in_frame(heart, frame)}"
                found.append(check.finding(message, value=value, frame=frame))
        return found

    return find


def _example(structure: str) -> Callable[[], Example]:
    expected = {1: {structure: 0.95}, 2: {structure: 0.5}}
    return lambda: replace(_HEALTHY, expected_dice=expected)


_SOURCE = "a choice of this project: a 2D U-Net's cross-validated means on ACDC are 0.93, 0.88 and 0.88"
_HEALTHY = Example(frames={1: healthy(), 2: healthy(1.0)}, spacing_mm=SPACING_MM)
for _name, _structure, _threshold, _words in (
    ("predicted_dice", LV_CAVITY, 0.80, "LV cavity"),
    ("predicted_wall_dice", LV_MYOCARDIUM, 0.70, "myocardium"),
    ("predicted_rv_dice", RV_CAVITY, 0.70, "RV cavity"),
):
    add(Check(
        name=_name, level="review", threshold=_threshold, unit="", below=True, structure=_structure,
        source=_SOURCE, needs=(_structure,), find=_find(_structure, _words),
        meaning="By its shape and its probabilities the model takes its own segmentation for worse than usual.",
        example=_example(_structure),
    ))  # fmt: skip
