"""Volumes, ejection fraction and mass by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autolv.readout.volumes import (
    ejection_fraction_percent,
    end_diastole_and_systole,
    myocardial_mass_g,
    structure_volumes_ml,
    volume_ml,
)

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def test_volume_of_seven_voxels_on_an_anisotropic_grid() -> None:
    mask = np.zeros((2, 3, 4), dtype=bool)
    mask.ravel()[:7] = True
    # 7 voxels of 10 x 1.5 x 1.25 mm = 18.75 mm3 each
    assert volume_ml(mask, (10.0, 1.5, 1.25)) == pytest.approx(0.13125, rel=1e-12)


def test_empty_mask_has_no_volume() -> None:
    assert volume_ml(np.zeros((2, 3, 4), dtype=bool), (10.0, 1.5, 1.25)) == 0.0


def test_gap_between_slices_counts() -> None:
    mask = np.ones((4, 2, 2), dtype=bool)
    # 8 mm slices with 2 mm gap: 10 mm from centre to centre, so a fifth more than the slices alone
    assert volume_ml(mask, (10.0, 1.0, 1.0)) == pytest.approx(1.25 * volume_ml(mask, (8.0, 1.0, 1.0)))


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3, 4)])
def test_only_a_volume_has_a_volume(shape) -> None:
    with pytest.raises(ValueError, match="mask must be"):
        volume_ml(np.zeros(shape, dtype=bool), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("spacing_mm", [(0.0, 1.0, 1.0), (1.0, 1.0), (-1.0, 1.0, 1.0), (math.nan, 1.0, 1.0)])
def test_spacing_must_be_three_positive_numbers(spacing_mm) -> None:
    with pytest.raises(ValueError, match="spacing_mm"):
        volume_ml(np.ones((1, 1, 1), dtype=bool), spacing_mm)


def test_volumes_of_all_structures_go_by_name() -> None:
    labels = np.array([[[0, 1, 1, 1], [2, 2, 0, 0]]], dtype=np.uint8)  # (1, 2, 4)
    before = labels.copy()
    volumes = structure_volumes_ml(labels, STRUCTURES, (10.0, 10.0, 10.0))  # 1 ml per voxel
    assert volumes == {"lv_cavity": 3.0, "lv_myocardium": 2.0, "rv_cavity": 0.0}
    np.testing.assert_array_equal(labels, before)


def test_label_without_structure_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        structure_volumes_ml(np.full((1, 1, 1), 2, dtype=np.uint8), ("lv_cavity",), (1.0, 1.0, 1.0))


def test_ejection_fraction() -> None:
    assert ejection_fraction_percent(150.0, 60.0) == pytest.approx(60.0)
    assert ejection_fraction_percent(100.0, 110.0) == pytest.approx(-10.0)  # wrong frames, not hidden


@pytest.mark.parametrize(("edv", "esv"), [(0.0, 0.0), (math.nan, 50.0), (100.0, math.nan), (-1.0, 0.0)])
def test_ejection_fraction_is_undefined_without_a_diastolic_volume(edv, esv) -> None:
    assert math.isnan(ejection_fraction_percent(edv, esv))


def test_mass_uses_the_density_of_myocardium() -> None:
    assert myocardial_mass_g(100.0) == pytest.approx(105.0)
    assert myocardial_mass_g(100.0, 1.04) == pytest.approx(104.0)


def test_end_diastole_and_systole_of_a_curve_with_a_gap() -> None:
    assert end_diastole_and_systole([120.0, math.nan, 50.0, 45.0, 90.0]) == (0, 3)
    assert end_diastole_and_systole([5.0, 5.0]) == (0, 0)


@pytest.mark.parametrize("curve", [[], [math.nan], [[1.0, 2.0]]])
def test_curve_without_volumes_is_refused(curve) -> None:
    with pytest.raises(ValueError, match="curve"):
        end_diastole_and_systole(curve)
