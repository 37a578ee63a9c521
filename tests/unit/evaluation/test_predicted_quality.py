"""What cross-validation teaches: a known temperature, coverage of exchangeable errors, weights with signs, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.evaluation.predicted_quality import (
    Seen,
    Temperature,
    conformal_factor,
    fit_quality,
    fit_temperature,
    ridge,
    spearman,
)
from autolv.ops.temperature import with_temperature
from autolv.readout.expected import EDV, EF, ESV
from autolv.schema.results import CaseMetrics, StructureMetrics

STRUCTURES = ("lv_cavity",)
NAN = float("nan")


@pytest.mark.parametrize("true", [0.6, 1.0, 1.8])
def test_the_temperature_by_which_probabilities_are_too_sure_is_found(true: float) -> None:
    rng = np.random.default_rng(1)
    honest = rng.dirichlet([0.4] * 4, size=40_000).T.astype(np.float32)
    honest = np.maximum(honest, 1e-4)
    honest /= honest.sum(axis=0)
    truth = (rng.random(40_000) > honest.cumsum(axis=0)).sum(axis=0).clip(0, 3).astype(np.uint8)
    found = fit_temperature(with_temperature(honest, 1 / true), truth)
    assert found.value == pytest.approx(true, rel=0.03)
    assert found.nll <= found.nll_before + 1e-6
    # the likelihood is that of the honest ones
    assert found.nll == pytest.approx(-np.log(honest[truth, np.arange(40_000)]).mean(), abs=1e-3)


def test_a_temperature_ends_at_its_bounds() -> None:
    sure = np.array([[0.9] * 10, [0.1] * 10], dtype=np.float32)
    assert fit_temperature(sure, np.zeros(10, dtype=np.uint8)).value == pytest.approx(0.2, rel=1e-3)
    assert fit_temperature(sure, np.ones(10, dtype=np.uint8)).value == pytest.approx(5.0, rel=1e-3)


def test_a_regression_that_ends_when_nothing_moves_is_that_of_all_rounds() -> None:
    rng = np.random.default_rng(4)
    for rows in (6, 40):
        x = rng.normal(size=(rows, 6))
        y = x @ np.array([1.0, -2.0, 0.5, 0.0, 0.3, -0.1]) + rng.normal(size=rows)
        free = (False, False, True, True, False, False)
        gram, target = x.T @ x + 6 * np.eye(6), x.T @ (y - y.mean())
        plain = np.zeros(6)
        for _ in range(200):
            for j in range(6):
                best = (target[j] - gram[j] @ plain + gram[j, j] * plain[j]) / gram[j, j]
                plain[j] = best if free[j] else max(best, 0.0)
        weights, intercept = ridge(x, y, free)
        assert weights.tobytes() == plain.tobytes() and intercept == y.mean()
        assert weights[1] == 0.0 and weights[0] > 0.0


def test_the_conformal_factor_is_the_right_one_in_order() -> None:
    # 19 values: ceil(20 x 0.9) = 18th; 9 values: the 9th; 8 values: ceil(8.1) = 9th, which is not there
    assert conformal_factor(np.arange(1.0, 20.0)) == 18.0
    assert conformal_factor(np.arange(1.0, 10.0)) == 9.0
    assert conformal_factor(np.arange(1.0, 9.0)) == math.inf
    assert conformal_factor(np.array([])) == math.inf
    assert conformal_factor(np.array([NAN, *range(1, 10)])) == 9.0


def test_exchangeable_errors_are_covered_as_promised() -> None:
    """Of 50 and a new one, over 2000 draws: 46 / 51 = 0.902; its standard error is 0.007."""
    rng = np.random.default_rng(2)
    ratios = rng.lognormal(size=(2000, 51))
    covered = np.mean([row[50] <= conformal_factor(row[:50]) for row in ratios])
    assert covered == pytest.approx(46 / 51, abs=0.02)


def test_rank_correlation_by_hand() -> None:
    # ranks 1 2.5 2.5 4 and 1 2 4 3: centred (-1.5 0 0 1.5) and (-1.5 -0.5 1.5 0.5): 3 / sqrt(4.5 x 5)
    found = spearman(np.array([1.0, 2.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.9, 0.3]))
    assert found == pytest.approx(3 / math.sqrt(4.5 * 5))
    assert spearman(np.arange(9.0), np.exp(np.arange(9.0))) == pytest.approx(1.0)
    assert math.isnan(spearman(np.ones(5), np.arange(5.0))) and math.isnan(spearman(np.ones(2), np.ones(2)))


def test_a_doubt_never_raises_what_is_expected() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    y = x @ [1.0, -0.5]
    free, bound = ridge(x, y, [True, True]), ridge(x, y, [False, False])
    np.testing.assert_allclose(free[0], np.linalg.solve(x.T @ x + 2 * np.eye(2), x.T @ (y - y.mean())), rtol=1e-9)
    assert free[0][1] < -0.4 and bound[0][1] == 0.0
    assert free[1] == bound[1] == pytest.approx(y.mean())


def _patients(count: int, rng: np.random.Generator, *, phases: bool = True) -> list[Seen]:
    """Frames in which the first signal says how good each is, and volumes err by what the Dice leaves."""
    frames = []
    for number in range(count):
        for phase, volume in (("ED", 150.0), ("ES", 60.0)):
            doubt = rng.normal(-2.5, 0.8)
            dice = 1 / (1 + math.exp(doubt + rng.normal(0, 0.1)))
            truth = volume * (1 + rng.normal(0, 0.7) * (1 - dice))
            metrics = StructureMetrics(
                dice=dice, iou=NAN, hausdorff_mm=NAN, hd95_mm=NAN, assd_mm=NAN, surface_dice={}, volume_ml=volume,
                reference_volume_ml=truth, slices_missed=0, slices_invented=0, empty="", level_dice={},
            )  # fmt: skip
            signals = np.array([doubt, *rng.normal(size=3), 0.0, 0.0])
            case = CaseMetrics(
                case=f"p{number}_{phase}", patient=f"p{number}", phase=phase if phases else None, group=None,
                structures={"lv_cavity": metrics},
            )  # fmt: skip
            frames.append(Seen(signals={"lv_cavity": signals}, metrics=case))
    return frames


def _parts(frames: list[Seen], count: int = 5) -> list[np.ndarray]:
    fold = np.array([int(one.metrics.patient[1:]) % count for one in frames])
    return [fold == number for number in range(count)]


@pytest.mark.parametrize("folds", [2, 5])
def test_what_the_signals_tell_is_learnt_and_scored_on_others(folds: int) -> None:
    frames = _patients(200, np.random.default_rng(4))
    found = fit_quality(frames, _parts(frames, folds), STRUCTURES, Temperature(1.3, 0.2, 0.1))
    assert not isinstance(found, str)
    one = found.dice["lv_cavity"]
    assert (found.temperature, found.patients, found.cases, one.frames) == (1.3, 200, 400, 400)
    assert one.spearman > 0.95 and one.mean_absolute_error < 0.01
    assert one.weights[0] == pytest.approx(0.8, abs=0.05)  # the doubt's own spread, as it is standardised
    assert one.weights[4] == one.weights[5] == 0.0
    for name in (EDV, ESV, EF):
        # 200 patients: the standard error of 0.9 is 0.021
        assert found.intervals[name].coverage == pytest.approx(0.9, abs=0.06)
        assert found.intervals[name].patients == 200
    # the 90th percentile of |N(0, 0.7)| is 1.645 x 0.7
    assert found.intervals[EDV].factor == pytest.approx(1.645 * 0.7, rel=0.15)


def test_noise_is_not_taken_for_knowledge() -> None:
    rng = np.random.default_rng(5)
    frames = _patients(60, rng)
    shuffled = [Seen(signals=frames[i].signals, metrics=one.metrics)
                for i, one in zip(rng.permutation(len(frames)), frames, strict=True)]  # fmt: skip
    found = fit_quality(shuffled, _parts(shuffled), STRUCTURES, Temperature())
    assert not isinstance(found, str)
    assert abs(found.dice["lv_cavity"].spearman) < 0.3


def test_few_patients_teach_nothing() -> None:
    frames = _patients(19, np.random.default_rng(6))
    said = fit_quality(frames, _parts(frames), STRUCTURES, Temperature())
    assert said == "19 validated patients, at least 20 are needed"
    enough = _patients(20, np.random.default_rng(6))
    assert not isinstance(fit_quality(enough, _parts(enough), STRUCTURES, Temperature()), str)


def test_without_phases_there_is_no_interval_but_dice() -> None:
    frames = [one for one in _patients(40, np.random.default_rng(7)) if one.metrics.phase == "ED"]
    found = fit_quality(frames, _parts(frames), STRUCTURES, Temperature())
    assert not isinstance(found, str)
    assert found.intervals == {} and set(found.dice) == {"lv_cavity"}


def test_a_structure_that_is_nowhere_predicted_is_left_out() -> None:
    frames = _patients(30, np.random.default_rng(8))
    found = fit_quality(frames, _parts(frames), ("lv_cavity", "rv_cavity"), Temperature())
    assert not isinstance(found, str) and set(found.dice) == {"lv_cavity"}
    nothing = [Seen(signals={}, metrics=one.metrics) for one in frames]
    assert fit_quality(nothing, _parts(frames), STRUCTURES, Temperature()) == (
        "no structure is there in the predictions of 20 patients"
    )
