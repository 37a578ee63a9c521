"""Signals of one prediction, the Dice that follows, and intervals, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.core.labels import STRUCTURES
from autolv.readout.expected import (
    EDV,
    EF,
    ESV,
    SIGNALS,
    expected_dice,
    scales,
    signals_of,
    soft_dice,
    with_intervals,
)
from autolv.readout.quality._example import SPACING_MM, healthy
from autolv.schema.predicted_quality import DiceRegression, PredictedQuality
from autolv.schema.readout import Quantity


def quality(weights: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)) -> PredictedQuality:
    one = DiceRegression(
        centre=(-2.0,) * 6, scale=(0.5,) * 6, weights=weights, intercept=-math.log(9.0), frames=200, patients=100,
        spearman=0.8, mean_absolute_error=0.02,
    )  # fmt: skip
    return PredictedQuality(
        signals=SIGNALS, temperature=1.0, nll_before=0.1, nll=0.1, dice={"lv_cavity": one}, level=0.9, intervals={},
        cases=200, patients=100,
    )  # fmt: skip


def test_soft_dice_by_hand() -> None:
    # slice 0: mask {0.9, 0.7}, beside it 0.2: 2 * 1.6 / (2 + 1.8); slice 1: mask {0.6}, beside it 0.4: 2 * 0.6 / (1 + 1)
    shares = np.array([0.9, 0.7, 0.2, 0.6, 0.4])
    mask = np.array([True, True, False, True, False])
    soft, worst = soft_dice(shares, mask, np.array([0, 0, 0, 1, 1]))
    assert soft == pytest.approx(2 * (1.6 + 0.6) / (3 + 2.8))
    assert worst == pytest.approx(0.6)


def test_a_slice_of_less_than_a_tenth_is_not_the_worst() -> None:
    shares = np.array([1.0] * 20 + [0.5])
    slices = np.array([0] * 20 + [1])  # sizes 40 and 1.5
    soft, worst = soft_dice(shares, np.ones(21, dtype=bool), slices)
    assert (soft, worst) == (pytest.approx(2 * 20.5 / 41.5), 1.0)


def test_what_is_not_there_has_no_soft_dice() -> None:
    assert all(math.isnan(one) for one in soft_dice(np.zeros(3), np.zeros(3, dtype=bool), np.arange(3)))


def test_signals_of_a_block_in_one_slice() -> None:
    labels = np.zeros((3, 8, 8), dtype=np.uint8)
    labels[1, 2:5, 2:6] = 1  # 3 x 4 pixels
    inside = np.zeros((2, 1, 3, 4), dtype=np.float32)
    inside[1], inside[0] = 0.8, 0.2
    found = signals_of(inside, ((1, 2), (2, 5), (2, 6)), labels, ("rv_cavity",), (10.0, 2.0, 1.0), 1.0)
    soft = 2 * 0.8 * 12 / (12 + 0.8 * 12)  # 0.8889
    doubt = math.log((1 - soft) / soft)
    # border: 2 sides of 4 pixels of 1 mm, 2 of 3 of 2 mm: 20 mm around 24 mm²; volume 12 x 20 mm³
    expected = [doubt, doubt, math.log(20 / 24), math.log(0.24), 0.0, 0.0]
    np.testing.assert_allclose(found["rv_cavity"], expected, rtol=1e-6)


def test_findings_count_and_empty_structures_have_no_signals() -> None:
    labels = healthy()
    labels[labels == 3] = 0  # no RV: three checks of it or more
    shares = np.stack([labels == code for code in range(4)]).astype(np.float32)
    box = ((0, 10), (0, 96), (0, 96))
    found = signals_of(shares, box, labels, STRUCTURES, SPACING_MM, 1.5)
    assert set(found) == {"lv_cavity", "lv_myocardium"}
    assert found["lv_cavity"][SIGNALS.index("fails")] >= math.log(2)
    whole = healthy()
    shares = np.stack([whole == code for code in range(4)]).astype(np.float32)
    clean = signals_of(shares, box, whole, STRUCTURES, SPACING_MM, 1.5)["lv_cavity"]
    assert clean[SIGNALS.index("fails")] == clean[SIGNALS.index("reviews")] == 0.0
    assert signals_of(shares, box, np.zeros_like(whole), STRUCTURES, SPACING_MM, 1.0) == {}


def test_voxels_that_no_file_would_hold_change_nothing() -> None:
    """Whether the box is tight or wide, whatever lies in it below one in a hundred is background."""
    labels = healthy()
    shares = np.where(np.stack([labels == code for code in range(4)]), 0.94, 0.02).astype(np.float32)
    shares[:, labels == 0] = np.array([[0.994], [0.002], [0.002], [0.002]], dtype=np.float32)
    wide = signals_of(shares, ((0, 10), (0, 96), (0, 96)), labels, STRUCTURES, SPACING_MM, 1.4)
    z, y, x = ((int(i.min()), int(i.max()) + 1) for i in np.nonzero(labels))
    tight = signals_of(
        shares[:, slice(*z), slice(*y), slice(*x)], (z, y, x), labels, STRUCTURES, SPACING_MM, 1.4
    )  # fmt: skip
    for name, values in wide.items():
        np.testing.assert_allclose(tight[name], values, rtol=1e-5)


def test_expected_dice_by_hand() -> None:
    # at the centre ln((1 - d) / d) = -ln 9, so 0.9; one standard deviation of doubt more: 1 / (1 + e / 9)
    at = np.full(6, -2.0)
    assert expected_dice(quality(), {"lv_cavity": at, "rv_cavity": at}) == {"lv_cavity": pytest.approx(0.9)}
    at[0] += 0.5
    assert expected_dice(quality(), {"lv_cavity": at})["lv_cavity"] == pytest.approx(1 / (1 + math.e / 9))
    at[0] = 1000.0  # ends at four standard deviations
    assert expected_dice(quality(), {"lv_cavity": at})["lv_cavity"] == pytest.approx(1 / (1 + math.exp(4) / 9))


def test_scales_by_hand() -> None:
    # EDV 100 x 0.1, ESV 40 x 0.2; EF: 100 hypot(0.4 x 10, 8) / 100
    found = scales(100.0, 40.0, 0.9, 0.8)
    assert found[EDV] == pytest.approx(10.0)
    assert found[ESV] == pytest.approx(8.0)
    assert found[EF] == pytest.approx(math.hypot(4.0, 8.0))
    assert math.isnan(scales(0.0, 40.0, 0.9, 0.8)[EF])
    assert scales(100.0, 40.0, 1.0, 1.0)[EDV] == pytest.approx(1.0)  # never surer than one in a hundred


def test_intervals_end_where_quantities_do() -> None:
    quantities = {
        EDV: Quantity(value=100.0, unit="ml"), ESV: Quantity(value=10.0, unit="ml"), EF: Quantity(value=90.0, unit="%"),
        "lv_ed_mass_g": Quantity(value=120.0, unit="g"),
    }  # fmt: skip
    found = with_intervals(quantities, {EDV: 2.0, ESV: 6.0, EF: 2.0}, 0.9, 0.8)
    assert found[EDV].interval == pytest.approx((80.0, 120.0))
    assert found[ESV].interval == pytest.approx((0.0, 22.0))  # 10 - 12 is no volume
    half = 2 * math.hypot(0.1 * 10, 2.0)
    assert found[EF].interval == pytest.approx((90 - half, min(100.0, 90 + half)))
    assert found["lv_ed_mass_g"].interval is None
    assert quantities[EDV].interval is None
    assert with_intervals(quantities, {EDV: 2.0}, None, 0.8) == quantities
    blank = {EDV: Quantity(value=None, unit="ml", reason="r")}
    assert with_intervals(blank, {EDV: 2.0, EF: 2.0}, 0.9, 0.8) == blank
