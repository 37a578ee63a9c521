"""The ACDC challenge's layout: one folder per patient with ``Info.cfg``, ED and ES frames, their labels, the whole cine.

Source: Bernard 2018 (doi 10.1109/TMI.2018.2837502) and the release itself. ``training/`` and ``testing/`` below
``database/``; frames are counted from 1; labels 1 RV cavity, 2 LV myocardium, 3 LV cavity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autolv.core.errors import DataError
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY, LabelSchema
from autolv.datasets import CONVERTERS, Converter, ConvertOptions
from autolv.datasets._acdc_info import PatientInfo, read_info
from autolv.datasets._names import patient_of, rule_in_words
from autolv.datasets._staging import ENDING, place_image, place_label, staged_folder
from autolv.datasets._survey import Seen, conversion_report, occurring, survey
from autolv.datasets.raw import CHANNEL, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, checked_dataset, write_dataset
from autolv.parallel import run_each
from autolv.schema.dataset import Case, ConversionReport, Dataset, Phase

CODES = {RV_CAVITY: 1, LV_MYOCARDIUM: 2, LV_CAVITY: 3}
_FRAME = re.compile(r"_frame(\d+)(_gt)?\.nii(\.gz)?$")
_CINE = re.compile(r"_4d\.nii(\.gz)?$")
_TESTING = "testing"
_NAMED = 5  # at most so many files are named in a message
_LAYOUT = (
    "training/patient001/Info.cfg, patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz, ... "
    "(or database/training, or any folder of such patient folders)"
)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One case to be written: ``take`` is the 0-based frame to take where ``image`` is the whole cine."""

    case: Case
    image: Path
    take: int | None
    label: Path | None
    test: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """What a source holds: frames to be written, what was odd, what is left out and why.

    ``unlabelled`` names the label maps that are missing of training frames whose image is there.
    """

    frames: list[_Frame] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)


class AcdcConverter:
    """Folders of patients as the ACDC challenge gives them out."""

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> ConversionReport:
        """Write the raw dataset ``target`` from the release, one of its halves, or any folder of patient folders.

        A training frame without its label map, where others have theirs, is a ``DataError``, or left out with
        ``options.allow_missing``; other frames of the cine, and the test half, need none.
        """
        patients = [(folder, test) for half, test in _halves(source) for folder in _patient_folders(half)]
        found = _Found()
        for folder, test in patients:
            _find_frames(folder, found, test=test, pattern=options.patient_pattern)
        _refuse_incomplete(source, found, len(patients), allow_missing=options.allow_missing)
        frames, problems = found.frames, found.problems
        with staged_folder(target, overwrite=options.overwrite, source=source) as folder:
            for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS):
                if name in (IMAGES, LABELS) or any(frame.test for frame in frames):
                    (folder / name).mkdir()
            seen = run_each(
                lambda frame: _place(frame, folder), frames,
                name=lambda frame: frame.case.case, label="convert", workers=options.workers,
            )  # fmt: skip
            trained = [one for frame, one in zip(frames, seen, strict=True) if not frame.test]
            labels = CODES if options.labels is None else LabelSchema.from_names(options.labels).codes
            dataset = _dataset(source, target.name, occurring(labels, trained, problems), frames, options)
            write_dataset(folder, dataset)
        cines = sum(1 for folder, _ in patients if _cine(folder) is not None)
        return conversion_report(
            "acdc", source, target, dataset, seen, problems=problems, skipped=found.skipped, cines=cines
        )


ACDC: Converter = CONVERTERS.register("acdc")(AcdcConverter())


def _halves(source: Path) -> list[tuple[Path, bool]]:
    """Return the folders of patients below ``source``, each with whether it is the test half."""
    if not source.is_dir():
        raise DataError(f"{source} is not a folder.", remedy=f"Expected: {_LAYOUT}.")
    below = [p for p in _folders(source) if not _patient_folders(p)][:20]
    for base in (source, *below, *(deeper for p in below for deeper in _folders(p)[:20])):
        halves = [(base / "training", False), (base / _TESTING, True)]
        halves = [(half, test) for half, test in halves if half.is_dir() and _patient_folders(half)]
        if halves:
            return halves
    if _patient_folders(source):
        return [(source, source.resolve().name == _TESTING)]
    names = sorted(p.name for p in source.iterdir())
    found = f"found {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else "the folder is empty"
    raise DataError(f"{source} holds no patient folder in ACDC's layout ({found}).", remedy=f"Expected: {_LAYOUT}.")


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _patient_folders(folder: Path) -> list[Path]:
    return [
        p for p in _folders(folder) if (p / "Info.cfg").is_file() or any(_FRAME.search(f.name) for f in p.iterdir())
    ]


