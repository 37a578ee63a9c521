"""The planner's cost, counted without torch, is what torch counts for the network that is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from autolv.networks import NETWORKS, build_network
from autolv.planning.cost import network_cost
from autolv.planning.networks import ARCHITECTURES
from autolv.planning.planner import make_plan
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Network
from autolv.schema.record import read_record


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
    _assert_counted(uneven(architecture, dimensions))


@pytest.mark.parametrize("memory_gb", [8.0, 72.0])
def test_cost_of_all_that_is_planned_for_a_gpu_is_what_torch_counts(memory_gb: float) -> None:
    """As planned, patches of 72 GB included: nothing is computed."""
    fingerprint = read_record(Fingerprint, Path(__file__).parents[2] / "plans" / "ACDC" / "fingerprint.json")
    compute = Compute(device="cuda", cores=16, memory_gb=memory_gb, time_budget_minutes=None)
    configurations = make_plan(fingerprint, compute).configurations
    assert len(configurations) == (8 if memory_gb < 20 else 9)
    for configuration in configurations.values():
        _assert_counted(configuration.network)


def _assert_counted(block: Network) -> None:
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
