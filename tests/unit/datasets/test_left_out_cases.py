"""Cases that a conversion cannot take: told where everyone sees it, and refused where a label map is plainly missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autolv.cli.convert import main
from autolv.core.errors import DataError
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.pipeline.convert import convert

Writer = Callable[..., Path]


def test_acdc_frame_without_its_label_map_is_refused(tmp_path: Path, acdc_patient: Writer) -> None:
    acdc_patient(tmp_path / "in" / "patient001", labelled=(1,))
    acdc_patient(tmp_path / "in" / "patient002", seed=2)
    with pytest.raises(DataError) as caught:
        CONVERTERS.get("acdc").convert(tmp_path / "in", tmp_path / "raw", ConvertOptions())
    assert "1 of 4 training frames have no label map: missing patient001_frame05_gt.nii.gz." in caught.value.message
    assert "--allow-missing" in caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_five_are_named_and_the_others_counted(tmp_path: Path, acdc_patient: Writer) -> None:
    for number in range(1, 8):
        acdc_patient(tmp_path / "in" / f"patient{number:03d}", seed=number, labelled=(1,))
    with pytest.raises(DataError, match=r"7 of 14 .*patient005_frame05_gt\.nii\.gz and 2 more") as caught:
        CONVERTERS.get("acdc").convert(tmp_path / "in", tmp_path / "raw", ConvertOptions())
    assert "patient006" not in caught.value.message


def test_frames_of_the_cine_and_the_test_half_need_no_label_map(
    tmp_path: Path, acdc_patient: Writer, files: Any
) -> None:
    patient = acdc_patient(tmp_path / "in" / "training" / "patient001", frames=(1,), labelled=(1,))
    files.save(patient / "patient001_4d.nii.gz", files.picture(5, (20, 18, 4, 9)))  # ES, frame 5, is in the cine alone
    acdc_patient(tmp_path / "in" / "testing" / "patient101", seed=2, labelled=())
    report = CONVERTERS.get("acdc").convert(tmp_path / "in", tmp_path / "raw", ConvertOptions())
    assert (report.cases, report.test_cases) == (1, 2)
    assert [name for name, _ in report.skipped] == ["patient001_frame05"]


def test_what_is_left_out_is_told_in_one_warning(
    tmp_path: Path, nnunet_dataset: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    source = nnunet_dataset(tmp_path / "D", cases=tuple(f"c{n}_ED" for n in range(9)))
    for number in range(7):
        (source / "labelsTr" / f"c{number}_ED.nii.gz").unlink()
    with caplog.at_level(logging.WARNING):
        convert("nnunet", source, dataset="E", root=tmp_path, workers=0)
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith("7 of 9 cases left out: c0_ED (no label map labelsTr/c0_ED.nii.gz), ")
    assert "c4_ED" in said and "c5_ED" not in said and said.endswith("and 2 more.")


def test_nothing_is_warned_where_nothing_is_left_out(
    tmp_path: Path, acdc_patient: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    acdc_patient(tmp_path / "in" / "patient001")
    with caplog.at_level(logging.WARNING):
        convert("acdc", tmp_path / "in", dataset="E", root=tmp_path, workers=0)
    assert caplog.records == []


def test_quiet_commands_say_it_too(tmp_path: Path, acdc_patient: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    acdc_patient(tmp_path / "in" / "patient001", labelled=(1,))
    line = ["acdc", str(tmp_path / "in"), "-d", "E", "--root", str(tmp_path), "--workers", "0", "--quiet"]
    assert main(line) == 2
    refused = capsys.readouterr().err
    assert "patient001_frame05_gt.nii.gz" in refused and "--allow-missing" in refused
    assert not (tmp_path / "raw_data" / "E").exists()
    assert main([*line, "--allow-missing"]) == 0
    assert "warning: 1 of 2 cases left out: patient001_frame05 (no label map" in capsys.readouterr().err


def test_a_folder_with_unlabelled_images_says_so(tmp_path: Path, files: Any, caplog: pytest.LogCaptureFixture) -> None:
    for number, case in enumerate(("P1_ED", "P2_ED")):
        files.save(tmp_path / "in" / "images" / f"{case}.nii.gz", files.picture(number))
    files.save(tmp_path / "in" / "labels" / "P1_ED.nii.gz", files.ring())
    with caplog.at_level(logging.WARNING):
        convert("folder", tmp_path / "in", dataset="E", root=tmp_path, workers=0, labels={"RV": 1, "MYO": 2, "LV": 3})
    assert [record.getMessage() for record in caplog.records] == ["1 of 2 cases left out: P2_ED (no label map)."]
