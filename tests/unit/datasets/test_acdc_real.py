"""What is known of ACDC's real training half: counts, groups, volumes, and the pair that stands twice."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from autolv.core.labels import LV_CAVITY
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.datasets.check import check_dataset
from autolv.datasets.raw import load_dataset
from autolv.imageio.volumes import read_labels
from autolv.schema.dataset import ConversionReport


@pytest.fixture(scope="module")
def converted(acdc_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConversionReport]:
    folder = tmp_path_factory.mktemp("raw") / "ACDC"
    report = CONVERTERS.get("acdc").convert(acdc_folder, folder, ConvertOptions(workers=2))
    return folder, report


def test_two_hundred_frames_of_a_hundred_patients(converted: tuple[Path, ConversionReport]) -> None:
    folder, report = converted
    assert (report.cases, report.test_cases, report.patients) == (200, 0, 100)
    assert report.frames == {"ED": 100, "ES": 100, "unknown": 0}
    assert report.labels_seen == {"1": 200, "2": 200, "3": 200}
    assert (report.problems, report.skipped) == ((), ())
    dataset = load_dataset(folder)
    groups = Counter(case.group for case in dataset.training)
    assert groups == dict.fromkeys(("DCM", "HCM", "MINF", "NOR", "RV"), 40)
    frames = {case.phase: case.frame for case in dataset.training if case.patient == "patient090"}
    assert frames == {"ED": 4, "ES": 11}  # elsewhere ED is frame 1
    assert all(case.height_cm and case.weight_kg for case in dataset.training)


def test_volumes_are_those_of_an_independent_count(converted: tuple[Path, ConversionReport], acdc_folder: Path) -> None:
    table = acdc_folder.parent / "cases.csv"
    if not table.is_file():
        pytest.skip(f"{table}, with independent volumes, is not there")
    folder, _ = converted
    dataset = load_dataset(folder)
    code = dataset.labels[LV_CAVITY]
    with table.open(newline="") as file:
        rows = {row["patient"]: row for row in csv.DictReader(file)}
    for patient in ("patient001", "patient037", "patient061", "patient090"):
        for case in (c for c in dataset.training if c.patient == patient):
            volume = read_labels(folder / str(case.label))
            ml = float((volume.array == code).sum()) * volume.geometry.voxel_ml
            expected = float(rows[patient]["lv_ed_ml" if case.phase == "ED" else "lv_es_ml"])
            # the table gives the spacing to 0.001 mm: 0.06 % of a volume
            assert ml == pytest.approx(expected, rel=1e-3, abs=0.1), case.case


def test_the_check_finds_the_duplicated_pair_and_nothing_fatal(converted: tuple[Path, ConversionReport]) -> None:
    folder, _ = converted
    report = check_dataset(folder, load_dataset(folder), workers=2)
    assert not report.fatal
    assert report.twins == (("patient074", "patient076"),)
    assert {problem.problem for problem in report.problems} == {"image stands under two patients"}
    assert all("label maps differ" in problem.values for problem in report.problems)
