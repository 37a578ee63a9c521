from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.datasets._patterns import find_by_pattern
from autolv.datasets.raw import load_dataset
from autolv.schema.dataset import ConversionReport

ACDC = {"RV": 1, "MYO": 2, "LV": 3}


def convert(source: Path, target: Path, **options: Any) -> ConversionReport:
    return CONVERTERS.get("folder").convert(source, target, ConvertOptions(**{"labels": ACDC, **options}))


def refused(source: Path, target: Path, *parts: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        convert(source, target, **options)
    assert caught.value.remedy
    for part in parts:
        assert part in str(caught.value)
    assert not target.exists()


@pytest.fixture
def pairs(tmp_path: Path, files: Any) -> Path:
    """Two cases as images/<case>.nii.gz and labels/<case>.nii.gz."""
    source = tmp_path / "in"
    for number, case in enumerate(("P1_ED", "P2_ED")):
        files.save(source / "images" / f"{case}.nii.gz", files.picture(number))
        files.save(source / "labels" / f"{case}.nii.gz", files.ring())
    return source


def test_images_and_labels_side_by_side(pairs: Path, tmp_path: Path, files: Any) -> None:
    before = files.tree_hash(pairs)
    report = convert(pairs, tmp_path / "raw")
    dataset = load_dataset(tmp_path / "raw")
    assert [(c.case, c.patient, c.phase) for c in dataset.training] == [("P1_ED", "P1", "ED"), ("P2_ED", "P2", "ED")]
    assert dataset.labels == {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
    assert (report.cases, report.skipped) == (2, ())
    assert files.tree_hash(pairs) == before
    first = files.tree_hash(tmp_path / "raw")
    convert(pairs, tmp_path / "raw", overwrite=True, workers=2)
    assert files.tree_hash(tmp_path / "raw") == first


def test_patterns_in_one_folder_per_patient(tmp_path: Path, files: Any) -> None:
    for number, code in enumerate(("A0S9V9", "A1D0Q7")):
        files.save(tmp_path / "in" / "Labeled" / code / f"{code}_sa.nii.gz", files.picture(number))
        files.save(tmp_path / "in" / "Labeled" / code / f"{code}_sa_gt.nii.gz", files.ring())
    report = convert(
        tmp_path / "in", tmp_path / "raw", image_pattern="**/{case}/{case}_sa.nii.gz",
        label_pattern="Labeled/*/{case}_sa_gt.nii.gz",
    )  # fmt: skip
    assert report.skipped == ()
    assert [case.case for case in load_dataset(tmp_path / "raw").training] == ["A0S9V9", "A1D0Q7"]


def test_label_maps_are_not_taken_for_images(tmp_path: Path, files: Any) -> None:
    files.save(tmp_path / "in" / "x_0000.nii", files.picture(1))
    files.save(tmp_path / "in" / "x_seg.nii", files.ring())
    report = convert(tmp_path / "in", tmp_path / "raw", image_pattern="{case}.nii", label_pattern="{case}_seg.nii")
    assert (report.cases, report.skipped) == (1, ())
    assert [case.case for case in load_dataset(tmp_path / "raw").training] == ["x"]


def test_what_has_no_partner_is_skipped(pairs: Path, tmp_path: Path, files: Any) -> None:
    files.save(pairs / "images" / "P3_ED.nii.gz", files.picture(5))
    (pairs / "images" / "P2_ED.nii.gz").unlink()
    report = convert(pairs, tmp_path / "raw")
    assert dict(report.skipped) == {"P3_ED": "no label map", "P2_ED": "no image"}
    assert report.cases == 1


def test_labelled_frames_of_a_cine_become_cases(tmp_path: Path, files: Any) -> None:
    cine = files.picture(4, (20, 18, 4, 6))
    labels = np.zeros((20, 18, 4, 6), np.uint8)
    labels[..., 1] = files.ring()
    labels[8, 7:11, :, 1] = 2  # frame 2 has the smaller cavity: end-systole
    labels[..., 4] = files.ring()
    files.save(tmp_path / "in" / "images" / "P7_sa.nii.gz", cine)
    files.save(tmp_path / "in" / "labels" / "P7_sa.nii.gz", labels)
    files.save(tmp_path / "in" / "images" / "P8_sa.nii.gz", cine)
    files.save(tmp_path / "in" / "labels" / "P8_sa.nii.gz", np.zeros_like(labels))
    report = convert(tmp_path / "in", tmp_path / "raw", patient_pattern=r"(P\d)_")
    assert dict(report.skipped) == {"P8_sa": "no frame is labelled"}
    cases = load_dataset(tmp_path / "raw").training
    assert [(c.case, c.patient, c.frame, c.phase) for c in cases] == [
        ("P7_sa_frame02", "P7", 2, "ES"), ("P7_sa_frame05", "P7", 5, "ED"),
    ]  # fmt: skip
    image = nib.load(tmp_path / "raw" / cases[0].image)
    label = nib.load(tmp_path / "raw" / str(cases[0].label))
    assert np.array_equal(np.asarray(image.dataobj), cine[..., 1])
    assert np.array_equal(np.asarray(label.dataobj), labels[..., 1])
    assert np.array_equal(image.affine, label.affine)


def test_cine_with_one_label_map_needs_the_frame(tmp_path: Path, files: Any) -> None:
    cine = files.picture(4, (20, 18, 4, 6))
    files.save(tmp_path / "in" / "images" / "a.nii.gz", cine)
    files.save(tmp_path / "in" / "labels" / "a.nii.gz", files.ring())
    refused(tmp_path / "in", tmp_path / "raw", "a cine of 6 frames", "column 'frame'")
    table = tmp_path / "cases.csv"
    table.write_text("image,label,patient,frame,phase\nimages/a.nii.gz,labels/a.nii.gz,P1,3,ED\n")
    convert(tmp_path / "in", tmp_path / "raw", table=table)
    (case,) = load_dataset(tmp_path / "raw").training
    assert (case.case, case.patient, case.frame, case.phase) == ("a_frame03", "P1", 3, "ED")
    image = nib.load(tmp_path / "raw" / case.image)
    assert np.array_equal(np.asarray(image.dataobj), cine[..., 2])


def test_frames_that_do_not_match_are_skipped(tmp_path: Path, files: Any) -> None:
    for name, frames in (("a", 6), ("b", 1)):
        image = files.picture(4, (20, 18, 4, frames)) if frames > 1 else files.picture(4)
        files.save(tmp_path / "in" / "images" / f"{name}.nii.gz", image)
        files.save(tmp_path / "in" / "labels" / f"{name}.nii.gz", np.stack([files.ring()] * 5, axis=3))
    refused(tmp_path / "in", tmp_path / "raw", "6 frames, the label map 5", "a single volume")


def test_table_lists_what_patterns_cannot(pairs: Path, tmp_path: Path, files: Any) -> None:
    files.save(pairs / "extra" / "t.nii.gz", files.picture(11))
    table = tmp_path / "list.csv"
    table.write_text(
        "image,label,patient,case,phase,group,vendor,split\n"
        f"images/P1_ED.nii.gz,{pairs / 'labels' / 'P1_ED.nii.gz'},one,first,ED,DCM,B,\n"
        "images/P2_ED.nii.gz,labels/P2_ED.nii.gz,two,,,,,training\n"
        "extra/t.nii.gz,,three,,,,,test\n"
    )
    report = convert(pairs, tmp_path / "raw", table=table)
    dataset = load_dataset(tmp_path / "raw")
    assert [(c.case, c.patient, c.phase, c.group, c.vendor) for c in dataset.training] == [
        ("P2_ED", "two", "ED", None, None), ("first", "one", "ED", "DCM", "B"),
    ]  # fmt: skip
    assert [(c.case, c.patient, c.label) for c in dataset.test] == [("t", "three", None)]
    assert report.patient_rule == "column 'patient' of the table"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("image,label,patient\nimages/no.nii.gz,labels/P1_ED.nii.gz,1\n", ("line 2", "images/no.nii.gz")),
        ("image,label\nimages/P1_ED.nii.gz,labels/P1_ED.nii.gz\n", ("no patient", "image, label")),
        ("image,label,patient\n", ("lists no case",)),
        ("image,label,patient,case\n" + "images/P1_ED.nii.gz,labels/P1_ED.nii.gz,1,../x\n", ("'../x'",)),
        ("image,label,patient,case\n" + "images/P1_ED.nii.gz,labels/P1_ED.nii.gz,1,x\n" * 2, ("two cases", "'x'")),
    ],
)
def test_table_that_cannot_be_used(pairs: Path, tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    table = tmp_path / "list.csv"
    table.write_text(text)
    refused(pairs, tmp_path / "raw", *parts, table=table)


def test_wrong_pattern_shows_names_and_the_closest(pairs: Path, tmp_path: Path) -> None:
    refused(
        pairs, tmp_path / "raw", "'image/{case}.nii.gz'", "images/P1_ED.nii.gz", "labels/P1_ED.nii.gz", "closest",
        image_pattern="image/{case}.nii.gz",
    )  # fmt: skip
    refused(pairs, tmp_path / "raw", "no {case}", label_pattern="labels/*.nii.gz")


def test_codes_must_be_told(pairs: Path, tmp_path: Path) -> None:
    refused(pairs, tmp_path / "raw", "which code", "--labels", labels=None)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", tmp_path / "raw", "is not a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "raw", "there is no file ending in .nii.gz")


def test_two_files_of_one_case_are_refused(pairs: Path, tmp_path: Path, files: Any) -> None:
    files.save(pairs / "images" / "P1_ED.nii", files.picture(1))
    refused(pairs, tmp_path / "raw", "two files", "'P1_ED'")


def test_patterns(tmp_path: Path) -> None:
    for name in ("a/x_1.nii.gz", "a/y_1.nii", "b/c/z_1.mha", "b/.hidden_1.mha"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_by_pattern(tmp_path, "**/{case}_1")) == ["x", "y", "z"]
    assert list(find_by_pattern(tmp_path, "a/{case}.nii.gz")) == ["x_1"]
    assert list(find_by_pattern(tmp_path, "*/{case}")) == ["x_1", "y_1"]
