"""What lies in a workspace, read back to be looked at: records, images with their labels, and a fold's results."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError, PlanError, TrainingError
from autolv.core.geometry import Volume
from autolv.core.workspace import Workspace
from autolv.imageio.store import StoredCase
from autolv.imageio.volumes import read_image
from autolv.imageio.volumes import read_labels as read_codes
from autolv.pipeline.cache import load_cases
from autolv.pipeline.context import load_plan, open_dataset, pick_configuration
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Plan
from autolv.schema.record import read_record
from autolv.schema.results import Evaluation, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImage:
    """A case's ``image`` and ``labels`` on one grid.

    ``labels``: uint8 channel numbers (z, y, x), 0 background, 1 + position in ``structures``.
    """

    case: Case
    image: Volume
    labels: NDArray[np.uint8]
    structures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResults:
    """What training and validating a fold left behind.

    ``history`` has a row per epoch: ``epoch``, ``loss``, ``learning_rate``, ``seconds``, ``dice_<structure>`` and others.
    ``evaluation``: the validation patients against their labels.
    """

    record: RunRecord
    history: tuple[dict[str, float], ...]
    evaluation: Evaluation


def read_dataset(dataset: str, *, root: Path | str = ".") -> Dataset:
    """Return a dataset's cases with all that is known of them; ``WorkspaceError`` where there is no such dataset."""
    return open_dataset(Workspace.at(root), dataset)[1]


def read_fingerprint(dataset: str, *, root: Path | str = ".") -> Fingerprint:
    """Return what ``plan_and_preprocess`` has measured of a dataset; ``PlanError`` where it was not yet."""
    path = Workspace.at(root).fingerprint_file(dataset)
    if not path.exists():
        raise PlanError(
            f"{dataset} has no fingerprint ({path}).", remedy=f"Run: autolv_plan_and_preprocess -d {dataset}"
        )
    return read_record(Fingerprint, path)


def read_plan(dataset: str, *, root: Path | str = ".") -> Plan:
    """Return a dataset's plan; ``PlanError`` where there is none yet."""
    return load_plan(Workspace.at(root), dataset)


def read_case(
    dataset: str, case: str, *, predictions: Path | str | None = None, root: Path | str = "."
) -> LabelledImage:
    """Return a training or test case's image with its reference labels, or with those of it in the folder ``predictions``.

    Raises ``DataError`` for a case that the dataset has not, and for one that has no such labels.
    """
    folder, record = open_dataset(Workspace.at(root), dataset)
    found = _case(record, case)
    if predictions is not None:
        labels = Path(predictions) / f"{case}{record.file_ending}"
    elif found.label is not None:
        labels = folder / found.label
    else:
        raise DataError(f"case {case!r} has no label map.", remedy="Name a folder with predictions of it.")
    schema = record.schema_
    return LabelledImage(
        case=found,
        image=read_image(folder / found.image),
        labels=schema.to_internal(read_codes(labels).array),
        structures=schema.structures,
    )


def read_preprocessed(
    dataset: str, case: str, *, configuration: str | None = None, root: Path | str = "."
) -> StoredCase:
    """Return a training case as networks get it: image, labels (channel numbers), and ``record.grid``, what was done.

    ``configuration`` is the one whose preprocessing is meant, else the plan's recommended one. Raises ``PlanError``
    where the case is not preprocessed, or was changed since.
    """
    workspace = Workspace.at(root)
    folder, record = open_dataset(workspace, dataset)
    block = pick_configuration(load_plan(workspace, dataset), configuration).preprocessing
    (stored,) = load_cases(workspace, folder, record, block, [_case(record, case, training=True)], workers=0)
    return stored


def read_fold(folder: Path | str) -> FoldResults:
    """Return the results in the folder of a fold that is trained and validated, as ``train`` returns it.

    Raises ``TrainingError`` where the fold is not validated yet.
    """
    place = Path(folder)
    if not (place / "evaluation.json").is_file():
        raise TrainingError(f"{place} holds no validated fold.", remedy="Train it to its end with autolv_train.")
    with (place / "history.csv").open(encoding="utf-8", newline="") as file:
        history = tuple({key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file))
    return FoldResults(
        record=read_record(RunRecord, place / "run.json"),
        history=history,
        evaluation=read_record(Evaluation, place / "evaluation.json"),
    )


def _case(dataset: Dataset, name: str, *, training: bool = False) -> Case:
    cases = dataset.training if training else (*dataset.training, *dataset.test)
    found = next((case for case in cases if case.case == name), None)
    if found is None:
        kind = "training case" if training else "case"
        raise DataError(
            f"{dataset.name} has no {kind} {name!r}.",
            remedy=f"It has, for example, {cases[0].case!r}; cases.csv lists all.",
        )
    return found
