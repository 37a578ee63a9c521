"""The folds of an imported nnU-Net are put together as nnU-Net does it: by the mean of their logits, in half precision."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from autolv.inference.windows import Logits


def mean_of_logits(folds: Iterable[Logits]) -> Logits:
    """Return the mean of one field's logits by several networks, all in one box; they are not changed.

    Each sum, and the mean, is rounded to half precision (nnU-Net 2.8.1 keeps them so). One alone is returned as it is. Folds
    are taken one by one, so an iterator keeps two of them in memory. Raises ``ValueError`` for none.
    """
    each = iter(folds)
    only = next(each, None)
    if only is None:
        raise ValueError("a mean needs at least one fold")
    total, count = torch.from_numpy(only.array).half(), 1
    for fold in each:
        total += torch.from_numpy(fold.array).half()
        count += 1
    return only if count == 1 else Logits(array=(total / count).float().numpy(), box=only.box)
