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
    gather_scale: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.mirror_probability <= 1:
            raise ValueError(f"mirror_probability lies between 0 and 1, got {self.mirror_probability}")
        if not 0 < self.gather_scale <= 1:
            raise ValueError(f"gather_scale lies above 0 and at most at 1, got {self.gather_scale}")
        if not 0 < self.lowres_factor.low <= self.lowres_factor.high <= 1:
            raise ValueError("lowres_factor lies above 0 and at most at 1")
        if self.scale.low <= 0 or self.gamma.low <= 0 or self.gamma_inverted.low <= 0:
            raise ValueError("scale and gamma are positive")
        if self.noise_sd.low < 0 or self.blur_sigma_px.low < 0:
            raise ValueError("noise_sd and blur_sigma_px are not negative")
        if not math.isfinite(self.scale.high):
            raise ValueError("scale is finite")

    @property
    def moves(self) -> bool:
        """Whether a rotation or scaling can occur, which looks beyond the patch."""
        return self.rotation_rad.probability > 0 or self.scale.probability > 0


PRESETS: Registry[Preset] = Registry("augmentation preset", "autolv.augmentation")


def find_preset(preset: str | Preset) -> Preset:
    """Return ``preset`` itself, or the registered one of that name; an unknown name is a ``RegistryError``."""
    return PRESETS.get(preset) if isinstance(preset, str) else preset
