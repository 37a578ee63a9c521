"""Patients of whom only a part of the heart was annotated go the whole way beside those of whom all was."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autolv.cli.evaluate import main as evaluate_main
from autolv.cli.find_best_config import main as find_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.train import main as train_main
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.core.workspace import Workspace
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.record import read_record
from autolv.schema.results import Evaluation

PLAN = ["-d", "D", "--device", "cpu", "--time-budget", "1m"]
TRAIN = ["-d", "D", "-c", "2d_unet", "--epochs", "2", "--precision", "float32", "--device", "cpu"]


def _annotate(folder: Path, annotated: dict[str, str]) -> None:
    """Write into ``cases.csv`` what is annotated of each patient."""
    path = folder / "cases.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "annotated": annotated.get(row["patient"], "")} for row in rows)


def _erase(folder: Path, patient: str, structure: str) -> None:
    code = {RV_CAVITY: 1, LV_MYOCARDIUM: 2, LV_CAVITY: 3}[structure]
    for path in (folder / "labelsTr").glob(f"{patient}_*"):
        image = nibabel.load(path)
        labels = np.asarray(image.dataobj).copy()
        labels[labels == code] = 0
        nibabel.save(nibabel.Nifti1Image(labels, image.affine, image.header), path)


@pytest.fixture
def partial(tmp_path: Path, plan_phantoms: Callable[..., None]) -> Path:
    """Four phantoms, of one of which the right ventricle, and of another the myocardium, was not annotated."""
    plan_phantoms(tmp_path, "D", seed=0)
    folder = Workspace.at(tmp_path).raw("D")
    _erase(folder, "patient001", RV_CAVITY)
    _erase(folder, "patient003", LV_MYOCARDIUM)
    return tmp_path


def test_the_whole_way(partial: Path) -> None:
    at = ["--root", str(partial), "--quiet"]
    workspace = Workspace.at(partial)
    _annotate(workspace.raw("D"), {"patient001": "lv_cavity lv_myocardium", "patient003": "LV;RV"})
    assert plan_main([*PLAN, "--overwrite", *at]) == 0
    fingerprint = read_record(Fingerprint, workspace.fingerprint_file("D"))
    assert fingerprint.volume_ml[RV_CAVITY].minimum > 0
    assert fingerprint.slices[LV_MYOCARDIUM].minimum > 0
    assert train_main([*TRAIN, "-f", "all", *at]) == 0
    hidden = 0
    for fold in (0, 1):
        place = workspace.fold("D", "default", "2d_unet", fold)
        evaluation = read_record(Evaluation, place / "evaluation.json")
        hidden += evaluation.undefined["not annotated in the reference"]
        for case in evaluation.cases:
            expected = {"patient001": (RV_CAVITY,), "patient003": (LV_MYOCARDIUM,)}.get(case.patient, ())
            assert case.not_annotated == expected
            assert not set(case.structures) & set(expected)
            assert len(case.structures) + len(expected) == 3
        assert math.isfinite(evaluation.mean_dice)
    assert hidden == 4  # two frames of two patients
    assert find_main(["-d", "D", *at]) == 0
    raw = workspace.raw("D")
    own = ["-r", str(raw / "labelsTr"), "-p", str(raw / "labelsTr"), "-d", "D"]
    assert evaluate_main([*own, "-o", str(partial / "scores"), *at]) == 0
    same = read_record(Evaluation, partial / "scores" / "evaluation.json")
    assert same.undefined["not annotated in the reference"] == 4
    assert same.mean_dice == 1.0


def test_other_annotated_structures_are_another_state_of_the_data(
    partial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--root", str(partial), "--quiet"]
    assert plan_main([*PLAN, "--overwrite", *at]) == 0  # taken at their word, two structures are missing
    capsys.readouterr()
    _annotate(Workspace.at(partial).raw("D"), {"patient001": "lv_cavity lv_myocardium"})
    assert train_main([*TRAIN, *at]) == 2
    assert "changed after preprocessing" in capsys.readouterr().err


def test_a_label_of_what_is_said_to_be_not_annotated_stops_the_plan(
    partial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--root", str(partial), "--quiet"]
    _annotate(Workspace.at(partial).raw("D"), {"patient002": "lv_cavity lv_myocardium"})
    assert plan_main([*PLAN, "--overwrite", *at]) == 2
    report = json.loads(Workspace.at(partial).check_file("D").read_text())
    (problem, *_) = [one for one in report["problems"] if one["severity"] == "error"]
    assert problem["problem"] == "structure labelled but said to be not annotated"
    assert problem["case"].startswith("patient002") and problem["values"].startswith("rv_cavity in ")
    assert "Traceback" not in capsys.readouterr().err


def test_a_fold_in_which_nobody_annotated_a_structure_says_so(partial: Path, caplog: pytest.LogCaptureFixture) -> None:
    at = ["--root", str(partial)]
    folder = Workspace.at(partial).raw("D")
    for patient in ("patient002", "patient003", "patient004"):
        _erase(folder, patient, RV_CAVITY)
    _annotate(folder, {f"patient00{number}": "lv_cavity lv_myocardium" for number in (1, 2, 4)} | {"patient003": "LV"})
    assert plan_main([*PLAN, "--overwrite", *at]) == 0
    with caplog.at_level(logging.WARNING, logger="autolv"):
        assert train_main([*TRAIN, "-f", "0", *at]) == 0
    assert "rv_cavity is annotated in no training case of fold 0, which thus learns to find none." in caplog.text
