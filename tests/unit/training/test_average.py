"""The moving average of the weights: its formula, and that it is lent to the network and taken back."""

import copy

import pytest
import torch

from autolv.training.average import averaged, averaged_from, exchange, update_average


def _network(value: float) -> torch.nn.Module:
    network = torch.nn.Linear(2, 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def test_the_average_follows_its_formula() -> None:
    network = _network(0.0)
    average = averaged_from(network)
    expected = 0.0
    for iteration in range(200):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(float(iteration))
        update_average(average, network, 0.9, iteration)
        decay = min(0.9, (1 + iteration) / (10 + iteration))
        expected = decay * expected + (1 - decay) * iteration
    for mean in average:
        assert mean.flatten().tolist() == pytest.approx([expected] * mean.numel(), rel=1e-5)


def test_the_network_gets_its_own_weights_back_even_after_an_error() -> None:
    network = _network(1.0)
    before = copy.deepcopy(network.state_dict())
    average = [torch.full_like(p, 5.0) for p in network.parameters()]
    with pytest.raises(RuntimeError, match="all are 5"):
        _look_and_fail(network, average)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all((mean == 5.0).all() for mean in average)


def test_without_an_average_nothing_changes() -> None:
    network = _network(1.0)
    exchange(network, [])
    assert all((p == 1.0).all() for p in network.parameters())


def _look_and_fail(network: torch.nn.Module, average: list[torch.Tensor]) -> None:
    with averaged(network, average):
        raise RuntimeError("all are 5" if all((p == 5.0).all() for p in network.parameters()) else "some are not")
