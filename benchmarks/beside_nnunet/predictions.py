"""Predictions without training: references disturbed in a seeded way, as either tool's validation leaves them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from autolv.core.geometry import Geometry
from autolv.core.workspace import Workspace
from autolv.imageio.probabilities import write_probabilities
from autolv.imageio.volumes import read_labels, write_labels
from autolv.networks import build_network
from autolv.pipeline.versions import versions
from autolv.schema.dataset import Case, Dataset
from autolv.schema.plan import Configuration, Plan
from autolv.schema.record import write_record
from autolv.schema.results import Measured, RunChoices, RunRecord
from autolv.schema.splits import Fold, Splits

RUN = "benchmark"
_SHARPNESS = 14.0  # between logits of a class and the others far from any edge
_NOISE = 0.3
_MOST_ISLANDS = 5
_SIDE = 4


def disturbed(labels: NDArray[np.uint8], classes: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return probabilities (classes, z, y, x) of a prediction that errs a little about ``labels`` (z, y, x).

    It is shifted by up to a pixel, one structure is eroded in one slice in three, there are up to five islands of 4 x 4
    pixels, and edges are blurred and noisy.
    """
    moved = np.roll(labels, tuple(int(n) for n in rng.integers(-1, 2, 2)), (1, 2))
    for z in np.flatnonzero(rng.random(len(moved)) < 1 / 3):
        mask = moved[z] == rng.integers(1, classes)
        moved[z][mask & ~_eroded(mask)] = 0
    for _ in range(int(rng.integers(0, _MOST_ISLANDS + 1))):
        z, y, x = (int(rng.integers(0, max(1, n - _SIDE))) for n in moved.shape)
        moved[z, y : y + _SIDE, x : x + _SIDE] = rng.integers(1, classes)
    logits = np.stack([moved == label for label in range(classes)]).astype(np.float32)  # (classes, z, y, x)
    for axis in (2, 3):
        logits = (np.roll(logits, 1, axis) + logits + np.roll(logits, -1, axis)) / 3
    logits = logits * np.float32(_SHARPNESS) + rng.normal(0, _NOISE, logits.shape).astype(np.float32)
    shares = np.exp(logits - logits.max(axis=0))
    probabilities: NDArray[np.float32] = shares / shares.sum(axis=0)
    return probabilities


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of ``mask`` (y, x) all of whose four neighbours are in it."""
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    return inner


def write_all(
    root: Path, folder: Path, dataset: Dataset, plan: Plan, splits: Splits, names: dict[str, str], peer: Peer
) -> None:
    """Write the predictions of each configuration in ``names`` (autolv's -> nnU-Net's) for both tools, where missing.

    autolv: fold folders of the run ``RUN``, with fresh weights; nnU-Net: ``fold_k/validation`` of its trainer's folder.
    Labels alone are also written to ``predictions_<configuration>`` below ``root``.
    """
    workspace = Workspace.at(root)
    tasks = []
    for number, (ours, theirs) in enumerate(names.items()):
        for fold, split in enumerate(splits.folds):
            place = workspace.fold(dataset.name, RUN, ours, fold)
            cases = [case for case in dataset.training if case.patient in set(split.validation)]
            task: dict[str, Any] = {"configuration": theirs, "fold": fold, "cases": []}
            for case in cases:
                shared = root / "arrays" / ours / f"{case.case}.npz"
                _write_case(shared, place / "validation", folder, dataset, case, number, root / f"predictions_{ours}")
                task["cases"].append({"name": case.case, "file": str(shared), "like": str(folder / str(case.label))})
            tasks.append(task)
            _finish_fold(place, fold, dataset, plan.configurations[ours], split)
    listed = root / "arrays" / "tasks.json"
    listed.write_text(json.dumps(tasks), encoding="utf-8")
    peer.write(listed)


class Peer:
    """nnU-Net's side of the writing, which goes through its own writers in its own environment."""

    def __init__(self, python: Path, environment: dict[str, str], dataset: str) -> None:
        self._python, self._environment, self._dataset = python, environment, dataset

    def write(self, tasks: Path) -> None:
        """Write what the ``tasks`` file lists."""
        self.run([str(self._python), "-m", "beside_nnunet.nnunet_predictions", str(tasks), self._dataset])

    def run(self, command: Sequence[str]) -> None:
        """Run a command of nnU-Net's environment; raises ``CalledProcessError`` when it fails."""
        subprocess.run(command, check=True, env=self._environment, stdout=subprocess.DEVNULL)


def _write_case(
    shared: Path, validation: Path, folder: Path, dataset: Dataset, case: Case, number: int, labels_only: Path
) -> None:
    if shared.exists():
        return
    schema = dataset.schema_
    volume = read_labels(folder / str(case.label))
    classes = len(schema.structures) + 1
    rng = np.random.default_rng([number, *os.fsencode(case.case)])
    probabilities = disturbed(schema.to_internal(volume.array), classes, rng)
    labels = schema.to_file(probabilities.argmax(axis=0))
    write_probabilities(validation / f"{case.case}.npz", probabilities)
    for place in (validation, labels_only):
        write_labels(place / f"{case.case}{dataset.file_ending}", labels, like=folder / str(case.label))
    # nnU-Net's classes are the file's codes, its arrays the file's (k, j, i)
    by_code = [0, *(1 + schema.structures.index(name) for name, _ in sorted(dataset.labels.items(), key=_code))]
    in_file = np.stack([_as_itk(probabilities[channel], volume.geometry) for channel in by_code])
    shared.parent.mkdir(parents=True, exist_ok=True)
    np.savez(shared, probabilities=in_file)


def _code(item: tuple[str, int]) -> int:
    return item[1]


def _as_itk(array: NDArray[np.float32], geometry: Geometry) -> NDArray[np.generic]:
    return np.ascontiguousarray(geometry.to_file(array).transpose(2, 1, 0))


def _finish_fold(place: Path, fold: int, dataset: Dataset, configuration: Configuration, split: Fold) -> None:
    """Write weights as they are before training, and the record that says the fold is validated."""
    if (place / "run.json").exists():
        return
    torch.manual_seed(fold)
    save_file(build_network(configuration.network).state_dict(), place / "weights.safetensors")
    record = RunRecord(
        dataset=dataset.name,
        run=RUN,
        fold=fold,
        configuration=configuration,
        choices=RunChoices(plan_hash="", splits_hash="", seed=0, epochs=None, time_budget_minutes=None),
        labels=dataset.labels,
        structures=dataset.schema_.structures,
        train_patients=split.train,
        validation_patients=split.validation,
        versions=versions(),
        measured=Measured(
            device="cpu", device_name="cpu", threads=1, precision="float32", channels_last=False, compiled=False,
            seconds_per_iteration=1.0, epochs=0, iterations_per_epoch=0, trial={},
        ),
        status="validated",
        minutes=0.0,
    )  # fmt: skip
    write_record(record, place / "run.json")
