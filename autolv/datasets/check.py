"""The check that every dataset goes through before anything is planned: all cases, one table of findings."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Volume
from autolv.core.labels import LV_CAVITY
from autolv.datasets._findings import Findings
from autolv.datasets._same_grid import compare_grids
from autolv.imageio.volumes import read_image, read_labels
from autolv.ops.enclosure import Contacts, count_contacts, swap_that_fits
from autolv.parallel import run_each
from autolv.planning.twins import merge_overlapping
from autolv.schema.dataset import Case, CheckProblem, CheckReport, Dataset

ALL_CASES = "all cases"


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found in one case; hashes are of the voxels, ``None`` where a file could not be read."""

    case: Case
    problems: tuple[CheckProblem, ...]
    image_hash: str | None
    label_hash: str | None
    contacts: Contacts | None


def check_dataset(
    folder: Path, dataset: Dataset, *, workers: int = 0, each: Callable[[Case, Volume, Volume], object] | None = None
) -> CheckReport:
    """Return the findings of all cases of ``dataset``, whose files lie below ``folder``; nothing is written.

    ``each`` gets image and labels of every training case without an error, so that nobody need read them again.

    Errors: an image or label map that is missing, unreadable, of another shape or spacing, a cine, NaN, constant; label
    values that are unexpected or of a structure said to be not annotated, or no label at all; labels that look swapped.
    Warnings: another position in space, a structure that is missing, images that stand twice. Of test cases only the
    images are looked at, and only to warn.
    """
    checked = run_each(
        lambda case: _check_case(folder, case, dataset, each),
        dataset.training,
        name=lambda case: case.case,
        label="check",
        workers=workers,
    )
    tests = run_each(
        lambda case: _check_test_case(folder, case),
        dataset.test,
        name=lambda case: case.case,
        label="check of the test images",
        workers=workers,
    )
    problems = [problem for one in (*checked, *tests) for problem in one.problems]
    problems += _swapped(checked, dataset)
    if not dataset.training:
        none = Findings(ALL_CASES)
        none.error("no training case", f"{len(dataset.test)} test cases", "Add images and label maps to train on.")
        problems += none.problems
    twins, twin_problems = _twins(checked, tests)
    return CheckReport(
        dataset=dataset.name,
        cases=len(dataset.training) + len(dataset.test),
        problems=(*problems, *twin_problems, *_patients_on_both_sides(dataset)),
        twins=twins,
    )


def _check_case(
    folder: Path, case: Case, dataset: Dataset, each: Callable[[Case, Volume, Volume], object] | None
) -> _Checked:
    findings = Findings(case.case)
    image = _read_image(folder / case.image, findings)
    labels = _read_labels(folder, case, findings)
    if image is not None and labels is not None:
        compare_grids(image, labels, findings)
    contacts = None
    if labels is not None and not labels.is_cine and _check_codes(labels, case, dataset, findings):
        contacts = count_contacts(labels.array.astype(np.uint8), tuple(dataset.labels.values()))
    sound = image is not None and labels is not None and all(p.severity != "error" for p in findings.problems)
    if each is not None and sound and image is not None and labels is not None:
        each(case, image, labels)
    return _Checked(case, tuple(findings.problems), _hash(image), _hash(labels), contacts)


def _check_test_case(folder: Path, case: Case) -> _Checked:
    findings = Findings(case.case)
    image = _read_image(folder / case.image, findings)
    softened = tuple(p.model_copy(update={"severity": "warning"}) for p in findings.problems)
    return _Checked(case, softened, _hash(image), None, None)


def _read_image(path: Path, findings: Findings) -> Volume | None:
    """Return the image, or ``None`` where it cannot be read; its faults go to ``findings``."""
    if not path.is_file():
        findings.error("image missing", str(path), "Add the image, or remove its label map.")
        return None
    try:
        image = read_image(path)
    except DataError as error:
        findings.error("image cannot be used", error.message, error.remedy)
        return None
    if image.is_cine:
        findings.error(
            "image is a cine", f"{image.array.shape[0]} frames", "Cut the labelled frames out: autolv_convert folder."
        )
        return image
    bad = int((~np.isfinite(image.array)).sum())
    if bad:
        findings.error(
            "NaN or infinite voxels", f"{bad} of {image.array.size}", "Repair the image, or leave the case out."
        )
    elif image.array.size and image.array.min() == image.array.max():
        findings.error("constant image", f"all voxels are {image.array.flat[0]:g}", "Replace the image.")
    return image


def _read_labels(folder: Path, case: Case, findings: Findings) -> Volume | None:
    if case.label is None or not (folder / case.label).is_file():
        name = case.label or f"a label map named {case.case}"
        findings.error("label map missing", f"expected {name}", "Add the label map, or remove the image.")
        return None
    try:
        return read_labels(folder / case.label)
    except DataError as error:
        findings.error("label map cannot be used", error.message, error.remedy)
        return None


