import math

import pytest
import torch
from torch import nn

from autolv.networks import build_network
from autolv.networks._plain_stages import isotropic
from autolv.networks.attention_unet import AttentionGate, attention_maps, paper_form


def _small():
    small = {"patch": (16, 16), "features": (4, 6, 8), "kernels": ((3, 3),) * 3}
    strides = {"strides": ((1, 1), (2, 1), (2, 2)), "blocks": (1, 1, 1), "decoder_blocks": (1, 1), "heads": 2}
    base = isotropic("attention_unet", dimensions=2, patch=16, classes=3, features=(4, 6, 8), heads=2)
    torch.manual_seed(0)
    return build_network(base.model_copy(update={**small, **strides}))


def test_gate_by_hand():
    # theta sums pairs along x: 1 + 2, 3 + 4 -> 3, 7; plus phi: -5, 1 -> -2, 8; rectified 0, 8; psi subtracts 4 -> -4, 4
    gate = AttentionGate(1, 1, (1, 2))
    with torch.no_grad():
        for layer, weight, bias in ((gate.theta, 1.0, None), (gate.phi, 1.0, 0.0), (gate.psi, 1.0, -4.0)):
            layer.weight.fill_(weight)
            if bias is not None:
                layer.bias.fill_(bias)
    skip, gating = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), torch.tensor([[[[-5.0, 1.0]]]])
    low, high = 1 / (1 + math.exp(4)), 1 / (1 + math.exp(-4))
    # upsampled about pixel centres: the outer pixels keep the value, the inner ones lie a quarter of the way
    expected = [low, 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high, high]
    assert gate.attention(skip, gating).flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_gate_is_constant_where_nothing_is_known():
    gate = AttentionGate(4, 6, (1, 2, 2))
    with torch.no_grad():
        gate.theta.weight.zero_()
        gate.phi.weight.zero_()
        gate.phi.bias.zero_()
        gate.psi.bias.fill_(math.log(3.0))
    maps = gate.attention(torch.randn(2, 4, 3, 8, 8), torch.randn(2, 6, 3, 4, 4))
    torch.testing.assert_close(maps, torch.full((2, 1, 3, 8, 8), 0.75))  # 1 / (1 + 1/3)


def test_gate_takes_a_coarser_gating_signal():
    # Schlemper 2019 gates fine skips by coarse features: the signal is resized to theta's grid
    gate = AttentionGate(4, 6, (2, 2))
    assert gate(torch.randn(1, 4, 16, 16), torch.randn(1, 6, 4, 4)).shape == (1, 4, 16, 16)


def test_gate_has_half_as_many_channels_inside_and_one_at_least():
    assert AttentionGate(7, 9, (2, 2)).theta.weight.shape == (3, 7, 2, 2)
    assert AttentionGate(1, 9, (2, 2)).phi.weight.shape == (1, 9, 1, 1)


def test_closing_a_gate_cuts_its_skip_off():
    module = _small()
    features = module.encode(torch.randn(1, 1, 16, 16))
    other = [torch.randn_like(features[0]), *features[1:]]
    assert not torch.equal(module.decode(features)[0], module.decode(other)[0])
    with torch.no_grad():
        module.gates[0].psi.weight.zero_()
        module.gates[0].psi.bias.fill_(-1e4)  # sigmoid 0
    assert torch.equal(module.decode(features)[0], module.decode(other)[0])


def test_attention_maps_lie_on_the_skips_grids_between_0_and_1():
    module = _small()
    maps = attention_maps(module, torch.randn(2, 1, 16, 16))
    assert [tuple(m.shape) for m in maps] == [(2, 1, 16, 16), (2, 1, 8, 16)]
    assert all(0 < float(m.detach().min()) < float(m.detach().max()) < 1 for m in maps)


def test_attention_maps_are_those_that_the_forward_pass_uses():
    module = _small()
    x = torch.randn(1, 1, 16, 16)
    seen = []
    with torch.no_grad():
        for gate in module.gates:
            gate.psi.register_forward_hook(lambda _m, _i, logits: seen.append(torch.sigmoid(logits)))
        module(x)  # the coarser gate runs first
        maps = attention_maps(module, x)
    used = [nn.functional.interpolate(seen[1 - s], size=maps[s].shape[2:], mode="bilinear") for s in (0, 1)]
    assert torch.equal(used[0], maps[0])
    assert torch.equal(used[1], maps[1])


def test_a_network_without_gates_has_no_maps():
    plain = build_network(isotropic("unet", dimensions=2, patch=16, classes=2, features=(2, 3), heads=1))
    with pytest.raises(ValueError, match="no attention gates"):
        attention_maps(plain, torch.zeros(1, 1, 16, 16))


def test_oktay_2018_channels_and_parameters():
    network = paper_form()
    with torch.device("meta"):
        module = build_network(network)
        x = torch.empty(1, 1, *network.patch)
    assert [(f.shape[1], f.shape[2]) for f in module.encode(x)] == [(16, 96), (32, 48), (64, 24), (128, 12), (256, 6)]
    weights = sum(m.weight.numel() for m in module.encoder.modules() if isinstance(m, nn.Conv3d))
    enter = 1 * 16 + 16 * 32 + 32 * 64 + 64 * 128 + 128 * 256
    stay = 16**2 + 32**2 + 64**2 + 128**2 + 256**2
    assert weights == 27 * (enter + stay)
    # Oktay 2018 upsample linearly, so a first convolution of the decoder takes the coarser channels and the skip's
    decoder = 27 * sum((2 * c + c) * c + c * c for c in (16, 32, 64, 128))
    assert round((weights + decoder) / 1e6, 2) == 5.88  # million, their U-Net (table 2)


@pytest.mark.parametrize(("s", "c"), [(0, 16), (1, 32), (2, 64), (3, 128)])
def test_oktay_2018_gate_parameters(s, c):
    with torch.device("meta"):
        gate = build_network(paper_form()).gates[s]
    theta, phi, psi = 8 * c * (c // 2), 2 * c * (c // 2) + c // 2, c // 2 + 1
    assert sum(p.numel() for p in gate.parameters()) == theta + phi + psi + c * c + 2 * c
