"""Recipe of ``autolv_report``: label maps in, a read-out and a page per patient and one of all out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autolv import __version__
from autolv.core.errors import AutolvError, DataError, PartialFailure
from autolv.parallel import run_each
from autolv.pipeline.context import thread_count
from autolv.pipeline.report_inputs import CASE_ENDINGS, Source, Subject, check_report_folder, find_source
from autolv.pipeline.report_options import ReportOptions
from autolv.pipeline.report_quality import with_expectation
from autolv.pipeline.report_reference import compare, reference_of
from autolv.pipeline.report_stack import Stack, read_stack
from autolv.pipeline.valve_planes import Planes, planes_in_array
from autolv.pipeline.versions import versions
from autolv.readout.compose import Facts, read_out
from autolv.readout.normal import Population
from autolv.readout.quality import judge
from autolv.reporting.case_page import case_page
from autolv.reporting.case_sheet import case_pdf, case_png
from autolv.reporting.cohort_page import CohortRow, cohort_page, thumbnail
from autolv.reporting.readout_sheet import columns_csv, readout_csv
from autolv.reporting.sprites import Pictures, turned
from autolv.schema.readout import Readout, ReadoutStatus, ReadoutSummary
from autolv.schema.record import write_bytes, write_record, write_text

_log = logging.getLogger(__name__)
_INDEX = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """What holds for all cases of one report."""

    options: ReportOptions
    planes: Planes
    normal: tuple[Population, ...]
    target: Path


def report(
    input: Path | str,  # noqa: A002 - the flag's name
    output: Path | str,
    *,
    dataset: str | None = None,
    root: Path | str = ".",
    labels: dict[str, int] | None = None,
    images: Path | str | None = None,
    options: ReportOptions | None = None,
    overwrite: bool = False,
    workers: int | None = None,
) -> tuple[Readout, ...]:
    """Read volumes, function, curve and segments out of the label maps in ``input``, and write a report to ``output``.

    ``input`` is a label map (a frame, or a cine) or a folder of them; frames of one patient go together, by ``cases.csv`` of
    ``dataset`` or by their names. ``images`` is where the images of the same names lie; those of a dataset are found.
    ``options`` are the rules of the read-out, the references to compare with, which are read out by the same rules, and what
    is written beside the pages.

    Per patient ``<case>.json`` and ``<case>.html`` are written, with the option ``pdf`` also ``<case>.pdf`` (two pages of A4),
    with ``png`` ``<case>.png`` (both in one picture); of all ``readout.csv``, ``columns.csv``, ``summary.json``, ``index.html``
    and, where there are references, ``reference.csv``. A case that fails does not stop the others: ``PartialFailure`` is raised
    after the last; of one case alone its own error is. Returned are the read-outs.
    """
    options = ReportOptions() if options is None else options
    labels_at, target = Path(input), Path(output)
    source = find_source(
        labels_at,
        dataset=dataset,
        root=Path(root),
        labels=labels,
        images=None if images is None else Path(images),
        reference=None if options.reference is None else Path(options.reference),
        patients=options.facts(),
    )
    check_report_folder(target, labels_at, source.subjects, overwrite=overwrite)
    options.check_phases(labels_at, len(source.subjects))
    choices = _Choices(options=options, planes=options.planes(), normal=options.normal(), target=target)

    def one(subject: Subject) -> CohortRow | AutolvError:
        return _one(subject, source, choices)

    done = run_each(one, source.subjects, name=lambda s: s.name, label="report", workers=thread_count(workers))
    if len(done) == 1 and isinstance(done[0], AutolvError):
        raise done[0]
    return _conclude(source, done, target)


def _conclude(source: Source, done: Sequence[CohortRow | AutolvError], target: Path) -> tuple[Readout, ...]:
    """Write what is of all cases; tell those that failed, and raise for them."""
    rows = [row for row in done if isinstance(row, CohortRow)]
    statuses = [
        ReadoutStatus(case=subject.name, file=f"{subject.name}.json") if isinstance(row, CohortRow)
        else ReadoutStatus(case=subject.name, file="", message=str(row))
        for subject, row in zip(source.subjects, done, strict=True)
    ]  # fmt: skip
    failed = [status for status in statuses if not status.file]
    readouts = tuple(row.readout for row in rows)
    write_text(target / "readout.csv", readout_csv(readouts))
    write_text(target / "columns.csv", columns_csv(readouts))
    write_record(ReadoutSummary(cases=tuple(statuses), versions=versions()), target / "summary.json")
    references = [row.reference for row in rows if row.reference is not None]
    (target / "reference.csv").unlink(missing_ok=True)
    if references:
        write_text(target / "reference.csv", readout_csv(references))
    write_text(target / _INDEX, cohort_page(rows, failed, __version__, compare(rows), note=source.reference_note))
    for status in failed:
        _log.warning("%s: not read out: %s", status.case, status.message)
    _log.info("%d of %d read out: %s", len(rows), len(statuses), target / _INDEX)
    if failed:
        raise PartialFailure(
            f"{len(failed)} of {len(statuses)} cases failed: {', '.join(status.case for status in failed[:5])}.",
            remedy=f"See {target / 'summary.json'} for why.",
        )
    return readouts


def _one(subject: Subject, source: Source, choices: _Choices) -> CohortRow | AutolvError:
    """Read one patient out and write its record and page; what goes wrong comes back, and leaves nothing of an older report."""
    options = choices.options
    record, page, pdf, png = (choices.target / f"{subject.name}.{ending}" for ending in CASE_ENDINGS)
    try:
        stack = read_stack(subject, source.schema, ed_frame=options.ed_frame, es_frame=options.es_frame)
        readout = _read_out(subject, source, stack, choices)
        pictures = Pictures(
            labels={number: turned(labels) for number, labels in stack.labels.items()},
            images={number: turned(image) for number, image in stack.images.items()},
            structures=source.schema.structures,
            spacing_mm=stack.geometry.spacing_mm,
            slices_reversed=stack.geometry.slices_reversed,
        )
        write_record(readout, record)
        write_text(page, case_page(readout, pictures, __version__, index=_INDEX))
        for path, wanted, drawn in ((pdf, options.pdf, case_pdf), (png, options.png, case_png)):
            path.unlink(missing_ok=True)  # one of an older report is not of this one
            if wanted:
                write_bytes(path, drawn(readout, pictures, __version__))

        def one_reference(other: Subject, read: Stack) -> Readout:
            return _measure(other, source, read, choices)

        shown = readout.ed_frame if readout.ed_frame is not None else min(stack.labels)
        in_mass = options.papillary_rule == "in_mass"  # looks for papillary muscles in the images
        return CohortRow(
            readout=readout, page=page.name, thumbnail=thumbnail(pictures, shown),
            reference=reference_of(subject, source, stack.geometry, one_reference, images=in_mass),
        )  # fmt: skip
    except AutolvError as error:
        failure = error
    except OSError:
        raise  # a full disk or a folder that may not be written stops all
    except Exception as error:  # noqa: BLE001 - the last resort: also a fault of ours must not stop the others
        _log.debug("%s failed here:", subject.name, exc_info=True)
        failure = AutolvError(f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": "))
    for path in (record, page, pdf, png):
        path.unlink(missing_ok=True)
    return failure


def _read_out(subject: Subject, source: Source, stack: Stack, choices: _Choices) -> Readout:
    readout = _measure(subject, source, stack, choices)
    verdict = judge(
        stack.labels, source.schema.structures, stack.geometry, readout=readout, limits=source.limits,
        images={number: np.asarray(image, dtype=np.float32) for number, image in stack.images.items()} or None,
        whole_cycle=stack.whole_cycle, expected_dice=stack.expected_dice or None,
    )  # fmt: skip
    readout = with_expectation(readout, subject.files, stack.expected_dice)
    changes: dict[str, object] = {"model": source.model, "verdict": verdict}
    if stack.counted_by_files:
        rule = f"{readout.method.phases_rule}; frames numbered in the order of their files"
        changes["method"] = readout.method.model_copy(update={"phases_rule": rule})
    return readout.model_copy(update=changes)


def _measure(subject: Subject, source: Source, stack: Stack, choices: _Choices) -> Readout:
    case = subject.files[0].case
    try:
        points = choices.planes.get(subject.name) or choices.planes.get(case.patient) or {}
        return read_out(
            stack.labels, source.schema.structures, stack.geometry,
            Facts(case=subject.name, patient=case.patient, group=case.group, height_cm=case.height_cm,
                  weight_kg=case.weight_kg, sex=case.sex, age_years=case.age_years, rr_ms=case.rr_ms),
            choices.options.rules(planes_in_array(points, stack.geometry), choices.normal),
            ed_frame=stack.ed_frame, es_frame=stack.es_frame, whole_cycle=stack.whole_cycle,
            frame_time_ms=stack.frame_time_ms, images=stack.images or None,
            sources=[file.path.name for file in subject.files],
        )  # fmt: skip
    except ValueError as error:
        words = str(error)
        images = "Name their folder with --images of autolv_report."
        remedy = images if "image" in words else "Correct what was given, or leave it out."
        raise DataError(f"{subject.name}: {words}.", remedy=remedy) from error
