import pytest
import torch

from autolv.core.errors import PlanError
from autolv.core.registry import RegistryError
from autolv.networks import build_network
from autolv.schema.plan import Network


def _network(**changes: object) -> Network:
    fields: dict[str, object] = {
        "architecture": "unet",
        "patch": (8, 8),
        "in_channels": 1,
        "classes": 2,
        "features": (2, 3, 4),
        "kernels": ((3, 3),) * 3,
        "strides": ((1, 1), (2, 2), (2, 1)),
        "blocks": (1, 1, 1),
        "decoder_blocks": (1, 1),
        "heads": 2,
    }
    return Network.model_validate({**fields, **changes})


@pytest.mark.parametrize("shape", [(1, 1, 8, 7), (1, 1, 6, 8), (1, 2, 8, 8), (1, 1, 8, 8, 8), (1, 1, 0, 8)])
def test_an_image_that_does_not_fit_is_refused_with_the_shapes(shape):
    module = build_network(_network())
    with pytest.raises(ValueError, match=r"size a multiple of \(4, 2\), got"):
        module(torch.zeros(shape))


def test_any_multiple_of_the_downsampling_fits():
    outputs = build_network(_network())(torch.zeros(3, 1, 12, 6))
    assert [tuple(o.shape) for o in outputs] == [(3, 2, 12, 6), (3, 2, 6, 3)]


@pytest.mark.parametrize("heads", [1, 2])
def test_only_the_planned_heads_are_built(heads):
    module = build_network(_network(heads=heads))
    # a head of stage s has features[s] x 2 weights and 2 biases: 6, then 8
    assert [sum(p.numel() for p in head.parameters()) for head in module.heads] == [6, 8][:heads]


def test_the_patch_may_shrink_to_one_voxel_at_the_bottleneck():
    torch.manual_seed(0)
    module = build_network(_network(patch=(4, 2)))
    outputs = module(torch.randn(1, 1, 4, 2))
    sum(o.square().sum() for o in outputs).backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(torch.isfinite(o).all() for o in outputs)
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert gradients[0] is not None
    assert gradients[0].abs().max() > 0


def test_a_single_stage_is_refused():
    flat = {"features": (2,), "kernels": ((3, 3),), "strides": ((1, 1),), "blocks": (1,), "decoder_blocks": ()}
    with pytest.raises(PlanError, match="two stages, the plan has 1"):
        build_network(_network(**flat, heads=1))


def test_an_even_kernel_is_refused():
    with pytest.raises(PlanError, match=r"odd, the plan has \(3, 4\)"):
        build_network(_network(kernels=((3, 3), (3, 4), (3, 3))))


def test_a_strided_first_stage_is_refused():
    with pytest.raises(PlanError, match=r"strides it by \(1, 2\)"):
        build_network(_network(strides=((1, 2), (2, 2), (2, 1))))


def test_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(RegistryError, match="attention_unet, resenc_unet, unet, vnet"):
        build_network(_network(architecture="unett"))


def test_the_same_seed_gives_the_same_weights():
    modules = []
    for _ in range(2):
        torch.manual_seed(7)
        modules.append(build_network(_network()))
    for a, b in zip(*(m.parameters() for m in modules), strict=True):
        assert torch.equal(a, b)
