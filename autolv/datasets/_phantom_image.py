"""The phantom's picture: signal of each tissue, the chest around the heart, coil shading, blur and noise.

Signals are relative to blood. They follow the steady state of balanced SSFP with TR much shorter than T1 and T2:
S = rho sin(alpha) / (1 + cos(alpha) + (1 - cos(alpha)) T1 / T2), alpha = 50 degrees (Scheffler & Lehnhardt 2003).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autolv.core.errors import DataError

Image = NDArray[np.float32]
_FLIP_RAD = math.radians(50)
LUNG = 0.05
_BLUR_PIXELS = 0.5  # in-plane point spread


@dataclass(frozen=True, slots=True)
class Tissue:
    """T1 and T2 in ms and proton density relative to water."""

    t1_ms: float
    t2_ms: float
    density: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one kind of scanner shows the same heart; ranges are (low, high)."""

    gamma: tuple[float, float]
    gain: tuple[float, float]
    offset: tuple[float, float]
    inflow: tuple[float, float]  # SD of the blood's brightness, relative
    shading: tuple[float, float]  # coil shading from edge to edge, relative
    snr: tuple[float, float]  # of blood
    tesla: float = 1.5


_TISSUES_1_5T: Mapping[str, Tissue] = {
    "blood": Tissue(1550, 250, 0.95),
    "myocardium": Tissue(1000, 50, 0.80),
    "fat": Tissue(300, 85, 0.90),
    "muscle": Tissue(1000, 40, 0.75),
    "liver": Tissue(600, 45, 0.75),
}
_TISSUES_3T: Mapping[str, Tissue] = {
    **_TISSUES_1_5T,
    "blood": Tissue(1900, 250, 0.95),
    "myocardium": Tissue(1200, 45, 0.80),
}
PRESETS: Mapping[str, Preset] = {
    "default": Preset(gamma=(0.9, 1.1), gain=(180, 500), offset=(0, 8), inflow=(0.02, 0.06), shading=(0.2, 0.5),
                      snr=(15, 40)),
    "vendor_a": Preset(gamma=(0.97, 1.03), gain=(250, 330), offset=(0, 2), inflow=(0.02, 0.04), shading=(0.2, 0.3),
                       snr=(25, 40)),
    "vendor_b": Preset(gamma=(0.8, 0.88), gain=(700, 1100), offset=(10, 30), inflow=(0.05, 0.09), shading=(0.35, 0.5),
                       snr=(18, 28)),
    "vendor_c": Preset(gamma=(1.15, 1.25), gain=(90, 140), offset=(0, 2), inflow=(0.03, 0.06), shading=(0.25, 0.4),
                       snr=(15, 22)),
    "vendor_d": Preset(gamma=(0.95, 1.1), gain=(1500, 2200), offset=(0, 40), inflow=(0.04, 0.08), shading=(0.4, 0.5),
                       snr=(22, 35), tesla=3.0),
}  # fmt: skip


def preset_of(name: str) -> Preset:
    """Return the preset called ``name``; an unknown name is a ``DataError`` with the known ones."""
    if name not in PRESETS:
        raise DataError(f"there is no preset {name!r} of phantoms.", remedy=f"Use one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def signals(tesla: float = 1.5) -> dict[str, float]:
    """Return each tissue's signal relative to blood."""
    tissues = _TISSUES_1_5T if tesla < 2 else _TISSUES_3T

    def absolute(tissue: Tissue) -> float:
        cosine = math.cos(_FLIP_RAD)
        decay = 1 + cosine + (1 - cosine) * tissue.t1_ms / tissue.t2_ms
        return tissue.density * math.sin(_FLIP_RAD) / decay

    blood = absolute(tissues["blood"])
    return {name: absolute(tissue) / blood for name, tissue in tissues.items()}


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]) -> Image:
    """Return smooth noise of mean 0 and standard deviation 1; ``sigma`` in voxels."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6), dtype=np.float32)


def shading(rng: np.random.Generator, shape: tuple[int, int, int], strength: float) -> Image:
    """Return coil shading: the exponential of a second-order polynomial, ``strength`` from darkest to brightest."""
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, dtype=np.float32) for n in shape)
    zz, yy, xx = z[:, None, None], y[None, :, None], x[None, None, :]
    terms = (xx, yy, xx * yy, xx * xx, yy * yy, 0.3 * zz)
    weights = rng.uniform(-1, 1, len(terms))
    field = sum((np.float32(w) * term for w, term in zip(weights, terms, strict=True)), np.zeros(shape, np.float32))
    field = (field - field.mean()) / max(float(np.ptp(field)), 1e-6)
    return np.asarray(np.exp(field * np.float32(math.log1p(strength))), dtype=np.float32)


def chest(
    rng: np.random.Generator,
    x_mm: Image,
    y_mm: Image,
    depth: Image,
    signal: Mapping[str, float],
    rv_direction_rad: float,
) -> Image:
    """Return the chest without the heart, (z, y, x), relative to blood.

    ``x_mm`` and ``y_mm`` are distances from the LV's axis ((1, 1, x) and (1, y, 1)), ``depth`` runs from 0 in the first
    slice to 1 in the last ((z, 1, 1)). The heart rests on the diaphragm; chest wall towards the RV, lung beyond.
    """
    shape = (depth.shape[0], y_mm.shape[1], x_mm.shape[2])
    wobble = 7.0 * smooth_noise(rng, shape, (1.0, 14.0, 14.0))
    x, y = x_mm + wobble, y_mm + 0.8 * wobble[:, ::-1, ::-1]
    lung = LUNG * (1 + 0.25 * smooth_noise(rng, shape, (0.6, 1.5, 1.5)))
    vessels = smooth_noise(rng, shape, (0.5, 1.3, 1.3)) > 2.6
    image = np.where(vessels, np.float32(0.45), lung.astype(np.float32))
    image = _paint(image, _abdomen(rng, x, y, depth, shape, signal), y - _diaphragm(rng, x, depth))
    image = _paint(image, 0.6 * signal["fat"], _fat_around_heart(rng, x, y, depth, rv_direction_rad))
    ax, ay, radius = rng.uniform((14, 54, 10), (32, 66, 13))
    image = _paint(image, 0.95, radius - np.hypot(x_mm - ax, y_mm - ay))  # descending aorta
    sx, sy = rng.uniform((-30, 86), (0, 100))
    image = _paint(image, 0.55, 19 - np.hypot(x_mm - sx, y_mm - sy))  # vertebra
    image = _paint(image, 0.9, 5 - np.hypot(x_mm - sx - 2, y_mm - sy - 26))  # spinal canal
    return _paint_wall(rng, image, x, y, signal)


def finish(rng: np.random.Generator, frame: Image, *, snr: float, gamma: float, gain: float, offset: float) -> Image:
    """Return one frame, (z, y, x), as the scanner shows it: blurred, noisy (Rician), then gamma, gain and offset."""
    blurred = ndimage.gaussian_filter(frame, (0.0, _BLUR_PIXELS, _BLUR_PIXELS), truncate=3.0)
    if math.isfinite(snr):
        real, imaginary = rng.standard_normal((2, *frame.shape), dtype=np.float32) * np.float32(1 / snr)
        blurred = np.hypot(blurred + real, imaginary)
    shown = np.power(np.maximum(blurred, 0.0), gamma) if gamma != 1.0 else blurred
    return np.asarray(gain * shown + offset, dtype=np.float32)


def _paint(image: Image, value: float | Image, inside_mm: Image) -> Image:
    """Return ``image`` with ``value`` where ``inside_mm`` is positive; the edge is 1.5 mm soft."""
    share = np.clip(inside_mm / np.float32(1.5) + np.float32(0.5), 0, 1)
    return np.asarray(image + share * (value - image), dtype=np.float32)


def _diaphragm(rng: np.random.Generator, x: Image, depth: Image) -> Image:
    """Return how far below the LV's axis the diaphragm lies: a dome that rises towards the apex."""
    height, rise, bend, middle = rng.uniform((40, 10, 0.002, -30), (48, 20, 0.004, 0))
    return np.asarray(height - rise * depth + bend * (x - middle) ** 2, dtype=np.float32)


