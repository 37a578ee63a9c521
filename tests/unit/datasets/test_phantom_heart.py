from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.datasets._phantom_groups import GROUPS, draw_heart
from autolv.datasets._phantom_heart import (
    CUT,
    Heart,
    cavity_axes,
    contraction,
    insertion_angles,
    myocardium_ml,
    rv_ml,
    states,
    wall_mm,
)
from autolv.datasets._phantom_image import preset_of, signals
from autolv.datasets._phantom_truth import body, ejection_rates, walls

NORMAL = Heart(
    edv_ml=150, esv_ml=57, wall_mm=8, length_mm=92, shortening=0.16, rv_edv_ml=140, rv_esv_ml=60,
    insertion_rad=math.radians(60),
)  # fmt: skip


def test_normal_heart_worked_by_hand() -> None:
    ed, es = states(NORMAL, np.array([0.0, 1.0]))
    # c = 92 / 1.35 = 68.148; a = sqrt(150000 / (pi 68.148 1.002375)) = 26.438
    assert ed.c_mm == pytest.approx(68.148, abs=1e-3)
    assert 2 * ed.a_mm == pytest.approx(52.876, abs=1e-3)
    assert 2 * es.a_mm == pytest.approx(35.564, abs=1e-3)
    assert ed.length_mm - es.length_mm == pytest.approx(14.72)
    assert ed.w_mm == pytest.approx(8.0)
    assert es.w_mm == pytest.approx(12.01, abs=0.01)  # the wall thickens by half
    assert 1.05 * myocardium_ml(NORMAL, ed) == pytest.approx(122.74, abs=0.01)


def test_volume_of_the_cut_ellipsoid_by_counting() -> None:
    assert pytest.approx(1.002375) == CUT
    a, c = cavity_axes(100.0, 90.0)
    axis = np.arange(-40, 40, 0.5) + 0.25
    z = np.arange(-c, 0.35 * c, 0.5) + 0.25
    x2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2
    inside = x2 / a**2 + (z[None, None, :] / c) ** 2 <= 1
    assert inside.sum() * 0.125 / 1000 == pytest.approx(100.0, rel=0.005)


@pytest.mark.parametrize("group", GROUPS)
def test_wall_is_incompressible_in_every_group(group: str) -> None:
    heart = draw_heart(np.random.default_rng(3), group, {})
    volumes = [myocardium_ml(heart, state) for state in states(heart, np.array([0.0, 0.3, 1.0]))]
    assert volumes == pytest.approx([volumes[0]] * 3, rel=1e-6)


def test_wall_volume_by_counting_with_an_infarct() -> None:
    heart = Heart(
        edv_ml=200, esv_ml=140, wall_mm=9, length_mm=95, shortening=0.08, rv_edv_ml=150, rv_esv_ml=80,
        insertion_rad=1.0, infarct_rad=(1.0, 0.9), infarct_mm=4.0,
    )  # fmt: skip
    (state,) = states(heart, np.array([0.0]))
    axis = np.arange(-50, 50, 0.8) + 0.4
    z = np.arange(-10, state.length_mm, 0.8) + 0.4
    x, y, z = np.meshgrid(axis, axis, z, indexing="ij", sparse=True)
    radius = state.a_mm + wall_mm(heart, state, np.arctan2(y, x))
    outer = (x**2 + y**2) / radius**2 + ((z - state.c_mm) / state.c_epi_mm) ** 2 <= 1
    inner = (x**2 + y**2) / state.a_mm**2 + ((z - state.c_mm) / state.c_mm) ** 2 <= 1
    assert (outer & ~inner).sum() * 0.8**3 / 1000 == pytest.approx(myocardium_ml(heart, state), rel=0.02)


def test_infarct_does_not_thicken_and_the_rest_does() -> None:
    heart = Heart(
        edv_ml=200, esv_ml=140, wall_mm=9, length_mm=95, shortening=0.08, rv_edv_ml=150, rv_esv_ml=80,
        insertion_rad=1.0, infarct_rad=(1.0, 0.6), infarct_mm=4.5,
    )  # fmt: skip
    ed, es = states(heart, np.array([0.0, 1.0]))
    places = np.array([1.0, 1.0 + math.pi])
    assert wall_mm(heart, ed, places) == pytest.approx([4.5, 9.0])
    assert wall_mm(heart, es, places)[0] == pytest.approx(4.5)
    assert wall_mm(heart, es, places)[1] > 10.0


