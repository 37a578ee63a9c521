from __future__ import annotations

import pytest

from autolv.core.errors import PlanError
from autolv.planning.cost import flops_per_mm3, network_cost, stage_voxels
from autolv.schema.plan import Network, Preprocessing


def two_stages(architecture: str, **changes: object) -> Network:
    """8 x 8 pixels, one image, two classes, 2 and 4 channels, one 3 x 3 convolution per stage."""
    fields: dict[str, object] = {
        "architecture": architecture,
        "patch": (8, 8),
        "in_channels": 1,
        "classes": 2,
        "features": (2, 4),
        "kernels": ((3, 3), (3, 3)),
        "strides": ((1, 1), (2, 2)),
        "blocks": (1, 1),
        "decoder_blocks": (1,),
        "heads": 1,
    }
    return Network.model_validate({**fields, **changes})


def test_a_unet_worked_out_by_hand() -> None:
    cost = network_cost(two_stages("unet"))
    # down: 9·1·2 + 4 and 9·2·4 + 8; up: 4·4·2 + 2; decoder: 9·4·2 + 4; head: 2·2 + 2
    assert cost.parameters == 22 + 80 + 34 + 76 + 6
    # multiply-adds: 64 pixels · 18, 16 · 72, 16 · 32, 64 · 72, 64 · 4
    assert cost.forward_flops == 2 * (1152 + 1152 + 512 + 4608 + 256)
    assert cost.activations == 2 * 64 + 4 * 16 + 2 * 64 + 2 * 64 + 2 * 64


def test_attention_adds_its_gates() -> None:
    plain, gated = network_cost(two_stages("unet")), network_cost(two_stages("attention_unet"))
    # theta 4·2·1, phi 4·1 + 1, psi 1·1 + 1, projection 2·2 + 4
    assert gated.parameters - plain.parameters == 8 + 5 + 2 + 8
    assert gated.forward_flops - plain.forward_flops == 2 * (16 * 8 + 16 * 4 + 16 * 1 + 64 * 4)
    assert gated.activations - plain.activations == 16 + 16 + 16 + 2 * 64


def test_a_vnet_worked_out_by_hand() -> None:
    cost = network_cost(two_stages("vnet"))
    # stage 0: 9·1·2 + 6; down: 4·2·4 + 12; stage 1: 9·4·4 + 12; up: 4·4·2 + 6; decoder: 9·4·4 + 12; head: 4·2 + 2
    assert cost.parameters == 24 + 44 + 156 + 38 + 156 + 10
    assert cost.forward_flops == 2 * (64 * 18 + 16 * 32 + 16 * 144 + 16 * 32 + 64 * 144 + 64 * 8)


def test_stages_of_an_anisotropic_patch() -> None:
    network = two_stages(
        "unet", patch=(3, 8, 8), kernels=((1, 3, 3), (3, 3, 3)), strides=((1, 1, 1), (1, 2, 2))
    )  # fmt: skip
    assert stage_voxels(network) == (192, 48)


def test_twice_the_slices_cost_twice_as_much() -> None:
    blocks = {"kernels": ((1, 3, 3), (3, 3, 3)), "strides": ((1, 1, 1), (1, 2, 2))}
    one, two = (network_cost(two_stages("vnet", patch=(z, 8, 8), **blocks)) for z in (5, 10))
    assert two.forward_flops == 2 * one.forward_flops
    assert two.activations == 2 * one.activations
    assert two.parameters == one.parameters


def test_a_finer_grid_costs_more_for_the_same_piece_of_image() -> None:
    network = two_stages("unet")
    own = Preprocessing(
        in_plane_spacing_mm=(2.0, 1.5), slice_spacing_mm=None, normalisation="zscore", image_order=3, label_order=1,
        crop_to_nonzero=True,
    )  # fmt: skip
    fine = own.model_copy(update={"in_plane_spacing_mm": (1.0, 1.0), "slice_spacing_mm": 1.0})
    # 64 voxels of 2 x 1.5 x 10 mm = 30 mm³ each, or of 1 mm³
    assert flops_per_mm3(network, own, 10.0) == network_cost(network).forward_flops / (64 * 30.0)
    assert flops_per_mm3(network, fine, 10.0) == pytest.approx(30 * flops_per_mm3(network, own, 10.0))


def test_an_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(PlanError, match="attention_unet, resenc_unet, unet, vnet"):
        network_cost(two_stages("transformer"))
