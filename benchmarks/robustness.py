"""Dice of a trained fold on its validation patients under simulated shifts of scanner, orientation and field of view.

    python benchmarks/robustness.py -d ACDC -c 2d_unet -f 0 [--run NAME] [--root DIR] [--patients N] [-o OUT.json]

The shifts are made here, by numpy and scipy, and not by the training's own transforms, so that a network is not examined
by what it was taught with. Each shift acts on the whole image; where it moves voxels, the labels move with it (nearest
neighbour). Predicted as ``autolv_predict -c C -f F`` does: no mirroring, no ensemble, no post-processing. Beside each
mean Dice stands its difference to the image as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy import ndimage

from autolv.core.geometry import Geometry, Volume
from autolv.core.workspace import Workspace
from autolv.datasets.raw import load_dataset
from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.imageio.volumes import read_image, read_labels
from autolv.inference.predictor import predict_case
from autolv.networks import build_network
from autolv.parallel import Progress
from autolv.runtime.device import memory_format, prepare, resolve_device
from autolv.schema.record import read_record
from autolv.schema.results import RunRecord

Image = NDArray[np.float64]  # magnitudes, (z, y, x)
Labels = NDArray[np.uint8]
Spacing = tuple[float, float, float]
Shifted = tuple[Image, Labels, Spacing]
Shift = Callable[[Image, Labels, Spacing, np.random.Generator], Shifted]


def _intensity(change: Callable[[Image, np.random.Generator], Image]) -> Shift:
    """Return the shift that changes intensities in [0, 1] (of the 0.5th and 99.5th percentile) and moves nothing."""

    def shift(image: Image, labels: Labels, spacing: Spacing, rng: np.random.Generator) -> Shifted:
        low, high = np.percentile(image, (0.5, 99.5))
        unit = np.clip((image - low) / max(high - low, 1e-9), 0.0, None)
        return change(unit, rng) * (high - low) + low, labels, spacing

    return shift


def _bias(unit: Image, rng: np.random.Generator) -> Image:
    """Multiply by a quadratic surface between 0.4 and 1.6 with its optimum at a random corner of the field."""
    y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in unit.shape[1:]), indexing="ij")
    corner = rng.integers(0, 2, size=2)
    distance = np.hypot(y - corner[0], x - corner[1]) / np.sqrt(2)
    return unit * (1.6 - 1.2 * distance**2)


def _rician(unit: Image, rng: np.random.Generator) -> Image:
    """Noise of a twelfth of the range in both parts of the signal: an SNR of about 8 in the blood."""
    real, imaginary = rng.standard_normal((2, *unit.shape)) / 12
    return np.hypot(unit + real, imaginary)


def _turned(quarters: int, *, mirrored: bool = False) -> Shift:
    def shift(image: Image, labels: Labels, spacing: Spacing, _rng: np.random.Generator) -> Shifted:
        def move(array: NDArray[np.generic]) -> NDArray[np.generic]:
            return np.ascontiguousarray(np.rot90(array[..., ::-1] if mirrored else array, quarters, axes=(1, 2)))

        z, y, x = spacing
        return move(image), move(labels), (z, x, y) if quarters % 2 else spacing  # type: ignore[return-value]

    return shift


def _pixels(factor: float) -> Shift:
    """Return the shift to pixels ``factor`` times as large."""

    def shift(image: Image, labels: Labels, spacing: Spacing, _rng: np.random.Generator) -> Shifted:
        size = [max(8, round(n / factor)) for n in image.shape[1:]]
        zoom = (1.0, *(new / old for new, old in zip(size, image.shape[1:], strict=True)))
        finer = ndimage.gaussian_filter(image, (0, factor / 3, factor / 3)) if factor > 1 else image
        new = ndimage.zoom(finer, zoom, order=1, grid_mode=True, mode="nearest")
        z, y, x = spacing
        scaled = (z, y / zoom[1], x / zoom[2])
        return new, ndimage.zoom(labels, zoom, order=0, grid_mode=True, mode="nearest"), scaled

    return shift


def _field(factor: float) -> Shift:
    """Return the shift to a field of view ``factor`` times as wide, about the heart, padded with dark air."""

    def shift(image: Image, labels: Labels, spacing: Spacing, _rng: np.random.Generator) -> Shifted:
        inside = np.argwhere(labels.any(axis=0))
        centre = inside.mean(axis=0) if len(inside) else np.array(labels.shape[1:]) / 2
        size = [round(n * factor) for n in image.shape[1:]]
        corner = [round(float(c) - n / 2) for c, n in zip(centre, size, strict=True)]
        if factor > 1:
            corner = [-(new - old) // 2 for new, old in zip(size, image.shape[1:], strict=True)]
        air = float(np.percentile(image, 1))
        new, new_labels = np.full((len(image), *size), air), np.zeros((len(image), *size), dtype=np.uint8)
        source, target = [], []
        for begin, length, extent in zip(corner, size, image.shape[1:], strict=True):
            low, high = max(begin, 0), min(begin + length, extent)
            source.append(slice(low, high))
            target.append(slice(low - begin, high - begin))
        new[:, target[0], target[1]] = image[:, source[0], source[1]]
        new_labels[:, target[0], target[1]] = labels[:, source[0], source[1]]
        return new, new_labels, spacing

    return shift


def _slices(image: Image, labels: Labels, spacing: Spacing, rng: np.random.Generator) -> Shifted:
    """Displace each slice by up to 8 mm along y and x."""
    new, new_labels = np.empty_like(image), np.empty_like(labels)
    for z in range(len(image)):
        offset = rng.uniform(-8.0, 8.0, size=2) / spacing[1:]
        new[z] = ndimage.shift(image[z], offset, order=1, mode="nearest")
        new_labels[z] = ndimage.shift(labels[z], offset, order=0, mode="constant")
    return new, new_labels, spacing


def _as_it_is(image: Image, labels: Labels, spacing: Spacing, _rng: np.random.Generator) -> Shifted:
    return image, labels, spacing


SHIFTS: dict[str, Shift] = {
    "as it is": _as_it_is,
    "contrast x 0.5": _intensity(lambda unit, _: 0.5 * unit + 0.25),
    "contrast, saturated": _intensity(lambda unit, _: np.minimum(1.8 * unit, 1.0)),
    "gamma 0.5": _intensity(lambda unit, _: unit**0.5),
    "gamma 2": _intensity(lambda unit, _: unit**2),
    "bias field": _intensity(_bias),
    "Rician noise": _intensity(_rician),
    "blur 1.5 px": _intensity(lambda unit, _: ndimage.gaussian_filter(unit, (0, 1.5, 1.5))),
    "pixels x 0.7": _pixels(0.7),
    "pixels x 1.4": _pixels(1.4),
    "turned 90": _turned(1),
    "turned 180": _turned(2),
    "turned 270": _turned(3),
    "mirrored": _turned(0, mirrored=True),
    "mirrored, turned 90": _turned(1, mirrored=True),
    "field halved": _field(0.5),
    "field doubled": _field(2.0),
    "slices shifted": _slices,
}


def examine(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return ``{shift: {structure: mean Dice}}``, NaN where a structure is in neither map left out of the means."""
    workspace = Workspace.at(args.root)
    place = workspace.fold(args.dataset, args.run, args.configuration, args.fold)
    record = read_record(RunRecord, place / "run.json")
    folder = workspace.raw(args.dataset)
    dataset = load_dataset(folder)
    device = resolve_device(args.device)
    prepare(device)
    network = build_network(record.configuration.network)
    network.load_state_dict(load_file(place / "weights.safetensors"))
    layout = memory_format(record.configuration.network.dimensions, channels_last=record.measured.channels_last)
    network = network.to(device).to(memory_format=layout).eval()
    patients = record.validation_patients[: args.patients]
    cases = [case for case in dataset.training if case.patient in set(patients)]
    scores: dict[str, list[list[float]]] = {name: [] for name in SHIFTS}
    progress = Progress("examine", len(cases) * len(SHIFTS))
    for number, case in enumerate(cases):
        volume = read_image(folder / case.image)
        labels = dataset.schema_.to_internal(read_labels(folder / str(case.label)).array)
        for index, (name, shift) in enumerate(SHIFTS.items()):
            rng = np.random.default_rng([number, index])
            image, moved, spacing = shift(volume.array.astype(np.float64), labels, volume.spacing_mm, rng)
            shape = (image.shape[0], image.shape[1], image.shape[2])
            shifted = Volume(array=image.astype(np.float32), geometry=Geometry.from_spacing(spacing, shape))
            predicted, _ = predict_case(
                network, shifted, record.configuration,
                device=device, precision=record.measured.precision, channels_last=record.measured.channels_last,
            )  # fmt: skip
            histogram = joint_histogram(predicted, moved, len(record.structures) + 1)
            scores[name].append([overlap_of(histogram, c + 1).dice for c in range(len(record.structures))])
            progress.advance()
    return {
        name: dict(zip(record.structures, np.nanmean(np.array(rows), axis=0).tolist(), strict=True))
        for name, rows in scores.items()
    }


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description="Dice of a trained fold under simulated shifts.")
    parser.add_argument("-d", "--dataset", required=True)
    parser.add_argument("-c", "--configuration", required=True)
    parser.add_argument("-f", "--fold", type=int, default=0)
    parser.add_argument("--run", default="default")
    parser.add_argument("--root", default=".")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--patients", type=int, default=None, help="only so many of the validation patients")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    table = examine(args)
    structures = list(next(iter(table.values())))
    plain = float(np.mean(list(table["as it is"].values())))
    print(f"{'shift':22}" + "".join(f"{name:>15}" for name in structures) + f"{'mean':>8}{'change':>9}")
    for name, values in table.items():
        mean = float(np.mean(list(values.values())))
        print(f"{name:22}" + "".join(f"{v:15.3f}" for v in values.values()) + f"{mean:8.3f}{mean - plain:+9.3f}")
    others = [float(np.mean(list(values.values()))) for name, values in table.items() if name != "as it is"]
    print(f"mean over the shifts {np.mean(others):.3f}, worst {min(others):.3f}; as it is {plain:.3f}")
    if args.output:
        args.output.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
