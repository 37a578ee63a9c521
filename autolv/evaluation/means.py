"""Means that pass over what is undefined."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def mean(values: ArrayLike) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size and not math.isnan(total := float(np.add.reduce(array))):
        return total / array.size  # nothing to leave out, as nearly always
    defined = array[~np.isnan(array)]
    return float(defined.mean()) if defined.size else math.nan
