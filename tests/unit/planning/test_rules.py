from __future__ import annotations

import math
from typing import Any

import pytest

from autolv.planning import rules
from autolv.schema.plan import Compute

ACDC_SPACING = (10.0, 1.5625, 1.5625)


def test_the_published_3d_topology_of_nnunet_on_acdc() -> None:
    """Patch 20 x 256 x 224 at 5 x 1.5625 x 1.5625 mm; Isensee 2021 (supplement) prints these strides for ACDC."""
    found = rules.topology((20, 256, 224), (5.0, 1.5625, 1.5625), most_stages=9)
    assert found.strides == ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
    assert found.kernels == ((1, 3, 3), *((3, 3, 3),) * 5)
    assert found.patch == (20, 256, 224)


def test_an_isotropic_cube_is_halved_alike_along_all_axes() -> None:
    found = rules.topology((128, 128, 128), (1.0, 1.0, 1.0), most_stages=9)
    assert found.strides == ((1, 1, 1), *((2, 2, 2),) * 5)  # 128, 64, 32, 16, 8, 4
    assert set(found.kernels) == {(3, 3, 3)}


def test_thick_slices_wait_until_the_in_plane_spacing_has_caught_up() -> None:
    # ratios to the in-plane spacing: 6.4, 3.2, 1.6 (now convolved and halved), then 9 -> 5 slices are too few
    found = rules.topology((9, 132, 132), ACDC_SPACING, most_stages=5)
    assert found.kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
    assert found.strides == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2))
    assert found.patch == (10, 144, 144)
    assert found.divisor == (2, 16, 16)


def test_a_2d_patch_is_padded_to_what_its_downsampling_divides() -> None:
    assert rules.topology((132, 132), (1.5, 1.5), most_stages=5).patch == (144, 144)
    assert rules.topology((132, 132), (1.5, 1.5), most_stages=6).patch == (160, 160)  # 132, 66, 33, 17, 9, 5: by 32
    assert rules.topology((32, 32), (1.5, 1.5), most_stages=9).strides == ((1, 1), (2, 2), (2, 2), (2, 2))


def test_the_last_axis_left_is_halved_from_12_voxels_on() -> None:
    assert rules.topology((8, 11), (1.0, 1.0), most_stages=9).strides == ((1, 1), (2, 2))  # then 4 and 6
    assert rules.topology((4, 12), (1.0, 1.0), most_stages=9).strides[1:] == ((1, 2),)
    assert rules.topology((4, 11), (1.0, 1.0), most_stages=9).strides[1:] == ()


def test_a_single_slice_is_never_convolved_across() -> None:
    found = rules.topology((1, 64, 64), (2.0, 2.0, 2.0), most_stages=9)
    assert all(kernel == (1, 3, 3) for kernel in found.kernels)
    assert all(stride[0] == 1 for stride in found.strides)


def test_spacing_is_the_geometric_mean_whichever_way_the_stack_lies(make_fingerprint: Any) -> None:
    portrait = make_fingerprint(spacing_mm=(10.0, 2.0, 1.0))
    landscape = make_fingerprint(spacing_mm=(10.0, 1.0, 2.0))
    assert rules.in_plane_spacing_mm(portrait) == rules.in_plane_spacing_mm(landscape) == 1.4142


@pytest.mark.parametrize(("slice_mm", "expected"), [(10.0, None), (4.6, None), (4.5, 4.5), (1.5, 1.5)])
def test_slices_are_resampled_only_up_to_three_times_the_in_plane_spacing(
    make_fingerprint: Any, slice_mm: float, expected: float | None
) -> None:
    fingerprint = make_fingerprint(spacing_mm=(slice_mm, 1.5, 1.5))
    assert rules.slice_spacing_mm(fingerprint) == expected
    assert rules.target_slice_spacing_mm(fingerprint) == slice_mm


def test_the_patch_is_the_largest_heart_with_its_margin(make_fingerprint: Any) -> None:
    side, about_heart = rules.patch_side_mm(make_fingerprint(heart_mm=(80.0, 140.0, 150.0)))
    assert side == pytest.approx(150 * 1.35)
    assert about_heart
    # 202.5 mm at 1.5625 mm are 129.6 pixels
    assert rules.in_plane_side(make_fingerprint(heart_mm=(80.0, 140.0, 150.0))) == 130
    tight, _ = rules.patch_side_mm(make_fingerprint(heart_mm=(80.0, 140.0, 150.0)), rules.TIGHT_MARGIN)
    assert tight == pytest.approx(150 * 1.15)


@pytest.mark.parametrize(
    ("device", "minutes", "margin"),
    [("cpu", None, 1.15), ("mps", 60.0, 1.15), ("cuda", 3.0, 1.15), ("cuda", None, 1.35)],
)
def test_patches_are_tight_where_steps_are_slow_or_time_is_short(
    device: Any, minutes: float | None, margin: float
) -> None:
    compute = Compute(device=device, cores=2, memory_gb=8.0, time_budget_minutes=minutes)
    assert rules.heart_margin(compute) == margin


def test_a_heart_that_fills_the_field_gives_the_whole_field(make_fingerprint: Any) -> None:
    # the field is 400 x 337.5 mm = 135 000 mm²; 0.7 of it is a square of 307.4 mm, a heart of 227.7 mm
    just_below = make_fingerprint(heart_mm=(80.0, 227.0, 100.0))
    just_above = make_fingerprint(heart_mm=(80.0, 228.0, 100.0))
    assert rules.patch_side_mm(just_below) == (pytest.approx(306.45), True)
    assert rules.patch_side_mm(just_above) == (400.0, False)


