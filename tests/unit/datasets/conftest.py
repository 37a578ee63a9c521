"""Small files and folders that the tests of datasets build on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from autolv.datasets.phantom import PhantomSpec, write_acdc_tree

SMALL = PhantomSpec(shape=(9, 64, 64), spacing_mm=(13.0, 3.2, 3.2), snr=40.0)


class Files:
    """Writes small files and looks at folders."""

    @staticmethod
    def save(path: Path, array: np.ndarray, zooms: tuple[float, float, float] = (1.5, 1.5, 8.0), **offset: Any) -> Path:
        """Write an array (x, y, z[, t]) as NIfTI with an axis-aligned affine."""
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.diag([*zooms, 1.0])
        affine[:3, 3] = offset.get("origin", (0.0, 0.0, 0.0))
        nib.save(nib.Nifti1Image(array, affine), path)
        return path

    @staticmethod
    def ring(shape: tuple[int, int, int] = (20, 18, 4), shift: int = 0) -> np.ndarray:
        """Labels (x, y, z) in ACDC's codes: a 4 x 4 cavity (3) within an 8 x 8 wall (2), and an RV (1) beside it."""
        labels = np.zeros(shape, dtype=np.uint8)
        labels[2 + shift : 6 + shift, 5:13] = 1
        labels[6 + shift : 14 + shift, 5:13] = 2
        labels[8 + shift : 12 + shift, 7:11] = 3
        return labels

    @staticmethod
    def picture(seed: int, shape: tuple[int, ...] = (20, 18, 4)) -> np.ndarray:
        """An image of noise, another for each seed."""
        return np.random.default_rng(seed).integers(1, 500, shape).astype(np.int16)

    @staticmethod
    def tree_hash(folder: Path) -> dict[str, str]:
        """The SHA-256 of each file below a folder."""
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def files() -> type[Files]:
    """``save``, ``ring``, ``picture`` and ``tree_hash``."""
    return Files


@pytest.fixture
def acdc_patient() -> Callable[..., Path]:
    """A function that writes one ACDC patient with frames 1 (ED) and 5 (ES)."""

    def write(
        folder: Path, *, seed: int = 0, info: str | None = "ED: 1\nES: 5\nGroup: NOR\nHeight: 170.0\nNbFrame: 9\n"
        "Weight: 70.0\n", labelled: tuple[int, ...] = (1, 5), frames: tuple[int, ...] = (1, 5),
    ) -> Path:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        if info is not None:
            (folder / "Info.cfg").write_text(info)
        for frame in frames:
            Files.save(folder / f"{folder.name}_frame{frame:02d}.nii.gz", Files.picture(100 * seed + frame))
        for frame in labelled:
            labels = Files.ring()
            if frame != 1:
                labels[8, 7:11] = 2  # the cavity of other frames is 3 x 4 pixels
            Files.save(folder / f"{folder.name}_frame{frame:02d}_gt.nii.gz", labels)
        return folder

    return write


@pytest.fixture
def nnunet_dataset() -> Callable[..., Path]:
    """A function that writes an nnU-Net dataset with the given case names, ring labels and noise images."""

    def write(
        folder: Path, cases: tuple[str, ...] = ("patient001_frame01", "patient001_frame05"), **extra: Any
    ) -> Path:
        import json

        content: dict[str, Any] = {
            "channel_names": {"0": "cineMRI"},
            "labels": {"background": 0, "RV": 1, "MYO": 2, "LV": 3},
            "numTraining": len(cases),
            "file_ending": ".nii.gz",
        }
        content.update(extra)
        (folder / "imagesTr").mkdir(parents=True)
        (folder / "labelsTr").mkdir()
        (folder / "dataset.json").write_text(json.dumps(content))
        for number, case in enumerate(cases):
            Files.save(folder / "imagesTr" / f"{case}_0000.nii.gz", Files.picture(number))
            Files.save(folder / "labelsTr" / f"{case}.nii.gz", Files.ring())
        return folder

    return write


@pytest.fixture(scope="session")
def phantom_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small phantom patients, one of each group, and one test patient, in ACDC's layout with 6-frame cines."""
    folder = tmp_path_factory.mktemp("release") / "database"
    write_acdc_tree(folder, patients=5, test_patients=1, frames=6, spec=SMALL)
    return folder
