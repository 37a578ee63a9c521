"""Images and labels found by name pattern or listed in a table, in any format that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autolv.core.errors import DataError
from autolv.core.labels import LV_CAVITY, LabelSchema
from autolv.datasets import CONVERTERS, Converter, ConvertOptions
from autolv.datasets._cases_table import read_csv, row_of
from autolv.datasets._names import frame_of, patient_of, phase_of, rule_in_words
from autolv.datasets._patterns import find_by_pattern, no_match
from autolv.datasets._staging import ENDING, place_image, place_label, staged_folder
from autolv.datasets._survey import Seen, conversion_report, occurring, survey, with_phases
from autolv.datasets.raw import CHANNEL, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, checked_dataset, write_dataset
from autolv.imageio.volumes import read_geometry, read_labels, split_ending
from autolv.parallel import run_each
from autolv.schema.dataset import Case, ConversionReport, Dataset

_IMAGE_PATTERN, _LABEL_PATTERN = "images/{case}", "labels/{case}"


@dataclass(frozen=True, slots=True)
class _Item:
    """One case to be written: 0-based frames to take where image or label map are cines."""

    case: Case
    image: Path
    label: Path | None
    test: bool
    image_frame: int | None = None
    label_frame: int | None = None


class FolderConverter:
    """Any folder: ``options.image_pattern`` and ``label_pattern``, or the table ``options.table``."""

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> ConversionReport:
        """Write the raw dataset ``target``; of a cine with a label cine, the labelled frames become cases."""
        if not source.is_dir():
            raise DataError(f"{source} is not a folder.", remedy="Name the folder that holds images and label maps.")
        labels = _codes(source, options)
        skipped: list[tuple[str, str]] = []
        pairs = _from_table(source, options) if options.table is not None else _by_pattern(source, options, skipped)
        items = [item for pair in pairs for item in _frames(pair, skipped)]
        if not any(not item.test for item in items):
            raise DataError(
                f"{source}: no image with a label map to train on ({'; '.join(': '.join(s) for s in skipped[:3])}).",
                remedy="Each training image needs a label map on its own grid.",
            )
        names = [item.case.case for item in items]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{source}: two cases are called {twice[0]!r}.", remedy="Give each case its own name.")
        problems: list[str] = []
        with staged_folder(target, overwrite=options.overwrite, source=source) as folder:
            for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS):
                if name in (IMAGES, LABELS) or any(item.test for item in items):
                    (folder / name).mkdir()
            seen = run_each(
                lambda item: _place(folder, item), items,
                name=lambda item: item.case.case, label="convert", workers=options.workers,
            )  # fmt: skip
            dataset = _dataset(target.name, labels, items, seen, options, problems)
            write_dataset(folder, dataset)
        return conversion_report("folder", source, target, dataset, seen, problems=problems, skipped=skipped)


FOLDER: Converter = CONVERTERS.register("folder")(FolderConverter())


def _codes(source: Path, options: ConvertOptions) -> dict[str, int]:
    if options.labels is None:
        raise DataError(
            f"which code in the label maps of {source} is which structure is not known.",
            remedy="Give --labels, such as rv_cavity=1,lv_myocardium=2,lv_cavity=3 (ACDC) or "
            "lv_cavity=1,lv_myocardium=2,rv_cavity=3 (M&Ms).",
        )
    return dict(LabelSchema.from_names(options.labels).codes)


def _by_pattern(source: Path, options: ConvertOptions, skipped: list[tuple[str, str]]) -> list[_Item]:
    """Return the pairs of images and label maps that the patterns find; what has no partner is skipped."""
    image_pattern = options.image_pattern or _IMAGE_PATTERN
    label_pattern = options.label_pattern or _LABEL_PATTERN
    labels = find_by_pattern(source, label_pattern)
    if not labels:
        raise no_match(source, "label map", label_pattern)
    taken = set(labels.values())
    images = {case: path for case, path in find_by_pattern(source, image_pattern).items() if path not in taken}
    if not images:
        raise no_match(source, "image", image_pattern)
    skipped += [(case, "no label map") for case in images if case not in labels]
    skipped += [(case, "no image") for case in labels if case not in images]
    return [_item(case, images[case], labels[case], options) for case in images if case in labels]


def _item(case: str, image: Path, label: Path | None, options: ConvertOptions) -> _Item:
    known = Case(
        case=case, patient=patient_of(case, options.patient_pattern), image="", frame=frame_of(case),
        phase=phase_of(case),
    )  # fmt: skip
    return _Item(known, image, label, test=False)


def _from_table(source: Path, options: ConvertOptions) -> list[_Item]:
    """Return the cases listed in the table; paths are relative to ``source``, or else to the table's own folder."""
    table = options.table or source
    items = []
    for number, raw in enumerate(read_csv(table, also=("image", "label")), start=2):
        where = f"{table}, line {number}"
        test = raw.get("split") == "test"
        needed = ("image", "patient") if test else ("image", "label", "patient")
        missing = [name for name in needed if not raw.get(name)]
        if missing:
            raise DataError(
                f"{where}: no {missing[0]} given (columns found: {', '.join(raw) or 'none'}).",
                remedy="The table needs the columns image, label and patient; frame, phase, group, ... may follow.",
            )
        image = _listed(source, table, raw["image"], where)
        label = _listed(source, table, raw["label"], where) if raw.get("label") else None
        row = row_of(raw, where)
        stem = split_ending(image.name)[0].removesuffix(CHANNEL)
        if row.frame is not None and frame_of(stem) is None:
            stem = f"{stem}_frame{row.frame:02d}"
        name = row.case or stem
        if Path(name).name != name or "\\" in name:
            raise DataError(f"{where}: {name!r} cannot be a file's name.", remedy="Give the case a plain name.")
        items.append(_Item(Case(case=name, image="", **row.known()), image, label, test))
    if not items:
        raise DataError(f"{table} lists no case.", remedy="It needs a header with image, label, patient, and rows.")
    return items


