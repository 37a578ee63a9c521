"""A phantom made: its frames rendered, its truth written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY, STRUCTURES
from autolv.datasets._phantom_heart import State, contraction, states
from autolv.datasets._phantom_image import Image, Preset, chest, finish, preset_of, shading, signals, smooth_noise
from autolv.datasets._phantom_render import Shares, draw_pattern, render, sample_points
from autolv.datasets._phantom_setting import PhantomSpec, Setting, check_spec, draw_setting
from autolv.datasets._phantom_truth import truth_fields
from autolv.schema.phantom import PhantomTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A rendered phantom: the frames ``frames`` (0-based) of its cycle.

    ``image`` is (t, z, y, x) float32, ``labels`` the same shape with 0 and 1 + the position in ``truth.structures``,
    ``papillary`` marks the papillary muscles, which the labels count as cavity.
    """

    image: Image
    labels: NDArray[np.uint8]
    papillary: NDArray[np.bool_]
    geometry: Geometry
    frames: tuple[int, ...]
    truth: PhantomTruth

    @property
    def frame_time_ms(self) -> float:
        """The time between two frames of the cycle."""
        return self.truth.rr_ms / self.truth.frames


def make_phantom(
    seed: int | np.random.Generator,
    spec: PhantomSpec | None = None,
    *,
    frames: Sequence[int] | Literal["ends"] | None = None,
) -> Phantom:
    """Return the phantom that ``spec`` describes; the same ``seed`` gives the same one.

    ``frames`` (0-based; ``"ends"``: ED and ES) renders these only: each equals the frame of the whole cine. Raises
    ``DataError`` for a group, preset or structure that does not exist.
    """
    spec = PhantomSpec() if spec is None else spec
    check_spec(spec)
    rng = np.random.default_rng(seed)  # a generator stays itself
    preset = preset_of(spec.preset)
    setting = draw_setting(rng, spec, preset)
    times = ((np.arange(spec.frames) - spec.ed_frame) % spec.frames) / spec.frames
    cycle = states(setting.heart, contraction(times, setting.systole))
    truth = _truth(spec, setting, cycle)
    ends = (truth.ed_frame - 1, truth.es_frame - 1)
    wanted = tuple(range(spec.frames)) if frames is None else ends if frames == "ends" else tuple(frames)
    image, labels, papillary = _render(spec, preset, setting, cycle, wanted)
    if spec.mirrored:
        image, labels, papillary = image[:, ::-1].copy(), labels[:, ::-1].copy(), papillary[:, ::-1].copy()
    return Phantom(
        image=image, labels=labels, papillary=papillary, frames=wanted, truth=truth,
        geometry=Geometry.from_spacing(setting.spacing_mm, setting.shape),
    )  # fmt: skip


def _render(
    spec: PhantomSpec, preset: Preset, setting: Setting, cycle: Sequence[State], frames: Sequence[int]
) -> tuple[Image, NDArray[np.uint8], NDArray[np.bool_]]:
    """Return image, labels and papillary muscles of the frames asked for."""
    rng = np.random.default_rng([setting.base_seed, 0])
    first = max(cycle, key=lambda state: -state.contraction)
    points = sample_points(setting.heart, first, setting.pose, setting.shape, setting.spacing_mm, setting.thickness_mm)
    pattern = draw_pattern(rng)
    signal = {name: value * float(rng.uniform(0.85, 1.15)) if name != "blood" else value
              for name, value in signals(preset.tesla).items()}  # fmt: skip
    still = _chest(rng, setting, signal)
    light = shading(rng, setting.shape, setting.shading)
    light *= 1 + np.float32(rng.uniform(0.04, 0.08) / 2) * smooth_noise(rng, setting.shape, (0.4, 0.8, 0.8))
    window = (slice(None), points.rows, points.columns)
    blood = 1 + np.float32(setting.inflow) * smooth_noise(rng, still[window].shape, (0.7, 4.0, 4.0))
    ties = rng.random((4, blood.shape[0], 1, 1), dtype=np.float32)
    size = (len(frames), *setting.shape)
    image, labels, papillary = np.zeros(size, np.float32), np.zeros(size, np.uint8), np.zeros(size, np.bool_)
    for index, frame in enumerate(frames):
        shares = render(setting.heart, cycle[frame], points, pattern)
        picture = still.copy()
        picture[window] = _compose(shares, still[window], blood, signal)
        noise = np.random.default_rng([setting.base_seed, 1, frame])
        image[index] = finish(noise, picture * light, snr=setting.snr, gamma=setting.gamma, gain=setting.gain,
                              offset=setting.offset)  # fmt: skip
        labels[index][window] = _majority(shares, ties, spec.structures)
        papillary[index][window] = shares.papillary > 0.5
    return image, labels, papillary


