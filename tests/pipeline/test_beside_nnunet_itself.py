"""An imported model gives the labels that nnU-Net itself gives with it, where an environment with nnU-Net is named."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from autolv.core.labels import LabelSchema
from autolv.imageio.volumes import read_labels
from autolv.inference.predictor import Predictor
from autolv.pipeline.convert import convert
from autolv.pipeline.import_nnunet import import_nnunet

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WAYS = {"mirrored": {"folds": (0,)}, "folds": {"mirror": "off"}}  # one fold along all axes, two folds as they are
LEAST = {"float32": 0.999, "bfloat16": 0.97}


def dice(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> list[float]:
    """Dice between both per structure, of each in which there is something to agree about."""
    pairs = [(ours == channel, theirs == channel) for channel in (1, 2, 3)]
    assert all(other.sum() > 500 for _, other in pairs)
    return [float(2 * (one & other).sum() / (one.sum() + other.sum())) for one, other in pairs]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("name", ["2d", "3d_fullres"])
def test_the_same_labels_as_nnunet(name: str, kind: str, tmp_path: Path) -> None:
    python = os.environ.get("AUTOLV_NNUNET_PYTHON")
    if python is None:
        pytest.skip("AUTOLV_NNUNET_PYTHON names no Python of an environment with nnunetv2==2.8.1")
    convert("phantom", "-", dataset="P", root=tmp_path, patients=3, frames=4)
    raw, trained, output = tmp_path / "raw_data" / "P", tmp_path / "trained", tmp_path / "theirs"
    names = {f"nnUNet_{kind}": str(tmp_path) for kind in ("raw", "preprocessed", "results")}
    subprocess.run(
        [python, Path(__file__).with_name("nnunet_itself.py"), raw, trained, output, name, kind],
        check=True,
        env={**os.environ, **names, "PYTHONPATH": str(BENCHMARKS)},
    )
    model = import_nnunet(trained, "P", root=tmp_path)
    for way, members in WAYS.items():
        files = sorted((output / way).glob("*.nii.gz"))
        assert len(files) == (4 if name == "2d" else 2)
        for precision, least in LEAST.items():
            predictor = Predictor.load(model, precision=precision, **members)
            schema = LabelSchema(predictor.best.labels)
            found, differ, voxels = [], 0, 0
            for file in files:
                theirs = schema.to_internal(read_labels(file).array)
                ours = predictor.predict_file(raw / "imagesTr" / file.name.replace(".nii.gz", "_0000.nii.gz")).labels
                found.append(dice(ours, theirs))
                differ, voxels = differ + int((ours != theirs).sum()), voxels + int((theirs > 0).sum())
            lowest = ", ".join(f"{value:.5f}" for value in np.min(found, axis=0))
            print(f"\n| {name} | {kind} | {way} | {precision} | {lowest} | {differ} of {voxels} voxels |", flush=True)
            assert np.min(found) >= least
