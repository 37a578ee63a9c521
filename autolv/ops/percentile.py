"""Percentiles with linear interpolation: those of numpy, without the time and the copies that its call takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def percentiles_of(values: NDArray[np.floating], percents: Sequence[float]) -> tuple[float, ...]:
    """Return the percentiles of ``values`` (n,), of which none may be NaN, each computed in double precision.

    They are those of ``np.percentile`` of the values in double precision, bit for bit. Raises ``ValueError`` for no value.
    """
    if values.size == 0:
        raise ValueError("no value has no percentile")
    flat = values.ravel()
    positions = [(flat.size - 1) * (percent / 100.0) for percent in percents]
    lower = [min(math.floor(position), flat.size - 1) for position in positions]
    wanted = sorted({*lower, *(min(index + 1, flat.size - 1) for index in lower)})
    ordered = np.partition(flat, wanted)
    return tuple(
        _between(float(ordered[low]), float(ordered[min(low + 1, flat.size - 1)]), position - low)
        for position, low in zip(positions, lower, strict=True)
    )


def percentile_of(values: NDArray[np.floating], percent: float) -> float:
    """Return one percentile as ``percentiles_of`` does."""
    return percentiles_of(values, (percent,))[0]


def _between(low: float, high: float, share: float) -> float:
    """Return the value at ``share`` of the way, from whichever end is nearer, as numpy rounds it."""
    return high - (high - low) * (1.0 - share) if share >= 0.5 else low + (high - low) * share
