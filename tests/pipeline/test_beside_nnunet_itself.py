"""An imported model gives the labels that nnU-Net itself gives with it, where an environment with nnU-Net is named."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from autolv.core.labels import LabelSchema
from autolv.imageio.volumes import read_labels
from autolv.inference.predictor import Predictor
from autolv.pipeline.convert import convert
from autolv.pipeline.import_nnunet import import_nnunet

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.timeout(3000)
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
    dice = {}
    for precision in ("float32", "bfloat16"):
        predictor = Predictor.load(model, precision=precision)
        schema = LabelSchema(predictor.best.labels)
        both, either = np.zeros(3), np.zeros(3)
        for file in sorted(output.glob("*.nii.gz")):
            theirs = schema.to_internal(read_labels(file).array)
            ours = predictor.predict_file(raw / "imagesTr" / file.name.replace(".nii.gz", "_0000.nii.gz")).labels
            for channel in (1, 2, 3):
                both[channel - 1] += 2 * ((ours == channel) & (theirs == channel)).sum()
                either[channel - 1] += (ours == channel).sum() + (theirs == channel).sum()
        assert (either > 2000).all()  # there is something to agree about
        dice[precision] = both / either
    print(f"{name} {kind}: Dice between both, {dice}")
    assert len(list(output.glob("*.nii.gz"))) == 5
    assert dice["float32"].min() >= 0.999
    assert dice["bfloat16"].min() >= 0.95
