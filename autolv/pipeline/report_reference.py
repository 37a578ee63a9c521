"""A report's references: label maps of the same names, read out by the same rules, and how far the two agree."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

from autolv.core.errors import AutolvError
from autolv.core.geometry import Geometry
from autolv.evaluation.agreement import agreement
from autolv.pipeline.report_inputs import Source, Subject
from autolv.pipeline.report_stack import Stack, check_grid, read_stack
from autolv.readout.dictionary import DICTIONARY
from autolv.reporting.bland_altman import Comparison
from autolv.reporting.cohort_page import CohortRow
from autolv.reporting.quantity_table import unit_text
from autolv.schema.readout import Readout

_log = logging.getLogger(__name__)
_COMPARED = ("lv_edv_ml", "lv_esv_ml", "lv_ef_percent", "lv_ed_mass_g")


def reference_of(
    subject: Subject, source: Source, geometry: Geometry, measure: Callable[[Subject, Stack], Readout], *, images: bool
) -> Readout | None:
    """Return the read-out of a patient's references; ``None`` unless each label map has one that can be read.

    ``geometry`` is that of the label maps, which the references must share. ``measure`` reads one out; it gets the images too
    where ``images`` are wanted.
    """
    files = [
        dataclasses.replace(file, path=file.reference, image=file.image if images else None)
        for file in subject.files
        if file.reference is not None
    ]
    if len(files) < len(subject.files):
        return None
    other = dataclasses.replace(subject, files=tuple(files))
    try:
        read = read_stack(other, source.reference_schema, ed_frame=None, es_frame=None)
        check_grid(files[0], read.geometry, geometry, "its label map has")
        return measure(other, read)
    except (AutolvError, OSError) as error:
        _log.warning("%s: its reference is left out: %s", subject.name, error)
        return None


def compare(rows: Sequence[CohortRow]) -> tuple[Comparison, ...]:
    """Return the agreement of each quantity over the cases that have it in both read-outs; none where no case has."""
    found = []
    for name in _COMPARED:
        pairs = [
            (row.readout.case, row.readout.quantities[name].value, row.reference.quantities[name].value)
            for row in rows
            if row.reference is not None and name in row.readout.quantities and name in row.reference.quantities
        ]
        both = [(case, mine, other) for case, mine, other in pairs if mine is not None and other is not None]
        if both:
            cases, mine, others = zip(*both, strict=True)
            entry = DICTIONARY[name]
            found.append(
                Comparison(
                    title=entry.label, unit=unit_text(entry.unit), counted="case", side="read-out", names=cases,
                    read=mine, reference=others, agreement=agreement(mine, others),
                )
            )  # fmt: skip
    return tuple(found)
