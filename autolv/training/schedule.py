"""The learning rate of an iteration."""

from __future__ import annotations

import math

from autolv.schema.plan import Training

_POLY_POWER = 0.9  # Isensee 2021


def learning_rate(training: Training, iteration: int, total: int) -> float:
    """Return the learning rate of ``iteration`` (0-based) of ``total``: linear warm-up, then cosine or poly decay to 0."""
    warmup = round(training.warmup_fraction * total)
    if iteration < warmup:
        return training.learning_rate * (iteration + 1) / warmup
    progress = (iteration - warmup) / max(1, total - warmup)
    if training.schedule == "cosine":
        return training.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
    return training.learning_rate * math.pow(1.0 - progress, _POLY_POWER)
