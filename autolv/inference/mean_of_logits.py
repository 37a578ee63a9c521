"""The folds of an imported nnU-Net as one network: there, their logits are averaged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch


@final
class MeanOfLogits(torch.nn.Module):
    """Networks that run as one, whose logits are the mean of theirs: as nnU-Net puts folds together."""

    def __init__(self, networks: Iterable[torch.nn.Module]) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)
        self.eval()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the mean of the finest logits (n, classes, *size) of all networks, in float32."""
        first, *others = self.networks
        total = first(x)[0].float()
        for network in others:
            total += network(x)[0]
        return (total / len(self.networks),)
