"""What the chosen candidate's predictions of unseen patients teach of the quality of those to come."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolv.evaluation.predicted_quality import (
    FEWEST_PATIENTS,
    Seen,
    Temperature,
    fit_quality,
    fit_temperature,
    too_few,
)
from autolv.ops.crop import crop
from autolv.parallel import run_each
from autolv.pipeline.scoring import Parts, Predicted, Scorer
from autolv.readout.expected import signals_of
from autolv.schema.dataset import Case
from autolv.schema.predicted_quality import PredictedQuality
from autolv.schema.results import Evaluation, Step

_log = logging.getLogger(__name__)
_MOST_CASES = 100  # that the temperature, a single number, is fitted on
_MOST_VOXELS = 10_000  # of each of them
_MARGIN_PIXELS = 3  # about what is labelled


def learn_quality(
    scorer: Scorer, parts: Parts, cases: Sequence[Case], steps: tuple[Step, ...], evaluation: Evaluation,
    structures: Sequence[str], *, workers: int,
) -> PredictedQuality | str:  # fmt: skip
    """Return what an ensemble's predictions of ``cases`` after ``steps`` teach, or why nothing is learnt.

    ``evaluation`` is that of these predictions. Probabilities are read again, case by case.
    """
    found = _learn(scorer, parts, cases, steps, evaluation, structures, workers=workers)
    if isinstance(found, str):
        _log.info("the quality of predictions will not be predicted: %s", found)
    return found


def _learn(
    scorer: Scorer, parts: Parts, cases: Sequence[Case], steps: tuple[Step, ...], evaluation: Evaluation,
    structures: Sequence[str], *, workers: int,
) -> PredictedQuality | str:  # fmt: skip
    patients = len({case.patient for case in cases})
    masks = scorer.shared(cases).parts()
    if patients < FEWEST_PATIENTS or not masks:
        return too_few(patients)

    def voxels(case: Case) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        return voxels_about(scorer.predicted(parts, case, steps))

    whole = [
        case for case in cases if not case.not_annotated(structures)
    ]  # else a structure's voxels pass for background
    few = whole[:: -(-len(whole) // _MOST_CASES) or 1]
    taken = run_each(voxels, few, name=_name, label="calibrate", workers=workers)
    temperature = Temperature()
    if taken:
        shares = np.concatenate([one for one, _ in taken], axis=1)
        temperature = fit_temperature(shares, np.concatenate([truth for _, truth in taken]))
    metrics = {one.case: one for one in evaluation.cases}

    def seen(case: Case) -> Seen:
        one = scorer.predicted(parts, case, steps)
        signals = signals_of(one.probabilities, one.box, one.labels, structures, one.spacing_mm, temperature.value)
        return Seen(signals=signals, metrics=metrics[case.case])

    frames = run_each(seen, cases, name=_name, label="learn quality", workers=workers)
    return fit_quality(frames, masks, structures, temperature)


def voxels_about(one: Predicted) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return probabilities (classes, voxels) and true labels of voxels evenly taken from those about the structures.

    These are within three pixels of what is labelled, or not sure to be background: prediction alone says which.
    """
    classes = len(one.probabilities)
    if not one.probabilities.size:
        return np.empty((classes, 0), dtype=np.float32), np.empty(0, dtype=np.uint8)
    near = crop(one.labels, one.box) != 0
    for _ in range(_MARGIN_PIXELS):
        wider = near.copy()
        wider[:, 1:] |= near[:, :-1]
        wider[:, :-1] |= near[:, 1:]
        wider[:, :, 1:] |= near[:, :, :-1]
        wider[:, :, :-1] |= near[:, :, 1:]
        near = wider
    places = np.flatnonzero(near | (one.probabilities[0] < 0.999))
    places = places[:: -(-places.size // _MOST_VOXELS) or 1]
    shares = one.probabilities.reshape(classes, -1).take(places, axis=1)  # class by class in memory, which sums fast
    return shares, crop(one.reference, one.box).ravel()[places]


def _name(case: Case) -> str:
    return case.case
