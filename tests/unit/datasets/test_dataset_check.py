from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolv.datasets.check import check_dataset
from autolv.datasets.raw import load_dataset
from autolv.imageio.volumes import read_image, read_labels
from autolv.ops.enclosure import count_contacts, enclosed, swap_that_fits
from autolv.schema.dataset import CheckProblem, CheckReport

Writer = Callable[..., Path]
TEN = tuple(f"patient{number:03d}_ED" for number in range(1, 11))


def check(folder: Path, workers: int = 0) -> CheckReport:
    return check_dataset(folder, load_dataset(folder), workers=workers)


def only(report: CheckReport) -> CheckProblem:
    (problem,) = report.problems
    return problem


def label_of(folder: Path, case: str) -> Path:
    return folder / "labelsTr" / f"{case}.nii.gz"


def image_of(folder: Path, case: str) -> Path:
    return folder / "imagesTr" / f"{case}_0000.nii.gz"


def test_sound_dataset_has_no_problem(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    before = files.tree_hash(tmp_path)
    report = check(folder)
    assert (report.cases, report.problems, report.twins, report.fatal) == (10, (), (), False)
    assert report.to_table() == "D: 10 cases checked, no problem found."
    assert files.tree_hash(tmp_path) == before


def test_bad_cases_among_ten_are_listed_with_their_values(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[1]), files.ring((20, 18, 5)))
    files.save(label_of(folder, TEN[3]), files.ring(), zooms=(1.5, 1.5, 10.0))
    files.save(label_of(folder, TEN[5]), files.ring(), origin=(1e-4, 0.0, 0.0))  # float noise
    image_of(folder, TEN[7]).write_bytes(image_of(folder, TEN[7]).read_bytes()[:200])
    report = check(folder)
    found = {problem.case: problem for problem in report.problems}
    assert set(found) == {TEN[1], TEN[3], TEN[7]}
    assert all(problem.severity == "error" and problem.remedy for problem in report.problems)
    assert found[TEN[1]].values == "image (4, 18, 20), labels (5, 18, 20) (z, y, x)"
    assert found[TEN[3]].values == "image 8 x 1.5 x 1.5, labels 10 x 1.5 x 1.5 mm (z, y, x)"
    assert found[TEN[7]].problem == "image cannot be used"
    assert report.fatal


def test_report_is_the_same_with_threads(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    label_of(folder, TEN[2]).unlink()
    assert check(folder, workers=3) == check(folder)


def test_sound_cases_are_handed_on_as_they_were_read_and_others_are_not(
    tmp_path: Path, nnunet_dataset: Writer, files: Any
) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[1]), files.ring((20, 18, 5)))
    image_of(folder, TEN[7]).write_bytes(image_of(folder, TEN[7]).read_bytes()[:200])
    got = {}
    dataset = load_dataset(folder)
    report = check_dataset(folder, dataset, workers=2, each=lambda case, *volumes: got.update({case.case: volumes}))
    assert set(got) == set(TEN) - {TEN[1], TEN[7]}
    assert report == check(folder)
    for name, (image, labels) in got.items():
        np.testing.assert_array_equal(image.array, read_image(image_of(folder, name)).array)
        np.testing.assert_array_equal(labels.array, read_labels(label_of(folder, name)).array)


@pytest.mark.parametrize("missing", ["image", "label"])
def test_missing_files(tmp_path: Path, nnunet_dataset: Writer, missing: str) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    (image_of if missing == "image" else label_of)(folder, TEN[0]).unlink()
    problem = only(check(folder))
    assert (problem.case, problem.severity) == (TEN[0], "error")
    assert problem.problem == ("image missing" if missing == "image" else "label map missing")


@pytest.mark.parametrize(
    ("value", "count", "text"),
    [(7, 3, "7 in 3 voxels; known are 1 rv_cavity, 2 lv_myocardium, 3 lv_cavity"), (2.5, 4, "2.5"), (np.nan, 2, "NaN")],
)
def test_label_values(tmp_path: Path, nnunet_dataset: Writer, files: Any, value: float, count: int, text: str) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    labels = files.ring().astype(np.float32)
    labels[0, :count, 0] = value
    files.save(label_of(folder, TEN[0]), labels)
    problem = only(check(folder))
    assert problem.severity == "error"
    assert text in problem.values
    assert str(count) in problem.values


