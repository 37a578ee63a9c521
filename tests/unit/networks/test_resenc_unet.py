"""The residual-encoder U-Net: its block worked out by hand, its size against nnU-Net's published medium network."""

import itertools

import pytest
import torch
from torch import nn

from autolv.networks import build_network
from autolv.networks.resenc_unet import ResidualBlock, reference_form_3d
from autolv.planning.cost import network_cost


def _leaky(x):
    return torch.where(x > 0, x, 0.01 * x)


def test_a_block_is_the_rectified_sum_of_its_input_and_two_convolutions():
    torch.manual_seed(0)
    block = ResidualBlock(3, 3, (3, 3), (1, 1))
    x = torch.randn(2, 3, 8, 8)
    conv, norm = block.second
    torch.testing.assert_close(block(x), _leaky(norm(conv(block.first(x))) + x))


def test_past_a_strided_block_the_input_is_averaged():
    block = ResidualBlock(2, 2, (1, 3, 3), (1, 2, 2))
    for layer in block.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.zeros_(layer.weight)  # only the way past is left
    x = torch.randn(1, 2, 3, 6, 4)
    averaged = x.reshape(1, 2, 3, 3, 2, 2, 2).mean(dim=(4, 6))
    torch.testing.assert_close(block(x), _leaky(averaged))


def test_where_the_channels_change_the_way_past_is_a_normalised_convolution():
    torch.manual_seed(0)
    block = ResidualBlock(2, 5, (3, 3), (2, 2))
    x = torch.randn(1, 2, 8, 8)
    point, norm = block.skip
    assert point.kernel_size == (1, 1) and point.bias is None
    past = norm(point(torch.nn.functional.avg_pool2d(x, 2)))
    conv, last = block.second
    torch.testing.assert_close(block(x), _leaky(last(conv(block.first(x))) + past))


def test_a_block_does_not_change_its_input():
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    ResidualBlock(3, 3, (3, 3), (1, 1))(x)
    assert torch.equal(x, before)


def test_the_reference_form_has_the_published_blocks_and_channels():
    network = reference_form_3d()
    with torch.device("meta"):
        module = build_network(network)
        features = module.encode(torch.empty(1, 1, *network.patch))
    assert [tuple(f.shape[1:]) for f in features] == [
        (32, 128, 128, 128), (64, 64, 64, 64), (128, 32, 32, 32), (256, 16, 16, 16), (320, 8, 8, 8), (320, 4, 4, 4),
    ]  # fmt: skip
    blocks = [sum(isinstance(layer, ResidualBlock) for layer in stage) for stage in module.encoder]
    assert blocks == [1, 3, 4, 6, 6, 6]
    assert len([m for m in module.decoder.modules() if isinstance(m, nn.Conv3d)]) == 5


def test_the_parameters_of_the_reference_form_by_hand():
    """Per stage 2 b convolutions of 27 c², the first of 27 c' c, 1 x 1 x 1 where c' != c; two numbers per norm."""
    channels, blocks = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)
    total = 27 * 32 + 2 * 32  # the stem
    before = 32
    for c, b in zip(channels, blocks, strict=True):
        total += 27 * before * c + (2 * b - 1) * 27 * c * c + 2 * b * 2 * c
        total += before * c + 2 * c if before != c else 0
        before = c
    for fine, coarse in itertools.pairwise(channels):
        total += 8 * coarse * fine + fine  # the transposed convolution and its bias
        total += 27 * 2 * fine * fine + 2 * fine
    total += sum(4 * c + 4 for c in channels[:4])  # heads
    with torch.device("meta"):
        module = build_network(reference_form_3d())
    assert sum(p.numel() for p in module.parameters()) == total == network_cost(reference_form_3d()).parameters


@pytest.mark.parametrize("size", [(32, 32), (48, 16)])
def test_sizes_other_than_the_patch_go_through(size):
    network = reference_form_3d().model_copy(
        update={
            "patch": (32, 32), "features": (4, 6, 8), "kernels": ((3, 3),) * 3, "strides": ((1, 1), (2, 2), (2, 2)),
            "blocks": (1, 2, 1), "decoder_blocks": (1, 1), "heads": 2,
        }
    )  # fmt: skip
    outputs = build_network(network)(torch.randn(1, 1, *size))
    assert [tuple(o.shape[2:]) for o in outputs] == [size, (size[0] // 2, size[1] // 2)]
