"""What mirroring gains is measured on cases that a network has not seen, and belongs to ``best`` only where it gains."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from autolv.core.errors import ModelError
from autolv.core.geometry import Volume
from autolv.pipeline import passes
from autolv.pipeline.passes import measured_qualities
from autolv.pipeline.qualities import named_qualities, quality_of
from autolv.schema.dataset import Case, Dataset
from autolv.schema.results import Member

LABELS = {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _model(*, mirror: bool = True) -> Any:
    members = tuple(Member(configuration="2d_unet", fold=fold, weights=f"{fold}", sha256="0") for fold in (0, 1))
    configuration = SimpleNamespace(training=SimpleNamespace(mirror=mirror))
    return SimpleNamespace(members=members, structures=STRUCTURES, configurations={"2d_unet": configuration})


def _cases(folder: Path, count: int) -> list[tuple[Case, int]]:
    """Write ``count`` cases of 8 x 8 x 2 voxels, 32 of each structure; patients alternate between two folds."""
    labels = np.zeros((8, 8, 2), np.uint8)
    labels[:2], labels[2:4], labels[4:6] = 3, 2, 1
    found = []
    for number in range(count):
        for name, array in (("i", labels.astype(np.int16) * 10), ("l", labels)):
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"{name}{number}.nii")
        case = Case(case=f"c{number}", patient=f"p{number}", image=f"i{number}.nii", label=f"l{number}.nii")
        found.append((case, number % 2))
    return found


class _Fake:
    """Says the truth, or half of the LV cavity as background where ``wrong``; ``loads`` holds how it was loaded."""

    wrong = "off"
    loads: list[dict[str, Any]] = []

    def __init__(self, mirror: str) -> None:
        self._wrong = mirror == self.wrong

    @classmethod
    def load(cls, folder: Path, *, mirror: str = "auto", **more: Any) -> _Fake:
        cls.loads.append({"mirror": mirror, **more})
        return cls(mirror)

    def predict(self, image: Volume) -> Any:
        codes = np.asarray(image.array).astype(int) // 10  # 3, 2, 1 in files are the channels 1, 2, 3
        labels = np.where(codes > 0, 4 - codes, 0).astype(np.uint8)
        if self._wrong:
            half = np.flatnonzero(labels == 1)[::2]
            labels.flat[half] = 0
        return SimpleNamespace(labels=labels)


@pytest.mark.parametrize(("wrong", "mirrors"), [("off", True), ("on", False), ("neither", False)])
def test_best_mirrors_where_mirroring_gains(
    wrong: str, mirrors: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "Predictor", _Fake)
    monkeypatch.setattr(_Fake, "wrong", wrong)
    monkeypatch.setattr(_Fake, "loads", [])
    dataset = Dataset(name="D", labels=LABELS, file_ending=".nii", training=(), test=())
    best, cases = _model(), _cases(tmp_path, 6)
    levels = measured_qualities(tmp_path, best, tmp_path, dataset, cases, 4, device="cpu", seed=0)
    # half of 32 voxels: 2 * 16 / 48
    poor, full = (2 / 3 + 2) / 3, 1.0
    expected = {"off": (poor, full), "on": (full, full), "neither": (full, full)}[wrong]
    assert (levels["balanced"].dice, levels["best"].dice) == pytest.approx(expected)
    assert levels["best"].mirror is mirrors
    assert "on 4 cases of 4 patients" in levels["best"].reason
    assert (levels["fast"].configurations, levels["fast"].folds, levels["fast"].mirror) == (("2d_unet",), (0,), False)
    assert all(level.seconds_per_frame >= 0 for level in levels.values())
    assert {(one.get("folds"), one["mirror"]) for one in _Fake.loads[:4]} == {
        ((fold,), way) for fold in (0, 1) for way in ("off", "on")
    }  # fmt: skip


def test_networks_that_were_not_trained_with_mirroring_are_not_mirrored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "Predictor", _Fake)
    monkeypatch.setattr(_Fake, "loads", [])
    dataset = Dataset(name="D", labels=LABELS, file_ending=".nii", training=(), test=())
    levels = measured_qualities(
        tmp_path, _model(mirror=False), tmp_path, dataset, _cases(tmp_path, 2), 20, device="cpu", seed=0
    )
    assert levels["best"] == levels["balanced"]
    assert all(one["mirror"] != "on" for one in _Fake.loads)


def test_without_a_measurement_best_is_balanced_and_says_so() -> None:
    levels = named_qualities(_model())
    assert levels["best"].mirror is False and "not measured" in levels["best"].reason
    assert np.isnan(levels["best"].dice)
    assert levels["fast"].folds == (0,)


def test_a_model_of_old_has_no_levels() -> None:
    with pytest.raises(ModelError, match="no levels"):
        quality_of(SimpleNamespace(levels={}), "fast")  # type: ignore[arg-type]
