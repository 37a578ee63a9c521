"""Learning from cross-validation how good a prediction will be: a temperature, regressions of Dice, conformal intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from autolv.core.labels import LV_CAVITY
from autolv.evaluation.means import mean
from autolv.evaluation.patients import frames_by_patient, volume_pair
from autolv.ops.temperature import LEAST, with_temperature
from autolv.readout.expected import DOUBTS, EDV, EF, ESV, SIGNALS, Signals, expected_dice, scales
from autolv.readout.volumes import ejection_fraction_percent
from autolv.schema.predicted_quality import DiceRegression, IntervalFactor, PredictedQuality
from autolv.schema.results import CaseMetrics

FEWEST_PATIENTS = 20  # two of 20 lie outside an interval at 90 %: with fewer, one patient decides how wide it is
LEVEL = 0.9
_QUANTITIES = (EDV, ESV, EF)
_DICE = (0.1, 0.995)  # true Dice is taken within these: one that is lost wholly must not outweigh the others
_PARTS = 5
_FEWEST_FOR_FIT = 5  # patients of a part's regression, where few are left
_TEMPERATURES = (0.2, 5.0)
_HALVINGS = 30
_ROUNDS = 200  # of coordinate descent; six signals settle in a few dozens
Mask = NDArray[np.bool_]
Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """One frame of a patient whom the networks that predicted it had not seen: its signals and how good it is."""

    signals: Signals
    metrics: CaseMetrics


@dataclass(frozen=True, slots=True)
class Temperature:
    """A temperature with the mean negative log-likelihood per voxel without and with it; by default none was fitted."""

    value: float = 1.0
    nll_before: float = math.nan
    nll: float = math.nan


def fit_temperature(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> Temperature:
    """Return the temperature at which ``truth`` (voxels,) is most likely.

    ``probabilities`` are (classes, voxels). The NLL is convex in 1 / temperature, so the sign of its slope leads to the
    minimum; the search ends at temperatures of 0.2 and 5.
    """
    logs = np.log(np.maximum(probabilities, np.float32(LEAST)))
    given = logs[truth, np.arange(truth.size)]

    def nll(inverse: float) -> float:
        shares = with_temperature(probabilities, 1 / inverse)
        return -float(
            np.log(np.maximum(shares[truth, np.arange(truth.size)], np.float32(1e-30))).mean(dtype=np.float64)
        )

    low, high = 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]
    kept, weighted = np.exp(logs), np.empty_like(logs)
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        np.multiply(with_temperature(kept, 1 / middle), logs, out=weighted)
        slope = float((weighted.sum(axis=0) - given).mean(dtype=np.float64))
        low, high = (middle, high) if slope < 0 else (low, middle)
    inverse = math.sqrt(low * high)
    return Temperature(1 / inverse, nll(1.0), nll(inverse))


def fit_quality(
    seen: Sequence[Seen], parts: Sequence[Mask], structures: Sequence[str], temperature: Temperature
) -> PredictedQuality | str:
    """Return what the frames ``seen`` teach, or why nothing is learnt: too few patients.

    ``parts`` are masks over the frames, one per fold, no patient in two of them; all scores are of patients that were left
    out. ``temperature`` is what ``fit_temperature`` found.
    """
    patients = {one.metrics.patient for one in seen}
    if len(patients) < FEWEST_PATIENTS:
        return too_few(len(patients))
    data = _Data(seen, structures)
    everyone = np.ones(len(seen), dtype=bool)
    crosswise = data.crosswise(everyone, parts)
    fitted = {name: one for name, one in data.fit(everyone).items() if one.patients >= FEWEST_PATIENTS}
    dice = {name: _scored(data, name, one, crosswise) for name, one in fitted.items()}
    if not dice:
        return f"no structure is there in the predictions of {FEWEST_PATIENTS} patients"
    return PredictedQuality(
        signals=SIGNALS, temperature=temperature.value, nll_before=temperature.nll_before, nll=temperature.nll, dice=dice,
        level=LEVEL, intervals=_intervals(data, crosswise, parts), cases=len(seen), patients=len(patients),
    )  # fmt: skip


def too_few(patients: int) -> str:
    """Return why nothing is learnt from so few patients."""
    return f"{patients} validated patients, at least {FEWEST_PATIENTS} are needed"


def conformal_factor(ratios: NDArray[np.float64], level: float = LEVEL) -> float:
    """Return the factor within which a new ratio lies with a probability of at least ``level``, if all are exchangeable.

    It is the ceil((n + 1) level)-th smallest of n (split conformal prediction: Lei 2018, JASA 113:1094); infinite where
    there are too few.
    """
    known = np.sort(ratios[np.isfinite(ratios)])
    rank = math.ceil(round((known.size + 1) * level, 9))
    return float(known[rank - 1]) if 0 < rank <= known.size else math.inf


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the rank correlation, ties sharing their mean rank; NaN for fewer than three values or all equal."""
    if one.size < 3:
        return math.nan
    a, b = _ranks(one), _ranks(other)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else math.nan


