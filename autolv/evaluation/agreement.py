"""Agreement of volumes, ejection fraction and mass with the reference, per patient (Bland & Altman 1986)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.volumes import ejection_fraction_percent, myocardial_mass_g
from autolv.schema.results import Agreement, CaseMetrics

EDV, ESV, EF, MASS = "EDV [ml]", "ESV [ml]", "EF [%]", "mass [g]"
RV_EDV, RV_ESV, RV_EF = "RV EDV [ml]", "RV ESV [ml]", "RV EF [%]"
_LIMITS = 1.96  # standard deviations: 95 % of a normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """One patient's end-diastolic and end-systolic case, each ``None`` where it is not there or not unique."""

    patient: str
    end_diastole: CaseMetrics | None
    end_systole: CaseMetrics | None


@dataclass(frozen=True, slots=True)
class _Pair:
    """A quantity as predicted and by the reference."""

    predicted: float
    reference: float


def agreement(predicted: ArrayLike, reference: ArrayLike) -> Agreement:
    """Return the agreement of two series, shape (n,); pairs with a NaN are left out, ``n`` counts the rest.

    ``bias`` is the mean of prediction minus reference, ``sd`` the standard deviation of these differences (n - 1), the
    limits are bias ± 1.96 SD. ``sd`` and limits are NaN for fewer than two pairs; Pearson's ``r`` for fewer than three, where
    it says nothing, or for a constant series.
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
        lower_limit=bias - _LIMITS * sd,
        upper_limit=bias + _LIMITS * sd,
        mae=float(np.abs(difference).mean()) if a.size else math.nan,
    )


def frames_by_patient(cases: Sequence[CaseMetrics]) -> tuple[Frames, ...]:
    """Return each patient's two frames, sorted by patient.

    They are known by ``phase``. Where a patient has exactly two cases and neither has a phase, end-diastole is the one with
    the larger LV cavity in the reference. A phase that a patient has twice is not used: which is meant is not known.
    """
    of_patient: dict[str, list[CaseMetrics]] = defaultdict(list)
    for case in cases:
        of_patient[case.patient].append(case)
    return tuple(_frames(patient, of_patient[patient]) for patient in sorted(of_patient))


def agreement_by_patient(cases: Sequence[CaseMetrics]) -> dict[str, Agreement]:
    """Return the agreement of EDV, ESV, EF and mass (LV, myocardium at ED), and of the RV's volumes and EF, over patients.

    Only quantities of structures that the cases have are keys. A patient without the frame that a quantity needs, or whose
    predicted EDV is 0 (no EF), is left out of it, which ``n`` shows.
    """
    names = {name for case in cases for name in case.structures}
    patients = frames_by_patient(cases)
    result: dict[str, Agreement] = {}
    for structure, edv, esv, ef in ((LV_CAVITY, EDV, ESV, EF), (RV_CAVITY, RV_EDV, RV_ESV, RV_EF)):
        if structure in names:
            diastolic = [_volume(frames.end_diastole, structure) for frames in patients]
            systolic = [_volume(frames.end_systole, structure) for frames in patients]
            result[edv] = _agree(diastolic)
            result[esv] = _agree(systolic)
            result[ef] = _agree([_ejection(d, s) for d, s in zip(diastolic, systolic, strict=True)])
    if LV_MYOCARDIUM in names:
        volumes = [_volume(frames.end_diastole, LV_MYOCARDIUM) for frames in patients]
        result[MASS] = _agree([_Pair(myocardial_mass_g(v.predicted), myocardial_mass_g(v.reference)) for v in volumes])
    return result


def _frames(patient: str, cases: Sequence[CaseMetrics]) -> Frames:
    if len(cases) == 2 and all(case.phase is None for case in cases):
        volumes = [_volume(case, LV_CAVITY).reference for case in cases]
        if math.isnan(volumes[0]) or math.isnan(volumes[1]) or volumes[0] == volumes[1]:
            return Frames(patient=patient, end_diastole=None, end_systole=None)
        first, second = cases if volumes[0] > volumes[1] else (cases[1], cases[0])
        return Frames(patient=patient, end_diastole=first, end_systole=second)
    diastolic = [case for case in cases if case.phase == "ED"]
    systolic = [case for case in cases if case.phase == "ES"]
    return Frames(
        patient=patient,
        end_diastole=diastolic[0] if len(diastolic) == 1 else None,
        end_systole=systolic[0] if len(systolic) == 1 else None,
    )


def _volume(case: CaseMetrics | None, structure: str) -> _Pair:
    if case is None or structure not in case.structures:
        return _Pair(math.nan, math.nan)
    metrics = case.structures[structure]
    return _Pair(metrics.volume_ml, metrics.reference_volume_ml)


def _ejection(diastolic: _Pair, systolic: _Pair) -> _Pair:
    return _Pair(
        ejection_fraction_percent(diastolic.predicted, systolic.predicted),
        ejection_fraction_percent(diastolic.reference, systolic.reference),
    )


def _agree(pairs: Sequence[_Pair]) -> Agreement:
    return agreement([pair.predicted for pair in pairs], [pair.reference for pair in pairs])


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.size < 3:
        return math.nan
    da, db = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(da @ da) * float(db @ db))
    return float(da @ db) / scale if scale > 0 else math.nan
