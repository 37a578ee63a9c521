"""What a model expects of its own labels: from the networks of one fold, which see a new frame as they saw an unseen one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing
from autolv.inference.ensemble import mean_in_box, most_probable
from autolv.ops.crop import paste
from autolv.postprocessing import apply_steps
from autolv.readout.expected import SIGNALS, expected_dice, signals_of
from autolv.schema.predicted_quality import PredictedQuality
from autolv.schema.preprocessed import Box
from autolv.schema.results import BestConfig, Member, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Expecting:
    """How the quality of a frame is predicted: ``members`` are the places of those whose part is looked at."""

    quality: PredictedQuality
    members: frozenset[int]
    steps: tuple[Step, ...]
    structures: tuple[str, ...]

    def of_frame(
        self, parts: Sequence[tuple[NDArray[np.float32], Box]], shape: tuple[int, int, int], spacing_mm: Spacing
    ) -> dict[str, float]:
        """Return the Dice that is expected of each structure that the members' ``parts`` find in a frame of ``shape``.

        Each part is probabilities (classes, z, y, x) in a box. Their labels are post-processed as those of cross-validation.
        """
        mean, box = mean_in_box(parts)
        labels = np.zeros(shape, dtype=np.uint8)
        if mean.size:
            labels = paste(most_probable(mean), box, shape)
        labels, _ = apply_steps(labels, self.steps, self.structures, spacing_mm)
        signals = signals_of(mean, box, labels, self.structures, spacing_mm, self.quality.temperature)
        return expected_dice(self.quality, signals)


def expecting(best: BestConfig, members: Sequence[Member], *, as_scored: bool) -> Expecting | str:
    """Return how a model predicts the quality of its labels with ``members``, or why it cannot: "" where nothing was learnt.

    It cannot either where prediction is not ``as_scored`` in cross-validation (mirrored, not post-processed, over the whole
    field), or where no fold has a network of each configuration.
    """
    quality = best.quality
    if quality is None:
        return ""
    if quality.signals != SIGNALS:
        return "the model was made by another version of autolv"
    if not as_scored:
        return "it was learnt from predictions that were made in another way (mirrored, post-processed, whole field)"
    folds = [{member.fold for member in members if member.configuration == name} for name in best.configurations]
    common = set.intersection(*folds)
    if not common:
        return "no fold has a network of each of the model's configurations among those in use"
    fold = min(common)
    chosen = frozenset(number for number, member in enumerate(members) if member.fold == fold)
    return Expecting(quality=quality, members=chosen, steps=best.postprocessing, structures=best.structures)
