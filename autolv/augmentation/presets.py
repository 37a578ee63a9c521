"""The presets that a plan can name."""

from __future__ import annotations

import math
from dataclasses import replace

from autolv.augmentation._preset import PRESETS, Chance, Preset

_UPRIGHT_TURN_RAD = math.radians(30)  # nnU-Net's range for 3D patches (Isensee 2021)


def _nnunet() -> Preset:
    """Return what nnU-Net draws by default for one input channel (Isensee 2021; trainer of version 2.8).

    There, blur and low resolution are drawn for an image with 0.2 and 0.25 and then for each channel with 0.5.
    """
    return Preset(
        rotation_rad=Chance(probability=0.2, low=-math.pi, high=math.pi),
        scale=Chance(probability=0.2, low=0.7, high=1.4),
        mirror_probability=0.5,
        noise_sd=Chance(probability=0.1, low=0.0, high=0.1),
        blur_sigma_px=Chance(probability=0.1, low=0.5, high=1.0),
        brightness=Chance(probability=0.15, low=0.75, high=1.25, balanced=True),
        contrast=Chance(probability=0.15, low=0.75, high=1.25, balanced=True),
        lowres_factor=Chance(probability=0.125, low=0.5, high=1.0),
        gamma_inverted=Chance(probability=0.1, low=0.7, high=1.5, balanced=True),
        gamma=Chance(probability=0.3, low=0.7, high=1.5, balanced=True),
    )


def _default() -> Preset:
    """Return nnU-Net's transforms and ranges, the spatial ones more often: training here is short, not 1000 epochs."""
    base = _nnunet()
    return replace(
        base,
        rotation_rad=replace(base.rotation_rad, probability=0.4),
        scale=replace(base.scale, probability=0.4),
        blur_sigma_px=replace(base.blur_sigma_px, probability=0.2),
        lowres_factor=replace(base.lowres_factor, probability=0.25),
    )


def _upright() -> Preset:
    """Return the default without its large turns and with few mirrored samples, for runs of few samples.

    Most stacks lie alike; a network that meets every orientation equally often learns the usual one from few samples
    (docs/benchmarks.md has the gain). One sample in seven is still mirrored, so that other stacks are not wholly new.
    """
    return replace(
        _default(),
        rotation_rad=Chance(probability=0.5, low=-_UPRIGHT_TURN_RAD, high=_UPRIGHT_TURN_RAD),
        mirror_probability=0.08,
    )


def _vendor_robust() -> Preset:
    """Return what stands for scanners, centres and patients that the training set does not hold.

    The kinds of transform of the winner of the M&Ms challenge (Full 2021), whose ranges of scaling, gamma and additive
    brightness these are (a uniform range replaces its normal distribution of brightness, with the same standard deviation
    of 0.2), and coil fields, tone curves, ghosts, Rician noise, slices displaced by breathing, and stacks stored in any of
    the eight orientations. Seven in ten samples lie as they were stored, but for turns of at most 30 degrees, and each
    change of intensity is seldom: when all were as frequent as there, runs of minutes lost a hundredth of Dice on images
    as they are and gained nothing on others (docs/benchmarks.md).
    """
    half_width = 0.2 * math.sqrt(3)  # of a uniform distribution with a standard deviation of 0.2
    return replace(
        _upright(),
        scale=Chance(probability=0.4, low=0.65, high=1.6),
        gamma=Chance(probability=0.2, low=0.5, high=1.6, balanced=True),
        contrast=Chance(probability=0.15, low=0.65, high=1.5, balanced=True),
        orientation_probability=0.3,
        slice_shift_px=Chance(probability=0.15, low=0.5, high=3.0),
        brightness_shift=Chance(probability=0.15, low=-half_width, high=half_width),
        tone_bend=Chance(probability=0.15, low=0.1, high=0.6),
        bias_strength=Chance(probability=0.2, low=0.1, high=0.4),
        ghost_strength=Chance(probability=0.05, low=0.05, high=0.3),
        rician_sd=Chance(probability=0.2, low=0.05, high=0.5),
        squeeze=Chance(probability=0.2, low=-0.4, high=2.5),
    )


def _none() -> Preset:
    """Return the preset that changes nothing."""
    never = Chance(probability=0.0, low=1.0, high=1.0)
    return Preset(
        rotation_rad=never,
        scale=never,
        mirror_probability=0.0,
        noise_sd=never,
        blur_sigma_px=never,
        brightness=never,
        contrast=never,
        lowres_factor=never,
        gamma_inverted=never,
        gamma=never,
        gather_scale=1.0,
    )


PRESETS.register("none")(_none())
PRESETS.register("default")(_default())
PRESETS.register("nnunet")(_nnunet())
PRESETS.register("upright")(_upright())
PRESETS.register("vendor-robust")(_vendor_robust())
