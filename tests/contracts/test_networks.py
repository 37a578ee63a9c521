"""What every registered network promises, in two and three dimensions, for anisotropic strides and odd widths."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from autolv.networks import NETWORKS, build_network
from autolv.planning.planner import make_plan
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Network, Plan
from autolv.schema.record import read_record

_PLAN = Path(__file__).parents[2] / "plans" / "ACDC" / "plan.json"
_PLANNED = [f"{d}d_{name}" for d in (2, 3) for name in ("unet", "attention_unet", "vnet", "resenc_unet")]
_2D = {
    "patch": (24, 16),
    "kernels": ((3, 3), (3, 3), (3, 3), (3, 3)),
    "strides": ((1, 1), (2, 2), (2, 2), (2, 1)),
    "scales": ((1, 1), (2, 2), (4, 4)),
}
# like ACDC's: 10 mm slices are neither convolved nor pooled before the pixels have become as coarse
_3D = {
    "patch": (4, 24, 16),
    "kernels": ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)),
    "scales": ((1, 1, 1), (1, 2, 2), (1, 4, 4)),
}
_GRIDS = {"2d": _2D, "3d": _3D}


def test_the_planned_architectures_are_found():
    assert {"unet", "attention_unet", "vnet", "resenc_unet"} <= set(NETWORKS)


@pytest.fixture(params=[(name, grid) for name in NETWORKS for grid in _GRIDS], ids="-".join)
def network(request):
    name, grid = request.param
    kernels = _GRIDS[grid]["kernels"]
    if name == "vnet":
        kernels = tuple(tuple(5 if k == 3 else k for k in kernel) for kernel in kernels)
    return Network(
        architecture=name,
        patch=_GRIDS[grid]["patch"],
        in_channels=1,
        classes=4,
        features=(5, 7, 11, 13),
        kernels=kernels,
        strides=_GRIDS[grid]["strides"],
        blocks=(1, 2, 3, 2),
        decoder_blocks=(2, 1, 2),
        heads=3,
    )


@pytest.fixture
def module(network):
    torch.manual_seed(0)
    return build_network(network)


def _images(network, n=2, channels=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels, *network.patch, generator=generator, dtype=dtype)


def _expected_shapes(network, n):
    scales = _GRIDS[f"{network.dimensions}d"]["scales"]
    return [(n, network.classes, *(p // k for p, k in zip(network.patch, scale, strict=True))) for scale in scales]


@pytest.mark.parametrize("n", [1, 3])
def test_outputs_are_a_tuple_of_the_planned_heads_finest_first(network, module, n):
    outputs = module(_images(network, n))
    assert isinstance(outputs, tuple)
    assert [tuple(o.shape) for o in outputs] == _expected_shapes(network, n)


def test_one_head_is_still_a_tuple(network):
    outputs = build_network(network.model_copy(update={"heads": 1}))(_images(network))
    assert isinstance(outputs, tuple)
    assert [tuple(o.shape) for o in outputs] == _expected_shapes(network, 2)[:1]


def test_two_image_channels_are_taken(network):
    outputs = build_network(network.model_copy(update={"in_channels": 2}))(_images(network, channels=2))
    assert [tuple(o.shape) for o in outputs] == _expected_shapes(network, 2)


def _assert_every_parameter_gets_a_gradient(network, module, n):
    # in float64 a gradient that is zero but for rounding stays below 1e-12
    outputs = module.double()(_images(network, n, dtype=torch.float64))
    assert len(outputs) == network.heads
    generator = torch.Generator().manual_seed(2)
    sum((o * torch.randn(o.shape, generator=generator, dtype=o.dtype)).sum() for o in outputs).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 1e-6, name


def test_every_parameter_gets_a_gradient(network, module):
    _assert_every_parameter_gets_a_gradient(network, module, 2)


def test_eight_configurations_are_planned():
    assert sorted(read_record(Plan, _PLAN).configurations) == sorted(_PLANNED)


@pytest.mark.parametrize("name", _PLANNED)
def test_every_parameter_of_a_planned_network_gets_a_gradient(name):
    network = _smaller(read_record(Plan, _PLAN).configurations[name].network, 2)
    torch.manual_seed(0)
    _assert_every_parameter_gets_a_gradient(network, build_network(network), 1)


def test_every_parameter_of_the_network_at_1_mm_gets_a_gradient():
    fingerprint = read_record(Fingerprint, _PLAN.with_name("fingerprint.json"))
    gpu = Compute(device="cuda", cores=16, memory_gb=24.0, time_budget_minutes=None)
    network = _smaller(make_plan(fingerprint, gpu).configurations["3d_unet_iso"].network, 8)
    torch.manual_seed(0)
    _assert_every_parameter_gets_a_gradient(network, build_network(network), 1)


def _smaller(planned, times):
    """Less wide, to be quick; the smallest patch that leaves the coarsest stage several voxels to normalise."""
    patch = tuple(2 * d for d in planned.downsampling)
    return planned.model_copy(update={"features": tuple(f // times for f in planned.features), "patch": patch})


def test_every_parameter_is_trainable_and_none_is_shared(module):
    pointers = [p.data_ptr() for p in module.parameters()]
    assert all(p.requires_grad for p in module.parameters())
    assert len(set(pointers)) == len(pointers)


def test_the_same_images_give_the_same_logits_in_training_and_evaluation(network, module):
    x = _images(network)
    with torch.no_grad():
        trained, first, second = module(x), module.eval()(x), module(x)
    for a, b, c in zip(trained, first, second, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(b, c)


def test_the_images_are_not_changed(network, module):
    x = _images(network)
    before = x.clone()
    module(x)
    assert torch.equal(x, before)


def test_neighbours_in_the_batch_do_not_matter(network, module):
    x = _images(network, 3)
    with torch.no_grad():
        together, alone = module(x), module(x[1:2])
        others = module(torch.cat((x[2:] * 9, x[1:2])))
    for a, b, c in zip(together, alone, others, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(c[1:2], b, atol=1e-4, rtol=1e-4)


def test_different_images_give_different_logits(network, module):
    x = _images(network, 2)
    with torch.no_grad():
        outputs = module(x)
    assert all((o[0] - o[1]).abs().max() > 1e-2 for o in outputs)


def test_weights_go_to_safetensors_and_back(network, module):
    torch.manual_seed(99)
    other = build_network(network)
    x = _images(network)
    with torch.no_grad():
        assert not torch.equal(other(x)[0], module(x)[0])
        other.load_state_dict(load(save(module.state_dict())))
        for a, b in zip(module(x), other(x), strict=True):
            assert torch.equal(a, b)


def test_bfloat16_agrees_loosely(network, module):
    x = _images(network)
    with torch.no_grad():
        exact = module(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = module(x)
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == torch.bfloat16
        assert ((a - b.float()).norm() / a.norm()).item() < 0.05  # 8 bits of mantissa: 0.4 % a layer


def test_channels_last_agrees(network, module):
    layout = torch.channels_last if network.dimensions == 2 else torch.channels_last_3d
    x = _images(network)
    with torch.no_grad():
        plain = module(x)
        last = module.to(memory_format=layout)(x.to(memory_format=layout))
    for a, b in zip(plain, last, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
def test_the_gpu_agrees(network, module):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x = _images(network)
    with torch.no_grad():
        host = module(x)
        device = module.cuda()(x.cuda())
    for a, b in zip(host, device, strict=True):
        torch.testing.assert_close(a, b.cpu(), atol=1e-2, rtol=1e-2)
