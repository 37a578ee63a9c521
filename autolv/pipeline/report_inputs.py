"""Which label maps a report is of: grouped by patient, with what is known of each, and the images to show."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autolv.core.errors import AutolvError, DataError, SchemaError, WorkspaceError
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.datasets._names import frame_of, patient_of, phase_of
from autolv.datasets.raw import load_dataset
from autolv.imageio.volumes import read_geometry
from autolv.pipeline.context import open_dataset
from autolv.pipeline.inputs import Input, find_inputs
from autolv.pipeline.patient_tables import FACTS, Patients, not_met, with_facts
from autolv.readout.quality import Limits
from autolv.schema.dataset import Case, Dataset
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.record import read_record
from autolv.schema.results import PredictionStatus, PredictionSummary

_log = logging.getLogger(__name__)
CASE_ENDINGS = ("json", "html", "pdf", "png")  # of the files that a report has of each case
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFile:
    """One label map: a frame, or a cine of ``frames``; ``case`` holds what is known of it.

    ``status`` is what its prediction told of it, where it was predicted.
    """

    path: Path
    case: Case
    frames: int
    image: Path | None
    reference: Path | None = None
    status: PredictionStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What one report is of: the frames of a patient, or one cine. ``name`` is what its files are called."""

    name: str
    files: tuple[LabelFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """All that a report is made from.

    ``model`` says what made the label maps, where a prediction's summary tells it; ``limits`` what the dataset was like
    of which it is taken to be a model. ``reference_schema`` are the codes of the references, ``reference_note`` says of them
    what a reader of the agreement must know.
    """

    schema: LabelSchema
    subjects: tuple[Subject, ...]
    model: str
    limits: Limits | None
    reference_schema: LabelSchema
    reference_note: str = ""


def find_source(
    labels_at: Path,
    *,
    dataset: str | None,
    root: Path,
    labels: Mapping[str, int] | None,
    images: Path | None,
    reference: Path | None = None,
    patients: Patients | None = None,
) -> Source:
    """Return the label maps at ``labels_at`` by patient.

    Codes come from ``labels``, else from the ``summary.json`` of the prediction that wrote them, else from ``dataset``, else
    from a ``dataset.json`` beside or above. What is known of a case comes from the table of ``patients``, else from
    ``cases.csv`` there, or of the dataset that the ``images`` are of, else from its name. Raises ``DataError`` where there is
    no label map, where the codes are not known, or where no image fits.
    """
    inputs = find_inputs(labels_at)
    folder = labels_at if labels_at.is_dir() else labels_at.parent
    summary = _prediction(folder)
    raw, record = (None, None) if dataset is None else open_dataset(Workspace.at(root), dataset)
    if record is None:
        raw, record = _dataset_about(folder)
    schema = _schema(labels, summary, record)
    _log.info("labels: %s", ", ".join(f"{name} = {code}" for name, code in schema.codes.items()))
    pictures = _images(images, inputs)
    told: dict[str | None, PredictionStatus] = (
        {} if summary is None else {status.output: status for status in summary.cases if status.output}
    )
    facts = _dataset_of_images(images) if record is None and images is not None else (raw, record)
    files = [
        replace(_label_file(item, *facts, pictures), status=told.get(_below(item.path, folder))) for item in inputs
    ]
    files = _with_patients(files, patients or {})
    limits = None if dataset is None or summary is None else _limits(Workspace.at(root).fingerprint_file(dataset))
    codes, note = schema, ""
    if reference is not None:
        files = _with_references(files, _matching(reference, inputs, "reference"))
        other = _dataset_about(reference if reference.is_dir() else reference.parent)[1]
        codes = schema if labels is not None or other is None else other.schema_
    elif dataset is not None and raw is not None and record is not None:
        known = {case.case: raw / case.label for case in (*record.training, *record.test) if case.label is not None}
        files = _with_references(files, {name: path for name, path in known.items() if path.is_file()})
        codes = record.schema_
        trained = {case.case for case in record.training}
        seen = sum(file.reference is not None and file.case.case in trained for file in files)
        note = (
            f"{seen} of the label maps are of training cases of {record.name}, which the model may have seen."
            if seen
            else ""
        )
    return Source(
        schema=schema, subjects=_by_patient(files), model=_model_words(summary), limits=limits, reference_schema=codes,
        reference_note=note,
    )  # fmt: skip


def _with_patients(files: Sequence[LabelFile], patients: Patients) -> list[LabelFile]:
    """Return the label maps with what the table of ``patients`` says of theirs; rows that belong to none are told."""
    strangers = not_met(patients, [file.case for file in files])
    if strangers:
        _log.warning(
            "the table of cases names %d that no label map is of (%s).", len(strangers), ", ".join(strangers[:3])
        )
    return [replace(file, case=with_facts(file.case, patients)) for file in files]


def _with_references(files: Sequence[LabelFile], found: Mapping[str, Path]) -> list[LabelFile]:
    """Return the label maps with the references of the same names; one that is the label map itself is none."""
    paired = [(file, found.get(file.case.case)) for file in files]
    return [replace(file, reference=None if path is None or path.resolve() == file.path.resolve() else path)
            for file, path in paired]  # fmt: skip


def _below(path: Path, folder: Path) -> str | None:
    """Return what a summary in ``folder`` calls ``path``; ``None`` for a file elsewhere, as a pattern or a table may name."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def _prediction(folder: Path) -> PredictionSummary | None:
    try:
        return read_record(PredictionSummary, folder / "summary.json")
    except SchemaError:
        return None  # none there, or that of another command


def _dataset_about(folder: Path) -> tuple[Path, Dataset] | tuple[None, None]:
    for place in (folder, folder.parent):
        if (place / "dataset.json").is_file():
            return place, load_dataset(place)
    return None, None


def _dataset_of_images(images: Path) -> tuple[Path, Dataset] | tuple[None, None]:
    """Return the dataset in which the images lie, for what it knows of cases; one that cannot be read is told and left out."""
    try:
        return _dataset_about(images if images.is_dir() else images.parent)
    except AutolvError as error:
        _log.warning("what the images' dataset knows of the cases is left out: %s", error)
        return None, None


def _schema(labels: Mapping[str, int] | None, summary: PredictionSummary | None, record: Dataset | None) -> LabelSchema:
    if labels is not None:
        return LabelSchema.from_names(labels)
    if summary is not None and summary.labels:
        return LabelSchema(summary.labels)
    if record is not None:
        return record.schema_
    raise DataError(
        "which label code is which structure is not known.",
        remedy="Give -d DATASET, or --labels rv_cavity=1,lv_myocardium=2,lv_cavity=3.",
    )


def _limits(fingerprint: Path) -> Limits | None:
    return Limits.of(read_record(Fingerprint, fingerprint)) if fingerprint.is_file() else None


def _model_words(summary: PredictionSummary | None) -> str:
    if summary is None:
        return ""
    hashes = ", ".join(one[:12] for one in summary.weights_sha256)
    return f"{summary.model} (weights {hashes})" if hashes else summary.model


def _images(images: Path | None, inputs: Sequence[Input]) -> dict[str, Path]:
    return {} if images is None else _matching(images, inputs, "image")


def _matching(place: Path, inputs: Sequence[Input], what: str) -> dict[str, Path]:
    """Return the files at ``place`` by stem; refuse a folder in which none belongs to a label map."""
    found = {item.stem: item.path for item in find_inputs(place)}
    if place.is_file() and place.suffix.lower() != ".csv" and len(inputs) == 1:
        return {inputs[0].stem: place}
    if not any(item.stem in found for item in inputs):
        raise DataError(
            f"no {what} in {place} has the name of a label map ({next(iter(found))} against {inputs[0].stem}).",
            remedy=f"{what.capitalize()}s are matched to label maps by file name.",
        )
    return found


def _label_file(item: Input, raw: Path | None, record: Dataset | None, images: Mapping[str, Path]) -> LabelFile:
    known = {} if record is None else {case.case: case for case in (*record.training, *record.test)}
    case = known.get(item.stem)
    image = images.get(item.stem)
    if case is None:
        patient = patient_of(item.stem)
        same = next((one for one in known.values() if one.patient == patient), None)
        case = Case(case=item.stem, patient=patient, phase=phase_of(item.stem), frame=frame_of(item.stem), image="")
        if same is not None:  # a whole cine beside the frames that the table lists
            facts = {name: getattr(same, name) for name in FACTS}
            case = case.model_copy(update=facts)
    elif image is None and raw is not None and (raw / case.image).is_file():
        image = raw / case.image
    try:
        frames = read_geometry(item.path)[1]
    except AutolvError:
        frames = 1  # it is read again with its patient, and fails there
    return LabelFile(path=item.path, case=case, frames=frames, image=image)


def _by_patient(files: Sequence[LabelFile]) -> tuple[Subject, ...]:
    """Return the frames of each patient together, and each cine by itself; names are fit for files, and distinct."""
    groups: dict[tuple[str, str], list[LabelFile]] = {}
    for file in files:
        key = ("cine", file.case.case) if file.frames > 1 else ("patient", file.case.patient)
        groups.setdefault(key, []).append(file)
    subjects: dict[str, Subject] = {}
    for (kind, name), members in groups.items():
        wanted = _UNSAFE.sub("_", name).strip(".") or "case"
        safe = f"{wanted}_cine" if kind == "cine" and ("patient", name) in groups else wanted
        if safe.lower() in subjects or safe.lower() in ("index", "summary", "columns", "readout", "reference"):
            raise DataError(f"two reports would be called {safe!r}.", remedy="Rename the label maps of one of them.")
        subjects[safe.lower()] = Subject(name=safe, files=tuple(members))
    return tuple(subjects.values())


def check_report_folder(output: Path, labels_at: Path, subjects: Sequence[Subject], *, overwrite: bool) -> None:
    """Refuse a folder that is that of the label maps, or that holds a report which nobody asked to replace."""
    folder = labels_at if labels_at.is_dir() else labels_at.parent
    if output.resolve() == folder.resolve():
        raise WorkspaceError(
            f"the report's folder is that of the label maps: {output}.", remedy="Name another with -o."
        )
    if output.exists() and not output.is_dir():
        raise WorkspaceError(f"{output} is a file.", remedy="Name a folder with -o.")
    names = ["index.html", "summary.json", "readout.csv", "columns.csv", "reference.csv"]
    names += [f"{subject.name}.{ending}" for subject in subjects for ending in CASE_ENDINGS]
    there = [name for name in names if (output / name).exists()]
    if there and not overwrite:
        raise WorkspaceError(
            f"{output} holds {there[0]} already.", remedy="Replace it with --overwrite, or name another folder with -o."
        )
