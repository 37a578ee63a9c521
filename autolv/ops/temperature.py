"""One temperature for all probabilities: above 1 they become less sure, below 1 surer; which is largest stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST = 1e-6  # below this half precision, in which probabilities are stored, is coarse


def with_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return ``probabilities``, (classes, ...), as if their logits had been divided by ``temperature``.

    They are p ** (1 / temperature), normalised (Guo 2017, arXiv 1706.04599); what lies below 1e-6 counts as that. With a
    temperature of 1 they come back as they are. Raises ``ValueError`` for a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is positive, got {temperature}")
    if temperature == 1:
        return probabilities
    powers = np.maximum(probabilities, np.float32(LEAST))
    powers **= np.float32(1 / temperature)
    powers /= powers.sum(axis=0)
    return powers