def _chest(rng: np.random.Generator, setting: Setting, signal: dict[str, float]) -> Image:
    nz, ny, nx = setting.shape
    x = (np.arange(nx) - (nx - 1) / 2) * setting.spacing_mm[2] - setting.pose.centre_mm[0]
    y = (np.arange(ny) - (ny - 1) / 2) * setting.spacing_mm[1] - setting.pose.centre_mm[1]
    depth = np.linspace(0, 1, nz, dtype=np.float32)[:, None, None]
    x_mm, y_mm = x.astype(np.float32)[None, None, :], y.astype(np.float32)[None, :, None]
    return chest(rng, x_mm, y_mm, depth, signal, setting.pose.rv_direction_rad)


def _compose(shares: Shares, still: Image, blood: Image, signal: dict[str, float]) -> Image:
    """Return the window's signal: each tissue by its share, the chest for the rest."""
    rest = 1 - shares.blood - shares.muscle - shares.groove
    image: Image = (
        shares.blood * blood * np.float32(signal["blood"])
        + shares.muscle * np.float32(signal["myocardium"])
        + shares.groove * np.float32(0.6 * signal["fat"])
        + rest * still
    )
    return image


def _majority(shares: Shares, ties: Image, structures: Sequence[str]) -> NDArray[np.uint8]:
    """Return the label that fills most of each voxel; ``ties`` decides between equals by chance, alike in a whole slice."""
    parts = {LV_CAVITY: shares.cavity, LV_MYOCARDIUM: shares.wall, RV_CAVITY: shares.rv}
    rest = 1 - shares.cavity - shares.wall - shares.rv
    votes = np.stack([rest, *(parts[name] for name in STRUCTURES)]) + ties * np.float32(1 / 32)
    winner = votes.argmax(axis=0)
    kept = [name for name in STRUCTURES if name in structures]
    table = np.array([0, *(kept.index(name) + 1 if name in kept else 0 for name in STRUCTURES)], dtype=np.uint8)
    return np.asarray(table[winner], dtype=np.uint8)


def _truth(spec: PhantomSpec, setting: Setting, cycle: Sequence[State]) -> PhantomTruth:
    ends = states(setting.heart, np.array([0.0, 1.0]))
    fields: dict[str, Any] = truth_fields(
        setting.heart, cycle, (ends[0], ends[1]), setting.pose, systole=setting.systole, rr_ms=setting.rr_ms
    )
    if spec.mirrored:
        last = (setting.shape[0] - 1) * setting.spacing_mm[0]
        fields["base_plane_mm"] = tuple(last - z for z in fields["base_plane_mm"])
        fields["apex_mm"] = last - fields["apex_mm"]
        fields["slice_shifts_mm"] = fields["slice_shifts_mm"][::-1]
    return PhantomTruth(
        group=spec.group, preset=spec.preset, frames=spec.frames, ed_frame=spec.ed_frame + 1,
        es_frame=(spec.ed_frame + round(setting.systole * spec.frames)) % spec.frames + 1, mirrored=spec.mirrored,
        thickness_mm=setting.thickness_mm, spacing_mm=setting.spacing_mm, shape=setting.shape,
        blood_snr=setting.snr if math.isfinite(setting.snr) else None, height_cm=setting.body[0],
        weight_kg=setting.body[1], structures=tuple(n for n in STRUCTURES if n in spec.structures), **fields,
    )  # fmt: skip
