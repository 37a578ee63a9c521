"""A trained model as a function: a frame or a cine in, labels out; no file is written and no process started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from autolv.core.errors import ModelError
from autolv.core.geometry import Geometry, Spacing, Volume
from autolv.imageio.frames import ImageFile
from autolv.inference.arrays import Prediction, laid_out_as, volume_of
from autolv.inference.ensemble import RunningMean, most_probable
from autolv.inference.members import MemberNetwork, mean_of_members
from autolv.inference.model_folder import load_network, read_model
from autolv.inference.quality import expecting
from autolv.ops.crop import crop
from autolv.ops.temperature import with_temperature
from autolv.parallel import naming
from autolv.postprocessing import apply_steps
from autolv.preprocessing.inverse import on_whole_grid
from autolv.runtime.device import memory_format, resolve_device, with_weights_in
from autolv.schema.plan import Configuration
from autolv.schema.preprocessed import Box
from autolv.schema.results import BestConfig, Member

_BOTH_IN_PLANE = (-2, -1)
Mirror = Literal["auto", "on", "off"]


def predict_case(
    network: torch.nn.Module,
    volume: Volume,
    configuration: Configuration,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    channels_last: bool = False,
    mirror_axes: tuple[int, ...] = (),
    locate: bool = True,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return labels, uint8 (z, y, x), and probabilities, float32 (classes, z, y, x), of a frame by one network.

    Both lie on the frame's own canonical grid, without post-processing. ``network`` is in evaluation mode, on
    ``device`` and in the layout that ``channels_last`` says. With ``locate`` it predicts about the heart where it finds
    it, over the whole field where that is not sure. Raises ``DataError`` for an image that is constant or not finite.
    """
    member = MemberNetwork.of(
        [network],
        configuration,
        device=device,
        precision=precision,
        channels_last=channels_last,
        mirror_axes=mirror_axes,
    )
    frame = _frame(volume.array, volume.geometry)
    mean = mean_of_members([member], frame, locate=locate, whole=True)
    probabilities = on_whole_grid(mean.array, mean.box, frame.geometry.shape)
    return most_probable(probabilities), probabilities


