"""The planner's cost, counted without torch, is what torch counts for the network that is built."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from autolv.networks import NETWORKS, build_network
from autolv.planning.cost import network_cost
from autolv.planning.networks import ARCHITECTURES
from autolv.schema.plan import Network


def uneven(architecture: str, dimensions: int) -> Network:
    """A network whose stages all differ, so that no mix-up of stages goes unnoticed."""
    flat = dimensions == 2
    return Network(
        architecture=architecture,
        patch=(48, 32) if flat else (4, 32, 48),
        in_channels=1,
        classes=4,
        features=(6, 12, 20, 24),
        kernels=((3, 3), (5, 3), (3, 3), (1, 3)) if flat else ((1, 3, 3), (1, 5, 5), (3, 3, 3), (3, 3, 1)),
        strides=((1, 1), (2, 2), (2, 1), (2, 2)) if flat else ((1, 1, 1), (1, 2, 2), (2, 2, 1), (1, 2, 2)),
        blocks=(1, 2, 3, 1),
        decoder_blocks=(2, 1, 2),
        heads=2,
    )


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("architecture", list(NETWORKS))
def test_cost_is_what_torch_counts(architecture: str, dimensions: int) -> None:
    block = uneven(architecture, dimensions)
    with torch.device("meta"):
        network = build_network(block)
        images = torch.zeros(1, 1, *block.patch)
    with FlopCounterMode(display=False) as counter:
        network(images)
    cost = network_cost(block)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    assert cost.forward_flops == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("architecture", list(NETWORKS))
def test_activations_are_the_outputs_of_all_convolutions(architecture: str, dimensions: int) -> None:
    block = uneven(architecture, dimensions)
    counted = []
    with torch.device("meta"):
        network = build_network(block)
        images = torch.zeros(1, 1, *block.patch)
    kinds = (torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _module, _inputs, output: counted.append(output.numel()))
    network(images)
    assert network_cost(block).activations == sum(counted)


def test_every_planned_architecture_can_be_built() -> None:
    assert set(ARCHITECTURES) <= set(NETWORKS)
