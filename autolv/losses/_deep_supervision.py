"""One loss at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from autolv.losses import Head

if TYPE_CHECKING:
    from autolv.losses import Loss


class DeepSupervisionLoss:
    """The weighted mean of a loss over a network's heads, each against the target at its own resolution.

    The loss gets all heads in one call.

    Of each block of k voxels along an axis the target at a coarser head is voxel k // 2 (the second of two, the third
    of four), which is what nearest-neighbour sampling at the block's centre takes when ties go up.
    """

    def __init__(self, loss: Loss, weights: Sequence[float]) -> None:
        """Take one non-negative weight per head, finest first; they are divided by their sum."""
        if not weights or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"weights must be non-negative with a positive sum, got {tuple(weights)}")
        self.loss = loss
        self.weights = tuple(weight / sum(weights) for weight in weights)

    def __call__(self, outputs: Sequence[Tensor], target: Tensor, known: Tensor | None = None) -> Tensor:
        """Return the loss of logits (n, classes, *size / k), finest first, against ``target`` (n, *size), int64.

        ``known`` (n, classes) bool tells which classes are annotated in each sample, ``None`` that all are.
        """
        if len(outputs) != len(self.weights):
            raise ValueError(f"expected {len(self.weights)} outputs, one per weight, got {len(outputs)}")
        heads = [
            Head(logits, subsample_target(target, tuple(logits.shape[2:])), weight)
            for logits, weight in zip(outputs, self.weights, strict=True)
            if weight > 0
        ]
        return self.loss(heads, known)


def subsample_target(target: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return ``target`` (n, *full size) at a ``size`` that divides its own: a view, voxel k // 2 of each block of k."""
    full = tuple(target.shape[1:])
    if len(size) != len(full) or any(s < 1 or f % s for f, s in zip(full, size, strict=True)):
        raise ValueError(f"a head of size {size} does not divide the target's {full}")
    steps = [f // s for f, s in zip(full, size, strict=True)]
    return target[(slice(None), *(slice(k // 2, None, k) for k in steps))]
