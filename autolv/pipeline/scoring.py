"""Scoring candidates from the probabilities that validation left: each case read once, nothing predicted again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.evaluation.agreement import agreement_by_patient
from autolv.evaluation.case import compare_case
from autolv.evaluation.means import mean
from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.evaluation.patients import EF
from autolv.evaluation.summary import summarise
from autolv.imageio.probabilities import read_probabilities
from autolv.imageio.volumes import read_labels
from autolv.inference.ensemble import mean_probabilities, most_probable
from autolv.parallel import run_each
from autolv.pipeline.model import TrainedFold
from autolv.postprocessing import apply_steps
from autolv.schema.dataset import Case, Dataset
from autolv.schema.results import CaseMetrics, Evaluation, Step, StructureMetrics
from autolv.selection.candidates import SharedCases

Parts = tuple[str, ...]
_NAN = math.nan


class Scorer:
    """Dice and EF of every candidate on validated cases; labels of a candidate are made once and kept."""

    def __init__(self, folder: Path, dataset: Dataset, trained: dict[str, list[TrainedFold]], *, workers: int) -> None:
        self._folder = folder
        self._dataset = dataset
        self._structures = dataset.schema_.structures
        self._workers = workers
        self._place: dict[str, dict[str, TrainedFold]] = {}
        for name, folds in trained.items():
            for fold in folds:
                for case in dataset.training:
                    if case.patient in set(fold.record.validation_patients):
                        self._place.setdefault(name, {})[case.case] = fold
        self._labels: dict[tuple[Parts, str], NDArray[np.uint8]] = {}
        self._references: dict[str, tuple[NDArray[np.uint8], tuple[float, float, float]]] = {}

    def cases(self, parts: Parts) -> list[Case]:
        """Return the cases that every configuration in ``parts`` has validated."""
        return [case for case in self._dataset.training if all(case.case in self._place[name] for name in parts)]

    def fold_of(self, case: Case) -> int:
        """Return the fold that validated ``case``."""
        return next(places[case.case].number for places in self._place.values() if case.case in places)

    def shared(self, cases: Sequence[Case]) -> SharedCases:
        """Return patients and folds of ``cases`` for the choice."""
        return SharedCases(
            patients=tuple(case.patient for case in cases), folds=tuple(self.fold_of(case) for case in cases)
        )

    def dice(self, parts: Parts, cases: Sequence[Case], steps: tuple[Step, ...]) -> NDArray[np.float64]:
        """Return the Dice per case and structure, (cases, structures), of an ensemble after ``steps``.

        It is NaN where a structure was not annotated.
        """

        def one(case: Case) -> list[float]:
            histogram = self._histogram(parts, case, steps)
            hidden = case.not_annotated(self._structures)
            return [
                _NAN if name in hidden else overlap_of(histogram, channel).dice
                for channel, name in enumerate(self._structures, start=1)
            ]

        label = f"score {' + '.join(parts)}"
        rows = run_each(one, cases, name=lambda case: case.case, label=label, workers=self._workers)
        return np.array(rows, dtype=np.float64)

    def structure_means(self, parts: Parts, cases: Sequence[Case]) -> dict[str, float]:
        """Return the mean Dice of each structure."""
        table = self.dice(parts, cases, ())
        return {name: mean(table[:, column]) for column, name in enumerate(self._structures)}

    def ef_mae_percent(self, parts: Parts, cases: Sequence[Case]) -> float:
        """Return the mean absolute error of the ejection fraction in points, NaN where no patient has both phases."""
        agreement = agreement_by_patient([self._counted(parts, case) for case in cases])
        return agreement[EF].mae if EF in agreement else _NAN

    def evaluation(self, parts: Parts, cases: Sequence[Case], steps: tuple[Step, ...]) -> Evaluation:
        """Return the full evaluation, distances included, of an ensemble after ``steps``."""

        def one(case: Case) -> CaseMetrics:
            reference, spacing_mm = self._reference(case)
            return compare_case(
                self._after(parts, case, steps), reference, spacing_mm, self._structures,
                case=case.case, patient=case.patient, phase=case.phase, group=case.group,
                not_annotated=case.not_annotated(self._structures),
            )  # fmt: skip

        metrics = run_each(one, cases, name=lambda case: case.case, label="evaluate", workers=self._workers)
        return summarise(tuple(metrics))

    def _histogram(self, parts: Parts, case: Case, steps: tuple[Step, ...]) -> NDArray[np.int64]:
        reference, _ = self._reference(case)
        return joint_histogram(self._after(parts, case, steps), reference, len(self._structures) + 1)

    def _after(self, parts: Parts, case: Case, steps: tuple[Step, ...]) -> NDArray[np.uint8]:
        labels = self._predicted(parts, case)
        if not steps:
            return labels
        return apply_steps(labels, steps, self._structures, self._reference(case)[1])[0]

    def _predicted(self, parts: Parts, case: Case) -> NDArray[np.uint8]:
        key = (parts, case.case)
        if key not in self._labels:
            members = (
                read_probabilities(self._place[name][case.case].place / "validation" / f"{case.case}.npz")
                for name in parts
            )
            self._labels[key] = most_probable(mean_probabilities(members))
        return self._labels[key]

    def _reference(self, case: Case) -> tuple[NDArray[np.uint8], tuple[float, float, float]]:
        if case.case not in self._references:
            volume = read_labels(self._folder / str(case.label))
            self._references[case.case] = (self._dataset.schema_.to_internal(volume.array), volume.spacing_mm)
        return self._references[case.case]

    def _counted(self, parts: Parts, case: Case) -> CaseMetrics:
        """Return a case's metrics as far as voxel counts give them."""
        histogram = self._histogram(parts, case, ())
        voxel_ml = math.prod(self._reference(case)[1]) / 1000.0
        structures = {}
        hidden = case.not_annotated(self._structures)
        for channel, name in enumerate(self._structures, start=1):
            if name in hidden:
                continue
            overlap = overlap_of(histogram, channel)
            structures[name] = StructureMetrics(
                dice=overlap.dice, iou=overlap.iou, hausdorff_mm=_NAN, hd95_mm=_NAN, assd_mm=_NAN, surface_dice={},
                volume_ml=overlap.prediction_voxels * voxel_ml,
                reference_volume_ml=overlap.reference_voxels * voxel_ml,
                slices_missed=0, slices_invented=0, empty=overlap.empty, level_dice={},
            )  # fmt: skip
        return CaseMetrics(
            case=case.case, patient=case.patient, phase=case.phase, group=case.group, structures=structures,
            not_annotated=hidden,
        )  # fmt: skip
