"""The drawn parameters of a batch: numbers that can be recorded, compared and set by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from autolv.augmentation._preset import Preset, find_preset

TONE_SEGMENTS = 4  # of the broken line that maps intensities
_SEEDS = 2**63 - 1
_QUARTER_TURN_RAD = math.pi / 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parameters:
    """One row per sample; units and senses as in ``Preset``. The neutral value of each leaves a sample as it is.

    Neutral: 1 for ``scale``, ``brightness``, ``contrast``, ``lowres_factor`` and the exponents, 0 (False) for the
    others. All arrays are (n,), except ``blur_sigma_px``, (n, 2) for y and x, and ``tone_log_slopes``, (n, 4).
    ``noise_seed`` and ``scanner_seed`` (int64) start the random fields of their sample, which so do not depend on the
    rest of the batch. ``ghost_copies`` is negative for ghosts along x.
    """

    angle_rad: NDArray[np.float64]
    scale: NDArray[np.float64]
    flip_y: NDArray[np.bool_]
    flip_x: NDArray[np.bool_]
    noise_sd: NDArray[np.float64]
    noise_seed: NDArray[np.int64]
    blur_sigma_px: NDArray[np.float64]
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    lowres_factor: NDArray[np.float64]
    gamma_inverted: NDArray[np.float64]
    gamma: NDArray[np.float64]
    scanner_seed: NDArray[np.int64]
    slice_shift_px: NDArray[np.float64]
    brightness_shift: NDArray[np.float64]
    tone_log_slopes: NDArray[np.float64]
    bias_strength: NDArray[np.float64]
    ghost_strength: NDArray[np.float64]
    ghost_copies: NDArray[np.float64]
    rician_sd: NDArray[np.float64]
    squeeze: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.angle_rad)

    def rows(self, first: int, last: int) -> Parameters:
        """Return the rows from ``first`` up to, not including, ``last``."""
        return replace(self, **{field.name: getattr(self, field.name)[first:last] for field in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Parameters]) -> Parameters:
        """Return the rows of all ``parts``, in order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    @classmethod
    def neutral(cls, n: int) -> Parameters:
        """Return the parameters that leave ``n`` samples as they are."""
        zeros, ones = np.zeros(n), np.ones(n)
        return cls(
            angle_rad=zeros,
            scale=ones,
            flip_y=np.zeros(n, dtype=bool),
            flip_x=np.zeros(n, dtype=bool),
            noise_sd=zeros,
            noise_seed=np.zeros(n, dtype=np.int64),
            blur_sigma_px=np.zeros((n, 2)),
            brightness=ones,
            contrast=ones,
            lowres_factor=ones,
            gamma_inverted=ones,
            gamma=ones,
            scanner_seed=np.zeros(n, dtype=np.int64),
            slice_shift_px=zeros,
            brightness_shift=zeros,
            tone_log_slopes=np.zeros((n, TONE_SEGMENTS)),
            bias_strength=zeros,
            ghost_strength=zeros,
            ghost_copies=zeros,
            rician_sd=zeros,
            squeeze=zeros,
        )


def draw(preset: str | Preset, n: int, rng: np.random.Generator, *, mirror: bool) -> Parameters:
    """Draw the parameters of ``n`` samples; each transform is drawn independently of the others.

    ``mirror`` allows flips. The generator is advanced alike for every preset and either ``mirror``, so that two
    runs that differ only in these see the same patches. An unknown name is a ``RegistryError``.
    """
    chosen = find_preset(preset)
    flips = rng.random((n, 2)) < (chosen.mirror_probability if mirror else 0.0)
    drawn = Parameters(
        flip_y=flips[:, 0],
        flip_x=flips[:, 1],
        angle_rad=chosen.rotation_rad.draw(n, rng, neutral=0.0),
        scale=chosen.scale.draw(n, rng, neutral=1.0),
        noise_sd=chosen.noise_sd.draw(n, rng, neutral=0.0),
        noise_seed=rng.integers(0, _SEEDS, size=n, dtype=np.int64),
        blur_sigma_px=chosen.blur_sigma_px.draw(n, rng, neutral=0.0, columns=2),
        brightness=chosen.brightness.draw(n, rng, neutral=1.0),
        contrast=chosen.contrast.draw(n, rng, neutral=1.0),
        lowres_factor=chosen.lowres_factor.draw(n, rng, neutral=1.0),
        gamma_inverted=chosen.gamma_inverted.draw(n, rng, neutral=1.0),
        gamma=chosen.gamma.draw(n, rng, neutral=1.0),
        scanner_seed=rng.integers(0, _SEEDS, size=n, dtype=np.int64),
        slice_shift_px=chosen.slice_shift_px.draw(n, rng, neutral=0.0),
        brightness_shift=chosen.brightness_shift.draw(n, rng, neutral=0.0),
        tone_log_slopes=chosen.tone_bend.draw(n, rng, neutral=0.0)[:, None] * rng.standard_normal((n, TONE_SEGMENTS)),
        bias_strength=chosen.bias_strength.draw(n, rng, neutral=0.0),
        ghost_strength=chosen.ghost_strength.draw(n, rng, neutral=0.0),
        ghost_copies=_copies(chosen, n, rng),
        rician_sd=chosen.rician_sd.draw(n, rng, neutral=0.0),
        squeeze=np.zeros(n),
    )
    turned = rng.random(n) < chosen.orientation_probability
    quarters = np.where(turned, rng.integers(0, 4, size=n), 0)
    return replace(
        drawn,
        angle_rad=drawn.angle_rad + quarters * _QUARTER_TURN_RAD,
        ghost_copies=np.where(drawn.ghost_strength != 0, drawn.ghost_copies, 0.0),
        squeeze=chosen.squeeze.draw(n, rng, neutral=0.0),  # last, so that all else is drawn as before there was it
    )


def _copies(preset: Preset, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how many ghosts lie over a field of view, along y or (negative) along x."""
    fewest, most = preset.ghost_copies
    count = fewest + np.floor(rng.random(n) * (most - fewest + 1))
    return np.where(rng.random(n) < 0.5, count, -count)
