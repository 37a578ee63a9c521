"""Soft Dice + cross-entropy (Isensee 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from autolv.losses import LOSSES, these_alone

if TYPE_CHECKING:
    from autolv.losses import Total


@dataclass(frozen=True, slots=True, kw_only=True)
class DiceCrossEntropy:
    """One minus the mean soft Dice of the foreground classes, plus the mean cross-entropy of all voxels.

    ``batch_dice`` sums over the whole batch before dividing, so that a slice without a structure neither rewards nor
    punishes by itself; otherwise each sample has its own Dice. ``smooth`` is added to numerator and denominator: a
    class that is neither in the target nor predicted has Dice 1. ``total`` makes sums over the whole batch of those over
    the samples at hand.
    """

    batch_dice: bool = True
    smooth: float = 1e-5
    total: Total = these_alone

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, float32, of logits (n, classes, *size) against the classes ``target`` (n, *size), int64."""
        if target.shape != (logits.shape[0], *logits.shape[2:]):
            raise ValueError(f"target must be (n, *size) for logits {tuple(logits.shape)}, got {tuple(target.shape)}")
        log_probabilities = functional.log_softmax(logits.float(), dim=1)
        # torch's own mean has no deterministic kernel on a GPU
        cross_entropy = self._mean(functional.nll_loss(log_probabilities, target, reduction="none"))
        return cross_entropy + 1.0 - self._dice(log_probabilities[:, 1:].exp(), target)

    def _dice(self, probabilities: Tensor, target: Tensor) -> Tensor:
        classes = torch.arange(1, probabilities.shape[1] + 1, device=target.device)
        truth = target.unsqueeze(1) == classes.view(1, -1, *(1,) * (target.ndim - 1))  # (n, classes - 1, *size) bool
        axes = tuple(range(2, probabilities.ndim))
        if self.batch_dice:
            axes = (0, *axes)
        overlap = torch.where(truth, probabilities, 0.0).sum(axes)
        size = probabilities.sum(axes) + truth.sum(axes)
        if self.batch_dice:
            overlap, size = self.total(torch.stack((overlap, size)))
            return self._ratio(overlap, size).mean()
        return self._mean(self._ratio(overlap, size))

    def _ratio(self, overlap: Tensor, size: Tensor) -> Tensor:
        return (2.0 * overlap + self.smooth) / (size + self.smooth)

    def _mean(self, values: Tensor) -> Tensor:
        """Return the mean of ``values`` over the whole batch."""
        total, count = self.total(torch.stack((values.sum(), values.new_full((), values.numel()))))
        mean: Tensor = total / count
        return mean


@LOSSES.register("dice_ce")
def build_dice_ce(total: Total = these_alone) -> DiceCrossEntropy:
    """Return Dice + cross-entropy with Dice over the whole batch."""
    return DiceCrossEntropy(total=total)
