"""Samples in which not every structure is annotated: there the background is whatever is not annotated."""

from __future__ import annotations

import torch
from torch import Tensor


def with_merged_background(log_probabilities: Tensor, known: Tensor | None) -> Tensor:
    """Return ``log_probabilities`` (n, classes, voxels) with that of "background or any structure not annotated" first.

    ``known`` (n, classes) bool tells which classes are annotated in each sample, ``None`` that all are; the others' own
    channels keep what they hold, which a loss must leave out. What is left does not depend on how a voxel is divided
    between them and the background: the marginal cross-entropy of Shi 2021 (Medical Image Analysis 70:101979).
    """
    if known is None:
        return log_probabilities
    background, *structures = log_probabilities.unbind(dim=1)  # each (n, voxels)
    for own, annotated in zip(structures, known.unbind(dim=1)[1:], strict=True):
        background = torch.where(annotated.unsqueeze(1), background, torch.logaddexp(background, own))
    return torch.cat((background.unsqueeze(1), log_probabilities[:, 1:]), dim=1)
