"""Each command hands its recipe what its flags say, under names that the recipe has."""

import importlib
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import autolv
from autolv.pipeline.report_options import ReportOptions

EVERY_FLAG_OF_A_REPORT = (
    "--basal-rule valve_plane --valve-planes T.csv --cases C.csv --normal-ranges N.csv --papillary-rule in_mass "
    "--density 1.04 --bsa haycock --ed 2 --es 9 --reference REF --pdf --png"
)
EVERY_OPTION = ReportOptions(
    reference=Path("REF"), basal_rule="valve_plane", valve_planes=Path("T.csv"), papillary_rule="in_mass",
    cases=Path("C.csv"), normal_ranges=Path("N.csv"), density_g_per_ml=1.04, bsa_formula="haycock",
    ed_frame=2, es_frame=9, pdf=True, png=True,
)  # fmt: skip

# command line -> (recipe's module, what it must be called with)
CASES = {
    "convert": (
        "-d D --labels RV=1,LV=2 --image-pattern i/{case}.nii --label-pattern l/{case}.nii --csv t.csv "
        "--patient-pattern (p) --allow-missing --patients 3 --test-patients 2 --frames 4 --preset mixed --overwrite "
        "--seed 5 --workers 1 --root ROOT "
        "folder scans",
        {
            "kind": "folder", "source": Path("scans"), "dataset": "D", "root": Path("ROOT"), "workers": 1,
            "overwrite": True, "seed": 5, "labels": {"RV": 1, "LV": 2}, "image_pattern": "i/{case}.nii",
            "label_pattern": "l/{case}.nii", "table": Path("t.csv"), "patient_pattern": "(p)", "patients": 3,
            "allow_missing": True, "test_patients": 2, "frames": 4, "preset": "mixed",
        },
    ),
    "plan_and_preprocess": (
        "-d D --device cpu --memory-gb 6.5 --time-budget 1h30m --folds 3 --split-by vendor --patient-pattern (p) "
        "--overwrite --seed 5 --workers 1 --root ROOT",
        {
            "dataset": "D", "root": Path("ROOT"), "device": "cpu", "memory_gb": 6.5, "time_budget_minutes": 90.0,
            "workers": 1, "seed": 5, "folds": 3, "split_by": "vendor", "patient_pattern": "(p)", "overwrite": True,
        },
    ),
    "train": (
        "-d D -c 3d_vnet -f all --run long --device cpu --time-budget 12m --augment vendor-robust "
        "--init-from M --precision float32 "
        "--compile off --layout channels_last --retry-trial --deterministic --log tensorboard --overwrite --seed 5 --workers 1 "
        "--root ROOT",
        {
            "layout": "channels_last", "retry_trial": True, "deterministic": True,
            "dataset": "D", "configuration": "3d_vnet", "fold": "all", "run": "long", "root": Path("ROOT"),
            "device": "cpu", "workers": 1, "seed": 5, "epochs": None, "time_budget_minutes": 12.0,
            "augment": "vendor-robust", "init_from": Path("M"), "precision": "float32", "compile": "off", "overwrite": True,
            "log": "tensorboard", "show": None,  # a bar is drawn on terminals only
        },
    ),
    "tune": (
        "-d D -c 3d_vnet --time-budget 4h --trials 12 --device cpu --seed 5 --workers 1 --root ROOT",
        {
            "dataset": "D", "time_budget_minutes": 240.0, "configuration": "3d_vnet", "trials": 12, "root": Path("ROOT"),
            "device": "cpu", "workers": 1, "seed": 5, "show": None,
        },
    ),
    "find_best_config": (
        "-d D -c 2d_unet 3d_unet --measure-passes --no-report --run long --device cpu --seed 5 --workers 1 --root ROOT",
        {
            "dataset": "D", "run": "long", "root": Path("ROOT"), "configurations": ["2d_unet", "3d_unet"], "workers": 1,
            "seed": 5, "device": "cpu", "measure_passes": 20, "report": False,
        },
    ),
    "predict": (
        "-i IN -o OUT -d D -c 2d_unet -f 2,0 --run long --save-probabilities --mirror on --no-postprocessing --whole-field "
        "--frames 1-3,12 --shard 2/4 --skip-existing --overwrite --device cpu --workers 1 --root ROOT "
        f"--report {EVERY_FLAG_OF_A_REPORT}",
        {
            "frames": (1, 2, 3, 12), "shard": (2, 4), "quality": None,
            "input": Path("IN"), "output": Path("OUT"), "dataset": "D", "model": None, "run": "long",
            "root": Path("ROOT"), "device": "cpu", "workers": 1, "configuration": "2d_unet", "folds": (0, 2),
            "save_probabilities": True, "mirror": "on", "postprocess": False, "whole_field": True, "overwrite": True,
            "skip_existing": True, "report": EVERY_OPTION,
        },
    ),
    "import_nnunet": (
        "FOLDER -d D --labels LV=3 -f 0,2 --checkpoint best --run theirs --overwrite --root ROOT",
        {
            "folder": Path("FOLDER"), "dataset": "D", "run": "theirs", "root": Path("ROOT"), "labels": {"LV": 3},
            "folds": (0, 2), "checkpoint": "best", "overwrite": True,
        },
    ),
    "evaluate": (
        "-r REF -p PRED -o OUT -d D --labels LV=3 --allow-missing --no-figure --readout --overwrite --workers 1 --root ROOT",
        {
            "reference": Path("REF"), "prediction": Path("PRED"), "output": Path("OUT"), "dataset": "D",
            "root": Path("ROOT"), "labels": {"LV": 3}, "overwrite": True, "workers": 1,
            "allow_missing": True, "figure": False, "readout": True,
        },
    ),
    "report": (
        f"-i IN -o OUT -d D --labels LV=3 --images IM {EVERY_FLAG_OF_A_REPORT} --overwrite --workers 1 --root ROOT",
        {
            "input": Path("IN"), "output": Path("OUT"), "dataset": "D", "root": Path("ROOT"), "labels": {"LV": 3},
            "images": Path("IM"), "options": EVERY_OPTION, "overwrite": True, "workers": 1,
        },
    ),
    "demo": (
        "--time-budget 5m --device cpu --workers 1 --root .",
        {"root": Path("demo"), "minutes": 5.0, "workers": 1, "device": "cpu", "show": None},
    ),
    "doctor": ("--root ROOT", {"root": Path("ROOT")}),
}  # fmt: skip


