import pytest
import torch
from torch import nn

from autolv.networks._blocks import InstanceNorm, conv, conv_stack, initialise, patchwise, upsampling


def test_instance_norm_by_hand():
    # one channel 1, 3: mean 2, variance 1 -> -1, 1; then x 10 + 5
    norm = InstanceNorm(1)
    with torch.no_grad():
        norm.weight.fill_(10.0)
        norm.bias.fill_(5.0)
    torch.testing.assert_close(
        norm(torch.tensor([[[[1.0, 3.0]]]])), torch.tensor([[[[-5.0, 15.0]]]]), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("size", [(6, 5), (3, 4, 5)])
def test_instance_norm_equals_torch_s(size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size) * 4 + 7
    torch.testing.assert_close(InstanceNorm(3)(x), nn.functional.instance_norm(x), atol=1e-5, rtol=1e-5)


def test_instance_norm_passes_a_single_voxel_on_scaled_and_shifted():
    norm = InstanceNorm(2)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -1.0]))
        norm.bias.copy_(torch.tensor([0.5, 0.0]))
    x = torch.tensor([[[[3.0]], [[4.0]]]], requires_grad=True)
    y = norm(x)
    assert y.flatten().tolist() == [6.5, -4.0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [2.0, -1.0]


def test_sizes_follow_kernel_and_stride_along_each_axis():
    x = torch.zeros(1, 2, 4, 12, 10)
    assert conv(2, 3, (1, 3, 5))(x).shape == (1, 3, 4, 12, 10)
    assert conv(2, 3, (3, 3, 3), (1, 2, 2))(x).shape == (1, 3, 4, 6, 5)
    assert patchwise(2, 3, (2, 3, 1))(x).shape == (1, 3, 2, 4, 10)
    assert upsampling(2, 3, (1, 2, 3))(x).shape == (1, 3, 4, 24, 30)


def test_conv_stack_has_no_parameter_that_the_normalisation_makes_idle():
    stack = conv_stack(2, 3, (3, 3), 2)
    # 2 x 3 x 9 + 3 x 3 x 9 weights, 2 x (3 + 3) of the normalisations
    assert sum(p.numel() for p in stack.parameters()) == 54 + 81 + 12


def test_initialise_is_he_s():
    torch.manual_seed(0)
    module = nn.Conv2d(50, 60, 3).apply(initialise(0.01))
    # variance 2 / ((1 + slope²) x fan-in), fan-in 50 x 9 = 450 (He 2015)
    assert module.weight.std().item() == pytest.approx((2 / (1.0001 * 450)) ** 0.5, rel=0.02)
    assert module.bias is not None
    assert module.bias.abs().max().item() == 0.0
