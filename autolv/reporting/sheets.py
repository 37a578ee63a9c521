"""An evaluation as CSV text: a row per case and structure, a row per patient; undefined cells are empty."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from autolv.evaluation.levels import LEVELS
from autolv.evaluation.patients import QUANTITIES, patient_values
from autolv.evaluation.summary import LEVEL_METRICS, METRICS
from autolv.schema.results import CaseMetrics, Evaluation, StructureMetrics


def cases_csv(evaluation: Evaluation) -> str:
    """Return CSV text: one row per case and structure; undefined cells are empty.

    The last column says which of the maps lacks the structure, or that it is not annotated in the reference.
    """
    head = [
        *("case", "patient", "phase", "group", "structure", *METRICS),
        *(f"{metric}_{level}" for metric in LEVEL_METRICS for level in LEVELS),
        "empty",
    ]
    rows = []
    for case in evaluation.cases:
        rows += [_case_row(case, name, metrics) for name, metrics in case.structures.items()]
        nothing = [""] * (len(head) - 6)
        rows += [[*_names(case, name), *nothing, "not annotated"] for name in case.not_annotated]
    return csv_text(head, rows)


def patients_csv(evaluation: Evaluation) -> str:
    """Return CSV text: one row per patient, each clinical quantity as predicted and by the reference."""
    patients = patient_values(evaluation.cases)
    present = [name for name in QUANTITIES if any(name in patient.values for patient in patients)]
    head = ["patient", "group", *(f"{side} {name}" for name in present for side in ("predicted", "reference"))]
    rows = (
        [
            patient.patient,
            patient.group or "",
            *(cell(v) for name in present for v in (patient.values[name].predicted, patient.values[name].reference)),
        ]
        for patient in patients
    )
    return csv_text(head, rows)


def _case_row(case: CaseMetrics, name: str, metrics: StructureMetrics) -> list[str]:
    return [
        *_names(case, name),
        *(cell(value(metrics)) for value in METRICS.values()),
        *(cell(of_level(metrics).get(level, math.nan)) for of_level in LEVEL_METRICS.values() for level in LEVELS),
        metrics.empty,
    ]


def _names(case: CaseMetrics, structure: str) -> list[str]:
    return [case.case, case.patient, case.phase or "", case.group or "", structure]


def cell(value: float) -> str:
    """Return a number as a cell; empty for NaN."""
    return "" if math.isnan(value) else f"{round(value, 6):.10g}"


def csv_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
