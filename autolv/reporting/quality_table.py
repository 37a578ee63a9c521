"""How well predicted quality keeps what it promises, as plain text (ASCII)."""

from __future__ import annotations

from collections.abc import Sequence

from autolv.readout.dictionary import DICTIONARY
from autolv.reporting._text import grid, number
from autolv.schema.predicted_quality import PredictedQuality
from autolv.schema.results import BestConfig


def quality_lines(best: BestConfig) -> list[str]:
    """Return the lines about a model's predicted quality, or why there is none; nothing for models of old."""
    if best.quality is not None:
        return quality_table(best.quality, best.structures)
    return [f"The quality of predictions is not predicted: {best.quality_reason}."] if best.quality_reason else []


def quality_table(quality: PredictedQuality, structures: Sequence[str]) -> list[str]:
    """Return the lines that say how well predicted quality keeps what it promises."""
    dice = [
        (name, str(one.patients), number(one.spearman, 2), number(one.mean_absolute_error, 3))
        for name in structures if (one := quality.dice.get(name)) is not None
    ]  # fmt: skip
    bounds = [
        (DICTIONARY[name].label, str(one.patients), f"{number(100 * one.coverage, 0)} %",
         f"+- {number(one.median_half_width, 1)} {DICTIONARY[name].unit}")
        for name, one in quality.intervals.items()
    ]  # fmt: skip
    lines = ["", "Predicted quality, each patient's by what the other folds teach:"]
    lines += grid(("expected Dice", "patients", "Spearman", "mean error"), dice)
    if bounds:
        lines += ["", *grid((f"{100 * quality.level:.0f} % interval", "patients", "covers", "median width"), bounds)]
    return [*lines, f"Temperature {quality.temperature:.2f}: NLL per voxel {number(quality.nll_before, 4)}, with it "
            f"{number(quality.nll, 4)}."]  # fmt: skip
