"""The volume curve: the fit by hand, and extremes, frames and rates of noisy cycles against their formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.datasets._phantom_groups import GROUPS
from autolv.datasets._phantom_heart import contraction
from autolv.readout.curve import FEWEST_FRAMES, Extremes, Rates, extremes, fit_cycle, nearest_frame, rates
from autolv.readout.plausibility import curve_flags
from autolv.readout.quantities import blank, known
from autolv.readout.timing import rate_quantities, rr_of_rate, rr_quantity

FRAMES = 25
NOISE_ML = 1.5


def a_cosine(frames: int = 20) -> np.ndarray:
    """Return 100 + 50 cos(2 pi u): 150 ml at the cycle's start, 50 ml at its half."""
    return 100 + 50 * np.cos(2 * math.pi * np.arange(frames) / frames)


def test_a_cosine_is_fitted_exactly_with_its_extremes_and_slopes() -> None:
    fit = fit_cycle(a_cosine())
    assert fit.mean == pytest.approx(100)
    np.testing.assert_allclose(fit.cosine, [50, 0, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(fit.sine, 0, atol=1e-9)
    np.testing.assert_allclose(fit.at([0.0, 0.25, 0.5]), [150, 100, 50])
    # the steepest places are the quarters: 50 * 2 pi ml per cycle
    np.testing.assert_allclose(fit.slope([0.25, 0.75]), [-100 * math.pi, 100 * math.pi])
    found = extremes(fit)
    assert (found.ed_part, found.es_part) == (0.0, 0.5)
    assert (found.edv_ml, found.esv_ml) == pytest.approx((150, 50))
    speed = rates(fit, found.ed_part, found.es_part)
    assert speed.ejection == pytest.approx(100 * math.pi, rel=1e-4)
    assert speed.filling == pytest.approx(100 * math.pi, rel=1e-4)
    assert (speed.ejection_part, speed.filling_part) == pytest.approx((0.25, 0.25), abs=1e-3)
    # 130 ml is reached where cos = 0.6, that is 0.1476 of the cycle before its end
    assert speed.recovery_part == pytest.approx(0.5 - math.acos(0.6) / (2 * math.pi), abs=1e-3)


def test_frames_that_lack_a_volume_are_passed_over_and_nothing_is_changed() -> None:
    curve = a_cosine()
    curve[[3, 11]] = np.nan
    before = curve.copy()
    np.testing.assert_allclose(fit_cycle(curve).at(np.arange(20) / 20), a_cosine(), atol=1e-9)
    np.testing.assert_array_equal(curve, before)


def test_a_constant_curve_stays_constant() -> None:
    np.testing.assert_allclose(fit_cycle(np.full(12, 80.0)).at(np.linspace(0, 1, 7)), 80.0)


def test_few_frames_get_fewer_harmonics_and_too_few_none_at_all() -> None:
    assert len(fit_cycle(a_cosine(30)).cosine) == 5
    assert len(fit_cycle(a_cosine(FEWEST_FRAMES)).cosine) == 2
    with pytest.raises(ValueError, match="at least 8 volumes"):
        fit_cycle(a_cosine(FEWEST_FRAMES - 1))


def test_the_nearest_frame_goes_round_the_cycle() -> None:
    assert [nearest_frame(part, 20) for part in (0.0, 0.051, 0.5, 0.99)] == [0, 1, 10, 0]


def a_noisy_cycle(rng: np.random.Generator, group: str) -> tuple[np.ndarray, dict[str, float]]:
    """Return noisy volumes of a heart of ``group`` by the phantom's law, and what is true of it."""
    ranges = GROUPS[group]
    edv = float(rng.uniform(*ranges.edv_ml))
    stroke = edv * float(rng.uniform(*ranges.ef_percent)) / 100
    systole, first = round(float(rng.uniform(0.34, 0.40)) * FRAMES) / FRAMES, int(rng.integers(FRAMES))
    times = ((np.arange(FRAMES) - first) % FRAMES) / FRAMES
    volume = edv - stroke * contraction(times, systole) + rng.normal(0, NOISE_ML, FRAMES)
    fine = np.linspace(systole, 1, 4001)
    filling = -np.diff(contraction(fine[:-1], systole)).min() / (fine[1] - fine[0])
    return volume, {
        "ed": first, "es": (first + round(systole * FRAMES)) % FRAMES, "ef": 100 * stroke / edv,
        "ejection": math.pi * stroke / (2 * systole), "filling": filling * stroke,
    }  # fmt: skip


def frames_apart(a: int, b: int) -> int:
    return abs((a - b + FRAMES // 2) % FRAMES - FRAMES // 2)


def test_three_hundred_noisy_cycles_give_frames_ejection_fraction_and_rates() -> None:
    rng = np.random.default_rng(0)
    near, ef, raw_ef, ejection, filling = [], [], [], [], []
    for number in range(300):
        volume, truth = a_noisy_cycle(rng, list(GROUPS)[number % len(GROUPS)])
        fit = fit_cycle(volume)
        found = extremes(fit)
        speed = rates(fit, found.ed_part, found.es_part)
        near.append(
            frames_apart(nearest_frame(found.ed_part, FRAMES), int(truth["ed"])) <= 1
            and frames_apart(nearest_frame(found.es_part, FRAMES), int(truth["es"])) <= 1
        )
        ef.append(100 * (found.edv_ml - found.esv_ml) / found.edv_ml - truth["ef"])
        raw_ef.append(100 * (volume.max() - volume.min()) / volume.max() - truth["ef"])
        ejection.append(speed.ejection / truth["ejection"] - 1)
        filling.append(speed.filling / truth["filling"] - 1)
    assert np.mean(near) >= 0.95
    assert abs(np.mean(ef)) <= 0.3
    assert abs(np.mean(ef)) < np.mean(raw_ef)
    assert abs(np.mean(ejection)) <= 0.08
    assert abs(np.mean(filling)) <= 0.10


def test_rr_comes_as_given_else_from_a_frame_time_that_makes_a_plausible_cycle() -> None:
    assert rr_quantity(800.0, 40.0, 25).value == 800.0
    by_file = rr_quantity(None, 40.0, 25)
    assert (by_file.value, by_file.convention) == (1000.0, "25 frames of 40 ms by the file")
    assert rr_quantity(None, None, 25).reason == "neither the RR interval nor a plausible frame time is known"
    assert "3000 ms, which is no plausible cycle" in rr_quantity(None, 100.0, 30).reason
    assert rr_quantity(None, 40.0, 1).value is None
    assert rr_of_rate(75.0) == 800.0
    with pytest.raises(ValueError, match=r"0\.8 ms is not plausible"):  # given in seconds
        rr_quantity(0.8, None, 25)


def test_rates_by_hand_and_blank_without_time() -> None:
    speed = Rates(ejection=320.0, ejection_part=0.2, filling=240.0, filling_part=0.1, recovery_part=math.nan)
    found = rate_quantities(speed, known(160.0, "ml"), known(800.0, "ms"), "fit")
    assert found["lv_peak_ejection_ml_per_s"].value == pytest.approx(400.0)  # 320 ml per 0.8 s
    assert found["lv_peak_ejection_edv_per_s"].value == pytest.approx(2.5)
    assert found["lv_time_to_peak_ejection_ms"].value == pytest.approx(160.0)
    assert found["lv_peak_filling_ml_per_s"].value == pytest.approx(300.0)
    assert found["lv_time_to_peak_filling_ms"].convention == "fit; from end-systole"
    assert "did not come back" in found["lv_time_to_80_percent_recovery_ms"].reason
    lacking = rate_quantities(speed, known(160.0, "ml"), blank("ms", "no time"), "fit")
    assert {q.reason for name, q in lacking.items() if "recovery" not in name} == {"no time"}


def checks(volume: np.ndarray, ends: Extremes | None = None) -> list[str]:
    fit = fit_cycle(volume)
    ends = ends or extremes(fit)
    return [flag.check for flag in curve_flags(volume, fit, ends.ed_part, ends.es_part)]


def test_a_usual_curve_has_no_flag_and_each_fault_its_own() -> None:
    parts = np.arange(30) / 30
    usual = 150 - 90 * contraction(parts, 0.36)
    assert checks(usual) == []
    assert checks(np.roll(usual, 8)) == ["ed_in_cycle"]
    assert checks(150 - 90 * contraction(parts, 0.7)) == ["systole"]
    rough = usual + 10 * (-1.0) ** np.arange(30)
    assert "roughness" in checks(rough)
    cut = 150 - 90 * contraction(np.arange(30) / 30 * 0.7, 0.36)  # the last 30 % of the cycle were not imaged
    assert "cycle_ends" in checks(cut)
