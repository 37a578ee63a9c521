"""A short-axis cine phantom with analytic truth, and the converter that makes a dataset of them.

Published generators of cardiac phantoms are XCAT and MRXCAT (Wissmann 2014); this one needs numpy and scipy alone. Its
patients are written in ACDC's layout and go through ACDC's converter, so that they take the same way as real data.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autolv.core.errors import DataError
from autolv.core.geometry import Geometry
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY, STRUCTURES
from autolv.datasets import CONVERTERS, Converter, ConvertOptions
from autolv.datasets._phantom_heart import GROUPS, Heart, State, contraction, draw_heart, states
from autolv.datasets._phantom_image import Image, Preset, chest, finish, preset_of, shading, signals, smooth_noise
from autolv.datasets._phantom_render import Pose, Shares, draw_pattern, render, sample_points
from autolv.datasets._phantom_truth import body, truth_fields
from autolv.schema.dataset import ConversionReport
from autolv.schema.phantom import PhantomTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """What a phantom shall be; ``None`` means drawn at random, within the ranges of its group and preset.

    ``shape`` is (z, y, x); without it the stack is 160 x 160 pixels and long enough for the heart. ``spacing_mm`` is that of
    slice centres, ``thickness_mm`` the slice's own (the rest is gap). ``frames`` divide the cycle evenly; ``ed_frame``
    (0-based) is the first of systole. ``snr`` is that of blood (``math.inf``: no noise), ``rv_degrees`` the direction from
    LV to RV in the image, ``offset_mm`` moves the stack along its axis, ``mirrored`` stores it from apex to base.
    """

    group: str = "NOR"
    preset: str = "default"
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    thickness_mm: float | None = None
    frames: int = 25
    ed_frame: int = 0
    rr_ms: float | None = None
    edv_ml: float | None = None
    ef_percent: float | None = None
    wall_mm: float | None = None
    length_mm: float | None = None
    shortening: float | None = None
    ellipticity: float | None = None
    rv_degrees: float | None = None
    tilt_degrees: float | None = None
    offset_mm: float | None = None
    snr: float | None = None
    shift_mm: float = 1.5
    papillary: bool = True
    trabeculae: bool = True
    mirrored: bool = False
    structures: tuple[str, ...] = STRUCTURES


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """Everything drawn for one phantom but the frames' own noise."""

    heart: Heart
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    thickness_mm: float
    systole: float
    rr_ms: float
    pose: Pose
    snr: float
    gamma: float
    gain: float
    offset: float
    inflow: float
    shading: float
    body: tuple[float, float]
    base_seed: int


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
    _check(spec)
    rng = np.random.default_rng(seed) if isinstance(seed, int) else seed
    preset = preset_of(spec.preset)
    setting = _draw(rng, spec, preset)
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


class PhantomConverter:
    """A dataset of phantoms; the source is the folder that keeps the patients in ACDC's layout, or ``-``."""

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> ConversionReport:
        """Write ``options.patients`` phantoms (and ``options.test_patients`` of the test half) and convert them.

        A ``source`` other than ``-`` must be new or empty: the patients, with their cines and ``truth.json``, stay there.
        """
        from autolv.datasets._phantom_tree import write_acdc_tree

        def write(folder: Path, *, cines: bool) -> ConversionReport:
            write_acdc_tree(
                folder, patients=options.patients, test_patients=options.test_patients, seed=options.seed,
                preset=options.preset, frames=options.frames or 25, cines=cines, workers=options.workers,
            )  # fmt: skip
            return CONVERTERS.get("acdc").convert(folder, target, options)

        if str(source) != "-":
            if source.exists() and (not source.is_dir() or any(source.iterdir())):
                raise DataError(
                    f"{source} exists already and is not an empty folder.",
                    remedy="Phantoms are made, not read: name a new folder to keep them in, or '-'.",
                )
            report = write(source, cines=True)
        else:
            with tempfile.TemporaryDirectory(prefix="autolv-phantom-") as folder:
                report = write(Path(folder), cines=False)
        return report.model_copy(update={"kind": "phantom", "source": str(source)})