def _listed(source: Path, table: Path, text: str, where: str) -> Path:
    for base in (source, table.parent):
        path = base / text
        if path.is_file():
            return path
    raise DataError(f"{where}: {text} does not exist.", remedy=f"Give paths relative to {source}, or absolute ones.")


def _frames(item: _Item, skipped: list[tuple[str, str]]) -> list[_Item]:
    """Return the cases of one pair of files: itself where both are single volumes, else its labelled frames."""
    name = item.case.case
    images = read_geometry(item.image)[1]
    labels = 1 if item.label is None else read_geometry(item.label)[1]
    number = item.case.frame
    if images == 1:
        if labels == 1:
            return [item]
        skipped.append((name, f"the label map has {labels} frames, the image is a single volume"))
        return []
    if labels == 1 or item.label is None:
        if number is None or not 1 <= number <= images:
            reason = f"a cine of {images} frames with one label map: which frame is labelled is not known"
            skipped.append((name, f"{reason} (a table with the column 'frame' says it)"))
            return []
        return [replace(item, image_frame=number - 1)]
    if labels != images:
        skipped.append((name, f"the image has {images} frames, the label map {labels}"))
        return []
    return _labelled_frames(item, item.label, skipped)


def _labelled_frames(item: _Item, label: Path, skipped: list[tuple[str, str]]) -> list[_Item]:
    """Return the labelled frames of a cine, as ``<case>_frameNN``; one alone where the table names it."""
    labelled = np.flatnonzero(read_labels(label).array.any(axis=(1, 2, 3))).tolist()
    case, given = item.case, item.case.frame
    if given is not None:
        labelled = [frame for frame in labelled if frame == given - 1]
    if not labelled:
        skipped.append((case.case, "no frame is labelled" if given is None else f"frame {given} is not labelled"))
    phase = case.phase if len(labelled) == 1 else None
    found = []
    for frame in labelled:
        name = case.case if given is not None else f"{case.case}_frame{frame + 1:02d}"
        one = case.model_copy(update={"case": name, "frame": frame + 1, "phase": phase})
        found.append(replace(item, case=one, image_frame=frame, label_frame=frame))
    return found


def _place(folder: Path, item: _Item) -> Seen:
    moved = _moved(item)
    place_image(item.image, folder / moved.image, frame=item.image_frame)
    if item.label is None or moved.label is None:
        return survey(None)
    place_label(item.label, folder / moved.label, frame=item.label_frame)
    return survey(folder / moved.label)


def _moved(item: _Item) -> Case:
    """Return the case with the paths that it has in the dataset."""
    name = item.case.case
    image = f"{TEST_IMAGES if item.test else IMAGES}/{name}{CHANNEL}{ENDING}"
    label = None if item.label is None else f"{TEST_LABELS if item.test else LABELS}/{name}{ENDING}"
    return item.case.model_copy(update={"image": image, "label": label})


def _dataset(
    name: str,
    labels: dict[str, int],
    items: Sequence[_Item],
    seen: Sequence[Seen],
    options: ConvertOptions,
    problems: list[str],
) -> Dataset:
    known = {item.case.case: one for item, one in zip(items, seen, strict=True)}
    training = sorted((_moved(item) for item in items if not item.test), key=lambda case: case.case)
    training = with_phases(training, known, labels[LV_CAVITY], problems)
    names = [case.case for case in training]
    rule = "column 'patient' of the table" if options.table else rule_in_words(names, options.patient_pattern)
    return checked_dataset(
        Path(name),
        name=name,
        labels=occurring(labels, [known[case.case] for case in training], problems),
        file_ending=ENDING,
        training=tuple(training),
        test=tuple(sorted((_moved(item) for item in items if item.test), key=lambda case: case.case)),
        patient_rule=rule,
    )
