"""Student's t by its finite series, since importing scipy for one number takes longer than evaluating a dataset."""

from __future__ import annotations

import math

_ROUNDS = 200  # halvings; doubles are at their end after some 60


def student_share(t: float, freedom: int) -> float:
    """Return the share of Student's t with ``freedom`` degrees within -t and t, for t >= 0 (Abramowitz & Stegun 26.7.3, 4)."""
    if freedom < 1 or not t >= 0:
        raise ValueError(f"freedom must be positive and t not negative, got {freedom} and {t}")
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2 == 1
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total


def student_quantile(share: float, freedom: int) -> float:
    """Return the value that ``share`` of Student's t with ``freedom`` degrees lies below, for 0.5 <= share < 1."""
    if not 0.5 <= share < 1.0:
        raise ValueError(f"share must lie between 0.5 and 1, got {share}")
    within = 2.0 * share - 1.0
    low, high = 0.0, 1.0
    while student_share(high, freedom) < within:
        high *= 2.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if student_share(middle, freedom) < within:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