def test_without_labels_the_whole_field_is_taken(make_fingerprint: Any) -> None:
    nowhere = make_fingerprint(heart_mm=(math.nan,) * 3)
    assert math.isnan(rules.heart_extent_mm(nowhere, (1, 2)))
    assert rules.patch_side_mm(nowhere) == (400.0, False)
    assert rules.patch_slices(nowhere) == 9


def test_one_stray_label_does_not_widen_all_patches(make_fingerprint: Any) -> None:
    fingerprint = make_fingerprint(heart_mm=(80.0, 100.0, 100.0))
    stray = fingerprint.cases[0].model_copy(update={"heart_extent_mm": (80.0, 100.0, 300.0)})
    fingerprint = fingerprint.model_copy(update={"cases": (stray, *fingerprint.cases[1:])})
    assert rules.heart_extent_mm(fingerprint, (1, 2)) == pytest.approx(125.0)  # 1.25 times the 95th percentile


def test_a_small_image_still_gets_a_patch_with_four_resolutions(make_fingerprint: Any) -> None:
    assert rules.in_plane_side(make_fingerprint(shape=(9, 20, 20), heart_mm=(40.0, 10.0, 10.0))) == 32


def test_slices_of_a_3d_patch_are_the_median_stack_or_the_heart(make_fingerprint: Any) -> None:
    assert rules.patch_slices(make_fingerprint()) == 9
    # isotropic: 90 slices of 1.5 mm, a heart of 60 mm: 60 * 1.35 / 1.5
    isotropic = make_fingerprint(shape=(90, 200, 200), spacing_mm=(1.5, 1.5, 1.5), heart_mm=(60.0, 100.0, 100.0))
    assert rules.patch_slices(isotropic) == 54


def test_slices_are_counted_on_the_grid_that_networks_see(make_fingerprint: Any) -> None:
    fingerprint = make_fingerprint(patients=1, shape=(40, 100, 100), spacing_mm=(2.0, 1.0, 1.0))
    thin = fingerprint.cases[0].model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)})
    mixed = fingerprint.model_copy(update={"cases": (thin, *fingerprint.cases[1:])})
    assert rules.slices_after_resampling(mixed) == (20, 40)


def test_shrinking_takes_what_covers_most_of_the_field() -> None:
    flat = rules.topology((9, 132, 132), ACDC_SPACING, most_stages=5)
    assert rules.smaller_size(flat, (9.0, 256.0, 256.0)) == (8, 144, 144)
    assert rules.smaller_size(flat, (90.0, 256.0, 256.0)) == (10, 128, 128)
    square = rules.topology((48, 48), (1.0, 1.0), most_stages=5)  # 48, 24, 12, 6: by 8
    assert rules.smaller_size(square, (256.0, 256.0)) == (40, 40)
    assert rules.smaller_size(rules.topology((32, 32), (1.0, 1.0), most_stages=5), (256.0, 256.0)) is None


def test_deep_supervision_weights() -> None:
    assert rules.deep_supervision_weights(1) == (1.0,)
    assert rules.deep_supervision_weights(3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    assert sum(rules.deep_supervision_weights(4)) == pytest.approx(1.0)


@pytest.mark.parametrize(("stages", "heads"), [(2, 1), (3, 1), (4, 2), (5, 3), (6, 4)])
def test_the_lowest_decoder_stage_has_no_head(stages: int, heads: int) -> None:
    assert rules.head_count(stages) == heads


def test_widths_double_up_to_the_cap() -> None:
    assert rules.feature_widths(24, 6, cap=320) == (24, 48, 96, 192, 320, 320)


def test_the_residual_encoders_stages() -> None:
    assert rules.resenc_blocks(6) == ((1, 3, 4, 6, 6, 6), (1, 1, 1, 1, 1))
    assert rules.resenc_blocks(3) == ((1, 3, 4), (1, 1))


def test_a_patch_on_another_grid_covers_the_same_piece_of_the_body(make_fingerprint: Any) -> None:
    fingerprint = make_fingerprint()  # 9 slices of 10 mm; hearts of 80 x 140 x 150 mm
    fine = rules.Target(in_plane_mm=1.0, slice_mm=1.0)
    assert rules.in_plane_side(fingerprint, fine) == 203  # 150 mm · 1.35
    assert rules.patch_slices(fingerprint, fine) == 90  # the stack: 80 mm · 1.35 would be 108
    assert rules.slices_after_resampling(fingerprint, fine) == (90,) * 200
    assert rules.target_slice_spacing_mm(fingerprint, fine) == 1.0
    own = rules.own_target(fingerprint)
    assert (own.in_plane_mm, own.slice_mm) == (1.5625, None)
    for rule in (rules.in_plane_side, rules.patch_slices, rules.slices_after_resampling, rules.target_slice_spacing_mm):
        assert rule(fingerprint) == rule(fingerprint, own)


def test_slices_put_between_measured_ones_do_not_count(make_fingerprint: Any) -> None:
    fine = rules.Target(in_plane_mm=1.0, slice_mm=1.0)
    assert rules.measured_slices(make_fingerprint()) == rules.measured_slices(make_fingerprint(), fine) == 9
    thin = make_fingerprint(shape=(90, 200, 200), spacing_mm=(1.5, 1.5, 1.5), heart_mm=(60.0, 100.0, 100.0))
    assert rules.measured_slices(thin) == rules.patch_slices(thin) == 54


def test_the_vnets_stages() -> None:
    assert rules.vnet_blocks(5) == ((1, 2, 3, 3, 3), (1, 1, 2, 3))
    assert rules.vnet_blocks(3) == ((1, 2, 3), (1, 1))


@pytest.mark.parametrize(("patients", "share"), [(1, 1.0), (2, 0.5), (4, 0.75), (5, 0.8), (100, 0.8)])
def test_the_share_that_trains(patients: int, share: float) -> None:
    assert rules.training_share(patients) == pytest.approx(share)
