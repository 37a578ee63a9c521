"""Bad input gets one clear sentence with the remedy, exit status 2, no traceback, and nothing half-written."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autolv.cli.convert import main as convert_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.predict import main as predict_main
from autolv.cli.train import main as train_main
from autolv.core.geometry import Volume
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.imageio.volumes import read_image, read_labels, write_image

_CASE = "patient001_frame01"
Command = Callable[[list[str]], int]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a converted dataset of three small phantoms."""
    root = tmp_path_factory.mktemp("base")
    spec = replace(PhantomSpec(), shape=(6, 96, 96))
    write_acdc_tree(root / "source", patients=3, frames=6, spec=spec, cines=False, seed=5)
    assert convert_main(["acdc", str(root / "source"), "-d", "D", "--root", str(root), "--quiet"]) == 0
    return root


@pytest.fixture
def root(base: Path, tmp_path: Path) -> Path:
    """A copy of the base that a test may spoil."""
    shutil.copytree(base, tmp_path / "w")
    return tmp_path / "w"


def _refused(
    command: Command, arguments: list[str], root: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    """Run a command that must refuse; check status, wording and that it leaves nothing behind; return what it said."""
    before = _listing(root)
    assert command([*arguments, "--root", str(root)]) == 2
    captured = capsys.readouterr()
    said = captured.err + captured.out
    assert "Traceback" not in said
    assert said.count("error: ") == 1
    assert "what to do: " in said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"
    new = _listing(root) - before
    assert {name for name in new if not name.endswith("check.json")} <= {"plans/D", "plans"}, new
    return said


def _listing(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def _plan(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    arguments = ["-d", "D", "--device", "cpu", "--time-budget", "1m"]
    return _refused(plan_main, arguments, root, capsys, *words)


def _image(root: Path) -> Path:
    return root / "raw_data" / "D" / "imagesTr" / f"{_CASE}_0000.nii.gz"


def _label(root: Path) -> Path:
    return root / "raw_data" / "D" / "labelsTr" / f"{_CASE}.nii.gz"


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nothing").mkdir()
    _refused(convert_main, ["acdc", str(tmp_path / "nothing"), "-d", "E"], tmp_path, capsys, "nothing", "patient")


def test_a_missing_label(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _label(root).unlink()
    _plan(root, capsys, _CASE)


def test_a_truncated_image(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _image(root).read_bytes()
    _image(root).write_bytes(data[: len(data) // 2])
    _plan(root, capsys, _CASE)


def test_a_label_value_7(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = read_labels(_label(root))
    array = np.array(labels.array)
    array[0, 0, :3] = 7
    write_image(_label(root), Volume(array=array, geometry=labels.geometry), dtype="uint8")
    said = _plan(root, capsys, _CASE, "7")
    assert "3" in said  # the number of voxels


def test_a_5d_image(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 4, 2, 2), np.float32), np.eye(4)), _image(root))
    _plan(root, capsys, _CASE)


def test_an_image_with_nan(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = read_image(_image(root))
    array = np.array(image.array)
    array[1, 2, 3] = np.nan
    write_image(_image(root), Volume(array=array, geometry=image.geometry))
    _plan(root, capsys, _CASE)


def test_a_label_of_another_shape(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = read_labels(_label(root))
    from autolv.core.geometry import Geometry

    z, y, x = labels.array.shape
    smaller = Geometry.from_spacing(labels.spacing_mm, (z - 1, y, x))
    write_image(_label(root), Volume(array=np.array(labels.array)[1:], geometry=smaller), dtype="uint8")
    _plan(root, capsys, _CASE, "shape")


def test_a_missing_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "not there"
    assert plan_main(["-d", "D", "--root", str(missing)]) == 2
    said = capsys.readouterr().err
    assert "not there" in said and "--root" in said and "Traceback" not in said
    assert not missing.exists()


def test_an_unknown_dataset_names_the_known(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(plan_main, ["-d", "E", "--device", "cpu"], root, capsys, "'E'", "D")


def test_training_without_a_plan(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(train_main, ["-d", "D", "--device", "cpu"], root, capsys, "autolv_plan_and_preprocess -d D")


def test_an_untrained_model_names_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-d", "D", "-i", str(root / "raw_data" / "D" / "imagesTr"), "-o", str(root / "out")]
    for flags, command in (
        ([], "autolv_find_best_config -d D"),
        (["--run", "long"], "autolv_find_best_config -d D --run long"),
    ):
        said = _refused(predict_main, [*arguments, *flags], root, capsys)
        # the command ends its line, so it works when pasted, root included
        assert f"what to do: Run: {command} --root {shlex.quote(str(root))}\n" in said


def test_an_unknown_dataset_in_prediction_names_the_known(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-d", "DD", "-i", str(_image(root)), "-o", str(root / "out")]
    _refused(predict_main, arguments, root, capsys, "'DD'", "did you mean 'D'?")
    _refused(predict_main, [*arguments, "-c", "2d_unet"], root, capsys, "'DD'", "did you mean 'D'?")


def test_a_configuration_that_is_not_proposed_is_refused_with_the_reason(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "1m", "--root", str(root), "--quiet"]) == 0
    _refused(
        train_main, ["-d", "D", "-c", "3d_unet_iso"], root, capsys, "does not propose 3d_unet_iso", "there are", "1 min"
    )


def test_unknown_configuration_fold_and_untrained_fold(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_main(["-d", "D", "--root", str(root), "--device", "cpu", "--time-budget", "1m", "--folds", "3"]) == 0
    capsys.readouterr()
    train = ["-d", "D", "--epochs", "1", "--device", "cpu"]
    said = _refused_training([*train, "-c", "2d_unte"], root, capsys)
    assert "2d_unet" in said
    said = _refused_training([*train, "-c", "2d_unet", "-f", "7"], root, capsys)
    assert "fold 7" in said and "0 to 2" in said
    predict = ["-d", "D", "-c", "2d_unet", "-i", str(_image(root)), "-o", str(root / "out")]
    said = _refused(predict_main, predict, root, capsys, "autolv_train -d D -c 2d_unet -f 0")
    assert "not trained" in said
    predict = ["-d", "D", "-c", "2d_unte", "-i", str(_image(root)), "-o", str(root / "out")]
    _refused(predict_main, predict, root, capsys, "'2d_unte'", "did you mean '2d_unet'?")


def _refused_training(arguments: list[str], root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert train_main([*arguments, "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and "what to do: " in said
    assert not list(root.rglob("weights.safetensors"))
    return said
