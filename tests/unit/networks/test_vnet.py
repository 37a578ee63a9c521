import pytest
import torch
from torch import nn

from autolv.networks import build_network
from autolv.networks._blocks import InstanceNorm
from autolv.networks.vnet import ResidualStage, paper_form
from autolv.schema.plan import Network


def _silence(module):
    """Make each convolution return 0, so that only the residual path is left."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            nn.init.zeros_(layer.weight)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_first_stage_adds_the_image_to_every_channel(batch):
    stage = ResidualStage(1, 4, (5, 5), 1)
    _silence(stage)
    x = torch.randn(batch, 1, 6, 6)
    expected = torch.where(x > 0, x, 0.25 * x).expand(batch, 4, 6, 6)  # PReLU of slope 0.25
    torch.testing.assert_close(stage(x), expected)


def test_the_first_stage_repeats_several_image_channels_in_turn():
    stage = ResidualStage(2, 5, (1, 1), 1)
    _silence(stage)
    x = torch.rand(3, 2, 4, 4)
    torch.testing.assert_close(stage(x), x[:, [0, 1, 0, 1, 0]])


def test_a_residual_stage_is_the_rectified_sum_of_input_and_convolutions():
    torch.manual_seed(0)
    stage = ResidualStage(3, 3, (1, 5, 5), 2)
    x = torch.randn(2, 3, 2, 8, 8)
    first, norm, rectifier, second, last_norm = stage.convolutions
    inner = last_norm(second(rectifier(norm(first(x)))))
    total = inner + x
    torch.testing.assert_close(stage(x), torch.where(total > 0, total, 0.25 * total))


def test_the_residual_sum_does_not_change_its_input():
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    ResidualStage(3, 3, (3, 3), 2)(x)
    assert torch.equal(x, before)


def test_milletari_2016_channels_and_shapes():
    network = paper_form()
    with torch.device("meta"):
        module = build_network(network)
        features = module.encode(torch.empty(1, 1, *network.patch))
        decoded = module.decode(features)
    # figure 2: 16 channels at 128 x 128 x 64 to 256 at 8 x 8 x 4, then 32 to 256 on the right
    assert [tuple(f.shape[1:]) for f in features] == [
        (16, 64, 128, 128),
        (32, 32, 64, 64),
        (64, 16, 32, 32),
        (128, 8, 16, 16),
        (256, 4, 8, 8),
    ]
    assert [tuple(f.shape[1:]) for f in decoded] == [
        (32, 64, 128, 128),
        (64, 32, 64, 64),
        (128, 16, 32, 32),
        (256, 8, 16, 16),
    ]


def test_milletari_2016_parameters():
    with torch.device("meta"):
        module = build_network(paper_form())
    left = 16 + 2 * 32**2 + 3 * 64**2 + 3 * 128**2 + 3 * 256**2  # 1, 2, 3, 3, 3 convolutions of 5³
    right = 3 * 256**2 + 3 * 128**2 + 2 * 64**2 + 32**2  # 3, 3, 2, 1
    down = 16 * 32 + 32 * 64 + 64 * 128 + 128 * 256
    up = 256 * 128 + 256 * 64 + 128 * 32 + 64 * 16
    weights = 125 * (left + right) + 8 * (down + up) + 32 * 2
    # per normalised convolution two numbers a channel, per PReLU one: the last convolution of a stage shares its PReLU
    # with the sum; a down or up step has both
    stages = 16 + 2 * 32 + 3 * (64 + 128 + 256) + 3 * 256 + 3 * 128 + 2 * 64 + 32
    steps = (32 + 64 + 128 + 256) + (128 + 64 + 32 + 16)
    assert sum(p.numel() for p in module.parameters()) == weights + 3 * (stages + steps) + 2


def test_milletari_2016_receptive_fields_of_table_1():
    # each convolution adds (kernel - 1) x the distance of its voxels; table 1 counts a transposed convolution like a
    # convolution of kernel 2 on the finer grid
    network = paper_form()
    field, distance, left, right = 1, 1, [], []
    for s in range(network.stages):
        if s:
            field += (network.strides[s][0] - 1) * distance
            distance *= network.strides[s][0]
        field += network.blocks[s] * (network.kernels[s][0] - 1) * distance
        left.append(field)
    for s in reversed(range(network.stages - 1)):
        distance //= network.strides[s + 1][0]
        field += (network.strides[s + 1][0] - 1) * distance
        field += network.decoder_blocks[s] * (network.kernels[s][0] - 1) * distance
        right.append(field)
    assert left == [5, 22, 72, 172, 372]
    assert right == [476, 528, 546, 551]


def test_receptive_fields_measured_along_one_axis():
    # the paper's network along x alone: the same strides, kernels and counts
    paper = paper_form()
    network = Network(
        architecture="vnet",
        patch=(1, 1024),
        in_channels=1,
        classes=2,
        features=(1,) * 5,
        kernels=((1, 5),) * 5,
        strides=((1, 1), *((1, 2),) * 4),
        blocks=paper.blocks,
        decoder_blocks=paper.decoder_blocks,
        heads=1,
    )
    module = build_network(network).double()
    _drop_norms(module)
    for parameter in module.parameters():
        nn.init.ones_(parameter)  # nothing cancels
    x = torch.ones(1, 1, 1, 1024, dtype=torch.float64, requires_grad=True)
    features = module.encode(x)
    decoded = module.decode(features)
    assert [_reach(f, x) for f in features] == [5, 22, 72, 172, 372]
    # A transposed convolution with kernel = stride sees one voxel, so the true fields on the right are a little smaller
    # than table 1's. Voxel p sees p - 2n .. p + 2n of its grid through n convolutions, halved and rounded down on the
    # next: of the coarsest grid, whose voxels lie 16 apart, the middle voxels of a row of 1024 see
    #   R4: 64 -> 58..70 -> 29..35, 7 voxels
    #   R3: 128 -> 122..134 -> 61..67 -> 55..73 -> 27..36, 10
    #   R2: 256 -> 252..260 -> 126..130 -> 120..136 -> 60..68 -> 54..74 -> 27..37, 11
    #   R1: 512 -> 510..514 -> 255..257 -> 251..261 -> 125..130 -> 119..136 -> 59..68 -> 53..74 -> 26..37, 12
    seen = [7, 10, 11, 12]
    assert [_reach(f, x) for f in reversed(decoded)] == [372 + 16 * (n - 1) for n in seen]


def _drop_norms(module):
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, InstanceNorm):
                setattr(parent, name, nn.Identity())


def _reach(feature, x):
    """The number of pixels of ``x`` that the middle pixel of ``feature`` depends on."""
    (gradient,) = torch.autograd.grad(feature[0, 0, 0, feature.shape[3] // 2], x, retain_graph=True)
    return int((gradient != 0).sum())
