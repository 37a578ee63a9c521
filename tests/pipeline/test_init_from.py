"""``--init-from``: a fold's folder, a model folder of other patients, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autolv.cli.find_best_config import main as find_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.schema.record import read_record
from autolv.schema.results import RunRecord

_CHOICES = ["-c", "2d_unet", "--epochs", "1", "--precision", "float32", "--device", "cpu"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, plan_phantoms: Callable[..., None]) -> Path:
    """A workspace with a dataset of which fold 0 is trained and chosen, and another of other patients."""
    root = tmp_path_factory.mktemp("from")
    plan_phantoms(root, "D", seed=0)
    plan_phantoms(root, "E", seed=1)
    at = ["--root", str(root), "--quiet"]
    assert train_main(["-d", "D", "-f", "0", *_CHOICES, *at]) == 0
    assert find_main(["-d", "D", *at]) == 0
    return root


def _first_loss(root: Path, dataset: str, run: str, fold: int) -> float:
    place = Workspace.at(root).fold(dataset, run, "2d_unet", fold)
    head, first = (place / "history.csv").read_text().splitlines()[:2]
    return float(dict(zip(head.split(","), first.split(","), strict=True))["loss"])


def test_a_model_of_other_patients_gives_a_better_start(root: Path) -> None:
    at = ["--root", str(root), "--quiet"]
    model = Workspace.at(root).model("D", "default")
    assert train_main(["-d", "E", "-f", "0", *_CHOICES, "--run", "fresh", *at]) == 0
    assert train_main(["-d", "E", "-f", "0", *_CHOICES, "--run", "tuned", "--init-from", str(model), *at]) == 0
    assert _first_loss(root, "E", "tuned", 0) < _first_loss(root, "E", "fresh", 0)
    record = read_record(RunRecord, Workspace.at(root).fold("E", "tuned", "2d_unet", 0) / "run.json")
    assert record.choices.init_from == str(model)


def test_a_fold_goes_on_from_itself_but_not_into_another(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fold = Workspace.at(root).fold("D", "default", "2d_unet", 0)
    tuned = [*_CHOICES, "--run", "tuned", "--init-from", str(fold), "--root", str(root), "--quiet"]
    assert train_main(["-d", "D", "-f", "1", *tuned]) == 2
    said = capsys.readouterr().err
    assert "validation patients" in said and "what to do: " in said
    assert not Workspace.at(root).run("D", "tuned").exists()
    assert train_main(["-d", "D", "-f", "0", *tuned]) == 0


def test_a_model_that_has_seen_all_folds_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(Workspace.at(root).model("D", "default"))
    assert train_main(["-d", "D", "-f", "1", *_CHOICES, "--run", "x", "--init-from", model, "--root", str(root)]) == 2
    assert "trained on D itself" in capsys.readouterr().err


def test_a_folder_without_a_model_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = str(root / "raw_data")
    assert train_main(["-d", "D", "-f", "1", *_CHOICES, "--run", "x", "--init-from", nothing, "--root", str(root)]) == 2
    assert "neither a model folder nor a trained fold" in capsys.readouterr().err
