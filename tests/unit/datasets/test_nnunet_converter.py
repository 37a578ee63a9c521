from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.datasets.raw import load_dataset
from autolv.schema.dataset import ConversionReport

Writer = Callable[..., Path]


def convert(source: Path, target: Path, **options: Any) -> ConversionReport:
    return CONVERTERS.get("nnunet").convert(source, target, ConvertOptions(**options))


def smaller(files: Any) -> np.ndarray:
    labels = files.ring()
    labels[8, 7:11] = 2  # the cavity is 3 x 4 instead of 4 x 4 pixels
    return labels


def test_copy_with_patients_and_phases(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    source = nnunet_dataset(
        tmp_path / "Dataset027", cases=("patient001_frame01", "patient001_frame05", "patient002_ED")
    )
    files.save(source / "labelsTr" / "patient001_frame01.nii.gz", smaller(files))
    files.save(source / "imagesTs" / "patient009_0000.nii.gz", files.picture(8))
    before = files.tree_hash(source)
    report = convert(source, tmp_path / "raw")
    assert files.tree_hash(source) == before
    dataset = load_dataset(tmp_path / "raw")
    assert [(c.case, c.patient, c.phase) for c in dataset.training] == [
        ("patient001_frame01", "patient001", "ES"),  # the smaller cavity
        ("patient001_frame05", "patient001", "ED"),
        ("patient002_ED", "patient002", "ED"),
    ]
    assert (report.cases, report.test_cases, report.frames) == (3, 1, {"ED": 2, "ES": 1, "unknown": 0})
    assert any("told apart by the LV cavity's volume" in problem for problem in report.problems)
    for name in ("imagesTr/patient001_frame05_0000.nii.gz", "labelsTr/patient001_frame05.nii.gz"):
        assert (tmp_path / "raw" / name).read_bytes() == (source / name).read_bytes()


def test_equal_volumes_give_no_phase(tmp_path: Path, nnunet_dataset: Writer) -> None:
    report = convert(nnunet_dataset(tmp_path / "D"), tmp_path / "raw")
    assert report.frames == {"ED": 0, "ES": 0, "unknown": 2}


def test_incomplete_cases_are_skipped_with_reason(tmp_path: Path, nnunet_dataset: Writer) -> None:
    source = nnunet_dataset(tmp_path / "D", cases=("a_ED", "b_ED", "c_ED"))
    (source / "labelsTr" / "a_ED.nii.gz").unlink()
    (source / "imagesTr" / "b_ED_0000.nii.gz").unlink()
    report = convert(source, tmp_path / "raw")
    assert dict(report.skipped) == {
        "a_ED": "no label map labelsTr/a_ED.nii.gz", "b_ED": "no image imagesTr/b_ED_0000.nii.gz",
    }  # fmt: skip
    assert [case.case for case in load_dataset(tmp_path / "raw").training] == ["c_ED"]
    (source / "labelsTr" / "c_ED.nii.gz").unlink()
    with pytest.raises(DataError, match="both an image and a label map"):
        convert(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_dataset_in_the_workspace_is_used_in_place(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    source = nnunet_dataset(tmp_path / "D", cases=("heart_7_a", "heart_7_b"))
    before = files.tree_hash(source)
    report = convert(source, source, patient_pattern=r"heart_(\d)")
    after = files.tree_hash(source)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"cases.csv"}
    assert load_dataset(source).patients == ("7",)
    assert "used in place" in report.problems[0]


def test_other_formats_become_nifti(tmp_path: Path, files: Any) -> None:
    sitk = pytest.importorskip("SimpleITK")
    source = tmp_path / "D"
    (source / "imagesTr").mkdir(parents=True)
    (source / "labelsTr").mkdir()
    (source / "dataset.json").write_text(
        '{"labels": {"background": 0, "LV": 3, "MYO": 2, "RV": 1}, "file_ending": ".nrrd"}'
    )
    for array, name in ((files.picture(1), "imagesTr/a_ED_0000.nrrd"), (files.ring(), "labelsTr/a_ED.nrrd")):
        image = sitk.GetImageFromArray(array.transpose())
        image.SetSpacing((1.5, 1.5, 8.0))
        sitk.WriteImage(image, str(source / name))
    convert(source, tmp_path / "raw")
    label = nib.load(tmp_path / "raw" / "labelsTr" / "a_ED.nii.gz")
    assert label.header.get_zooms() == (1.5, 1.5, 8.0)
    assert sorted(np.unique(label.dataobj, return_counts=True)[1].tolist()) == sorted(
        np.unique(files.ring(), return_counts=True)[1].tolist()
    )


def test_codes_may_be_corrected(tmp_path: Path, nnunet_dataset: Writer) -> None:
    source = nnunet_dataset(tmp_path / "D", labels={"background": 0, "LV": 1, "MYO": 2, "RV": 3})
    convert(source, tmp_path / "raw", labels={"LV": 3, "MYO": 2, "RV": 1})
    assert load_dataset(tmp_path / "raw").labels == {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}


def test_source_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the folder does not exist"):
        convert(tmp_path / "nowhere", tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
