"""Presets and the drawing of parameters: how often, from which range, and always the same from the same seed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from autolv.augmentation import PRESETS, Chance, Parameters, draw
from autolv.core.registry import RegistryError

N = 20_000
# name -> (probability, low, high, neutral), from Isensee 2021 but for the raised probabilities of the default
DEFAULT = {
    "angle_rad": (0.4, -math.pi, math.pi, 0.0),
    "scale": (0.4, 0.7, 1.4, 1.0),
    "noise_sd": (0.1, 0.0, 0.1, 0.0),
    "brightness": (0.15, 0.75, 1.25, 1.0),
    "contrast": (0.15, 0.75, 1.25, 1.0),
    "lowres_factor": (0.25, 0.5, 1.0, 1.0),
    "gamma_inverted": (0.1, 0.7, 1.5, 1.0),
    "gamma": (0.3, 0.7, 1.5, 1.0),
}


def _values(parameters: Parameters) -> dict[str, np.ndarray]:
    return {field.name: getattr(parameters, field.name) for field in dataclasses.fields(parameters)}


def _assert_share(active: np.ndarray, probability: float) -> None:
    bound = 4 * math.sqrt(probability * (1 - probability) / active.size)
    assert abs(active.mean() - probability) < bound


@pytest.mark.parametrize("name", DEFAULT)
def test_each_value_is_drawn_as_often_and_as_widely_as_the_default_says(name: str) -> None:
    probability, low, high, neutral = DEFAULT[name]
    values = getattr(draw("default", N, np.random.default_rng(1), mirror=True), name)
    active = values[values != neutral]
    _assert_share(values != neutral, probability)
    assert low <= active.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < active.max() <= high


def test_blur_is_drawn_once_for_both_axes_with_a_width_of_its_own_for_each() -> None:
    sigma = draw("default", N, np.random.default_rng(2), mirror=True).blur_sigma_px
    assert sigma.shape == (N, 2)
    active = sigma[sigma[:, 0] != 0]
    _assert_share(sigma[:, 0] != 0, 0.2)
    assert np.array_equal(sigma[:, 0] != 0, sigma[:, 1] != 0)
    assert active.min() >= 0.5 and active.max() <= 1.0
    assert abs(np.corrcoef(active.T)[0, 1]) < 4 / math.sqrt(len(active))


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "gamma_inverted"])
def test_factors_lie_below_and_above_one_equally_often_and_evenly_on_each_side(name: str) -> None:
    values = getattr(draw("default", N, np.random.default_rng(3), mirror=True), name)
    active = values[values != 1]
    _, low, high, _ = DEFAULT[name]
    _assert_share(active < 1, 0.5)
    for side, middle in ((active[active < 1], (low + 1) / 2), (active[active > 1], (high + 1) / 2)):
        _assert_share(side < middle, 0.5)


def test_rotation_and_scale_spread_evenly_and_independently() -> None:
    parameters = draw("default", N, np.random.default_rng(4), mirror=True)
    turned, scaled = parameters.angle_rad != 0, parameters.scale != 1
    _assert_share(turned & scaled, 0.16)
    _assert_share(parameters.angle_rad[turned] < 0, 0.5)
    _assert_share(parameters.scale[scaled] < 1.05, 0.5)


def test_each_in_plane_axis_is_mirrored_in_half_of_the_samples_where_mirroring_is_allowed() -> None:
    free = draw("default", N, np.random.default_rng(5), mirror=True)
    held = draw("default", N, np.random.default_rng(5), mirror=False)
    _assert_share(free.flip_y, 0.5)
    _assert_share(free.flip_x, 0.5)
    _assert_share(free.flip_y & free.flip_x, 0.25)
    assert not held.flip_y.any() and not held.flip_x.any()
    for name, values in _values(held).items():
        if not name.startswith("flip"):
            assert np.array_equal(values, getattr(free, name)), name


def test_the_same_seed_gives_the_same_parameters_and_another_seed_others() -> None:
    first, again, other = (draw("vendor-robust", 64, np.random.default_rng(seed), mirror=True) for seed in (6, 6, 7))
    for name, values in _values(first).items():
        assert np.array_equal(values, getattr(again, name)), name
        assert not np.array_equal(values, getattr(other, name)), name


def test_every_preset_advances_the_generator_alike() -> None:
    following = set()
    for name in PRESETS:
        for mirror in (False, True):
            rng = np.random.default_rng(8)
            draw(name, 5, rng, mirror=mirror)
            following.add(rng.random())
    assert len(following) == 1


def test_none_draws_the_neutral_parameters() -> None:
    parameters, neutral = draw("none", 9, np.random.default_rng(9), mirror=True), Parameters.neutral(9)
    assert len(parameters) == len(neutral) == 9
    for name, values in _values(parameters).items():
        assert values.dtype == getattr(neutral, name).dtype, name
        if name not in ("noise_seed", "scanner_seed"):
            assert np.array_equal(values, getattr(neutral, name)), name


def test_each_sample_gets_noise_of_its_own() -> None:
    seeds = draw("default", N, np.random.default_rng(10), mirror=True).noise_seed
    assert len(np.unique(seeds)) == N and seeds.min() >= 0


def test_the_published_preset_turns_and_scales_one_sample_in_five_and_halves_what_is_drawn_per_channel() -> None:
    preset = PRESETS.get("nnunet")
    probabilities = [
        chance.probability
        for chance in (
            preset.rotation_rad,
            preset.scale,
            preset.noise_sd,
            preset.blur_sigma_px,
            preset.brightness,
            preset.contrast,
            preset.lowres_factor,
            preset.gamma_inverted,
            preset.gamma,
        )
    ]
    assert probabilities == [0.2, 0.2, 0.1, 0.1, 0.15, 0.15, 0.125, 0.1, 0.3]
    assert preset.mirror_probability == 0.5


def test_a_changed_preset_can_be_drawn_from_without_registering_it() -> None:
    always = dataclasses.replace(PRESETS.get("none"), gamma=Chance(probability=1.0, low=2.0, high=2.0))
    assert np.array_equal(draw(always, 3, np.random.default_rng(0), mirror=False).gamma, [2.0, 2.0, 2.0])


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(RegistryError, match="default, nnunet, none"):
        draw("heavy", 1, np.random.default_rng(0), mirror=False)


@pytest.mark.parametrize(
    "arguments",
    [
        {"probability": 1.1, "low": 0.0, "high": 1.0},
        {"probability": -0.1, "low": 0.0, "high": 1.0},
        {"probability": 0.5, "low": 2.0, "high": 1.0},
        {"probability": 0.5, "low": 1.1, "high": 1.5, "balanced": True},
    ],
)
def test_a_chance_that_makes_no_sense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"probability|range"):
        Chance(**arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"mirror_probability": 1.5},
        {"gather_scale": 0.0},
        {"lowres_factor": Chance(probability=0.1, low=0.5, high=1.5)},
        {"scale": Chance(probability=0.1, low=0.0, high=1.5)},
        {"gamma": Chance(probability=0.1, low=0.0, high=1.5)},
        {"noise_sd": Chance(probability=0.1, low=-0.1, high=0.1)},
        {"blur_sigma_px": Chance(probability=0.1, low=-0.1, high=0.1)},
    ],
)
def test_a_preset_that_cannot_be_applied_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change)).removesuffix("_factor")):
        dataclasses.replace(PRESETS.get("default"), **change)


def test_the_upright_preset_turns_by_30_degrees_at_most_and_seldom_mirrors() -> None:
    drawn = draw("upright", 20_000, np.random.default_rng(3), mirror=True)
    largest = np.abs(drawn.angle_rad).max()
    assert math.radians(29) < largest <= math.radians(30)
    mirrored = float((drawn.flip_y | drawn.flip_x).mean())
    assert abs(mirrored - (1 - 0.92**2)) < 0.01  # 15 %


def test_other_presets_draw_what_they_drew_before_there_was_a_scanner() -> None:
    """The first numbers of the generator belong to nnU-Net's transforms, so that old runs can be repeated."""
    drawn = draw("default", 4, np.random.default_rng(0), mirror=True)
    rng = np.random.default_rng(0)
    assert np.array_equal(drawn.flip_y, rng.random((4, 2))[:, 0] < 0.5)
    for name in (
        "slice_shift_px", "brightness_shift", "tone_log_slopes", "bias_strength", "ghost_strength", "rician_sd", "squeeze"
    ):  # fmt: skip
        assert not getattr(drawn, name).any(), name