def _cine(folder: Path) -> Path | None:
    return next((p for p in sorted(folder.iterdir()) if p.is_file() and _CINE.search(p.name)), None)


def _refuse_incomplete(source: Path, found: _Found, patients: int, *, allow_missing: bool) -> None:
    """Raise ``DataError`` where there is nothing to write, or label maps are missing that nobody said may be."""
    if not found.frames:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.skipped[:3])
        raise DataError(
            f"{source}: none of {patients} patients has a labelled frame ({reasons}).", remedy=f"Expected: {_LAYOUT}."
        )
    missing, labelled = found.unlabelled, sum(1 for frame in found.frames if frame.label and not frame.test)
    if missing and labelled and not allow_missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise DataError(
            f"{source}: {len(missing)} of {len(missing) + labelled} training frames have no label map: missing "
            f"{', '.join(missing[:_NAMED])}{more}.",
            remedy="Add the label maps, or leave these frames out with --allow-missing.",
        )


def _find_frames(folder: Path, found: _Found, *, test: bool, pattern: str | None) -> None:
    """Add to ``found`` what can be taken of one patient, and what cannot, with the reason."""
    frames, skipped = found.frames, found.skipped
    info = read_info(folder / "Info.cfg")
    found.problems.extend(f"{folder.name}: {problem}" for problem in info.problems)
    images: dict[int, Path] = {}
    labels: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _FRAME.search(path.name)
        if match and path.is_file() and not path.name.startswith("."):
            (labels if match.group(2) else images).setdefault(int(match.group(1)), path)
    cine = _cine(folder)
    wanted = sorted({*images, *labels, *(n for n in (info.ed, info.es) if n is not None)})
    if not wanted:
        skipped.append((folder.name, "no labelled frame, and no ED or ES in Info.cfg"))
    for number in wanted:
        case = _case(folder.name, number, info, test=test, pattern=pattern)
        label = labels.get(number)
        image, take = images.get(number), None
        if image is None and cine is not None:
            image, take = cine, number - 1
        if image is None:
            skipped.append((case.case, f"neither a file of frame {number} nor the whole cine is there"))
        elif label is None and not test:
            label_name = f"{folder.name}_frame{number:02d}_gt.nii.gz"
            skipped.append((case.case, f"no label map of frame {number} ({label_name})"))
            if take is None:  # a frame with its own file is one of those that the challenge labelled
                found.unlabelled.append(label_name)
        else:
            frames.append(_Frame(case if label else case.model_copy(update={"label": None}), image, take, label, test))


def _case(patient: str, number: int, info: PatientInfo, *, test: bool, pattern: str | None) -> Case:
    name = f"{patient}_frame{number:02d}"
    phase: Phase | None = "ED" if number == info.ed else "ES" if number == info.es else None
    return Case(
        case=name,
        patient=patient if pattern is None else patient_of(name, pattern),
        image=f"{TEST_IMAGES if test else IMAGES}/{name}{CHANNEL}{ENDING}",
        label=f"{TEST_LABELS if test else LABELS}/{name}{ENDING}",
        frame=number,
        phase=phase,
        group=info.group,
        vendor=info.vendor,
        centre=info.centre,
        height_cm=info.height_cm,
        weight_kg=info.weight_kg,
    )


def _place(frame: _Frame, folder: Path) -> Seen:
    """Write one case; return what its label map holds."""
    place_image(frame.image, folder / frame.case.image, frame=frame.take)
    if frame.label is None or frame.case.label is None:
        return survey(None)
    place_label(frame.label, folder / frame.case.label)
    return survey(frame.label)


def _dataset(
    source: Path, name: str, labels: dict[str, int], frames: Sequence[_Frame], options: ConvertOptions
) -> Dataset:
    pattern = options.patient_pattern
    return checked_dataset(
        source,
        name=name,
        labels=labels,
        file_ending=ENDING,
        training=tuple(sorted((f.case for f in frames if not f.test), key=lambda case: case.case)),
        test=tuple(sorted((f.case for f in frames if f.test), key=lambda case: case.case)),
        patient_rule="the patient's folder"
        if pattern is None
        else rule_in_words([f.case.case for f in frames], pattern),
    )
