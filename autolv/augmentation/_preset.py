"""What an augmentation preset is: for each transform how often it is drawn, and from which range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.core.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A value drawn uniformly from [``low``, ``high``] for a share ``probability`` of the samples.

    With ``balanced``, half of the values lie below 1 and half above, however far the two ends are from 1, so that a
    factor does not favour one direction. Raises ``ValueError`` for a probability outside [0, 1] or an empty range.
    """

    probability: float
    low: float
    high: float
    balanced: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability lies between 0 and 1, got {self.probability}")
        if not self.low <= self.high:
            raise ValueError(f"a range goes from low to high, got {self.low} to {self.high}")
        if self.balanced and not self.low <= 1 <= self.high:
            raise ValueError(f"a balanced range holds 1, got {self.low} to {self.high}")

    def draw(self, n: int, rng: np.random.Generator, *, neutral: float, columns: int = 1) -> NDArray[np.float64]:
        """Return ``n`` values, (n,) or (n, columns) with one chance per row; ``neutral`` where nothing happens.

        The generator is advanced by the same number of variates whatever the probability and range.
        """
        chosen = rng.random((n, 1)) < self.probability
        above = rng.random((n, columns)) < 0.5
        share = rng.random((n, columns))
        low = np.where(above, 1.0, self.low) if self.balanced else np.full_like(share, self.low)
        high = np.where(above, self.high, 1.0) if self.balanced else np.full_like(share, self.high)
        values = np.where(chosen, low + share * (high - low), neutral)
        return values[:, 0] if columns == 1 else values


NEVER = Chance(probability=0.0, low=0.0, high=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The transforms in the order of their application. All act within slices; none mixes slices.

    Attributes:
        rotation_rad: in-plane angle.
        scale: in-plane zoom; more than 1 makes the heart smaller (nnU-Net's sense).
        mirror_probability: of each in-plane axis, where the training allows mirroring.
        noise_sd: standard deviation of additive Gaussian noise, in units of the normalised image.
        blur_sigma_px: standard deviation of a Gaussian blur in pixels, drawn for y and x apart.
        brightness: factor on the intensities.
        contrast: factor on the distance from the mean, clipped to the range before.
        lowres_factor: in-plane size of a low-resolution detour, relative to the patch.
        gamma_inverted: exponent on the inverted intensities, mean and standard deviation kept.
        gamma: exponent on the intensities, mean and standard deviation kept.
        orientation_probability: of a turn by a random multiple of a quarter turn on top.
        slice_shift_px: standard deviation of the displacement of the slices of a stack against one another.
        brightness_shift: added to the intensities.
        tone_bend: standard deviation of the log slopes of a broken line that maps the intensities.
        bias_strength: standard deviation of the log of a smooth field that multiplies the magnitudes.
        ghost_strength: share of the image in its displaced copies.
        ghost_copies: the least and the most copies over a field of view.
        rician_sd: standard deviation of the noise in either part of a complex signal, of which the magnitude is kept.
        squeeze: how far the heart contracts (above 0) or dilates about its cavity, of each slice.
        gather_scale: the patch is gathered larger by 1 / ``gather_scale`` where rotation or scaling may occur. Bounds
            the cost: a stronger zoom-out than that shows zeros at the borders.
    """

    rotation_rad: Chance
    scale: Chance
    mirror_probability: float
    noise_sd: Chance
    blur_sigma_px: Chance
    brightness: Chance
    contrast: Chance
    lowres_factor: Chance
    gamma_inverted: Chance
    gamma: Chance
    orientation_probability: float = 0.0
    slice_shift_px: Chance = NEVER
    brightness_shift: Chance = NEVER
    tone_bend: Chance = NEVER
    bias_strength: Chance = NEVER
    ghost_strength: Chance = NEVER
    ghost_copies: tuple[int, int] = (2, 4)
    rician_sd: Chance = NEVER
    squeeze: Chance = NEVER
    gather_scale: float = 0.85

    def __post_init__(self) -> None:
        for name in ("mirror_probability", "orientation_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies between 0 and 1, got {getattr(self, name)}")
        if not 0 < self.gather_scale <= 1:
            raise ValueError(f"gather_scale lies above 0 and at most at 1, got {self.gather_scale}")
        if not 0 < self.lowres_factor.low <= self.lowres_factor.high <= 1:
            raise ValueError("lowres_factor lies above 0 and at most at 1")
        if self.scale.low <= 0 or self.gamma.low <= 0 or self.gamma_inverted.low <= 0:
            raise ValueError("scale and gamma are positive")
        for name in (
            "noise_sd", "blur_sigma_px", "slice_shift_px", "tone_bend", "bias_strength", "ghost_strength", "rician_sd"
        ):  # fmt: skip
            if getattr(self, name).low < 0:
                raise ValueError(f"{name} is not negative")
        if not 2 <= self.ghost_copies[0] <= self.ghost_copies[1]:
            raise ValueError(f"ghost_copies are at least 2, the fewer first, got {self.ghost_copies}")
        if not -1 < self.squeeze.low <= self.squeeze.high < 3:
            raise ValueError("squeeze lies between -1 and 3, where nothing folds")
        if not math.isfinite(self.scale.high):
            raise ValueError("scale is finite")

    @property
    def moves(self) -> bool:
        """Whether a turn, scaling or displacement can occur, which looks beyond the patch."""
        chances = (self.rotation_rad, self.scale, self.slice_shift_px)
        return self.orientation_probability > 0 or any(chance.probability > 0 for chance in chances)


PRESETS: Registry[Preset] = Registry("augmentation preset", "autolv.augmentation")


def find_preset(preset: str | Preset) -> Preset:
    """Return ``preset`` itself, or the registered one of that name; an unknown name is a ``RegistryError``."""
    return PRESETS.get(preset) if isinstance(preset, str) else preset
