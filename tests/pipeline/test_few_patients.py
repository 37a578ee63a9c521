"""Two or three patients train; so does a dataset that names a structure which no case holds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from autolv.cli.convert import main as convert_main
from autolv.cli.find_best_config import main as find_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.schema.record import read_record
from autolv.schema.results import Evaluation

_TRAIN = ["-f", "0", "--epochs", "2", "--precision", "float32", "--device", "cpu"]


@pytest.mark.parametrize(("configuration", "patients"), [("2d_unet", 2), ("3d_vnet", 2), ("2d_unet", 3)])
def test_two_or_three_patients(tmp_path: Path, configuration: str, patients: int) -> None:
    at = ["--root", str(tmp_path), "--quiet"]
    spec = replace(PhantomSpec(), shape=(5, 64, 64), spacing_mm=(12.0, 2.6, 2.6))
    write_acdc_tree(tmp_path / "source", patients=patients, frames=4, spec=spec, cines=False)
    assert convert_main(["acdc", str(tmp_path / "source"), "-d", "D", *at]) == 0
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "1m", "--folds", str(patients), *at]) == 0
    assert train_main(["-d", "D", "-c", configuration, *_TRAIN, *at]) == 0
    assert find_main(["-d", "D", *at]) == 0
    page = (Workspace.at(tmp_path).model("D", "default") / "report.html").read_text(encoding="utf-8")
    assert page.count('<figure class="worst">') == 2  # both frames of the one patient that was validated
    assert f"<summary>{configuration}: training</summary>" in page
    assert f"{configuration}: training loss" in page
    evaluation = read_record(
        Evaluation, Workspace.at(tmp_path).fold("D", "default", configuration, 0) / "evaluation.json"
    )
    assert len({case.patient for case in evaluation.cases}) == 1
    assert math.isfinite(evaluation.mean_dice)


def test_a_structure_that_no_case_holds(tmp_path: Path) -> None:
    at = ["--root", str(tmp_path), "--quiet"]
    structures = ("lv_cavity", "lv_myocardium")
    spec = replace(PhantomSpec(), shape=(5, 64, 64), spacing_mm=(12.0, 2.6, 2.6), structures=structures)
    codes = {"lv_cavity": 3, "lv_myocardium": 2}
    write_acdc_tree(tmp_path / "source", patients=4, frames=4, spec=spec, codes=codes, cines=False)
    assert (
        convert_main(["acdc", str(tmp_path / "source"), "-d", "D", "--labels", "lv_cavity=3,lv_myocardium=2", *at]) == 0
    )
    described = Workspace.at(tmp_path).raw("D") / "dataset.json"
    content = json.loads(described.read_text())
    content["labels"]["rv_cavity"] = 1
    described.write_text(json.dumps(content))
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "1m", "--folds", "2", *at]) == 0
    assert train_main(["-d", "D", "-c", "2d_unet", *_TRAIN, *at]) == 0
    evaluation = read_record(Evaluation, Workspace.at(tmp_path).fold("D", "default", "2d_unet", 0) / "evaluation.json")
    assert set(evaluation.summary) == {*structures, "rv_cavity"}
    assert math.isfinite(evaluation.summary["lv_cavity"]["dice"])