class Called(Exception):
    """Raised by the stand-in for a recipe: the call was made, nothing after it matters here."""


@pytest.mark.parametrize("command", CASES)
def test_the_recipe_gets_what_the_flags_say(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line, expected = CASES[command]
    module = importlib.import_module(f"autolv.pipeline.{command}")
    signature = inspect.signature(getattr(module, command))
    calls = []

    def recipe(*args: object, **kwargs: object) -> None:
        calls.append(dict(signature.bind(*args, **kwargs).arguments))
        raise Called

    monkeypatch.setattr(module, command, recipe)
    with pytest.raises(Called):
        importlib.import_module(f"autolv.cli.{command}").main(line.split())
    assert calls == [expected]
    assert set(expected) == set(signature.parameters), "a parameter of the recipe that no flag sets"


def test_every_option_of_a_report_has_a_flag() -> None:
    plain = ReportOptions()
    without = [field.name for field in fields(plain) if getattr(EVERY_OPTION, field.name) == getattr(plain, field.name)]
    assert without == []


def test_the_public_names_are_the_recipes() -> None:
    recipes = {
        "convert", "evaluate", "find_best_config", "import_nnunet", "plan_and_preprocess", "predict", "report", "train", "tune",
    }  # fmt: skip
    for name in recipes:
        assert getattr(autolv, name) is getattr(importlib.import_module(f"autolv.pipeline.{name}"), name)
    for name in set(autolv.__all__) - recipes - {"Predictor", "ReportOptions", "__version__"}:
        assert callable(getattr(autolv, name))
    assert autolv.Predictor is importlib.import_module("autolv.inference.predictor").Predictor
    assert autolv.ReportOptions is ReportOptions
    assert set(autolv.__all__) <= set(dir(autolv))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = autolv.trian  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("command", "line", "words"),
    [
        ("convert", "acdc -d D", "SOURCE"),
        ("predict", "-i IN -o OUT", "give -d DATASET or --model FOLDER"),
        ("predict", "-i IN -o OUT -d D -f 0", "-f needs -c"),
        ("plan_and_preprocess", "-d D --folds 1", "at least 2 folds, got 1"),
        ("train", "-d D --epochs 3 --time-budget 5m", "not allowed with argument"),
        ("train", "-d D --time-budget 5", "is not a duration"),
        ("train", "-d D --device gpu", "is not a device"),
        ("train", "", "-d/--dataset"),
        ("report", "-i IN", "-o/--output"),
        ("report", "-i IN -o OUT --ed 0", "at least 1"),
        ("tune", "-d D", "--time-budget"),
        ("tune", "-d D --time-budget 1h --trials 0", "at least 1"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused_before_anything_is_loaded(
    command: str, line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"autolv.cli.{command}").main(line.split())
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("convert", "acdc {tmp} -d D"),
        ("plan_and_preprocess", "-d D"),
        ("train", "-d D"),
        ("find_best_config", "-d D"),
        ("predict", "-i {tmp} -o {tmp}/out -d D"),
        ("evaluate", "-r {tmp} -p {tmp} -d D"),
        ("report", "-i {tmp} -o {tmp}/out -d D"),
        ("demo", ""),
    ],
)
def test_a_missing_root_is_one_sentence_and_status_2(
    command: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"")
    root = tmp_path / "nowhere"
    argv = [*line.format(tmp=tmp_path).split(), "--root", str(root)]
    assert importlib.import_module(f"autolv.cli.{command}").main(argv) == 2
    error = capsys.readouterr().err.split("error: ")[1]
    assert str(root) in error
    assert "what to do: " in error
    assert not root.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
