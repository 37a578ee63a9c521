"""Predicting a fold's validation patients with the real predictor, on the original grid, and scoring them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from autolv.core.errors import DataError
from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import summarise
from autolv.imageio.probabilities import write_probabilities
from autolv.imageio.volumes import read_image, read_labels, write_labels
from autolv.inference.predictor import predict_case
from autolv.parallel import Progress
from autolv.pipeline.interrupt import stop_if
from autolv.schema.dataset import Case, Dataset
from autolv.schema.record import read_record, write_record
from autolv.schema.results import CaseMetrics, RunRecord

_log = logging.getLogger(__name__)


def validate_fold(
    network: torch.nn.Module,
    record: RunRecord,
    place: Path,
    folder: Path,
    dataset: Dataset,
    cases: Sequence[Case],
    *,
    stop_asked: Callable[[], bool],
) -> None:
    """Predict ``cases`` with ``network``; leave labels, probabilities and metrics in ``place / "validation"``.

    A case whose metrics are there already is not predicted again. Raises ``Interrupted`` between two cases when asked.
    """
    target = place / "validation"
    network.eval()
    progress = Progress(f"validate fold {record.fold}", len(cases))
    scored = []
    for case in cases:
        stop_if(stop_asked, f"{case.case} was predicted")
        done = target / f"{case.case}.json"
        if not done.exists():
            metrics = _predict_and_score(network, record, target, folder, dataset, case)
            write_record(metrics, done)  # last: it says that the other files are whole
        scored.append(read_record(CaseMetrics, done))
        progress.advance()
    evaluation = summarise(tuple(scored))
    write_record(evaluation, place / "evaluation.json")
    dice = ", ".join(f"{name} {values['dice']:.3f}" for name, values in evaluation.summary.items())
    _log.info("fold %d, %d validation cases on the original grid: Dice %.4f (%s)",
              record.fold, len(scored), evaluation.mean_dice, dice)  # fmt: skip


def _predict_and_score(
    network: torch.nn.Module, record: RunRecord, target: Path, folder: Path, dataset: Dataset, case: Case
) -> CaseMetrics:
    schema = dataset.schema_
    image_file = folder / case.image
    volume = read_image(image_file)
    if volume.is_cine:
        raise DataError(f"{image_file} is a cine, not a frame.", remedy="Convert the dataset with autolv_convert.")
    labels, probabilities = predict_case(
        network,
        volume,
        record.configuration,
        device=next(network.parameters()).device,
        precision=record.measured.precision,
        channels_last=record.measured.channels_last,
        locate=record.located,
    )
    write_labels(target / f"{case.case}{dataset.file_ending}", schema.to_file(labels), like=image_file)
    write_probabilities(target / f"{case.case}.npz", probabilities)
    reference = schema.to_internal(read_labels(folder / str(case.label)).array)
    return compare_case(
        labels,
        reference,
        volume.spacing_mm,
        schema.structures,
        case=case.case,
        patient=case.patient,
        phase=case.phase,
        group=case.group,
        not_annotated=case.not_annotated(schema.structures),
    )