def test_integers_stored_as_floats_pass(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[0]), files.ring().astype(np.float32))
    assert check(folder).problems == ()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers(tmp_path: Path, nnunet_dataset: Writer, files: Any, value: float) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    image = files.picture(0).astype(np.float32)
    image[0, 0, :2] = value
    files.save(image_of(folder, TEN[0]), image)
    problem = only(check(folder))
    assert (problem.problem, problem.values) == ("NaN or infinite voxels", "2 of 1440")


def test_constant_image_and_empty_labels(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(image_of(folder, TEN[0]), np.full((20, 18, 4), 5, np.int16))
    files.save(label_of(folder, TEN[1]), np.zeros((20, 18, 4), np.uint8))
    report = check(folder)
    assert [(p.case, p.problem, p.severity) for p in report.problems] == [
        (TEN[0], "constant image", "error"), (TEN[1], "empty labels", "error"),
    ]  # fmt: skip


def test_images_with_more_dimensions(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(image_of(folder, TEN[0]), files.picture(0, (20, 18, 4, 3, 2)))
    files.save(image_of(folder, TEN[1]), files.picture(1, (20, 18, 4, 3)))
    found = {problem.case: problem for problem in check(folder).problems if "image" in problem.problem}
    assert found[TEN[0]].problem == "image cannot be used"
    assert (found[TEN[1]].problem, found[TEN[1]].values) == ("image is a cine", "3 frames")


def test_missing_structure_warns(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[0]), np.where(files.ring() == 1, 0, files.ring()).astype(np.uint8))
    problem = only(check(folder))
    assert (problem.severity, problem.values) == ("warning", "rv_cavity")
    assert not check(folder).fatal


def test_shifted_origin_warns_and_turned_axes_are_refused(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    import nibabel as nib

    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[0]), files.ring(), origin=(3.0, 4.0, 0.0))
    nib.save(nib.Nifti1Image(files.ring(), np.diag([-1.5, 1.5, 8.0, 1.0])), label_of(folder, TEN[1]))
    first, second = sorted(check(folder).problems, key=lambda problem: problem.case)
    assert (first.case, first.severity) == (TEN[0], "warning")
    assert first.values.startswith("by up to 5 mm")  # 3, 4, 5
    assert (second.case, second.severity, second.problem) == (TEN[1], "error", "orientations differ")


def test_twins_under_two_patients_warn_and_are_named(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    # the same voxels as another type; then a third patient by the second
    files.save(image_of(folder, TEN[4]), files.picture(2).astype(np.float32))
    files.save(image_of(folder, TEN[6]), files.picture(77))
    files.save(image_of(folder, TEN[8]), files.picture(2))
    labels = files.ring()
    labels[8, 7, 0] = 2
    files.save(label_of(folder, TEN[4]), labels)
    report = check(folder)
    assert report.twins == (("patient003", "patient005", "patient009"),)
    problem = only(report)
    assert (problem.case, problem.severity) == (TEN[2], "warning")
    assert "patient005_ED (patient patient005), patient009_ED (patient patient009)" in problem.values
    assert "differ" in problem.values
    assert not report.fatal


def test_same_frame_twice_in_one_patient_is_no_twin(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=("patient001_ED", "patient001_ES"))
    files.save(image_of(folder, "patient001_ES"), files.picture(0))
    report = check(folder)
    assert report.twins == ()
    assert only(report).problem == "image stands twice in one patient"


def test_test_cases_only_warn_and_their_labels_are_not_read(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(folder / "imagesTs" / "patient050_ED_0000.nii.gz", files.picture(3))
    files.save(folder / "imagesTs" / "patient002_ES_0000.nii.gz", files.picture(60))
    (folder / "labelsTs").mkdir()
    (folder / "labelsTs" / "patient050_ED.nii.gz").write_bytes(b"never read")
    report = check(folder)
    assert {problem.problem for problem in report.problems} == {
        "image stands in the test set too", "patients in training and in test",
    }  # fmt: skip
    assert not report.fatal
    assert report.twins == ()


@pytest.mark.parametrize(
    "codes",
    [
        {"LV": 1, "MYO": 2, "RV": 3},  # ACDC's files read as M&Ms'
        {"LV": 2, "MYO": 3, "RV": 1},
        {"LV": 2, "MYO": 1, "RV": 3},
    ],
)
def test_swapped_labels_stop_with_the_codes_that_fit(
    tmp_path: Path, nnunet_dataset: Writer, codes: dict[str, int]
) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN, labels={"background": 0, **codes})
    problem = only(check(folder))
    assert (problem.case, problem.severity, problem.problem) == ("all cases", "error", "labels look swapped")
    assert problem.remedy == "Correct dataset.json to rv_cavity = 1, lv_myocardium = 2, lv_cavity = 3."


def test_one_swapped_case_among_ten_is_named(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[6]), np.array([0, 3, 2, 1], np.uint8)[files.ring()])
    problem = only(check(folder))
    assert (problem.case, problem.problem) == (TEN[6], "labels look swapped")
    assert "this label map" in problem.remedy


