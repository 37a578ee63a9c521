"""Training losses by name; each maps logits and integer targets to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from autolv.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    # logits (n, classes, *size), target (n, *size) int64 -> scalar
    Loss = Callable[[Tensor, Tensor], Tensor]
    # sums over the samples at hand -> the sums over all that share the batch
    Total = Callable[[Tensor], Tensor]


def these_alone(sums: Tensor) -> Tensor:
    """Return ``sums``: the samples at hand are the whole batch."""
    return sums


# A builder takes ``total``, a ``Total``: several processes that share a batch compute its loss from sums over all of it.
LOSSES: Registry[Callable[..., Loss]] = Registry("loss", "autolv.losses")
