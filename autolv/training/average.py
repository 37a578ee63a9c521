"""The exponential moving average of the weights, which is smoother than the last weights (Polyak 1992, Tarvainen 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def averaged_from(network: torch.nn.Module) -> list[torch.Tensor]:
    """Return what an average begins with: a copy of the weights, in the order of ``network.parameters()``."""
    return [parameter.detach().clone() for parameter in network.parameters()]


@torch.no_grad()
def update_average(average: list[torch.Tensor], network: torch.nn.Module, decay: float, iteration: int) -> None:
    """Take the weights after ``iteration`` (0-based) into ``average``, in place.

    The decay grows with the iterations up to ``decay``, so that the first weights, which have learnt nothing, do not stay.
    """
    now = min(decay, (1 + iteration) / (10 + iteration))
    torch._foreach_lerp_(average, list(network.parameters()), 1.0 - now)


@contextmanager
def averaged(network: torch.nn.Module, average: list[torch.Tensor]) -> Iterator[None]:
    """Give ``network`` the averaged weights for the length of the block, and its own back after it."""
    exchange(network, average)
    try:
        yield
    finally:
        exchange(network, average)


@torch.no_grad()
def exchange(network: torch.nn.Module, average: list[torch.Tensor]) -> None:
    """Swap the weights of ``network`` and their ``average``; an empty one, which is none, leaves them as they are."""
    if not average:
        return
    for parameter, mean in zip(network.parameters(), average, strict=True):
        kept = parameter.detach().clone()
        parameter.copy_(mean)
        mean.copy_(kept)
