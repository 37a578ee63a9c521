"""Recipe of ``autolv_evaluate``: label maps against references, in the measures that readers and challenges use."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autolv.core.errors import DataError, WorkspaceError
from autolv.core.geometry import Volume
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.datasets._names import patient_of, phase_of
from autolv.datasets.raw import load_dataset
from autolv.evaluation.case import compare_case
from autolv.evaluation.patients import EDV, EF, ESV, MASS, READOUT_QUANTITIES
from autolv.evaluation.readers import readout_agreement
from autolv.evaluation.summary import summarise
from autolv.imageio.volumes import ENDINGS, read_labels, split_ending
from autolv.parallel import run_each
from autolv.pipeline.context import open_dataset, thread_count
from autolv.reporting.agreement_drawing import agreement_svg
from autolv.reporting.readers import readers_csv
from autolv.reporting.sheets import cases_csv, patients_csv
from autolv.schema.dataset import Case, Dataset
from autolv.schema.record import write_record, write_text
from autolv.schema.results import CaseMetrics, Evaluation

_log = logging.getLogger(__name__)
_SPACING_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class _Pair:
    case: Case
    prediction: Path
    reference: Path


def evaluate(
    reference: Path | str,
    prediction: Path | str,
    *,
    output: Path | str | None = None,
    dataset: str | None = None,
    root: Path | str = ".",
    labels: dict[str, int] | None = None,
    allow_missing: bool = False,
    figure: bool = True,
    readout: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
) -> Evaluation:
    """Compare the label maps in ``prediction`` with those of the same names in ``reference``.

    The codes of the structures come from ``labels``, else from the dataset ``dataset``, else from a ``dataset.json`` beside
    or above either folder; patient, phase and group from ``cases.csv`` there, else patient and phase from the files' names,
    and no group. With ``output``, ``evaluation.json``, ``cases.csv``, ``patients.csv`` and, with ``figure``,
    ``agreement.svg`` are written there; with ``readout`` also ``readout_agreement.json``, ``.csv`` and, with ``figure``,
    ``.svg``: how far volumes, EF and mass agree by patient, be the sides a model and a reader or two readers. Raises
    ``WorkspaceError`` for an unknown ``dataset``, ``DataError`` for a pair that does not fit, and for references without a
    prediction unless ``allow_missing``: a case that failed must not improve the means by being absent.
    """
    references, predictions = Path(reference), Path(prediction)
    schema, known = _schema_and_cases(references, predictions, dataset, Path(root), labels)
    pairs = _pairs(references, predictions, known, allow_missing=allow_missing)
    target = None if output is None else Path(output)
    if target is not None and (target / "evaluation.json").exists() and not overwrite:
        raise WorkspaceError(f"{target} holds an evaluation already.", remedy="Replace it with --overwrite.")

    def one(pair: _Pair) -> CaseMetrics:
        return _compare(pair, schema)

    metrics = run_each(one, pairs, name=lambda p: p.case.case, label="evaluate", workers=thread_count(workers))
    evaluation = summarise(tuple(metrics))
    if target is not None:
        write_record(evaluation, target / "evaluation.json")
        write_text(target / "cases.csv", cases_csv(evaluation))
        write_text(target / "patients.csv", patients_csv(evaluation))
        if figure:
            write_text(target / "agreement.svg", agreement_svg(evaluation.cases, (EDV, ESV, EF, MASS)))
        if readout:
            _write_readout(evaluation, target, figure=figure)
        _log.info("written: %s", target)
    return evaluation


def _write_readout(evaluation: Evaluation, target: Path, *, figure: bool) -> None:
    report = readout_agreement(evaluation.cases)
    write_record(report, target / "readout_agreement.json")
    write_text(target / "readout_agreement.csv", readers_csv(report))
    if figure:
        write_text(target / "readout_agreement.svg", agreement_svg(evaluation.cases, READOUT_QUANTITIES))


def _compare(pair: _Pair, schema: LabelSchema) -> CaseMetrics:
    predicted, reference = read_labels(pair.prediction), read_labels(pair.reference)
    _check_same_grid(predicted, reference)
    if predicted.is_cine:
        raise DataError(
            "holds a cine; references are frames.",
            remedy="Give the labelled frames (autolv_convert folder splits them).",
        )
    return compare_case(
        schema.to_internal(predicted.array),
        schema.to_internal(reference.array),
        reference.spacing_mm,
        schema.structures,
        case=pair.case.case,
        patient=pair.case.patient,
        phase=pair.case.phase,
        group=pair.case.group,
        not_annotated=pair.case.not_annotated(schema.structures),
    )


def _check_same_grid(predicted: Volume, reference: Volume) -> None:
    if predicted.array.shape != reference.array.shape:
        raise DataError(
            f"prediction has shape {predicted.array.shape}, reference {reference.array.shape} (z, y, x).",
            remedy="Compare label maps on the same grid.",
        )
    if not np.allclose(predicted.spacing_mm, reference.spacing_mm, rtol=_SPACING_TOLERANCE):
        raise DataError(
            f"prediction has spacing {predicted.spacing_mm}, reference {reference.spacing_mm} mm (z, y, x).",
            remedy="Compare label maps on the same grid.",
        )


def _files(folder: Path) -> dict[str, Path]:
    if folder.is_file():
        return {split_ending(folder.name)[0]: folder}
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist.", remedy="Name folders of label maps with -r and -p.")
    found = {split_ending(p.name)[0]: p for p in sorted(folder.iterdir()) if p.name.lower().endswith(ENDINGS)}
    if not found:
        raise DataError(f"{folder} holds no label map ({', '.join(ENDINGS)}).", remedy="Name another folder.")
    return found


def _pairs(references: Path, predictions: Path, known: dict[str, Case], *, allow_missing: bool) -> list[_Pair]:
    """Return the pairs of equal names."""
    wanted, there = _files(references), _files(predictions)
    if references.is_file() and predictions.is_file():
        there = dict.fromkeys(wanted, predictions)
    common = [name for name in wanted if name in there]
    if not common:
        raise DataError(
            f"no file in {predictions} has the name of one in {references} "
            f"({', '.join(list(there)[:2])} against {', '.join(list(wanted)[:2])}).",
            remedy="Predictions are matched to references by file name.",
        )
    missing = [name for name in wanted if name not in there]
    if missing:
        text = f"{len(missing)} of {len(wanted)} references have no prediction: {', '.join(missing[:5])}"
        if not allow_missing:
            raise DataError(f"{text}.", remedy="Predict them too, or leave them out with --allow-missing.")
        _log.warning("%s; they are left out.", text)
    return [_Pair(known.get(name) or _case_from_name(name), there[name], wanted[name]) for name in common]


def _case_from_name(name: str) -> Case:
    return Case(case=name, patient=patient_of(name), phase=phase_of(name), image="")


def _schema_and_cases(
    references: Path, predictions: Path, dataset: str | None, root: Path, labels: dict[str, int] | None
) -> tuple[LabelSchema, dict[str, Case]]:
    if dataset is not None:
        record: Dataset | None = open_dataset(Workspace.at(root), dataset)[1]
    else:
        record = _found_dataset(references, predictions, table_only=labels is not None)
    if labels is not None:
        schema = LabelSchema.from_names(labels)
    elif record is not None:
        schema = record.schema_
    else:
        raise DataError(
            "which label code is which structure is not known.",
            remedy="Give -d DATASET, or --labels rv_cavity=1,lv_myocardium=2,lv_cavity=3.",
        )
    _log.info("labels: %s", json.dumps(dict(schema.codes)))
    return schema, {} if record is None else {case.case: case for case in (*record.training, *record.test)}


def _found_dataset(references: Path, predictions: Path, *, table_only: bool) -> Dataset | None:
    """Return the dataset that either folder belongs to; with ``table_only``, if its ``cases.csv`` tells more than names."""
    places = [place for side in (references, predictions) for place in (side, side.parent, side.parent.parent)]
    folder = next((place for place in places if (place / "dataset.json").is_file()), None)
    if folder is None or (table_only and not (folder / "cases.csv").is_file()):
        return None
    return load_dataset(folder)
