"""Soft Dice + cross-entropy (Isensee 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autolv.losses import LOSSES, these_alone
from autolv.losses._partial import with_merged_background

if TYPE_CHECKING:
    from autolv.losses import Head, Total


@dataclass(frozen=True, slots=True, kw_only=True)
class DiceCrossEntropy:
    """One minus the mean soft Dice of the foreground classes, plus the mean cross-entropy of all voxels.

    ``batch_dice`` sums over the whole batch before dividing, so that a slice without a structure neither rewards nor
    punishes by itself; otherwise each sample has its own Dice. ``smooth`` is added to numerator and denominator: a
    class that is neither in the target nor predicted has Dice 1.

    Where a structure is not annotated the background stands for it too, and its Dice is that of the other samples;
    where it is annotated in none, the mean is over the other structures. ``total`` makes sums over the whole batch of
    those over the samples at hand.
    """

    batch_dice: bool = True
    smooth: float = 1e-5
    total: Total = these_alone

    def __call__(self, heads: Sequence[Head], known: Tensor | None = None) -> Tensor:
        """Return the loss of ``heads``, each by its weight; float32, or float64 where their logits are."""
        sums = torch.stack([class_sums(head, known) for head in heads], dim=1)  # (5, heads, n, classes)
        if self.batch_dice:
            sums = self.total(sums.sum(dim=2, keepdim=True))
        overlap, predicted, actual, log_likelihood, annotated = sums  # each (heads, n or 1, classes)
        counted = (annotated > 0).to(annotated.dtype)
        # where nothing is annotated all sums are 0; the ratio is then not counted, but must be a number
        dice = (2.0 * overlap + self.smooth) / (predicted + actual + self.smooth + (1.0 - counted))
        structures = (dice * counted)[:, :, 1:], counted[:, :, 1:]  # the background has no Dice
        means = torch.stack([values.sum(dim=(1, 2)) for values in (log_likelihood, actual, *structures)])  # (4, heads)
        if not self.batch_dice:
            means = self.total(means)
        likelihood_sum, voxels, dice_sum, count = means
        losses = 1.0 - likelihood_sum / voxels - dice_sum / count  # (heads,)
        return torch.stack([head.weight * loss for head, loss in zip(heads, losses, strict=True)]).sum()


def class_sums(head: Head, known: Tensor | None) -> Tensor:
    """Return all that the loss needs of the voxels, from one softmax: sums over each sample, (5, n, classes).

    They are, for each class: its probability where it is the target, its probability everywhere, how often it is the
    target, the logarithm of its probability where it is the target, and 1; all 0 for a class that is not annotated.
    """
    logits = head.logits.flatten(2)
    at_least_single = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = logits.to(at_least_single).log_softmax(dim=1)  # (n, classes, voxels)
    probabilities = log_probabilities.exp()
    truth = torch.zeros_like(probabilities).scatter_(1, head.target.flatten(1).unsqueeze(1), 1.0)
    log_likelihood = truth * with_merged_background(log_probabilities, known)
    sums = [x.sum(dim=2) for x in (truth * probabilities, probabilities, truth, log_likelihood)]
    table = torch.stack([*sums, torch.ones_like(sums[0])])
    return table if known is None else torch.where(known, table, 0.0)


@LOSSES.register("dice_ce")
def build_dice_ce(total: Total = these_alone) -> DiceCrossEntropy:
    """Return Dice + cross-entropy with Dice over the whole batch."""
    return DiceCrossEntropy(total=total)
