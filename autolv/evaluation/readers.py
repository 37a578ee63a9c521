"""Agreement of two read-outs of the same patients, each measure with an interval by patient, beside published readers.

The intraclass correlation is ICC(2,1) of Shrout & Fleiss 1979 (Psychol Bull 86:420), which is ICC(A,1) of McGraw & Wong
1996 (Psychol Methods 1:30): from the mean squares of a two-way analysis of variance over n patients (rows) and k readers
(columns), (MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n). Unlike Pearson's r it falls with a bias. For k = 2, with
m the mean and d the difference of a patient's two values, MSR = 2 var(m), MSE = var(d) / 2, MSC = n mean(d)² / 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autolv.evaluation.agreement import LIMITS
from autolv.evaluation.bootstrap import RESAMPLES, Interval, percentile_interval
from autolv.evaluation.patients import (
    EDV,
    EF,
    ESV,
    MASS,
    READOUT_QUANTITIES,
    RV_EDV,
    RV_EF,
    RV_ESV,
    SV,
    patient_values,
)
from autolv.schema.readers import Estimate, QuantityAgreement, ReaderRange, ReadoutAgreement
from autolv.schema.results import CaseMetrics

Floats = NDArray[np.float64]
MEASURES = ("r", "icc", "bias", "sd", "lower_limit", "upper_limit", "mae")
_FEWEST = 3  # patients of whom a correlation, or an interval, says something
_ROUNDING = 1e-12  # of the sum of squares: a spread below it is none

# from the abstracts of Suinesiaputra et al. 2015 (doi 10.1186/s12968-015-0170-9) and Mooij et al. 2008 ("Reproducibility of
# MRI measurements of right ventricular size and function in patients with normal and dilated ventricles")
_CORE_LABS = "Suinesiaputra 2015, JCMR 17:63 (7 core laboratories, 15 patients)"
_TWO_READERS = "Mooij 2008 (2 readers, 60 patients, both ventricles)"
_DIFFERENCES = {EDV: (15.2, 28.4), ESV: (14.0, 21.5), MASS: (20.2, 34.5), EF: (4.6, 7.5)}
_ICC = {
    **dict.fromkeys((EDV, ESV, SV, MASS, RV_EDV, RV_ESV), (0.94, 0.99)),
    **dict.fromkeys((EF, RV_EF), (0.79, 0.87)),
}


def published(quantity: str) -> tuple[ReaderRange, ...]:
    """Return what is known of readers among themselves for a quantity of ``READOUT_QUANTITIES``; empty where nothing is."""
    found = []
    if quantity in _DIFFERENCES:
        lower, upper = _DIFFERENCES[quantity]
        found.append(ReaderRange(measure="difference", lower=lower, upper=upper, source=_CORE_LABS))
    if quantity in _ICC:
        lower, upper = _ICC[quantity]
        found.append(ReaderRange(measure="icc", lower=lower, upper=upper, source=_TWO_READERS))
    return tuple(found)


def readout_agreement(cases: Sequence[CaseMetrics], *, seed: int = 0) -> ReadoutAgreement:
    """Return the agreement of each of ``READOUT_QUANTITIES`` that the cases' structures allow.

    A patient for whom a quantity is not defined on either side is left out of it, which ``n`` shows. The same seed gives the
    same intervals.
    """
    patients = patient_values(cases)
    found = []
    for name in READOUT_QUANTITIES:
        pairs = [patient.values[name] for patient in patients if name in patient.values]
        if pairs:
            found.append(
                quantity_agreement(
                    name, [pair.predicted for pair in pairs], [pair.reference for pair in pairs], seed=seed
                )
            )
    return ReadoutAgreement(patients=len(patients), quantities=tuple(found))


def quantity_agreement(
    quantity: str, predicted: ArrayLike, reference: ArrayLike, *, seed: int = 0
) -> QuantityAgreement:
    """Return the agreement of two series, shape (patients,); patients with a NaN are left out.

    Undefined, NaN, are: SD, limits and ICC for fewer than two patients, r for fewer than three, r and ICC where nothing
    differs between patients, intervals for fewer than three patients.
    """
    a, b = np.asarray(predicted, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two series of one length, got shapes {a.shape} and {b.shape}")
    defined = ~(np.isnan(a) | np.isnan(b))
    a, b = a[defined], b[defined]
    n = int(a.size)
    values = _measures(a, b, np.ones((1, n)))
    drawn = {}
    if n >= _FEWEST:
        weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES).astype(np.float64)
        drawn = _measures(a, b, weights)
    estimates = {
        name: Estimate(
            value=float(values[name][0]), interval=_interval(drawn[name], n) if drawn else (math.nan, math.nan)
        )
        for name in MEASURES
    }
    return QuantityAgreement(quantity=quantity, n=n, published=published(quantity), **estimates)


def _interval(drawn: Floats, patients: int) -> Interval:
    """Return the interval of the draws in which the measure is defined; NaN where that is in none of them."""
    defined = drawn[~np.isnan(drawn)]
    return percentile_interval(defined, patients, 0.95) if defined.size else (math.nan, math.nan)


def _measures(a: Floats, b: Floats, weights: Floats) -> dict[str, Floats]:
    """Return each measure of the patients' values, shape (n,), each taken as often as a row of ``weights`` says, (draws, n)."""
    n = a.size
    if not n:
        return dict.fromkeys(MEASURES, np.full(len(weights), math.nan))
    shift = float(np.mean((a + b) / 2))  # the same for both sides, so that squares stay small
    a, b = a - shift, b - shift
    middle, difference = (a + b) / 2, a - b
    bias = weights @ difference / n
    with np.errstate(divide="ignore", invalid="ignore"):
        between = 2 * _variance(middle, weights)  # MSR
        error = _variance(difference, weights) / 2  # MSE
        readers = n * bias**2 / 2  # MSC
        total = between + error + 2 * (readers - error) / n
        icc = np.where(total > 0, (between - error) / total, math.nan)
        spread = np.sqrt(_variance(a, weights) * _variance(b, weights))
        covariance = (weights @ (a * b) - (weights @ a) * (weights @ b) / n) / (n - 1)
        r = np.where((spread > 0) & (n >= _FEWEST), covariance / spread, math.nan)
    sd = np.sqrt(2 * error)
    return {
        "r": np.clip(r, -1.0, 1.0), "icc": icc, "bias": bias, "sd": sd,
        "lower_limit": bias - LIMITS * sd, "upper_limit": bias + LIMITS * sd, "mae": weights @ np.abs(difference) / n,
    }  # fmt: skip


def _variance(values: Floats, weights: Floats) -> Floats:
    """Return the variance (n - 1) of each draw; NaN of a single patient."""
    n = values.size
    squares = weights @ values**2
    found: Floats = squares - (weights @ values) ** 2 / n
    found[found <= _ROUNDING * squares] = 0.0
    return found / (n - 1 if n > 1 else math.nan)
