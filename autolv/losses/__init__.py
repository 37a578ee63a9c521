"""Training losses by name; each maps what a network's heads give, and integer targets, to one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autolv.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    # sums over the samples at hand -> the sums over all that share the batch
    Total = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What one head gives: ``logits`` (n, classes, *size), its ``target`` (n, *size) int64, and its share of the loss."""

    logits: Tensor
    target: Tensor
    weight: float = 1.0

    def __post_init__(self) -> None:
        n, _, *size = self.logits.shape
        if self.target.shape != (n, *size):
            raise ValueError(
                f"target must be (n, *size) for logits {tuple(self.logits.shape)}, got {tuple(self.target.shape)}"
            )


# All heads at once, finest first, and which classes are annotated in each sample, (n, classes) bool with the background
# among them, None where all are -> scalar. Where a class is not annotated the background of the target may hide it.
Loss = Callable[[Sequence[Head], "Tensor | None"], "Tensor"]


def these_alone(sums: Tensor) -> Tensor:
    """Return ``sums``: the samples at hand are the whole batch."""
    return sums


# A builder takes ``total``, a ``Total``: several processes that share a batch compute its loss from sums over all of it.
LOSSES: Registry[Callable[..., Loss]] = Registry("loss", "autolv.losses")
