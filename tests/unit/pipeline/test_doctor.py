"""The doctor: versions, what was granted, what will be used, what is known to be bad."""

from pathlib import Path

import pytest
import torch

import autolv
from autolv.core.workspace import Workspace
from autolv.pipeline import doctor as module
from autolv.pipeline.doctor import bad_versions, doctor, next_command, package_versions
from autolv.pipeline.remember import keep
from autolv.runtime.device import device_name
from autolv.schema.record import write_record
from autolv.schema.results import RunChoices
from autolv.schema.steps import RememberedTrial, TrialSetting, Way


@pytest.mark.parametrize(
    ("found", "bad"),
    [
        ({"torch": "2.8.0"}, 0), ({"torch": "2.9.0"}, 1), ({"torch": "2.9.1+cu128"}, 1), ({"torch": "2.10.0"}, 0),
        ({"torch": "2.13.0+cpu"}, 0), ({"acvl-utils": "0.2.1"}, 1), ({"acvl-utils": "0.2.6"}, 0),
        ({"torch": "2.9.0", "acvl-utils": "0.2.1"}, 2), ({"torch": None}, 0), ({"torch": "unknown"}, 0), ({}, 0),
    ],
)  # fmt: skip
def test_known_bad_versions_are_found_by_their_numbers(found: dict[str, str | None], bad: int) -> None:
    lines = bad_versions(found)
    assert len(lines) == bad
    assert all("install" in line for line in lines)


def test_the_pinned_versions_are_not_among_the_bad() -> None:
    assert bad_versions(package_versions()) == []


def test_the_report_names_versions_cores_devices_and_places(tmp_path: Path) -> None:
    (tmp_path / "raw_data" / "ACDC").mkdir(parents=True)
    report = doctor(root=tmp_path)
    assert f"autolv {autolv.__version__}" in report
    assert "torch 2." in report
    assert "numpy 2." in report
    assert "granted to this process" in report
    assert "--device auto takes " in report
    assert f"root: {tmp_path}" in report
    assert "raw_data: ACDC" in report
    assert "plans: no dataset" in report
    assert report.isascii()  # any terminal can show it


def test_a_missing_package_or_root_is_told_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "package_versions", lambda: {"python": "3.11.0", "torch": None})
    report = doctor(root=tmp_path / "nowhere")
    assert "torch NOT INSTALLED" in report
    assert "torch is not installed; install autolv again" in report
    assert "nowhere is not an existing folder" in report


def test_the_report_shows_what_is_remembered_for_this_machine_and_how_fast_it_multiplies(tmp_path: Path) -> None:
    here = TrialSetting(
        device="cpu", device_name=device_name(torch.device("cpu")), threads=2, torch="2.13.0", autolv="0.1.0",
        architecture="unet", patch=(144, 144), network_hash="0", samples=12, loss="dice_ce", optimiser="adamw",
        layout="auto", compile_mode="auto",
    )  # fmt: skip
    seconds = {"float32 contiguous": 1.12, "bfloat16 contiguous": 0.3, "bfloat16 contiguous compiled": 0.25}
    for setting in (here, here.model_copy(update={"device_name": "another", "patch": (99, 99)})):
        trial = RememberedTrial(setting=setting, way=Way(precision="bfloat16", compiled=True), seconds=seconds)
        keep(Workspace.at(tmp_path).steps(), trial)
    report = doctor(root=tmp_path)
    assert "matrix products on " in report and "GFLOP/s" in report
    assert (
        "  2d_unet, 12 patches of 144 x 144, cpu, 2 threads, torch 2.13.0: bfloat16 contiguous compiled, 0.250 s per step "
        "(others: float32 contiguous 1.120, bfloat16 contiguous 0.300)\n"
    ) in report
    assert "99" not in report.partition("remembered")[2]
    assert "results: no dataset" in report  # what is remembered is none


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}", encoding="utf-8")


def test_an_empty_workspace_is_sent_to_the_demo(tmp_path: Path) -> None:
    assert next_command(root=tmp_path) == "autolv_demo"
    put(tmp_path / "plans" / "ACDC" / "plan.json")  # a plan without its data is no dataset
    put(tmp_path / "raw_data" / ".Half.partial" / "dataset.json")  # left by a conversion that was killed
    put(tmp_path / "raw_data" / "not a name" / "dataset.json")
    assert next_command(root=tmp_path) == "autolv_demo"


def test_a_dataset_is_sent_one_step_on_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "raw_data" / "D" / "dataset.json")
    assert next_command() == "autolv_plan_and_preprocess -d D"
    put(tmp_path / "plans" / "D" / "plan.json")
    assert next_command() == "autolv_train -d D -f all"
    run = tmp_path / "results" / "D" / "default"
    put(run / "2d_unet" / "fold_0" / "evaluation.json")
    assert next_command() == "autolv_find_best_config -d D"
    put(run / "model" / "best_config.json")
    assert next_command() == "autolv_predict -i IMAGES -o predictions -d D"
    (tmp_path / "raw_data" / "D" / "imagesTs").mkdir()
    assert next_command() == f"autolv_predict -i {Path('raw_data') / 'D' / 'imagesTs'} -o predictions -d D"
    put(tmp_path / "raw_data" / "E" / "dataset.json")  # what is not done yet comes before what is
    assert next_command() == "autolv_plan_and_preprocess -d E"


def test_a_run_that_was_begun_goes_on_with_its_own_choices(tmp_path: Path) -> None:
    put(tmp_path / "raw_data" / "D" / "dataset.json")
    put(tmp_path / "plans" / "D" / "plan.json")
    run = tmp_path / "results" / "D" / "long"
    (run / "3d_vnet" / "fold_0").mkdir(parents=True)
    choices = RunChoices(plan_hash="0", splits_hash="1", seed=3, epochs=None, time_budget_minutes=12.0)
    write_record(choices, run / "choices.json")
    assert next_command(root=tmp_path) == "autolv_train -d D -c 3d_vnet -f all --time-budget 12m --seed 3 --run long"


def test_images_of_another_root_are_named_in_full(tmp_path: Path) -> None:
    root = tmp_path / "my scans"
    put(root / "raw_data" / "D" / "dataset.json")
    put(root / "plans" / "D" / "plan.json")
    put(root / "results" / "D" / "default" / "model" / "best_config.json")
    (root / "raw_data" / "D" / "imagesTs").mkdir()
    assert next_command(root=root) == f"autolv_predict -i '{root / 'raw_data' / 'D' / 'imagesTs'}' -o predictions -d D"


def test_what_must_be_mended_comes_before_any_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert next_command(root=tmp_path / "nowhere") is None
    monkeypatch.setattr(module, "package_versions", lambda: {"python": "3.11.0", "torch": None})
    assert next_command(root=tmp_path) is None
