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


_OKTAY_SKIPS = (16, 32, 64, 128)  # channels, finest first; 256 below them


def _weights(module):
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d))


def test_oktay_2018_channels_and_shapes():
    network = paper_form()
    with torch.device("meta"):
        module = build_network(network)
        features = module.encode(torch.empty(1, 1, *network.patch))
        decoded = module.decode(features)
    stages = [(16, 96), (32, 48), (64, 24), (128, 12), (256, 6)]
    assert [tuple(f.shape[1:]) for f in features] == [(c, n, n, n) for c, n in stages]
    assert [tuple(f.shape[1:]) for f in decoded] == [(c, n, n, n) for c, n in stages[:-1]]


def test_oktay_2018_parameters():
    with torch.device("meta"):
        module = build_network(paper_form())
    encoder, decoder = _weights(module.encoder), _weights(module.decoder)
    enter = 1 * 16 + 16 * 32 + 32 * 64 + 64 * 128 + 128 * 256
    stay = 16**2 + 32**2 + 64**2 + 128**2 + 256**2
    assert encoder == 27 * (enter + stay)
    # a stage's first convolution takes the upsampled features and the skip, each of c channels, its second the c of those
    assert decoder == 27 * sum(2 * c * c + c * c for c in _OKTAY_SKIPS)
    # Oktay 2018 upsample linearly, which leaves the coarser stage's 2 c channels: c more for each first convolution
    linear = 27 * sum(c * c for c in _OKTAY_SKIPS)
    assert round((encoder + decoder + linear) / 1e6, 2) == 5.88  # million, their U-Net (table 2)


def test_oktay_2018_departures_explain_every_other_parameter():
    with torch.device("meta"):
        module = build_network(paper_form())
    convolutions = 27 * (16 + 16**2 + sum(2 * c * c + (2 * c) ** 2 + 3 * c * c for c in _OKTAY_SKIPS))
    upsampling = sum(8 * 2 * c * c + c for c in _OKTAY_SKIPS)  # learnt: 2³ voxels and a bias; linear has none
    gates = sum(6 * c * c + 3 * c + 1 for c in _OKTAY_SKIPS)  # the test below; the finest's 1585 are not in the paper
    heads = sum(4 * c + 4 for c in _OKTAY_SKIPS)  # separate, four classes each
    norms = 2 * (2 * (16 + 32 + 64 + 128 + 256) + 2 * sum(_OKTAY_SKIPS))  # scale and shift after each convolution
    assert (upsampling, gates, heads, norms) == (348_400, 131_284, 976, 2_944)
    total = convolutions + upsampling + gates + heads + norms
    assert total == 5_778_628
    assert sum(p.numel() for p in module.parameters()) == total
    parts = (module.ups, module.gates, module.heads)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [upsampling, gates, heads]


@pytest.mark.parametrize(("s", "c"), [(0, 16), (1, 32), (2, 64), (3, 128)])
def test_oktay_2018_gate_parameters(s, c):
    with torch.device("meta"):
        gate = build_network(paper_form()).gates[s]
    theta, phi, psi = 8 * c * (c // 2), 2 * c * (c // 2) + c // 2, c // 2 + 1
    project, norm = c * c, 2 * c
    assert sum(p.numel() for p in gate.parameters()) == theta + phi + psi + project + norm == 6 * c * c + 3 * c + 1
