from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import DataError, WorkspaceError
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.datasets._acdc_info import read_info
from autolv.datasets._staging import staged_folder
from autolv.datasets.raw import load_dataset
from autolv.schema.dataset import ConversionReport

Writer = Callable[..., Path]


def convert(source: Path, target: Path, **options: Any) -> ConversionReport:
    return CONVERTERS.get("acdc").convert(source, target, ConvertOptions(**options))


def test_release_with_both_halves(tmp_path: Path, acdc_patient: Writer, files: Any) -> None:
    release = tmp_path / "ACDC"
    first = acdc_patient(release / "database" / "training" / "patient001", seed=1)
    acdc_patient(release / "database" / "testing" / "patient101", seed=2)
    before = files.tree_hash(release)
    report = convert(release, tmp_path / "raw" / "ACDC")
    assert (report.cases, report.test_cases, report.patients) == (2, 2, 1)
    assert report.frames == {"ED": 1, "ES": 1, "unknown": 0}
    assert report.labels_seen == {"1": 4, "2": 4, "3": 4}
    dataset = load_dataset(tmp_path / "raw" / "ACDC")
    assert dataset.labels == {"rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3}
    assert [(c.case, c.patient, c.frame, c.phase, c.group, c.height_cm, c.weight_kg) for c in dataset.training] == [
        ("patient001_frame01", "patient001", 1, "ED", "NOR", 170.0, 70.0),
        ("patient001_frame05", "patient001", 5, "ES", "NOR", 170.0, 70.0),
    ]
    assert [case.label for case in dataset.test] == [
        "labelsTs/patient101_frame01.nii.gz", "labelsTs/patient101_frame05.nii.gz",
    ]  # fmt: skip
    copied = tmp_path / "raw" / "ACDC" / "imagesTr" / "patient001_frame05_0000.nii.gz"
    assert copied.read_bytes() == (first / "patient001_frame05.nii.gz").read_bytes()
    assert files.tree_hash(release) == before


@pytest.mark.parametrize(("name", "cases", "tests"), [("training", 2, 0), ("testing", 0, 2), ("anything", 2, 0)])
def test_one_half_or_any_folder_of_patients(
    tmp_path: Path, acdc_patient: Writer, name: str, cases: int, tests: int
) -> None:
    acdc_patient(tmp_path / name / "patient001")
    report = convert(tmp_path / name, tmp_path / "raw")
    assert (report.cases, report.test_cases) == (cases, tests)
    assert len(load_dataset(tmp_path / "raw").training) == cases


def test_frame_is_cut_from_the_cine_where_its_file_is_missing(tmp_path: Path, acdc_patient: Writer, files: Any) -> None:
    patient = acdc_patient(tmp_path / "in" / "patient001", frames=(1,))
    cine = files.picture(5, (20, 18, 4, 9))
    files.save(patient / "patient001_4d.nii.gz", cine)
    report = convert(tmp_path / "in", tmp_path / "raw")
    assert (report.cases, report.cines, report.skipped) == (2, 1, ())
    cut = nib.load(tmp_path / "raw" / "imagesTr" / "patient001_frame05_0000.nii.gz")
    assert np.array_equal(np.asarray(cut.dataobj), cine[..., 4])  # frames are counted from 1
    assert cut.header.get_zooms() == (1.5, 1.5, 8.0)


def test_what_is_missing_is_skipped_with_its_reason(tmp_path: Path, acdc_patient: Writer) -> None:
    acdc_patient(tmp_path / "in" / "patient001", labelled=(1,))
    acdc_patient(tmp_path / "in" / "patient002", seed=2, frames=(1,))
    acdc_patient(tmp_path / "in" / "patient003", seed=3, labelled=(), frames=(), info="Group: NOR\n")
    report = convert(tmp_path / "in", tmp_path / "raw", allow_missing=True)
    assert report.cases == 2
    skipped = dict(report.skipped)
    assert "patient001_frame05_gt.nii.gz" in skipped["patient001_frame05"]
    assert "frame 5" in skipped["patient002_frame05"]
    assert "no labelled frame" in skipped["patient003"]
    assert "skipped patient003: no labelled frame" in report.to_text()


def test_without_info_file_the_frames_are_taken_by_name(tmp_path: Path, acdc_patient: Writer) -> None:
    acdc_patient(tmp_path / "in" / "patient001", info=None)
    report = convert(tmp_path / "in", tmp_path / "raw")
    assert (report.cases, report.frames["unknown"]) == (2, 2)
    assert "no Info.cfg" in report.problems[0]


def test_plain_nifti_is_rewritten_compressed(tmp_path: Path, acdc_patient: Writer) -> None:
    patient = acdc_patient(tmp_path / "in" / "patient001")
    for path in list(patient.glob("*.nii.gz")):
        (patient / path.name[:-3]).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert convert(tmp_path / "in", tmp_path / "raw").cases == 2
    old = nib.load(patient / "patient001_frame01_gt.nii")
    new = nib.load(tmp_path / "raw" / "labelsTr" / "patient001_frame01.nii.gz")
    assert np.array_equal(np.asarray(old.dataobj), np.asarray(new.dataobj))
    assert np.array_equal(old.affine, new.affine)


def test_structures_that_never_occur_are_left_out(tmp_path: Path, acdc_patient: Writer, files: Any) -> None:
    patient = acdc_patient(tmp_path / "in" / "patient001")
    for path in patient.glob("*_gt.nii.gz"):
        files.save(path, np.where(files.ring() == 3, 3, 0).astype(np.uint8))
    report = convert(tmp_path / "in", tmp_path / "raw")
    assert load_dataset(tmp_path / "raw").labels == {"lv_cavity": 3}
    assert any("rv_cavity and lv_myocardium never occur" in problem for problem in report.problems)


def test_codes_of_the_files_may_be_given(tmp_path: Path, acdc_patient: Writer) -> None:
    acdc_patient(tmp_path / "in" / "patient001")
    convert(tmp_path / "in", tmp_path / "raw", labels={"LV": 1, "MYO": 2, "RV": 3})
    assert load_dataset(tmp_path / "raw").labels == {"lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3}


def test_unknown_codes_are_noted_and_kept_for_the_check(tmp_path: Path, acdc_patient: Writer, files: Any) -> None:
    patient = acdc_patient(tmp_path / "in" / "patient001")
    labels = files.ring()
    labels[0, 0, 0] = 7
    files.save(patient / "patient001_frame01_gt.nii.gz", labels)
    assert any("codes 7" in problem for problem in convert(tmp_path / "in", tmp_path / "raw").problems)


@pytest.mark.parametrize("layout", ["missing", "empty", "files"])
def test_sources_that_are_not_acdc_leave_nothing_behind(tmp_path: Path, layout: str) -> None:
    source = tmp_path / "in"
    expected = {"missing": "is not a folder", "empty": "the folder is empty", "files": "found a.nii, b.nii, c.nii, ..."}
    if layout != "missing":
        source.mkdir()
    if layout == "files":
        for name in ("a.nii", "b.nii", "c.nii", "d.nii"):
            (source / name).touch()
    with pytest.raises(DataError) as caught:
        convert(source, tmp_path / "out" / "raw")
    assert expected[layout] in str(caught.value)
    assert "patient001_frame01_gt.nii.gz" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_unreadable_image_names_the_file_and_leaves_nothing(tmp_path: Path, acdc_patient: Writer) -> None:
    patient = acdc_patient(tmp_path / "in" / "patient001")
    (patient / "patient001_frame05.nii.gz").write_bytes(b"not a file")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="patient001_frame05"):
        convert(tmp_path / "in", tmp_path / "out" / "raw")
    assert list((tmp_path / "out").iterdir()) == []


def test_same_patient_in_both_halves_is_refused(tmp_path: Path, acdc_patient: Writer) -> None:
    acdc_patient(tmp_path / "in" / "training" / "patient001")
    acdc_patient(tmp_path / "in" / "testing" / "patient001")
    with pytest.raises(DataError, match="'patient001_frame01'"):
        convert(tmp_path / "in", tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_target_is_replaced_only_when_asked_and_equal_byte_for_byte(
    tmp_path: Path, acdc_patient: Writer, files: Any
) -> None:
    patient = acdc_patient(tmp_path / "in" / "patient001", frames=(1,))
    files.save(patient / "patient001_4d.nii.gz", files.picture(5, (20, 18, 4, 9)))
    target = tmp_path / "raw"
    convert(tmp_path / "in", target)
    first = files.tree_hash(target)
    (target / "mine.txt").touch()
    with pytest.raises(WorkspaceError, match="exists already") as caught:
        convert(tmp_path / "in", target)
    assert "--overwrite" in caught.value.remedy
    assert (target / "mine.txt").exists()
    convert(tmp_path / "in", target, overwrite=True, workers=2)
    assert files.tree_hash(target) == first
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_source_inside_the_target_is_not_destroyed(tmp_path: Path, acdc_patient: Writer) -> None:
    acdc_patient(tmp_path / "raw" / "in" / "patient001")
    with pytest.raises(WorkspaceError, match="lies in"):
        convert(tmp_path / "raw" / "in", tmp_path / "raw", overwrite=True)
    assert (tmp_path / "raw" / "in" / "patient001").is_dir()


def test_staged_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def fail() -> None:
        with staged_folder(target, overwrite=False) as folder:
            (folder / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    leftover = tmp_path / ".made.partial"  # of a killed run
    leftover.mkdir()
    (leftover / "half").touch()
    with staged_folder(target, overwrite=False) as folder:
        (folder / "whole").touch()
        assert not target.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["made"]
    assert [p.name for p in target.iterdir()] == ["whole"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ED: 1\nES: 12\nHeight: 184.0\n", (1, 12, 184.0, ())),
        ("ED:1\r\nES:12 \r\nHeight:184,5\r\n", (1, 12, 184.5, ())),
        ("ES: 12\n", (None, 12, None, ())),
        ("ED: 1\nES: 12\nHeight: 0\n", (1, 12, None, ("height [cm] 0 is not plausible and is left out",))),
        ("ED: 0\n", (None, None, None, ("ed 0 is not a frame; frames are counted from 1",))),
        ("ED: 3\nES: 3\n", (3, 3, None, ("ED and ES are both frame 3",))),
        ("ED: one\n", (None, None, None, ("ed 'one' is not a number",))),
        ("ED: 1\nES: 31\nNbFrame: 30\n", (1, 31, None, ("es is frame 31 of 30",))),
        ("", (None, None, None, ())),
    ],
)
def test_info_file_is_read_leniently(tmp_path: Path, text: str, expected: tuple[Any, ...]) -> None:
    (tmp_path / "Info.cfg").write_bytes(text.encode())
    info = read_info(tmp_path / "Info.cfg")
    assert (info.ed, info.es, info.height_cm, info.problems) == expected


def test_vendor_and_centre_are_taken_where_given(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Group: DCM\nVendor: B\nCentre: 3\nWeight: 9999\n")
    info = read_info(tmp_path / "Info.cfg")
    assert (info.group, info.vendor, info.centre, info.weight_kg) == ("DCM", "B", "3", None)