PHANTOM: Converter = CONVERTERS.register("phantom")(PhantomConverter())


def _check(spec: PhantomSpec) -> None:
    unknown = [name for name in spec.structures if name not in STRUCTURES]
    if unknown or LV_CAVITY not in spec.structures:
        raise DataError(
            f"a phantom cannot have the structures {', '.join(spec.structures)}.",
            remedy=f"Use {LV_CAVITY} and any of {LV_MYOCARDIUM}, {RV_CAVITY}.",
        )
    if spec.frames < 2 or not 0 <= spec.ed_frame < spec.frames:
        raise ValueError(
            f"a cycle needs two frames or more, and ed_frame among them; got {spec.frames}, {spec.ed_frame}"
        )


def _draw(rng: np.random.Generator, spec: PhantomSpec, preset: Preset) -> _Setting:
    """Draw everything in one fixed order, so that giving one value leaves the others as they are."""

    def take(value: float | None, low: float, high: float) -> float:
        drawn = float(rng.uniform(low, high))
        return drawn if value is None else float(value)

    given = {name: getattr(spec, name) for name in
             ("edv_ml", "ef_percent", "wall_mm", "length_mm", "shortening", "ellipticity")}  # fmt: skip
    heart = draw_heart(rng, spec.group, given)
    heart = _without(heart, spec)
    in_plane, between = take(None, 1.4, 1.7), float(rng.choice([8.0, 9.0, 10.0]))
    spacing = spec.spacing_mm or (between, in_plane, in_plane)
    thickness = take(spec.thickness_mm, min(6.0, spacing[0]), min(8.0, spacing[0]))
    slices = math.ceil((heart.length_mm + 12.0) / spacing[0]) + 2
    shape = spec.shape or (slices, 160, 160)
    systole = max(1, round(take(None, 0.34, 0.40) * spec.frames)) / spec.frames  # end-systole is a frame
    centre = rng.uniform(-15, 15, 2)
    middle = (shape[0] - 1) / 2 * spacing[0] + take(spec.offset_mm, -spacing[0] / 2, spacing[0] / 2)
    shifts = rng.normal(0, 1, (shape[0], 2)) * spec.shift_mm
    outliers = rng.random(shape[0]) < 0.04
    shifts += (outliers & (spec.shift_mm > 0))[:, None] * rng.uniform(-4, 4, (shape[0], 2))
    pose = Pose(
        centre_mm=(float(centre[0]), float(centre[1])),
        rv_direction_rad=math.radians(take(spec.rv_degrees, 125, 195)),
        tilt_rad=math.radians(take(spec.tilt_degrees, 0, 8)),
        tilt_towards_rad=take(None, 0, 2 * math.pi),
        apex_mm=middle + heart.length_mm / 2,
        shifts_mm=shifts,
    )
    return _Setting(
        heart=heart, shape=shape, spacing_mm=spacing, thickness_mm=thickness, systole=systole,
        rr_ms=take(spec.rr_ms, 600, 1200), pose=pose, snr=take(spec.snr, *preset.snr), gamma=take(None, *preset.gamma),
        gain=take(None, *preset.gain), offset=take(None, *preset.offset), inflow=take(None, *preset.inflow),
        shading=take(None, *preset.shading), body=body(rng, heart.edv_ml, GROUPS[spec.group].edv_index),
        base_seed=int(rng.integers(2**62)),
    )  # fmt: skip


def _without(heart: Heart, spec: PhantomSpec) -> Heart:
    return replace(
        heart,
        papillary_mm=heart.papillary_mm if spec.papillary else 0.0,
        rim_mm=heart.rim_mm if spec.trabeculae else 0.0,
    )


def _render(
    spec: PhantomSpec, preset: Preset, setting: _Setting, cycle: Sequence[State], frames: Sequence[int]
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


def _chest(rng: np.random.Generator, setting: _Setting, signal: dict[str, float]) -> Image:
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


def _truth(spec: PhantomSpec, setting: _Setting, cycle: Sequence[State]) -> PhantomTruth:
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
