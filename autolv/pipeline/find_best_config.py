"""Recipe of ``autolv_find_best_config``: every trained configuration and their ensembles, scored on unseen patients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import ModelError
from autolv.core.workspace import Workspace
from autolv.imageio.probabilities import read_probabilities
from autolv.imageio.volumes import read_labels
from autolv.pipeline.context import load_plan, load_splits, open_dataset
from autolv.schema.dataset import Case, Dataset
from autolv.schema.plan import Plan
from autolv.schema.record import read_record
from autolv.schema.results import RunRecord
from autolv.schema.splits import Splits

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedFold:
    """One validated fold of one configuration."""

    configuration: str
    number: int
    place: Path
    record: RunRecord


def trained_folds(
    workspace: Workspace, dataset: str, run: str, splits: Splits, names: Sequence[str]
) -> dict[str, list[TrainedFold]]:
    """Return the validated folds of each configuration in ``names`` that has any, in the order of the folds."""
    found: dict[str, list[TrainedFold]] = {}
    for name in names:
        for number in range(len(splits.folds)):
            place = workspace.fold(dataset, run, name, number)
            if (place / "run.json").exists():
                record = read_record(RunRecord, place / "run.json")
                if record.status == "validated":
                    found.setdefault(name, []).append(TrainedFold(name, number, place, record))
    return found