def test_septum_of_a_hypertrophic_heart_is_thickest() -> None:
    heart = draw_heart(np.random.default_rng(0), "HCM", {"wall_mm": 20.0})
    (state,) = states(heart, np.array([0.0]))
    found = walls(heart, state)
    assert set(found) == {str(n) for n in range(1, 17)}
    assert max(found, key=lambda segment: found[segment]) in {"2", "8"}  # anteroseptal
    assert found["8"] > 1.4 * found["11"]  # against inferolateral


def test_contraction_over_the_cycle() -> None:
    systole = 0.4
    # 0 at ED, half way in mid systole, 1 at ES; 70 % relaxed on the plateau between the two fillings; 0 again
    plateau = systole + 0.6 * 0.6
    times = np.array([0.0, 0.2, 0.4, plateau, 1.0])
    assert contraction(times, systole) == pytest.approx([0.0, 0.5, 1.0, 0.3, 0.0], abs=1e-12)


def test_peak_rates_worked_by_hand() -> None:
    heart = Heart(
        edv_ml=150, esv_ml=60, wall_mm=8, length_mm=92, shortening=0.16, rv_edv_ml=140, rv_esv_ml=60, insertion_rad=1.0
    )
    emptying, filling = ejection_rates(heart, 0.38, 900.0)
    assert emptying == pytest.approx(math.pi * 90 / (2 * 0.38 * 0.9))  # 413 ml/s
    # early filling: 0.7 SV 1.5 (steepest of the smoothstep) / (0.45 x 0.62 x 0.9 s)
    assert filling == pytest.approx(0.7 * 90 * 1.5 / (0.45 * 0.62 * 0.9), rel=1e-3)


@pytest.mark.parametrize("group", GROUPS)
def test_right_ventricle_has_its_volumes(group: str) -> None:
    heart = draw_heart(np.random.default_rng(1), group, {})
    ed, es = states(heart, np.array([0.0, 1.0]))
    assert rv_ml(heart, ed, 1.0) == pytest.approx(heart.rv_edv_ml, rel=0.02)
    assert rv_ml(heart, es, 1.0) == pytest.approx(heart.rv_esv_ml, rel=0.02)
    anterior, inferior = insertion_angles(heart, ed)
    assert math.radians(40) < anterior < math.radians(80)
    assert math.radians(-80) < inferior < math.radians(-40)


@pytest.mark.parametrize("group", GROUPS)
def test_drawn_hearts_stay_in_their_group(group: str) -> None:
    ranges = GROUPS[group]
    for seed in range(10):
        heart = draw_heart(np.random.default_rng(seed), group, {})
        ef = 100 * (1 - heart.esv_ml / heart.edv_ml)
        assert ranges.edv_ml[0] <= heart.edv_ml <= ranges.edv_ml[1]
        assert ranges.ef_percent[0] <= ef <= ranges.ef_percent[1]


def test_fixing_one_value_leaves_the_others() -> None:
    free = draw_heart(np.random.default_rng(5), "NOR", {})
    fixed = draw_heart(np.random.default_rng(5), "NOR", {"edv_ml": 150.0})
    assert fixed.edv_ml == 150.0
    assert (fixed.wall_mm, fixed.length_mm, fixed.rv_edv_ml) == (free.wall_mm, free.length_mm, free.rv_edv_ml)


def test_body_suits_the_ventricle() -> None:
    height, weight = body(np.random.default_rng(0), 300.0, (120.0, 120.0))
    # 300 ml at 120 ml/m² is a surface of 2.4 m² (the 2.5 is bounded): sqrt(h w / 3600)
    assert math.sqrt(height * weight / 3600) == pytest.approx(2.4, abs=0.01)


def test_signals_relative_to_blood() -> None:
    found = signals(1.5)
    expected = {"blood": 1.0, "myocardium": 0.37, "fat": 1.26, "muscle": 0.29, "liver": 0.48}
    assert {name: round(value, 2) for name, value in found.items()} == expected
    assert round(signals(3.0)["myocardium"], 2) == 0.33


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(DataError, match="NOR, DCM, HCM, MINF, RV"):
        draw_heart(np.random.default_rng(0), "XYZ", {})
    with pytest.raises(DataError, match="vendor_a"):
        preset_of("XYZ")