def _abdomen(
    rng: np.random.Generator,
    x: Image,
    y: Image,
    depth: Image,
    shape: tuple[int, int, int],
    signal: Mapping[str, float],
) -> Image:
    """Return what lies below the diaphragm: liver with vessels, stomach, spleen, fat between them."""
    texture = 1 + 0.10 * smooth_noise(rng, shape, (0.7, 3.0, 3.0))
    fat = np.asarray(0.75 * signal["fat"] * texture, dtype=np.float32)
    edge = rng.uniform(5, 30)
    image = _paint(fat, signal["liver"] * texture, edge - x - 0.25 * (y - 40))
    vessel = smooth_noise(rng, shape, (0.8, 2.2, 2.2)) > 2.1
    image = np.where(vessel & (x < edge - 5), np.float32(0.85), image)
    cx, cy, rx, ry = rng.uniform((38, 62, 22, 14), (60, 78, 34, 22))
    brightness = float(rng.uniform(0.25, 0.9))  # stomach: gas, food or fluid
    image = _paint(image, brightness * texture, ry * (1 - np.hypot((x - cx) / rx, (y - cy - 8 * depth) / ry)))
    cx, cy = rng.uniform((78, 84), (98, 104))
    return _paint(image, 0.4 * texture, 20 * (1 - np.hypot((x - cx) / 24, (y - cy) / 30)))


def _fat_around_heart(rng: np.random.Generator, x: Image, y: Image, depth: Image, rv_direction_rad: float) -> Image:
    """Return how deep a point lies in the fat pad about the heart, which leans towards the RV and narrows to the apex."""
    cosine, sine = math.cos(rv_direction_rad), math.sin(rv_direction_rad)
    along, across = x * cosine + y * sine, -x * sine + y * cosine
    shift, longer, wider = rng.uniform((26, 46, 27), (34, 58, 36))
    narrow = np.sqrt(np.clip(1.15 - depth**2, 0.05, 1.0))
    away = np.hypot((along - shift * narrow) / (longer * narrow), (across + 4) / (wider * narrow))
    return np.asarray(wider * narrow * (1 - away), dtype=np.float32)


def _paint_wall(rng: np.random.Generator, image: Image, x: Image, y: Image, signal: Mapping[str, float]) -> Image:
    """Return ``image`` within the chest wall: muscle and ribs, fat, skin, and air outside."""
    cx, cy, rx, ry = rng.uniform((18, 10, 112, 120), (36, 30, 135, 150))
    rho = np.hypot((x - cx) / rx, (y - cy) / ry)
    inside = min(rx, ry) * (1 - rho)
    muscle, fat = rng.uniform((7, 6), (12, 20))
    angle = np.arctan2(y - cy, x - cx)
    ribs = 0.5 + 0.5 * np.cos(22 * angle)
    image = _paint(image, (signal["muscle"] + 0.25 * ribs).astype(np.float32), -inside)
    image = _paint(image, signal["fat"], -inside - muscle)
    return _paint(image, 0.0, -inside - muscle - fat)
