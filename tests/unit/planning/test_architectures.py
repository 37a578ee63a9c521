"""What the other architectures are against the U-Net of the same plan."""

from __future__ import annotations

from typing import Any

import pytest

from autolv.planning.cost import network_cost
from autolv.planning.planner import make_plan
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute

ARCHITECTURES = ("unet", "attention_unet", "vnet", "resenc_unet")


def on(device: str = "cpu", *, memory_gb: float = 18.0, minutes: float | None = 12.0) -> Compute:
    return Compute(device=device, cores=2, memory_gb=memory_gb, time_budget_minutes=minutes)


@pytest.fixture
def acdc_like(make_fingerprint: Any) -> Fingerprint:
    """100 patients with the median geometry of ACDC."""
    return make_fingerprint()


def test_the_other_architectures_keep_to_the_unets_compute(acdc_like: Fingerprint) -> None:
    for compute in (on(), on(minutes=None), on("cuda", memory_gb=24.0, minutes=None)):
        plan = make_plan(acdc_like, compute)
        for dimensions in ("2d", "3d"):
            unet, attention, vnet, resenc = (
                plan.configurations[f"{dimensions}_{architecture}"].network for architecture in ARCHITECTURES
            )
            assert attention.features[0] <= unet.features[0]
            assert (attention.strides, attention.kernels) == (unet.strides, unet.kernels)
            assert network_cost(vnet).forward_flops <= 1.5 * network_cost(unet).forward_flops
            assert vnet.kernels == tuple(tuple(5 if k == 3 else k for k in kernel) for kernel in unet.kernels)
            assert 0.7 < network_cost(resenc).forward_flops / network_cost(unet).forward_flops <= 1.5
            assert (resenc.patch, resenc.strides, resenc.kernels) == (unet.patch, unet.strides, unet.kernels)


def test_the_residual_encoder_has_the_published_blocks(acdc_like: Fingerprint) -> None:
    plan = make_plan(acdc_like, on("cuda", memory_gb=24.0, minutes=None))
    for name in ("2d_resenc_unet", "3d_resenc_unet"):
        network = plan.configurations[name].network
        assert network.blocks == (1, 3, 4, 6, 6, 6)
        assert network.decoder_blocks == (1, 1, 1, 1, 1)
        assert "1.5 times the U-Net's operations" in plan.configurations[name].reasons["network.features"]
