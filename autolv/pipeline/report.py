"""Recipe of ``autolv_report``: label maps in, a read-out and a page per patient and one of all out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv import __version__
from autolv.core.errors import AutolvError, DataError, PartialFailure
from autolv.core.geometry import Geometry
from autolv.core.labels import LabelSchema
from autolv.imageio.volumes import read_image, read_labels
from autolv.parallel import run_each
from autolv.pipeline.context import thread_count
from autolv.pipeline.report_inputs import LabelFile, Source, Subject, check_report_folder, find_source
from autolv.pipeline.report_quality import FrameDice, frame_dice, with_expectation
from autolv.pipeline.valve_planes import Planes, planes_in_array, read_planes
from autolv.pipeline.versions import versions
from autolv.readout.compose import Facts, Rules, read_out
from autolv.readout.curve import FEWEST_FRAMES
from autolv.readout.quality import judge
from autolv.readout.volumes import MYOCARDIAL_DENSITY_G_PER_ML
from autolv.reporting.case_page import case_page
from autolv.reporting.cohort_page import CohortRow, cohort_page, thumbnail
from autolv.reporting.readout_sheet import columns_csv, readout_csv
from autolv.reporting.sprites import Pictures, turned
from autolv.schema.readout import BasalRule, BsaFormula, PapillaryRule, Readout, ReadoutStatus, ReadoutSummary
from autolv.schema.record import write_record, write_text

_log = logging.getLogger(__name__)
_SPACING_TOLERANCE = 1e-3  # relative, between frames of one patient
_INDEX = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """What holds for all cases of one report."""

    rules: Rules
    planes: Planes
    ed_frame: int | None
    es_frame: int | None
    target: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stack:
    """One patient's label maps and images by frame (from 1), on one grid."""

    labels: Mapping[int, NDArray[np.uint8]]
    images: Mapping[int, NDArray[np.generic]]
    geometry: Geometry
    frame_time_ms: float | None
    whole_cycle: bool
    ed_frame: int | None
    es_frame: int | None
    counted_by_files: bool
    expected_dice: FrameDice


def report(
    input: Path | str,  # noqa: A002 - the flag's name
    output: Path | str,
    *,
    dataset: str | None = None,
    root: Path | str = ".",
    labels: dict[str, int] | None = None,
    images: Path | str | None = None,
    basal_rule: BasalRule = "as_segmented",
    papillary_rule: PapillaryRule = "in_cavity",
    valve_planes: Path | str | None = None,
    density_g_per_ml: float = MYOCARDIAL_DENSITY_G_PER_ML,
    bsa_formula: BsaFormula = "mosteller",
    ed_frame: int | None = None,
    es_frame: int | None = None,
    overwrite: bool = False,
    workers: int | None = None,
) -> tuple[Readout, ...]:
    """Read volumes, function, curve and segments out of the label maps in ``input``, and write a report to ``output``.

    ``input`` is a label map (a frame, or a cine) or a folder of them; frames of one patient go together, by ``cases.csv`` of
    ``dataset`` or by their names. Per patient ``<case>.json`` and ``<case>.html`` are written, and ``readout.csv``,
    ``columns.csv``, ``summary.json`` and ``index.html`` of all. ``images`` is where the images of the same names lie; those
    of a dataset are found. A case that fails does not stop the others:
    ``PartialFailure`` is raised after the last; of one case alone its own error is. Returned are the read-outs.
    """
    labels_at, target = Path(input), Path(output)
    source = find_source(
        labels_at,
        dataset=dataset,
        root=Path(root),
        labels=labels,
        images=None if images is None else Path(images),
    )
    check_report_folder(target, labels_at, source.subjects, overwrite=overwrite)
    if len(source.subjects) > 1 and (ed_frame is not None or es_frame is not None):
        raise DataError(
            f"frames of end-diastole and end-systole were given, but {labels_at} holds {len(source.subjects)} patients.",
            remedy="Report one patient at a time, or name the phases in cases.csv.",
        )
    if (basal_rule == "valve_plane") != (valve_planes is not None):
        raise DataError("the basal rule valve_plane and a table of valve planes go together.",
                        remedy="Give both --basal-rule valve_plane and --valve-planes TABLE, or neither.")  # fmt: skip
    choices = _Choices(
        rules=Rules(basal_rule=basal_rule, papillary_rule=papillary_rule, density_g_per_ml=density_g_per_ml,
                    bsa_formula=bsa_formula),
        planes={} if valve_planes is None else read_planes(Path(valve_planes)),
        ed_frame=ed_frame, es_frame=es_frame, target=target,
    )  # fmt: skip

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
    write_text(target / _INDEX, cohort_page(rows, failed, __version__))
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
    record, page = (choices.target / f"{subject.name}.{ending}" for ending in ("json", "html"))
    try:
        stack = _read(subject, source.schema, choices)
        readout = _read_out(subject, source, stack, choices)
        pictures = Pictures(
            labels={number: turned(labels) for number, labels in stack.labels.items()},
            images={number: turned(image) for number, image in stack.images.items()},
            structures=source.schema.structures,
            spacing_mm=stack.geometry.spacing_mm,
        )
        write_record(readout, record)
        write_text(page, case_page(readout, pictures, __version__, index=_INDEX))
        shown = readout.ed_frame if readout.ed_frame is not None else min(stack.labels)
        return CohortRow(readout=readout, page=page.name, thumbnail=thumbnail(pictures, shown))
    except AutolvError as error:
        failure = error
    except OSError:
        raise  # a full disk or a folder that may not be written stops all
    except Exception as error:  # noqa: BLE001 - the last resort: also a fault of ours must not stop the others
        _log.debug("%s failed here:", subject.name, exc_info=True)
        failure = AutolvError(f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": "))
    for path in (record, page):
        path.unlink(missing_ok=True)
    return failure


