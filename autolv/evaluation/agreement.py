"""Agreement of a clinical quantity with the reference (Bland & Altman 1986, Lancet 327:307)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autolv.evaluation.patients import QUANTITIES, Pair, patient_values
from autolv.schema.results import Agreement, CaseMetrics

LIMITS = 1.96  # standard deviations: 95 % of a normal distribution


def agreement(predicted: ArrayLike, reference: ArrayLike) -> Agreement:
    """Return the agreement of two series, shape (n,); pairs with a NaN are left out, ``n`` counts the rest.

    ``bias`` is the mean of prediction minus reference, ``sd`` the standard deviation of these differences (n - 1), the
    limits are bias ± 1.96 SD. ``sd`` and limits are NaN for fewer than two pairs; Pearson's ``r`` for fewer than three,
    where it says nothing, or for a constant series.
    """
    a, b = np.asarray(predicted, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two series of one length, got shapes {a.shape} and {b.shape}")
    defined = ~(np.isnan(a) | np.isnan(b))
    a, b = a[defined], b[defined]
    difference = a - b
    bias = float(difference.mean()) if a.size else math.nan
    sd = float(difference.std(ddof=1)) if a.size > 1 else math.nan
    return Agreement(
        n=int(a.size),
        r=_pearson(a, b),
        bias=bias,
        sd=sd,
        lower_limit=bias - LIMITS * sd,
        upper_limit=bias + LIMITS * sd,
        mae=float(np.abs(difference).mean()) if a.size else math.nan,
    )


def agreement_of(pairs: Sequence[Pair]) -> Agreement:
    """Return the agreement of pairs of predicted and reference values."""
    return agreement([pair.predicted for pair in pairs], [pair.reference for pair in pairs])


def agreement_by_patient(cases: Sequence[CaseMetrics]) -> dict[str, Agreement]:
    """Return the agreement over patients of each quantity of ``evaluation.patients`` that the cases' structures allow.

    A patient for whom a quantity is not defined is left out of it, which ``n`` shows.
    """
    patients = patient_values(cases)
    present = {name for patient in patients for name in patient.values}
    return {
        name: agreement_of([patient.values[name] for patient in patients if name in patient.values])
        for name in QUANTITIES
        if name in present
    }


def agreement_by_group(cases: Sequence[CaseMetrics]) -> dict[str, dict[str, Agreement]]:
    """Return ``agreement_by_patient`` of each group's cases; cases without a group belong to none."""
    groups = sorted({case.group for case in cases if case.group is not None})
    return {group: agreement_by_patient([case for case in cases if case.group == group]) for group in groups}


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.size < 3:
        return math.nan
    da, db = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(da @ da) * float(db @ db))
    return float(da @ db) / scale if scale > 0 else math.nan
