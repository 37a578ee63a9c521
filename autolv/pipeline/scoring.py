"""Scoring candidates from the probabilities that validation left: each file read once, nothing predicted or written again."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing, Triple
from autolv.evaluation.agreement import agreement_by_patient
from autolv.evaluation.case import compare_case
from autolv.evaluation.means import mean
from autolv.evaluation.overlap import joint_counts, overlap_of
from autolv.evaluation.patients import EF
from autolv.evaluation.summary import summarise
from autolv.imageio.probabilities import Stored, read_probabilities
from autolv.imageio.volumes import read_labels
from autolv.inference.ensemble import mean_in_box, most_probable
from autolv.ops.crop import crop, nonzero_box, paste
from autolv.parallel import run_each
from autolv.pipeline.model import TrainedFold
from autolv.postprocessing import apply_steps
from autolv.schema.dataset import Case, Dataset
from autolv.schema.preprocessed import Box
from autolv.schema.results import CaseMetrics, Evaluation, Step, StructureMetrics
from autolv.selection.candidates import SharedCases, enumerate_candidates

Parts = tuple[str, ...]
_NAN = math.nan
_MOST_HELD = 128 << 20  # bytes of probabilities: 60 cases of ACDC in two configurations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prepared:
    """A case with the labels of every candidate that validated it, all in the box about what is labelled in any of them."""

    box: Box
    shape: Triple
    spacing_mm: Spacing
    reference: NDArray[np.uint8]
    labels: dict[Parts, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _After:
    """A candidate's labels of a case after some steps, and how often they meet each label of the reference."""

    labels: NDArray[np.uint8]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """What an ensemble predicted of a case.

    ``probabilities`` (classes, z, y, x) lie in ``box``, outside which the background is certain; ``labels``, after some steps,
    and ``reference``, both (z, y, x), are of the whole grid.
    """

    probabilities: NDArray[np.float32]
    box: Box
    labels: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    spacing_mm: Spacing


class Scorer:
    """Dice and EF of every candidate on validated cases.

    Each case's files are read once, for all candidates; what is kept is the part about the heart, of probabilities in half
    precision as much as fits in 128 MiB. Steps are applied to what the steps before them left, and where a step changes
    nothing, nothing is counted again.
    """

    def __init__(self, folder: Path, dataset: Dataset, trained: dict[str, list[TrainedFold]], *, workers: int) -> None:
        self.folder = folder
        self._dataset = dataset
        self._structures = dataset.schema_.structures
        self._workers = workers
        self._place: dict[str, dict[str, TrainedFold]] = {}
        for name, folds in trained.items():
            for fold in folds:
                for case in dataset.training:
                    if case.patient in set(fold.record.validation_patients):
                        self._place.setdefault(name, {})[case.case] = fold
        self._candidates = enumerate_candidates(list(trained))
        self._prepared: dict[str, _Prepared] = {}
        self._known: dict[tuple[Parts, str, tuple[str, ...]], _After] = {}
        self._held: dict[tuple[str, str], Stored] = {}
        self._free = _MOST_HELD
        self._holding = threading.Lock()

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
        keys = tuple(step.key() for step in steps)

        def one(case: Case) -> list[float]:
            counts = self._after(parts, case, steps, keys).counts
            hidden = case.not_annotated(self._structures)
            return [
                _NAN if name in hidden else overlap_of(counts, channel).dice
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
            predicted, reference = self.labels(parts, case, steps)
            return compare_case(
                predicted, reference, self._of(case).spacing_mm, self._structures,
                case=case.case, patient=case.patient, phase=case.phase, group=case.group,
                not_annotated=case.not_annotated(self._structures),
            )  # fmt: skip

        metrics = run_each(one, cases, name=lambda case: case.case, label="evaluate", workers=self._workers)
        return summarise(tuple(metrics))

    def labels(self, parts: Parts, case: Case, steps: tuple[Step, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return an ensemble's labels of ``case`` after ``steps`` and the reference, (z, y, x) on the case's own grid."""
        keys = tuple(step.key() for step in steps)
        known, found = self._of(case), self._after(parts, case, steps, keys).labels
        return paste(found, known.box, known.shape), paste(known.reference, known.box, known.shape)

    def predicted(self, parts: Parts, case: Case, steps: tuple[Step, ...]) -> Predicted:
        """Return what an ensemble predicted of ``case``; its files are read again unless they are among those that are held."""
        labels, reference = self.labels(parts, case, steps)
        mean, box = mean_in_box([(one.inside, one.box) for one in (self._stored(name, case) for name in parts)])
        return Predicted(
            probabilities=mean, box=box, labels=labels, reference=reference, spacing_mm=self._of(case).spacing_mm
        )

    def _stored(self, name: str, case: Case) -> Stored:
        key = name, case.case
        if key not in self._held:
            stored = read_probabilities(self._place[name][case.case].place / "validation" / f"{case.case}.npz")
            with self._holding:
                if stored.half.nbytes > self._free:
                    return stored
                self._free -= stored.half.nbytes
                self._held[key] = stored
        return self._held[key]

    def _after(self, parts: Parts, case: Case, steps: tuple[Step, ...], keys: tuple[str, ...]) -> _After:
        """Return a candidate's labels of ``case`` after ``steps``, whose hashes are ``keys``.

        Those that further steps begin with are kept.
        """
        key = (parts, case.case, keys)
        if key in self._known:
            return self._known[key]
        known = self._of(case)
        if not steps:
            found = self._counted_labels(known.labels[parts], known)
            self._known[key] = found
            return found
        before = self._after(parts, case, steps[:-1], keys[:-1])
        self._known[parts, case.case, keys[:-1]] = before
        labels, (changed,) = apply_steps(before.labels, steps[-1:], self._structures, known.spacing_mm)
        return self._counted_labels(labels, known) if changed else before

    def _counted_labels(self, labels: NDArray[np.uint8], known: _Prepared) -> _After:
        return _After(labels=labels, counts=joint_counts(labels, known.reference, len(self._structures) + 1))

    def _of(self, case: Case) -> _Prepared:
        if case.case not in self._prepared:
            self._prepared[case.case] = self._prepare(case)
        return self._prepared[case.case]

    def _prepare(self, case: Case) -> _Prepared:
        volume = read_labels(self.folder / str(case.label))
        reference = self._dataset.schema_.to_internal(volume.array)
        stored = {name: self._stored(name, case) for name, places in self._place.items() if case.case in places}
        inside = {name: one.inside for name, one in stored.items()}
        labels = {}
        for parts in self._candidates:
            if all(name in stored for name in parts):
                mean, box = mean_in_box([(inside[name], stored[name].box) for name in parts])
                labels[parts] = paste(most_probable(mean), box, reference.shape) if mean.size else 0 * reference
        labelled = np.logical_or.reduce([array != 0 for array in (reference, *labels.values())])
        box = nonzero_box(labelled)
        return _Prepared(
            box=box,
            shape=volume.geometry.shape,
            spacing_mm=volume.spacing_mm,
            reference=crop(reference, box).copy(),
            labels={parts: crop(array, box).copy() for parts, array in labels.items()},
        )

    def _counted(self, parts: Parts, case: Case) -> CaseMetrics:
        """Return a case's metrics as far as voxel counts give them."""
        counts = self._after(parts, case, (), ()).counts
        voxel_ml = math.prod(self._of(case).spacing_mm) / 1000.0
        structures = {}
        hidden = case.not_annotated(self._structures)
        for channel, name in enumerate(self._structures, start=1):
            if name in hidden:
                continue
            overlap = overlap_of(counts, channel)
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
