"""A raw dataset on disk: nnU-Net's layout (``imagesTr``, ``labelsTr``, ``imagesTs``, ``dataset.json``) and ``cases.csv``.

Folders made for nnU-Net (format 2, and the older format 1) are read as they are. Layout: Isensee 2021 and the format's
published description. An image is ``<case>_0000<ending>``, its label map ``<case><ending>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolv.core.errors import DataError
from autolv.core.labels import LabelSchema
from autolv.datasets._cases_table import CaseRow, completed_text, read_table, read_text, table_text
from autolv.datasets._description import Description, read_description
from autolv.datasets._names import frame_of, patient_of, phase_of, rule_in_words
from autolv.schema.dataset import Case, Dataset
from autolv.schema.record import write_text

__all__ = ["checked_dataset", "dataset_json", "load_dataset", "patient_of", "write_cases", "write_dataset"]

DESCRIPTION, TABLE = "dataset.json", "cases.csv"
IMAGES, LABELS = "imagesTr", "labelsTr"
TEST_IMAGES, TEST_LABELS = "imagesTs", "labelsTs"
CHANNEL = "_0000"
_FROM_TABLE = f"column 'patient' of {TABLE}"


@dataclass(frozen=True, slots=True)
class _Files:
    """One case's files, relative to the dataset's folder, with forward slashes."""

    case: str
    image: str
    label: str | None


def load_dataset(folder: Path, *, patient_pattern: str | None = None) -> Dataset:
    """Return the dataset in ``folder``; files are listed, not opened.

    Patients come from ``cases.csv`` where it is there, else from the case names by ``patient_pattern`` (a regular
    expression with one group) or the rule of ``patient_of``; ``patient_rule`` of the result says which, with an example.
    A training image without label map gets ``label=None``, a label map without image the path where the image should be:
    the dataset check reports both. Raises ``DataError`` naming the file, the key or the case at fault.
    """
    description = read_description(folder / DESCRIPTION, _layout(folder))
    test = _find(folder, TEST_IMAGES, TEST_LABELS, description.file_ending)
    training = _training_files(folder, description, required=not test)
    _refuse_common_names(folder, training, test)
    rows = read_table(folder / TABLE) if (folder / TABLE).is_file() else None
    if rows is None:
        rule = rule_in_words([f.case for f in training], patient_pattern)
    else:
        rule = _FROM_TABLE
        _match_rows(folder / TABLE, rows, training, test)
        if patient_pattern is not None:
            _match_pattern(folder / TABLE, rows, training, patient_pattern)
    return checked_dataset(
        folder,
        name=folder.absolute().name,  # that of a link, where the folder is one: it was asked for under that name
        labels=dict(LabelSchema.from_names(description.labels).codes),
        file_ending=description.file_ending,
        training=tuple(_case(f, rows, patient_pattern) for f in training),
        test=tuple(_case(f, rows, patient_pattern) for f in test),
        patient_rule=rule,
    )


def checked_dataset(where: Path, **fields: Any) -> Dataset:
    """Return the dataset with these fields; what the record refuses is a ``DataError`` that names ``where``."""
    try:
        return Dataset(**fields)
    except ValueError as error:  # the record's own check
        names = [case.case for case in (*fields["training"], *fields["test"])]
        twice = sorted({name for name in names if names.count(name) > 1})
        what = f"two cases are called {twice[0]!r}" if twice else " ".join(str(error).splitlines()[1:2]).strip()
        raise DataError(f"{where}: {what}.", remedy="Give each case its own name.") from error


def write_dataset(folder: Path, dataset: Dataset, *, table: Path | None = None) -> None:
    """Write ``dataset.json`` (nnU-Net's format 2, with our names of structures) and ``cases.csv`` of ``dataset``.

    Columns of others in ``table``, the ``cases.csv`` that the dataset was read with, are carried over.
    """
    write_text(folder / DESCRIPTION, dataset_json(dataset))
    if table is not None and table.is_file():
        write_text(folder / TABLE, completed_text(read_text(table), _rows(dataset), others=False))
    write_cases(folder, dataset)


def write_cases(folder: Path, dataset: Dataset) -> None:
    """Write ``cases.csv`` of ``dataset``: from then on its patients are fixed, whatever the rule that found them.

    A table that is there is kept with all that stands in it; only what it lacks is added.
    """
    path = folder / TABLE
    if not path.is_file():
        write_text(path, table_text(_rows(dataset)))
        return
    kept = read_text(path)
    text = completed_text(kept, _rows(dataset))
    if text != kept:
        write_text(path, text)


def _rows(dataset: Dataset) -> list[tuple[Case, str]]:
    return [*((case, "training") for case in dataset.training), *((case, "test") for case in dataset.test)]


def dataset_json(dataset: Dataset) -> str:
    """Return the text of ``dataset.json``."""
    by_code = sorted(dataset.labels.items(), key=lambda item: item[1])
    content = {
        "name": dataset.name,
        "channel_names": {"0": "cineMRI"},
        "labels": {"background": 0, **dict(by_code)},
        "numTraining": len(dataset.training),
        "file_ending": dataset.file_ending,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _layout(folder: Path) -> str:
    """Return what ``folder`` holds, for messages: up to three names."""
    if not folder.is_dir():
        return "the folder does not exist"
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    return f"found {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else "the folder is empty"


def _training_files(folder: Path, description: Description, *, required: bool) -> list[_Files]:
    if description.cases is not None:
        files = [_Files(case, image, label) for case, image, label in description.cases]
    else:
        files = _find(folder, IMAGES, LABELS, description.file_ending)
    if required and not files:
        raise DataError(
            f"{folder} holds no training image {IMAGES}/<case>{CHANNEL}{description.file_ending}; "
            f"in {IMAGES}: {_layout(folder / IMAGES)}.",
            remedy=f"Name the images so, or set 'file_ending' in {DESCRIPTION} to what they end in.",
        )
    return files


def _find(folder: Path, images: str, labels: str, ending: str) -> list[_Files]:
    """Return the cases of one half: its images, and label maps that have none."""
    image_stems = _stems(folder / images, ending)
    label_stems = set(_stems(folder / labels, ending))
    found: dict[str, _Files] = {}
    for stem in image_stems:
        case = _case_name(stem, set(image_stems), label_stems, folder / images)
        if case in found:
            raise DataError(
                f"{folder / images} holds two images of case {case!r}: {stem}{ending} and {found[case].image}.",
                remedy="Remove one of them.",
            )
        label = f"{labels}/{case}{ending}" if case in label_stems else None
        found[case] = _Files(case, f"{images}/{stem}{ending}", label)
    for case in label_stems - set(found):
        found[case] = _Files(case, f"{images}/{case}{CHANNEL}{ending}", f"{labels}/{case}{ending}")
    return [found[case] for case in sorted(found)]


def _stems(folder: Path, ending: str) -> list[str]:
    if not folder.is_dir():
        return []
    names = (p.name for p in folder.iterdir() if not p.name.startswith("."))
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))


def _case_name(stem: str, images: set[str], labels: set[str], folder: Path) -> str:
    """Return the case of an image's stem: less ``_0000``, which may be missing."""
    if stem in labels:
        return stem
    channel = re.search(r"_(\d{4})$", stem)
    if channel is None:
        return stem
    case = stem[: channel.start()]
    if channel.group(1) == CHANNEL[1:]:
        return case
    if case + CHANNEL in images:
        raise DataError(
            f"{folder} holds more than one channel of case {case!r} ({stem}); autolv reads one, the cine image.",
            remedy=f"Keep the channel {CHANNEL} only.",
        )
    return stem


def _refuse_common_names(folder: Path, training: Sequence[_Files], test: Sequence[_Files]) -> None:
    both = sorted({f.case for f in training} & {f.case for f in test})
    if both:
        raise DataError(
            f"{folder}: case {both[0]!r} stands in {IMAGES} and in {TEST_IMAGES}.",
            remedy="A test case must not be trained on: remove it from one of them, or rename it.",
        )


def _match_rows(path: Path, rows: dict[str, CaseRow], training: Sequence[_Files], test: Sequence[_Files]) -> None:
    """Refuse a table that lacks a training case, has one without files, or puts one in the other split."""
    split = {**dict.fromkeys((f.case for f in training), "training"), **dict.fromkeys((f.case for f in test), "test")}
    lacking = [f.case for f in training if f.case not in rows]
    if lacking:
        raise DataError(
            f"{path} lacks {_some(lacking)}.", remedy="Add a row for each training case, or remove the file."
        )
    unknown = [case for case in rows if case not in split]
    if unknown:
        raise DataError(
            f"{path} names {_some(unknown)}, of which there is no image.", remedy="Remove the row, or add the image."
        )
    wrong = [case for case, row in rows.items() if row.split not in (None, split[case])]
    if wrong:
        raise DataError(
            f"{path} says that {_some(wrong)} is of split {rows[wrong[0]].split!r}, but its image is among the "
            f"{split[wrong[0]]} images.",
            remedy=f"Correct the column 'split', or move the files between {IMAGES} and {TEST_IMAGES}.",
        )


def _match_pattern(path: Path, rows: dict[str, CaseRow], training: Sequence[_Files], pattern: str) -> None:
    for file in training:
        found = patient_of(file.case, pattern)
        if found != rows[file.case].patient:
            raise DataError(
                f"case {file.case!r} is of patient {rows[file.case].patient!r} in {path}, but of {found!r} by the "
                f"pattern {pattern!r}.",
                remedy="Leave the pattern out, or remove the table.",
            )


def _case(files: _Files, rows: dict[str, CaseRow] | None, pattern: str | None) -> Case:
    row = None if rows is None else rows.get(files.case)
    known: dict[str, Any] = {"patient": patient_of(files.case, pattern)} if row is None else row.known()
    known["phase"] = known.get("phase") or phase_of(files.case)
    if known.get("frame") is None:
        known["frame"] = frame_of(files.case)
    return Case(case=files.case, image=files.image, label=files.label, **known)


def _some(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
    return f"case {cases[0]!r}{more}"