def _read_out(subject: Subject, source: Source, stack: _Stack, choices: _Choices) -> Readout:
    case = subject.files[0].case
    try:
        points = choices.planes.get(subject.name) or choices.planes.get(case.patient) or {}
        rules = Rules(
            basal_rule=choices.rules.basal_rule, papillary_rule=choices.rules.papillary_rule,
            density_g_per_ml=choices.rules.density_g_per_ml, bsa_formula=choices.rules.bsa_formula,
            planes=planes_in_array(points, stack.geometry),
        )  # fmt: skip
        readout = read_out(
            stack.labels, source.schema.structures, stack.geometry,
            Facts(case=subject.name, patient=case.patient, group=case.group, height_cm=case.height_cm,
                  weight_kg=case.weight_kg, rr_ms=case.rr_ms),
            rules, ed_frame=stack.ed_frame, es_frame=stack.es_frame, whole_cycle=stack.whole_cycle,
            frame_time_ms=stack.frame_time_ms, images=stack.images or None,
            sources=[file.path.name for file in subject.files],
        )  # fmt: skip
    except ValueError as error:
        words = str(error)
        lacking = "Name their folder with --images." if "image" in words else "Correct what was given, or leave it out."
        raise DataError(f"{subject.name}: {words}.", remedy=lacking) from error
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


def _read(subject: Subject, schema: LabelSchema, choices: _Choices) -> _Stack:
    """Return the label maps and images of a patient; ``DataError`` where they do not fit together."""
    first = read_labels(subject.files[0].path)
    if first.is_cine:
        file = subject.files[0]
        labels = schema.to_internal(first.array)
        frames = dict(enumerate(labels, start=1))
        image = _image(file, first.geometry, len(frames))
        return _Stack(
            labels=frames, images={} if image is None else dict(enumerate(image, start=1)), geometry=first.geometry,
            frame_time_ms=first.frame_time_ms, whole_cycle=True, ed_frame=choices.ed_frame, es_frame=choices.es_frame,
            counted_by_files=False,
            expected_dice=frame_dice([file], [list(frames)], frames, schema.structures, first.geometry.voxel_ml),
        )  # fmt: skip
    numbers, known = _numbers(subject.files)
    frames, images = {}, {}
    for number, file in sorted(zip(numbers, subject.files, strict=True), key=lambda pair: pair[0]):
        volume = read_labels(file.path)
        _check_grid(file, volume.geometry, first.geometry)
        frames[number] = schema.to_internal(volume.array)
        image = _image(file, first.geometry, 1)
        if image is not None:
            images[number] = image[0]
    expected = frame_dice(
        subject.files, [[number] for number in numbers], frames, schema.structures, first.geometry.voxel_ml
    )
    whole = known and sorted(frames) == list(range(1, len(frames) + 1)) and len(frames) >= FEWEST_FRAMES
    return _Stack(
        labels=frames, images=images, geometry=first.geometry, frame_time_ms=None, whole_cycle=whole,
        ed_frame=choices.ed_frame or _phase(subject.files, numbers, "ED"),
        es_frame=choices.es_frame or _phase(subject.files, numbers, "ES"), counted_by_files=not known,
        expected_dice=expected,
    )  # fmt: skip


def _numbers(files: Sequence[LabelFile]) -> tuple[list[int], bool]:
    """Return the frames' numbers, and whether they are known; else files are counted, end-diastole first, then by name."""
    given = [file.case.frame for file in files]
    known = [number for number in given if number is not None]
    if len(set(known)) == len(files):
        return known, True
    if len(known) == len(files):
        twice = next(number for number in known if known.count(number) > 1)
        raise DataError(
            f"{files[0].case.patient} has two label maps of frame {twice}.", remedy="Remove one, or correct cases.csv."
        )
    order = sorted(range(len(files)), key=lambda index: (files[index].case.phase != "ED", files[index].case.case))
    return [order.index(index) + 1 for index in range(len(files))], len(files) == 1


def _phase(files: Sequence[LabelFile], numbers: Sequence[int], phase: str) -> int | None:
    found = [number for number, file in zip(numbers, files, strict=True) if file.case.phase == phase]
    if len(found) > 1:
        raise DataError(
            f"{files[0].case.patient} has {len(found)} label maps of phase {phase}.",
            remedy="Correct cases.csv, or rename them.",
        )
    return found[0] if found else None


def _image(file: LabelFile, geometry: Geometry, frames: int) -> NDArray[np.generic] | None:
    """Return the image of a label map as (t, z, y, x), ``None`` where there is none."""
    if file.image is None:
        return None
    volume = read_image(file.image)
    array = volume.array if volume.is_cine else volume.array[None]  # (t, z, y, x)
    if len(array) != frames or volume.geometry.shape != geometry.shape:
        raise DataError(
            f"the image {file.image.name} has {len(array)} frames of shape {volume.geometry.shape}, its label map "
            f"{file.path.name} {frames} of {geometry.shape} (z, y, x).",
            remedy="Give the image that was segmented.",
        )
    return array


def _check_grid(file: LabelFile, geometry: Geometry, first: Geometry) -> None:
    same = geometry.shape == first.shape and np.allclose(geometry.spacing_mm, first.spacing_mm, rtol=_SPACING_TOLERANCE)
    if not same:
        raise DataError(
            f"{file.path.name} has shape {geometry.shape} and spacing {geometry.spacing_mm} mm, another frame of the patient "
            f"{first.shape} and {first.spacing_mm} mm (z, y, x).",
            remedy="Give the frames of one cine.",
        )