def test_fewer_structures_pass(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    alone = nnunet_dataset(tmp_path / "alone", cases=TEN, labels={"background": 0, "LV": 3})
    two = nnunet_dataset(tmp_path / "two", cases=TEN, labels={"background": 0, "LV": 2, "MYO": 3})
    for case in TEN:
        files.save(label_of(alone, case), np.where(files.ring() == 3, 3, 0).astype(np.uint8))
        files.save(label_of(two, case), np.where(files.ring() == 1, 0, files.ring()).astype(np.uint8))
    assert check(alone).problems == ()
    assert only(check(two)).values.startswith("only 33 %")  # wall for cavity: 16 inner edges of 48


def test_contacts_counted_by_hand() -> None:
    plane = np.array([[0, 2, 2], [0, 2, 3], [0, 2, 2]], dtype=np.uint8)[None]  # (z, y, x)
    contacts = count_contacts(plane, (3, 2))
    # index 1 is code 3, index 2 code 2: three pairs 3|2, three pairs 0|2
    assert contacts[1, 2] == contacts[2, 1] == 3
    assert contacts[0, 2] == 3
    assert contacts.sum() == 12
    assert np.isnan(enclosed(contacts, 1, 2))  # three pairs prove nothing
    assert swap_that_fits(contacts, {"lv_cavity": 3, "lv_myocardium": 2}) is None


def test_contacts_leave_out_base_and_apex() -> None:
    labels = np.zeros((8, 4, 4), np.uint8)
    labels[:, 1, 1] = 3
    labels[2:6, 0:3, 0:3] = 2
    labels[2:6, 1, 1] = 3
    contacts = count_contacts(labels, (3, 2))
    assert contacts[1, 2] == 4 * 4  # four edges in each of the middle four slices
    assert contacts[1, 0] == 0  # the bare cavity of the outer slices is not counted
    assert count_contacts(np.zeros((3, 4, 4), np.uint8), (3, 2)).sum() == 0


def test_table_has_errors_first_and_one_line_each(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    files.save(label_of(folder, TEN[0]), files.ring(), origin=(3.0, 4.0, 0.0))
    label_of(folder, TEN[9]).unlink()
    lines = check(folder).to_table().splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [[TEN[9], "error"], [TEN[0], "warning"]]
    assert lines[0].split() == ["case", "severity", "problem", "values", "remedy"]
    assert lines[0].index("severity") == lines[2].index("error")
    assert CheckReport.model_validate_json(check(folder).to_json()) == check(folder)


def test_dataset_without_training_cases_is_fatal(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=())
    files.save(folder / "imagesTs" / "a_0000.nii.gz", files.picture(1))
    assert only(check(folder)).problem == "no training case"


def _annotated(folder: Path, case: str, names: str) -> None:
    lines = [f"{one},{one[:10]},{names if one == case else ''}" for one in TEN]
    (folder / "cases.csv").write_text("\n".join(("case,patient,annotated", *lines)))


def test_a_structure_that_nobody_looked_for_is_not_missing(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    labels = files.ring()
    labels[labels == 1] = 0
    files.save(label_of(folder, TEN[2]), labels)
    assert only(check(folder)).problem == "structure not labelled"
    _annotated(folder, TEN[2], "lv_cavity lv_myocardium")
    assert check(folder).problems == ()


def test_a_structure_that_is_labelled_but_said_to_be_not_annotated_is_an_error(
    tmp_path: Path, nnunet_dataset: Writer
) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=TEN)
    _annotated(folder, TEN[2], "lv_cavity lv_myocardium")
    report = check(folder)
    assert report.fatal
    problem = only(report)
    assert problem.case == TEN[2]
    assert problem.problem == "structure labelled but said to be not annotated"
    assert problem.values == "rv_cavity in 128 voxels"  # 4 x 8 pixels in 4 slices
    assert "cases.csv" in problem.remedy
