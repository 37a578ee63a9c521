"""Agreement of patients' quantities with the reference, as drawings for a page and as an SVG file of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from autolv.evaluation.agreement import agreement_of
from autolv.evaluation.patients import PatientValues, patient_values
from autolv.reporting._drawing import plain, text
from autolv.reporting._html import asset
from autolv.reporting.bland_altman import HEIGHT, LINES, WIDTH, Comparison, bland_altman_parts
from autolv.schema.results import CaseMetrics

_COLUMNS = 2
_EDGE, _GAP, _CAPTION = 14.0, 18.0, 26.0
_PIXELS = 1.4  # per unit, as the file says to a browser: letters of 11 units are about as large as a page's
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML 1.0, 2.2: Char


def patient_comparisons(cases: Sequence[CaseMetrics], quantities: Sequence[str]) -> list[Comparison]:
    """Return each of ``quantities`` (of ``READOUT_QUANTITIES``, "EDV [ml]") that a patient has on both sides."""
    patients = patient_values(cases)
    found = []
    for quantity in quantities:
        known = [
            (patient, pair)
            for patient in patients
            if (pair := patient.values.get(quantity)) and not math.isnan(pair.predicted + pair.reference)
        ]
        if known:
            title, unit = quantity.removesuffix("]").split(" [")
            found.append(
                Comparison(
                    title=title, unit=unit, counted="patient", side="prediction",
                    names=[_name(patient) for patient, _ in known],
                    read=[pair.predicted for _, pair in known], reference=[pair.reference for _, pair in known],
                    agreement=agreement_of([pair for _, pair in known]),
                )
            )  # fmt: skip
    return found


def _name(patient: PatientValues) -> str:
    return patient.patient if patient.group is None else f"{patient.patient} ({patient.group})"


def agreement_svg(cases: Sequence[CaseMetrics], quantities: Sequence[str]) -> str:
    """Return an SVG file with the drawings of ``patient_comparisons`` in rows of two, on white; it asks for nothing else.

    Where no patient has any of the quantities on both sides, the file says so.
    """
    comparisons = patient_comparisons(cases, quantities)
    rows = max(1, math.ceil(len(comparisons) / _COLUMNS))
    width = 2 * _EDGE + _COLUMNS * WIDTH + (_COLUMNS - 1) * _GAP
    height = 2 * _EDGE + rows * HEIGHT + (rows - 1) * _GAP + _CAPTION
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {plain(width)} {plain(height)}" '
        f'width="{plain(_PIXELS * width)}" height="{plain(_PIXELS * height)}" role="img">',
        f"<title>Agreement by patient</title><style>{asset('agreement.css')}</style>",
        f'<rect width="{plain(width)}" height="{plain(height)}" class="ground"/>',
    ]
    for index, comparison in enumerate(comparisons):
        x = _EDGE + index % _COLUMNS * (WIDTH + _GAP)
        y = _EDGE + index // _COLUMNS * (HEIGHT + _GAP)
        parts.append(f'<g transform="translate({plain(x)} {plain(y)})">{bland_altman_parts(comparison)}</g>')
    if comparisons:
        parts.append(text(_EDGE, height - _EDGE, LINES, "tick", "start"))
    else:
        lacking = ", ".join(quantity.partition(" [")[0] for quantity in quantities)
        parts += [text(_EDGE, _EDGE + 13, "Nothing to compare by patient", "title", "start"),
                  text(_EDGE, _EDGE + 31, f"No patient has any of {lacking} on both sides.", "tick", "start")]  # fmt: skip
    return _NOT_IN_XML.sub("\ufffd", "".join([*parts, "</svg>\n"]))