def ridge(x: Table, y: NDArray[np.float64], free: Sequence[bool]) -> tuple[NDArray[np.float64], float]:
    """Return weights and intercept of y (n,) on standardised x (n, signals); a weight that is not ``free`` is not negative.

    Weights are taken as normal with the variance of the noise over their number before anything is seen, which makes
    their number the penalty: together they then explain half of the variance. Coordinate descent.
    """
    count = x.shape[1]
    gram = x.T @ x + count * np.eye(count)
    target = x.T @ (y - y.mean())
    weights = np.zeros(count)
    for _ in range(_ROUNDS):
        before = weights.tobytes()
        for j in range(count):
            best = (target[j] - gram[j] @ weights + gram[j, j] * weights[j]) / gram[j, j]
            weights[j] = best if free[j] else max(best, 0.0)
        if weights.tobytes() == before:
            break
    return weights, float(y.mean())


@final
class _Data:
    """The frames as tables: patients, signals and true Dice per structure, and who has both phases."""

    def __init__(self, seen: Sequence[Seen], structures: Sequence[str]) -> None:
        self.seen, self.structures = seen, tuple(structures)
        self.patients = np.array([one.metrics.patient for one in seen])
        self.dice = np.array([[_dice(one, name) for name in structures] for one in seen])  # (frames, structures)
        number = {one.metrics.case: row for row, one in enumerate(seen)}
        self.pairs = [
            (number[pair.end_diastole.case], number[pair.end_systole.case])
            for pair in frames_by_patient([one.metrics for one in seen])
            if pair.end_diastole is not None and pair.end_systole is not None
        ]

    def fit(self, chosen: Mask) -> dict[str, DiceRegression]:
        """Return the regressions of the ``chosen`` frames, without scores."""
        found = {}
        for column, name in enumerate(self.structures):
            rows = np.flatnonzero(chosen & ~np.isnan(self.dice[:, column])).tolist()
            if np.unique(self.patients[rows]).size < _FEWEST_FOR_FIT:
                continue
            x = np.array([self.seen[row].signals[name] for row in rows])
            kept = np.clip(self.dice[rows, column], *_DICE)
            centre, scale = x.mean(axis=0), x.std(axis=0)
            scale[scale < 1e-9] = 1.0  # a signal that is always the same tells nothing
            weights, intercept = ridge(
                (x - centre) / scale, np.log((1 - kept) / kept), [s not in DOUBTS for s in SIGNALS]
            )
            found[name] = DiceRegression(
                centre=tuple(centre.tolist()), scale=tuple(scale.tolist()), weights=tuple(weights.tolist()),
                intercept=intercept, frames=len(rows), patients=int(np.unique(self.patients[rows]).size),
                spearman=math.nan, mean_absolute_error=math.nan,
            )  # fmt: skip
        return found

    def expected(self, chosen: Mask, at: Mask) -> Table:
        """Return the Dice (frames, structures) that regressions of the ``chosen`` frames expect in those ``at``, else NaN."""
        model = PredictedQuality(
            signals=SIGNALS, temperature=1.0, nll_before=0.0, nll=0.0, dice=self.fit(chosen), level=LEVEL, intervals={},
            cases=0, patients=0,
        )  # fmt: skip
        table = np.full(self.dice.shape, np.nan)
        for row in np.flatnonzero(at).tolist():
            found = expected_dice(model, self.seen[row].signals)
            table[row] = [found.get(name, math.nan) for name in self.structures]
        return table

    def crosswise(self, within: Mask, parts: Sequence[Mask]) -> Table:
        """Return the Dice that is expected ``within`` a set of frames, in each part by what the other parts teach."""
        table = np.full(self.dice.shape, np.nan)
        for part in parts:
            at = within & part
            table[at] = self.expected(within & ~part, at)[at]
        return table

    def dealt(self, within: Mask) -> list[Mask]:
        """Return the patients ``within`` a set, dealt into five parts."""
        names = sorted(set(self.patients[within].tolist()))
        return [np.isin(self.patients, names[start::_PARTS]) for start in range(_PARTS)]

    def errors(self, table: Table) -> tuple[Table, Table]:
        """Return absolute error and scale of EDV, ESV and EF, both (patients with both phases, 3)."""
        errors, spreads = (np.full((len(self.pairs), len(_QUANTITIES)), np.nan) for _ in range(2))
        if LV_CAVITY not in self.structures:
            return errors, spreads
        column = self.structures.index(LV_CAVITY)
        for row, (ed, es) in enumerate(self.pairs):
            edv, esv = (volume_pair(self.seen[index].metrics, LV_CAVITY) for index in (ed, es))
            predicted = (edv.predicted, esv.predicted, ejection_fraction_percent(edv.predicted, esv.predicted))
            truth = (edv.reference, esv.reference, ejection_fraction_percent(edv.reference, esv.reference))
            errors[row] = np.abs(np.subtract(predicted, truth))
            found = scales(edv.predicted, esv.predicted, float(table[ed, column]), float(table[es, column]))
            spreads[row] = [found[name] for name in _QUANTITIES]
        return errors, spreads