def _check_codes(labels: Volume, case: Case, dataset: Dataset, findings: Findings) -> bool:
    """Check the codes of a label map; return whether all are known and something is labelled."""
    counts = np.bincount(labels.array.ravel(), minlength=256)
    present = {int(code): int(counts[code]) for code in np.flatnonzero(counts)}
    known = {code: name for name, code in dataset.labels.items()}
    unexpected = {code: n for code, n in present.items() if code and code not in known}
    if unexpected:
        values = ", ".join(f"{code} in {n} voxels" for code, n in unexpected.items())
        expected = ", ".join(f"{code} {known[code]}" for code in sorted(known))
        findings.error("unexpected label values", f"{values}; known are {expected}", "Correct the label map, or the "
                       "labels in dataset.json.")  # fmt: skip
        return False
    if not any(present):
        findings.error("empty labels", "no voxel is labelled", "Label the case, or leave it out.")
        return False
    hidden = case.not_annotated(tuple(dataset.labels))
    drawn = [name for name in hidden if dataset.labels[name] in present]
    if drawn:
        findings.error(
            "structure labelled but said to be not annotated",
            ", ".join(f"{name} in {present[dataset.labels[name]]} voxels" for name in drawn),
            "Add it to the case's 'annotated' in cases.csv, or remove it from the label map.",
        )
        return False
    missing = [name for name, code in dataset.labels.items() if code not in present and name not in hidden]
    if missing:
        what = "the LV" if LV_CAVITY in missing else "it"
        findings.warning("structure not labelled", ", ".join(missing), f"Make sure that {what} is not there.")
    return True


def _swapped(checked: Sequence[_Checked], dataset: Dataset) -> list[CheckProblem]:
    """Return an error where the labels fit better with other codes: over the whole dataset, else case by case."""
    counted = [(one.case.case, one.contacts) for one in checked if one.contacts is not None]
    if not counted:
        return []
    total: NDArray[np.int64] = np.sum([contacts for _, contacts in counted], axis=0)
    groups = [(ALL_CASES, total)] if swap_that_fits(total, dataset.labels) else counted
    findings = []
    for name, contacts in groups:
        swap = swap_that_fits(contacts, dataset.labels)
        if swap is None:
            continue
        codes = ", ".join(f"{structure} = {code}" for structure, code in swap.labels.items())
        one = Findings(name)
        one.error(
            "labels look swapped",
            f"only {100 * swap.enclosed:.0f} % of the LV cavity's edge touches myocardium; with {codes} it would be "
            f"{100 * swap.enclosed_if_swapped:.0f} %",
            f"Correct dataset.json to {codes}." if name == ALL_CASES else "Correct the codes of this label map.",
        )
        findings += one.problems
    return findings


def _twins(
    checked: Sequence[_Checked], tests: Sequence[_Checked]
) -> tuple[tuple[tuple[str, ...], ...], list[CheckProblem]]:
    """Return the groups of training patients that share an image, and a warning for each image that stands twice."""
    same: dict[str, list[_Checked]] = defaultdict(list)
    for one in (*checked, *tests):
        if one.image_hash is not None:
            same[one.image_hash].append(one)
    test_names = {one.case.case for one in tests}
    problems: list[CheckProblem] = []
    groups: list[set[str]] = []
    for copies in (found for found in same.values() if len(found) > 1):
        training = [one for one in copies if one.case.case not in test_names]
        findings = Findings(copies[0].case.case)
        if not training:
            continue
        others = ", ".join(f"{one.case.case} (patient {one.case.patient})" for one in copies[1:])
        values = f"same voxels as {others}; label maps {_agreement(training)}"
        patients = {one.case.patient for one in training}
        if len(training) < len(copies):
            findings.warning("image stands in the test set too", values, "Remove it from one of the two.")
        elif len(patients) == 1:
            findings.warning(
                "image stands twice in one patient", values, "Make sure that both frames are what they say."
            )
        else:
            findings.warning(
                "image stands under two patients", values, "They are kept in one fold; remove one of them."
            )
        if len(patients) > 1:
            groups.append(patients)
        problems += findings.problems
    return merge_overlapping(groups), problems


def _agreement(copies: Sequence[_Checked]) -> str:
    hashes = {one.label_hash for one in copies}
    return "are the same" if len(hashes) == 1 else "differ"


def _patients_on_both_sides(dataset: Dataset) -> list[CheckProblem]:
    both = sorted({case.patient for case in dataset.test} & set(dataset.patients))
    if not both:
        return []
    findings = Findings(ALL_CASES)
    findings.warning(
        "patients in training and in test", ", ".join(both[:5]) + (", ..." if len(both) > 5 else ""),
        "Test results of these patients will look better than they are.",
    )  # fmt: skip
    return findings.problems


def _hash(volume: Volume | None) -> str | None:
    """Return the hash of the voxels in their order and shape, whatever the file's type and header."""
    if volume is None:
        return None
    digest = hashlib.sha256(str(volume.array.shape).encode())
    digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()