@pytest.mark.parametrize(
    ("name", "probability", "low", "high"),
    [
        ("slice_shift_px", 0.15, 0.5, 3.0),
        ("bias_strength", 0.2, 0.1, 0.4),
        ("ghost_strength", 0.05, 0.05, 0.3),
        ("rician_sd", 0.2, 0.05, 0.5),
        ("squeeze", 0.2, -0.4, 2.5),
    ],
)
def test_the_robust_preset_draws_scanners_as_often_and_as_far_as_it_says(
    name: str, probability: float, low: float, high: float
) -> None:
    values = getattr(draw("vendor-robust", N, np.random.default_rng(12), mirror=True), name)
    active = values[values != 0]
    _assert_share(values != 0, probability)
    assert low <= active.min() < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < active.max() <= high


def test_the_brightness_of_the_robust_preset_spreads_as_published() -> None:
    shift = draw("vendor-robust", N, np.random.default_rng(13), mirror=True).brightness_shift
    _assert_share(shift != 0, 0.15)
    assert abs(shift[shift != 0].std() - 0.2) < 0.006  # N(0, 0.2): Full 2021


def test_quarter_turns_come_on_top_of_the_rotation() -> None:
    preset = dataclasses.replace(PRESETS.get("none"), orientation_probability=1.0)
    quarters = draw(preset, N, np.random.default_rng(14), mirror=False).angle_rad / (math.pi / 2)
    assert set(np.round(quarters, 9)) == {0.0, 1.0, 2.0, 3.0}
    for quarter in range(4):
        _assert_share(np.isclose(quarters, quarter), 0.25)


def test_ghosts_have_two_to_four_copies_along_either_axis() -> None:
    drawn = draw("vendor-robust", N, np.random.default_rng(15), mirror=True)
    copies = drawn.ghost_copies[drawn.ghost_strength != 0]
    assert set(copies) == {-4.0, -3.0, -2.0, 2.0, 3.0, 4.0}
    assert not drawn.ghost_copies[drawn.ghost_strength == 0].any()
