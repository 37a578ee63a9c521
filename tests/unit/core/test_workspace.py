"""The workspace: every path under one root, names that are safe everywhere."""

from pathlib import Path

import pytest

from autolv.core.errors import WorkspaceError
from autolv.core.workspace import Workspace, check_name


@pytest.mark.parametrize("name", ["ACDC", "Dataset027_ACDC", "my-data.v2", "0", "a"])
def test_names_that_are_safe(name: str) -> None:
    assert check_name(name, "the dataset") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "../x", " a", "a b", "-rf", "a.", ".hidden", "ü", "a:b"]
)
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(WorkspaceError, match="the dataset") as caught:
        check_name(name, "the dataset")
    assert "Use letters" in caught.value.remedy


def test_every_place_lies_below_the_root(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    places = {
        workspace.raw("D"): "raw_data/D",
        workspace.plan_file("D"): "plans/D/plan.json",
        workspace.fingerprint_file("D"): "plans/D/fingerprint.json",
        workspace.splits_file("D"): "plans/D/splits.json",
        workspace.check_file("D"): "plans/D/check.json",
        workspace.cache("D", "0123"): "preprocessed/D/0123",
        workspace.fold("D", "default", "2d_unet", 3): "results/D/default/2d_unet/fold_3",
        workspace.steps(): "results/.steps",
        workspace.model("D", "default"): "results/D/default/model",
        workspace.studies("D", "2d_unet"): "results/D/tune/2d_unet",
        workspace.of_study("2d_unet", "study_1").results("D"): "results/D/tune/2d_unet/study_1",
        workspace.of_study("2d_unet", "study_1").fold("D", "trial_007", "2d_unet", 1): (
            "results/D/tune/2d_unet/study_1/trial_007/2d_unet/fold_1"
        ),
        workspace.of_study("2d_unet", "study_1").cache("D", "0123"): "preprocessed/D/0123",
    }
    for place, expected in places.items():
        assert place == tmp_path.resolve() / expected
    assert list(tmp_path.iterdir()) == []  # naming a place makes nothing


@pytest.mark.parametrize(("dataset", "run"), [("..", "default"), ("D", "../../x"), ("D", "")])
def test_no_name_leads_out_of_the_workspace(tmp_path: Path, dataset: str, run: str) -> None:
    with pytest.raises(WorkspaceError):
        Workspace.at(tmp_path).run(dataset, run)


def test_a_run_cannot_have_the_name_of_the_searches_folder(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="trials") as caught:
        Workspace.at(tmp_path).run("D", "tune")
    assert "another name" in caught.value.remedy


def test_a_root_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        with pytest.raises(WorkspaceError, match=name) as caught:
            Workspace.at(tmp_path / name)
        assert "--root" in caught.value.remedy


def test_home_relative_slash_and_spaces_in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "a b"
    root.mkdir()
    assert Workspace.at(f"{root}/").root == root.resolve()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Workspace.at("~/a b").root == root.resolve()
    monkeypatch.chdir(tmp_path)
    assert Workspace.at("a b").root == root.resolve()
