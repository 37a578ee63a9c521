"""The drawn parameters of a batch: numbers that can be recorded, compared and set by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolv.augmentation._preset import Preset, find_preset

_SEEDS = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parameters:
    """One row per sample; units and senses as in ``Preset``. The neutral value of each leaves a sample as it is.

    Neutral: 0 for ``angle_rad``, ``noise_sd`` and ``blur_sigma_px``; False for ``flip_y`` and ``flip_x``; 1 for the
    other factors and exponents. All arrays are (n,), except ``blur_sigma_px``, (n, 2) for y and x.
    ``noise_seed`` (int64) starts the noise of its sample, which so does not depend on the rest of the batch.
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

    def __len__(self) -> int:
        return len(self.angle_rad)

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
        )


def draw(preset: str | Preset, n: int, rng: np.random.Generator, *, mirror: bool) -> Parameters:
    """Draw the parameters of ``n`` samples; each transform is drawn independently of the others.

    ``mirror`` allows flips. The generator is advanced alike for every preset and either ``mirror``, so that two
    runs that differ only in these see the same patches. An unknown name is a ``RegistryError``.
    """
    chosen = find_preset(preset)
    flips = rng.random((n, 2)) < (chosen.mirror_probability if mirror else 0.0)
    return Parameters(
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
    )