@final
class Predictor:
    """A chosen model, its networks loaded once; safe to use from several threads.

    The probabilities of a configuration are the mean over its folds (those of an imported nnU-Net are averaged as
    logits), those of the model the mean over its configurations, each brought back to the image's own grid first: a
    configuration weighs the same however many of its folds are there. Members share the preprocessed image and the place
    of the heart, which one of them looks for. Each frame is preprocessed, predicted and post-processed by itself, so
    frame k of a cine gets what it would get alone, and memory grows with the frames by the labels only (and the
    probabilities, if asked for). ``quality_reason`` says why the Dice to be expected is not told, where the model has
    learnt it.
    """

    def __init__(
        self,
        best: BestConfig,
        networks: Sequence[tuple[Member, torch.nn.Module]],
        *,
        device: torch.device,
        precision: str = "float32",
        channels_last: bool = False,
        mirror: Mirror | str = "auto",
        postprocess: bool = True,
        whole_field: bool = False,
    ) -> None:
        """Take ``networks`` in evaluation mode, on ``device`` and in the layout that ``channels_last`` says."""
        if not networks:
            raise ValueError("a predictor needs at least one network")
        self.best = best
        self.device = device
        self._locate = best.located and not whole_field
        self._steps = best.postprocessing if postprocess else ()
        folds: dict[str, list[torch.nn.Module]] = {}
        for member, network in networks:
            folds.setdefault(member.configuration, []).append(network)
        members = [member for name in folds for member, _ in networks if member.configuration == name]  # as they run
        as_scored = mirror != "on" and postprocess and self._locate == best.located
        told = expecting(best, members, as_scored=as_scored)
        self._expecting = None if isinstance(told, str) else told
        self.quality_reason = told if isinstance(told, str) else ""
        whole = set(folds) == set(best.configurations)
        self._temperature = best.quality.temperature if best.quality is not None and whole else 1.0
        self._tie_order = _tie_order(best)
        self._members = []
        for name, alike in folds.items():
            configuration = best.configurations[name]
            ready = [[network] for network in alike] if configuration.nnunet is None else [alike]
            self._members += [
                MemberNetwork.of(
                    networks,
                    configuration,
                    weight=1.0 / (len(ready) * len(folds)),
                    device=device,
                    precision=precision,
                    channels_last=channels_last,
                    mirror_axes=_mirror_axes(mirror, configuration),
                )
                for networks in ready
            ]

    @classmethod
    def load(
        cls,
        model_folder: Path | str,
        *,
        device: str = "cpu",
        precision: str | None = None,
        channels_last: bool = False,
        configurations: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
        mirror: Mirror | str = "auto",
        postprocess: bool = True,
        whole_field: bool = False,
    ) -> Predictor:
        """Return the predictor of a model folder, or of those members that ``configurations`` and ``folds`` name.

        ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``precision`` ``None`` is the one in which the
        model was scored. ``mirror="on"`` averages each network over in-plane mirrorings, which takes four passes for
        one; ``auto`` is ``off``, the way the model was scored, but for networks of nnU-Net's, which mirrors along all axes
        that it has mirrored in training. ``whole_field`` predicts all of each
        image, where the model would look for the heart first. Raises ``ModelError`` if the folder is not a whole model
        or has no such member, or if mirroring is asked of networks that were trained without it.
        """
        folder = Path(model_folder)
        best = read_model(folder)
        members = [
            member
            for member in best.members
            if (configurations is None or member.configuration in configurations)
            and (folds is None or member.fold in folds)
        ]
        if not members:
            there = ", ".join(f"{member.configuration} fold {member.fold}" for member in best.members)
            raise ModelError(f"{folder} has no such member.", remedy=f"It has: {there}.")
        where = resolve_device(device)
        rounded = best.precision if precision is None else precision
        networks = []
        for member in members:
            network = with_weights_in(load_network(folder, best, member).to(where), rounded)
            layout = memory_format(
                best.configurations[member.configuration].network.dimensions, channels_last=channels_last
            )
            networks.append((member, network.to(memory_format=layout)))  # type: ignore[call-overload]
        return cls(
            best,
            networks,
            device=where,
            precision=rounded,
            channels_last=channels_last,
            mirror=mirror,
            postprocess=postprocess,
            whole_field=whole_field,
        )

    @property
    def structures(self) -> tuple[str, ...]:
        """The structures that the labels 1, 2, ... stand for."""
        return self.best.structures

    def predict(
        self,
        image: Volume | NDArray[np.generic],
        spacing_mm: Spacing | None = None,
        *,
        affine: ArrayLike | None = None,
        probabilities: bool = False,
    ) -> Prediction:
        """Return the labels of a slice, a frame or a cine, shaped as it: a ``Volume``, or an array and its grid.

        With ``spacing_mm`` (z, y, x) the array is (z, y, x), (t, z, y, x) or (y, x); z is the slice axis, its spacing from
        slice centre to slice centre, and the axes run as ``core.geometry`` takes them from files: x towards the
        patient's right, y towards the front or head. With ``affine``, (4, 4) from voxel indices to world mm (RAS+), it is
        as files have it, (i, j, k), (i, j, k, t) or (i, j), and gets what the same file would get. Nothing given is
        changed. Raises ``ValueError`` with the layout expected for other shapes and for neither grid or both,
        ``DataError`` for a frame that is constant or not finite.
        """
        if isinstance(image, Volume):
            if spacing_mm is not None or affine is not None:
                raise ValueError("a Volume has its own grid: leave out spacing_mm and affine")
            frames = image.array if image.is_cine else image.array[None]
            return self._each(frames, len(frames), image.geometry, cine=image.is_cine, probabilities=probabilities)
        array = np.asarray(image)
        volume = volume_of(array, spacing_mm, affine)
        found = self.predict(volume, probabilities=probabilities)
        return laid_out_as(array, found, None if affine is None else volume.geometry)

    def predict_file(self, path: Path | str, *, probabilities: bool = False) -> Prediction:
        """Return the labels of an image file on its canonical grid (``write_labels`` takes them to the file's).

        A NIfTI cine is read frame by frame.
        """
        file = ImageFile(Path(path))
        return self._each(file.each(), file.frames, file.geometry, cine=file.is_cine, probabilities=probabilities)

    def _each(
        self, frames: Iterable[NDArray[np.generic]], count: int, geometry: Geometry, *, cine: bool, probabilities: bool
    ) -> Prediction:
        """Return the labels of ``count`` frames (z, y, x), one of which is in use at a time."""
        labels = np.zeros((count, *geometry.shape), dtype=np.uint8)
        kept: list[NDArray[np.float16]] = []
        expected: list[dict[str, float]] = []
        changed = np.zeros(len(self._steps), dtype=np.int64)
        for number, frame in enumerate(frames):
            with naming(f"frame {number + 1} of {count}") if cine else nullcontext():
                mean, told = self._mean(_frame(frame, geometry), whole=probabilities)
            crop(labels[number], mean.box)[...] = most_probable(mean.array, self._tie_order)
            labels[number], counts = apply_steps(labels[number], self._steps, self.best.structures, geometry.spacing_mm)
            changed += np.array(counts, dtype=np.int64)
            if probabilities:
                calibrated = with_temperature(mean.array, self._temperature)
                kept.append(on_whole_grid(calibrated.astype(np.float16), mean.box, frame.shape))
            expected.extend(told)
        stacked = None if not probabilities else np.stack(kept) if cine else kept[0]
        return Prediction(
            labels=labels if cine else labels[0],
            probabilities=stacked,
            changed_voxels=tuple(int(n) for n in changed),
            expected_dice=None if self._expecting is None else tuple(expected),
        )

    def _mean(self, frame: Volume, *, whole: bool) -> tuple[RunningMean, list[dict[str, float]]]:
        """Return the members' mean of a frame and, in a list of one, the Dice to be expected; none where that is not told."""
        ask = self._expecting
        if ask is None:
            return mean_of_members(self._members, frame, locate=self._locate, whole=whole), []
        parts: list[tuple[NDArray[np.float32], Box]] = []

        def seen(number: int, part: tuple[NDArray[np.float32], Box]) -> None:
            if number in ask.members:
                parts.append((part[0].copy(), part[1]))

        mean = mean_of_members(self._members, frame, locate=self._locate, whole=True, seen=seen)
        return mean, [ask.of_frame(parts, frame.geometry.shape, frame.spacing_mm)]


