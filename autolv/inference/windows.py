"""Logits of an image from a network that sees one patch at a time: overlapping windows, or one about the heart.

Windows overlap by half and are weighted by a Gaussian with a standard deviation of an eighth of the window (Isensee
2021); the weighted sum is divided by the true sum of weights, so a network that says the same everywhere gives
that, to the border of the image and up to rounding. It is logits that are averaged, as they are of one network: over
windows, and over mirrored passes where asked for.

nnU-Net 2.8.1 weighs and sums windows in half precision, on the CPU too. That rounds logits to about three digits, near the
corners of the field to whole numbers, and at borders of structures it decides labels; its networks are summed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise, product
from typing import final

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from numpy.typing import NDArray

from autolv.core.errors import ModelError
from autolv.inference.locate import (
    Found,
    apart_from_heart,
    box_of,
    coarse_slices,
    find_heart,
    fits,
    reaches_border,
    window_about,
)
from autolv.ops.crop import whole_box
from autolv.ops.tiling import gaussian_window, nnunet_window, window_starts
from autolv.preprocessing.inverse import CERTAIN
from autolv.runtime.device import autocast, memory_format
from autolv.schema.plan import Network
from autolv.schema.preprocessed import Box

_PAD_VALUE = 0.0  # the image's mean after normalisation; training fills the outside of the image with the same
_OVERLAP = 0.5  # the distance between windows, as a fraction of the window
_TRIES = 2  # windows about the heart, the second about what the first has labelled
_CPU_BATCH = 8  # windows of slices per pass on a CPU: more are no faster per window (docs/benchmarks.md)
_DEVICE_BATCH = {2: 64, 3: 4}  # windows per pass on an accelerator, for 2D and 3D networks

Region = tuple[slice, slice, slice]
Starts = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Logits:
    """Logits of a part of a preprocessed image: ``array``, float32 (classes, z, y, x), is what lies in ``box``.

    Outside the box the background is certain.
    """

    array: NDArray[np.float32]
    box: Box


@final
class SlidingWindows:
    """A network with the way in which it is run over windows of preprocessed images, (z, y, x), one image at a time.

    ``network`` is in evaluation mode, on ``device`` and in the layout that ``channels_last`` says. A network that takes
    neighbouring slices as channels gets the mean of the image for those that are not there. ``mirror_axes`` are of -2 (y)
    and -1 (x), for 3D networks of -3 (z) too: the logits are averaged over all combinations of them. An image smaller than
    the patch is padded with its mean on both sides, and cut back. ``in_half`` sums a whole field as nnU-Net does.

    ``batch_size`` is the largest number of windows in one pass; ``None`` means, on the CPU, those of one or more whole slices
    (2D) or one window (3D); elsewhere a fixed number. Nothing is changed by a call: threads may share it.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        plan: Network,
        *,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        channels_last: bool = False,
        mirror_axes: tuple[int, ...] = (),
        batch_size: int | None = None,
        in_half: bool = False,
    ) -> None:
        """Raise ``ValueError`` for a network in training mode, for other axes, or for a batch of none."""
        if network.training:
            raise ValueError("the network is in training mode; call network.eval() first")
        if not set(mirror_axes) <= set(range(-plan.dimensions, 0)) or len(set(mirror_axes)) != len(mirror_axes):
            raise ValueError(f"mirror_axes must be of -2 (y) and -1 (x), in 3D also -3 (z), got {mirror_axes}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._network = network
        self._plan = plan
        self._device = torch.device(device)
        self._precision = precision
        self._layout = memory_format(plan.dimensions, channels_last=channels_last)
        self._flips = [axes for count in range(len(mirror_axes) + 1) for axes in combinations(mirror_axes, count)]
        self._batch_size = batch_size
        self._in_half = in_half

    @torch.inference_mode()
    def whole_field(self, image: NDArray[np.float32]) -> Logits:
        """Return the logits of all of ``image``, by windows that overlap by half.

        Raises ``ModelError`` where they are too large to be summed in half precision, if they are to be.
        """
        stack, inside = self._padded(image)
        logits = self._blend(stack, self._regions(stack, self._starts(stack, _OVERLAP)))
        return Logits(
            array=np.ascontiguousarray(logits[(slice(None), *inside)].cpu().numpy()), box=whole_box(image.shape)
        )

    def fits_one_window(self, shape: Sequence[int]) -> bool:
        """Return whether an image of ``shape`` (z, y, x) is no larger in-plane than one window."""
        return all(size <= side for size, side in zip(shape[-2:], self._plan.patch[-2:], strict=True))

    @torch.inference_mode()
    def find_heart(self, image: NDArray[np.float32]) -> Found | None:
        """Return where the heart lies in ``image``, found by windows that hardly overlap; ``None`` where it is not sure.

        A 2D network looks at a few slices of the middle, a 3D network at all.
        """
        stack, (_, rows, columns) = self._padded(image)
        if self._plan.dimensions == 2:
            stack = stack[list(coarse_slices(len(stack)))]
        logits = self._blend(stack, self._regions(stack, self._starts(stack, 1.0)))
        found = find_heart(_labels(logits), self._plan.patch[-2:])
        return None if found is None else found.moved(-rows.start, -columns.start)

    @torch.inference_mode()
    def about_heart(self, image: NDArray[np.float32], found: Found) -> Logits | None:
        """Return the logits of one window per slice (2D networks) or of the stack, about the heart.

        There is one heart: what is labelled apart from it is background. Where labels reach a side of the window beyond
        which the image goes on, a window about these labels is tried once. ``None`` where that does not help, or where the
        heart does not fit the window: there the whole field is to be predicted.
        """
        stack, inside = self._padded(image)
        found = found.moved(inside[1].start, inside[2].start)
        for _ in range(_TRIES):
            if not fits(found, self._plan.patch[-2:]):
                return None
            start, logits, labels = self._window(stack, found)
            if not reaches_border(labels, start, stack.shape[-2:]):
                return self._inside(logits, start, inside, image.shape)
            moved = box_of(labels).moved(*start)
            if window_about(moved, stack.shape[-2:], self._plan.patch[-2:]) == start:
                return None
            found = moved
        return None

    def _window(self, stack: torch.Tensor, found: Found) -> tuple[tuple[int, int], torch.Tensor, NDArray[np.uint8]]:
        """Return where the window about the heart starts in ``stack`` (y, x), its logits and its labels, of one heart."""
        window = self._plan.patch[-2:]
        y, x = window_about(found, stack.shape[-2:], window)
        part = stack[..., y : y + window[0], x : x + window[1]]
        logits = self._blend(part, self._regions(part, ((0,), (0,))))
        labels = _labels(logits)
        stray = apart_from_heart(labels)
        if stray.any():
            where = torch.from_numpy(stray).to(logits.device)
            logits[0, where], logits[1:, where] = CERTAIN, 0.0
            labels[stray] = 0
        return (y, x), logits, labels

    def _inside(self, logits: torch.Tensor, start: tuple[int, int], inside: Region, shape: Sequence[int]) -> Logits:
        """Return what of a window that starts at ``start`` (y, x) of the padded image lies ``inside`` the image."""
        (y, x), (depth, rows, columns) = start, inside
        height, width = self._plan.patch[-2:]
        top, left = max(y, rows.start), max(x, columns.start)
        bottom, right = min(y + height, rows.stop), min(x + width, columns.stop)
        kept = logits[:, depth, top - y : bottom - y, left - x : right - x]
        return Logits(
            array=np.ascontiguousarray(kept.cpu().numpy()),
            box=(
                (0, shape[0]),
                (top - rows.start, bottom - rows.start),
                (left - columns.start, right - columns.start),
            ),
        )

    def _padded(self, image: NDArray[np.float32]) -> tuple[torch.Tensor, Region]:
        """Return the image, at least as large as the patch, and where in it ``image`` lies.

        For 2D networks it is (z, channels, y, x): each slice with its neighbours, a view; for 3D ones (1, z, y, x).
        """
        if image.ndim != 3 or 0 in image.shape:
            raise ValueError(f"image must be (z, y, x) and not empty, got shape {image.shape}")
        padded, (depth, rows, columns) = pad_nd_image(
            torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)).to(self._device),
            (1, *self._plan.patch)[-3:],
            kwargs={"value": _PAD_VALUE},
            return_slicer=True,
        )
        if self._plan.dimensions == 3:
            return padded[None], (depth, rows, columns)
        beside = self._plan.neighbours
        seen = torch.nn.functional.pad(padded, (0, 0, 0, 0, beside, beside), value=_PAD_VALUE)
        return seen.unfold(0, 1 + 2 * beside, 1).movedim(-1, 1), (depth, rows, columns)

    def _starts(self, stack: torch.Tensor, step: float) -> Starts:
        rows, columns = (
            window_starts(size, side, step) for size, side in zip(stack.shape[-2:], self._plan.patch[-2:], strict=True)
        )
        return rows, columns

    def _regions(self, stack: torch.Tensor, in_plane: Starts) -> list[list[Region]]:
        """Return the windows that begin at ``in_plane`` (y, x): one list per slice for 2D, one in all for 3D."""
        height, width = self._plan.patch[-2:]

        def plane(z: slice) -> list[Region]:
            return [(z, slice(y, y + height), slice(x, x + width)) for y, x in product(*in_plane)]

        if self._plan.dimensions == 2:
            return [plane(slice(z, z + 1)) for z in range(len(stack))]
        deep = self._plan.patch[0]
        return [[r for z in window_starts(stack.shape[1], deep, _OVERLAP) for r in plane(slice(z, z + deep))]]

    def _blend(self, stack: torch.Tensor, planes: list[list[Region]]) -> torch.Tensor:
        """Return the weighted mean of the windows' logits, float32 (classes, z, y, x)."""
        shape = (stack.shape[0] if self._plan.dimensions == 2 else stack.shape[1], *stack.shape[-2:])
        kept = torch.half if self._in_half else torch.float32
        total = stack.new_zeros((self._plan.classes, *shape), dtype=kept)
        if len(planes[0]) == 1 and not self._in_half:  # one window covers the plane (or the stack): nothing to weigh
            for batch in self._batches(planes):
                for region, logits in zip(batch, self._forward(self._gather(stack, batch)), strict=True):
                    total[(slice(None), *region)] = logits
            return total
        window = (nnunet_window if self._in_half else gaussian_window)(self._plan.patch)
        weight = torch.tensor(window).to(stack).reshape((1, *self._plan.patch)[-3:])  # (z, y, x), float32
        weights = stack.new_zeros(shape, dtype=kept)
        for batch in self._batches(planes):
            for region, logits in zip(batch, self._forward(self._gather(stack, batch)), strict=True):
                total[(slice(None), *region)] += logits * weight  # rounded to half, if kept so, after each sum
                weights[region] += weight
        total.div_(weights)
        if self._in_half and bool(total.isinf().any()):
            raise ModelError(
                "the network's logits are too large for nnU-Net's half precision.",
                remedy="nnU-Net itself cannot predict with this network either: train it anew.",
            )
        return total.float()

    def _batches(self, planes: list[list[Region]]) -> Iterator[list[Region]]:
        dimensions, each = self._plan.dimensions, len(planes[0])
        if self._device.type == "cpu":
            size = self._batch_size or (max(each, _CPU_BATCH) if dimensions == 2 else 1)
            together = max(1, size // each)  # slices, as many in each pass as can be
            passes = -(-len(planes) // together)
            edges = [len(planes) * number // passes for number in range(passes + 1)]
            groups = [list(chain.from_iterable(planes[a:b])) for a, b in pairwise(edges)]
        else:
            size = self._batch_size or _DEVICE_BATCH[dimensions]
            groups = [list(chain.from_iterable(planes))]
        for group in groups:
            for start in range(0, len(group), size):
                yield group[start : start + size]

    def _gather(self, stack: torch.Tensor, regions: Sequence[Region]) -> torch.Tensor:
        """Return windows as the network takes them: (n, channels, y, x), or (n, 1, z, y, x)."""
        if self._plan.dimensions == 2:
            return torch.stack([stack[z.start, :, y, x] for z, y, x in regions])
        return torch.stack([stack[:, z, y, x] for z, y, x in regions])

    def _forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the windows' logits (n, classes, z, y, x), float32, one slice thick for 2D networks."""
        total = self._once(windows)
        for axes in self._flips[1:]:  # the first is no flip at all
            total = total + self._once(windows.flip(axes)).flip(axes)
        logits = total / len(self._flips) if len(self._flips) > 1 else total
        return logits[:, :, None] if self._plan.dimensions == 2 else logits

    def _once(self, windows: torch.Tensor) -> torch.Tensor:
        with autocast(self._device, self._precision):
            logits: torch.Tensor = self._network(windows.contiguous(memory_format=self._layout))[0]
        return logits.float()


def _labels(logits: torch.Tensor) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = logits.argmax(0).to(torch.uint8).cpu().numpy()
    return labels
