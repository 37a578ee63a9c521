"""Datasets that label the cavity alone, or cavity and wall, go the whole way too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autolv.cli.convert import main as convert_main
from autolv.cli.evaluate import main as evaluate_main
from autolv.cli.find_best_config import main as find_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.predict import main as predict_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.schema.record import read_record
from autolv.schema.results import BestConfig, Evaluation


@pytest.mark.parametrize(
    ("structures", "codes"),
    [
        (("lv_cavity",), {"lv_cavity": 7}),
        (("lv_cavity", "lv_myocardium"), {"lv_cavity": 200, "lv_myocardium": 100}),
    ],
)
def test_the_whole_way(tmp_path: Path, structures: tuple[str, ...], codes: dict[str, int]) -> None:
    at = ["--root", str(tmp_path), "--quiet"]
    spec = replace(PhantomSpec(), shape=(5, 64, 64), spacing_mm=(12.0, 2.6, 2.6), structures=structures)
    write_acdc_tree(tmp_path / "source", patients=4, test_patients=1, frames=4, spec=spec, codes=codes, cines=False)
    named = ",".join(f"{name}={code}" for name, code in codes.items())
    assert convert_main(["acdc", str(tmp_path / "source"), "-d", "D", "--labels", named, *at]) == 0
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "1m", "--folds", "2", *at]) == 0
    train = ["-d", "D", "-c", "2d_unet", "-f", "all", "--epochs", "2", "--precision", "float32", "--device", "cpu"]
    assert train_main([*train, *at]) == 0
    assert find_main(["-d", "D", *at]) == 0
    raw = Workspace.at(tmp_path).raw("D")
    assert predict_main(["-d", "D", "-i", str(raw / "imagesTs"), "-o", str(tmp_path / "out"), *at]) == 0
    for path in (tmp_path / "out").glob("*.nii.gz"):
        assert set(np.unique(np.asarray(nibabel.load(path).dataobj))) <= {0, *codes.values()}
    report = ["-r", str(raw / "labelsTs"), "-p", str(tmp_path / "out"), "-o", str(tmp_path / "scores")]
    assert evaluate_main([*report, "-d", "D", *at]) == 0
    evaluation = read_record(Evaluation, tmp_path / "scores" / "evaluation.json")
    assert set(evaluation.summary) == set(structures)
    best = read_record(BestConfig, Workspace.at(tmp_path).model("D", "default") / "best_config.json")
    assert best.structures == structures and best.labels == codes