def _tie_order(best: BestConfig) -> tuple[int, ...]:
    """Return the classes, those first that win a tie: our order, for nnU-Net's networks that of the codes in their files."""
    classes = range(1, len(best.structures) + 1)
    if all(one.nnunet is None for one in best.configurations.values()):
        return (0, *classes)
    return (0, *sorted(classes, key=lambda number: best.labels[best.structures[number - 1]]))


def _frame(array: NDArray[np.generic], geometry: Geometry) -> Volume:
    """Return one frame as float32, always laid out alike in memory, so that the same frame gives the same bits."""
    if array.ndim != 3:
        raise ValueError(f"expected one frame (z, y, x), got shape {array.shape}")
    return Volume(array=np.ascontiguousarray(array, dtype=np.float32), geometry=geometry)


def _mirror_axes(mirror: str, configuration: Configuration) -> tuple[int, ...]:
    if mirror not in ("auto", "on", "off"):
        raise ValueError(f"mirror must be 'auto', 'on' or 'off', got {mirror!r}")
    nnunet = configuration.nnunet
    if mirror == "off" or (mirror == "auto" and nnunet is None):
        return ()
    if mirror == "on" and not configuration.training.mirror:
        raise ModelError(
            f"{configuration.name} was trained without mirroring and cannot be mirrored in prediction.",
            remedy="Use --mirror off.",
        )
    return _BOTH_IN_PLANE if nnunet is None else nnunet.mirror_axes
