"""Checkpoints are read without running what is in them, and their weights compute the same under our names."""

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from autolv.core.errors import ModelError
from autolv.inference.nnunet_checkpoint import our_weights, read_checkpoint
from autolv.networks import build_network
from autolv.schema.plan import Network

KERNELS = {2: ((3, 3), (3, 3), (3, 3)), 3: ((1, 3, 3), (3, 3, 3), (3, 3, 3))}
STRIDES = {2: ((1, 1), (2, 2), (2, 2)), 3: ((1, 1, 1), (1, 2, 2), (2, 2, 2))}


def block(dims, *, residual):
    return Network(
        architecture="resenc_unet" if residual else "unet", patch=(16, 24) if dims == 2 else (4, 16, 24), in_channels=1,
        classes=4, features=(6, 12, 12), kernels=KERNELS[dims], strides=STRIDES[dims], blocks=(1, 2, 2),
        decoder_blocks=(1, 2), heads=1,
    )  # fmt: skip


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_same_logits_with_the_channels_in_our_order(dims, residual, make_reference):
    theirs = make_reference(dims, residual=residual)
    network = block(dims, residual=residual)
    ours = build_network(network).eval()
    ours.load_state_dict(our_weights(network, theirs.state_dict(), (0, 3, 2, 1)))
    x = torch.randn(2, 1, *network.patch)
    with torch.no_grad():
        expected, (found,) = theirs(x), ours(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected[:, [0, 3, 2, 1]], atol=1e-4, rtol=1e-4)


def test_numbers_of_numpy_are_read_and_prefixes_of_wrapped_modules_taken_off(make_trained, make_reference, tmp_path):
    folder = make_trained([make_reference(2)], 2, axes=(0, 1))
    file = folder / "fold_0" / "checkpoint_final.pth"
    found = read_checkpoint(file)
    assert (found.trainer, found.configuration, found.mirror_axes) == ("nnUNetTrainer", "2d", (0, 1))
    raw = torch.load(file, weights_only=False)
    assert isinstance(raw["_best_ema"], np.float64)  # so there was something to allow
    raw["network_weights"] = {f"module._orig_mod.{key}": value for key, value in raw["network_weights"].items()}
    torch.save(raw, tmp_path / "wrapped.pth")
    assert set(read_checkpoint(tmp_path / "wrapped.pth").weights) == set(found.weights)


def test_no_mirroring_in_training_means_none_in_prediction(make_trained, make_reference):
    folder = make_trained([make_reference(2)], 2, axes=None)
    assert read_checkpoint(folder / "fold_0" / "checkpoint_final.pth").mirror_axes == ()


class Touch:
    """Unpickled by the usual reader it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(make_trained, make_reference, tmp_path):
    sign = tmp_path / "executed"
    folder = make_trained([make_reference(2)], 2, change=lambda _p, _d, c: c.update(logging=Touch(sign)))
    file = folder / "fold_0" / "checkpoint_final.pth"
    with pytest.raises(ModelError, match=r"weights and plain values alone.*it would run code"):
        read_checkpoint(file)
    assert not sign.exists()
    torch.load(file, weights_only=False)
    assert sign.exists()  # the trap works


@pytest.mark.parametrize("content", [b"", b"no zip", "OrderedDict", {"network_weights": {}}, {"trainer_name": "x"}])
def test_what_is_no_checkpoint_of_nnunet_is_refused(content, tmp_path):
    file = tmp_path / "checkpoint_final.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(OrderedDict(a=1) if content == "OrderedDict" else content, file)
    with pytest.raises(ModelError, match=re.escape(str(file))):
        read_checkpoint(file)


def test_missing_other_and_misshapen_weights_are_named(make_reference):
    network, weights = block(2, residual=False), make_reference(2).state_dict()
    lacking = {key: value for key, value in weights.items() if key != "decoder.transpconvs.0.bias"}
    with pytest.raises(ModelError, match=r"lack 'decoder.transpconvs.0.bias'"):
        our_weights(network, lacking, (0, 1, 2, 3))
    more = {**weights, "encoder.stages.0.0.convs.0.norm.running_mean": torch.zeros(6)}
    with pytest.raises(ModelError, match=r"has no weight 'encoder.stages.0.0.convs.0.norm.running_mean'"):
        our_weights(network, more, (0, 1, 2, 3))
    wider = network.model_copy(update={"features": (6, 9, 12)})
    with pytest.raises(
        ModelError, match=r"'encoder.1.0.weight' are \(12, 6, 3, 3\), the plans' network has \(9, 6, 3, 3\)"
    ):
        our_weights(wider, weights, (0, 1, 2, 3))