def _dice(one: Seen, name: str) -> float:
    """Return the true Dice; NaN where the structure is not predicted or not annotated."""
    metrics = one.metrics.structures.get(name)
    return math.nan if metrics is None or name not in one.signals else metrics.dice


def _scored(data: _Data, name: str, one: DiceRegression, crosswise: Table) -> DiceRegression:
    column = data.structures.index(name)
    expected, true = crosswise[:, column], data.dice[:, column]
    both = ~np.isnan(expected) & ~np.isnan(true)
    error = mean(np.abs(expected[both] - true[both]))
    return one.model_copy(update={"spearman": spearman(expected[both], true[both]), "mean_absolute_error": error})


def _intervals(data: _Data, crosswise: Table, parts: Sequence[Mask]) -> dict[str, IntervalFactor]:
    """Return the factors of all patients' errors, scored on each part by those of the others alone."""
    errors, spreads = data.errors(crosswise)
    inside = np.full(errors.shape, np.nan)
    for part in parts:
        others = ~part
        own = np.array([bool(part[ed]) for ed, _ in data.pairs], dtype=bool)
        calibration = data.errors(data.crosswise(others, data.dealt(others)))
        ratios = calibration[0][~own] / calibration[1][~own]
        for column in range(len(_QUANTITIES)):
            bound = conformal_factor(ratios[:, column]) * spreads[own, column]
            inside[own, column] = np.where(np.isfinite(bound), errors[own, column] <= bound, np.nan)
    found = {}
    for column, name in enumerate(_QUANTITIES):
        ratios = errors[:, column] / spreads[:, column]
        count = int(np.isfinite(ratios).sum())
        if count >= FEWEST_PATIENTS:
            factor = conformal_factor(ratios)
            known = spreads[np.isfinite(ratios), column]
            found[name] = IntervalFactor(
                factor=factor, patients=count, coverage=mean(inside[:, column]),
                median_half_width=factor * float(np.median(known)),
            )  # fmt: skip
    return found


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[place] if distinct.size else values
    return ranks
