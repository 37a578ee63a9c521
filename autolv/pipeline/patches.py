"""What networks are shown in training, drawn without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.workspace import Workspace
from autolv.pipeline.cache import load_cases
from autolv.pipeline.context import load_plan, open_dataset, pick_configuration
from autolv.pipeline.fold import training_cases
from autolv.pipeline.train import augmented
from autolv.training.sampler import Sampler


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPatches:
    """A batch: ``images`` float32 and ``labels`` uint8 (channel numbers), (n, y, x) in 2D, (n, z, y, x) in 3D.

    ``cases`` names where each is from. Of a 2D network that sees neighbouring slices the images are the middle ones.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    cases: tuple[str, ...]


def training_patches(
    dataset: str,
    *,
    configuration: str | None = None,
    augment: str | None = None,
    seed: int = 0,
    iteration: int = 0,
    root: Path | str = ".",
) -> TrainingPatches:
    """Return the batch of an ``iteration`` (0-based) of a training on all training cases, as the network would get it.

    ``configuration`` is by default the plan's recommended one, ``augment`` the preset of its plan; ``"none"`` shows the
    same places as they are. The same arguments give the same patches. Raises ``PlanError`` where a case is not
    preprocessed.
    """
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset)
    chosen = augmented(pick_configuration(load_plan(workspace, dataset), configuration), augment)
    stored = load_cases(workspace, folder, record, chosen.preprocessing, record.training, workers=0, mapped=True)
    batch = Sampler(training_cases(stored), chosen.network, chosen.training, seed=seed).batch(iteration)
    return TrainingPatches(
        images=batch.images[:, chosen.network.neighbours].numpy(),  # (n, y, x) or (n, z, y, x)
        labels=batch.labels.numpy().astype(np.uint8),
        cases=batch.cases,
    )
