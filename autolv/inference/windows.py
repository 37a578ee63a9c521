"""Logits of a whole image from a network that sees one patch at a time: overlapping windows under Gaussian weights.

Windows overlap by half and are weighted by a Gaussian with a standard deviation of an eighth of the window (Isensee
2021); the weighted sum is divided by the true sum of weights, so a network that says the same everywhere gives
that, to the border of the image and up to rounding. It is logits that are averaged, as they are of one network: over
windows, and over mirrored passes where asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations, product

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from numpy.typing import NDArray

from autolv.inference.locate import coarse_slices, find_heart, reaches_border, window_about
from autolv.ops.tiling import gaussian_window, window_starts
from autolv.runtime.device import autocast, memory_format
from autolv.schema.plan import Network

_PAD_VALUE = 0.0  # the image's mean after normalisation; training fills the outside of the image with the same
_SURE = 20.0  # the logit of background where no window lies
_DEVICE_BATCH = {2: 64, 3: 4}  # windows per pass on an accelerator, for 2D and 3D networks

Region = tuple[slice, slice, slice]
Forward = Callable[[torch.Tensor], torch.Tensor]


def predict_logits(
    network: torch.nn.Module,
    image: NDArray[np.float32],
    plan: Network,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    channels_last: bool = False,
    batch_size: int | None = None,
    mirror_axes: tuple[int, ...] = (),
    step: float = 0.5,
    locate: bool = False,
) -> NDArray[np.float32]:
    """Return the logits, float32 (classes, z, y, x), of a preprocessed ``image``, (z, y, x).

    ``network`` is in evaluation mode and on ``device``. ``step`` is the distance between windows as a fraction of the
    patch. A network that takes neighbouring slices as channels gets the mean of the image for those that are not there.
    ``mirror_axes`` are of -2 (y) and -1 (x): the logits are averaged over all combinations of them. An image
    smaller than the patch is padded with its mean on both sides, and cut back.

    With ``locate`` the heart is looked for in a few slices first, and each slice (2D networks) or stack is predicted by
    one window about it; what lies outside is background. Where the place is not sure, or what is found reaches the
    border of the window, the whole field is predicted.

    ``batch_size`` is the largest number of windows in one pass. On the CPU a pass never holds windows of two slices
    (2D networks), so a slice's logits do not depend on the others. ``None`` means, on the CPU, all windows of a slice
    (2D) or one window (3D); elsewhere a fixed number. Windows of different images are never put together.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"image must be (z, y, x) and not empty, got shape {image.shape}")
    if network.training:
        raise ValueError("the network is in training mode; call network.eval() first")
    if not set(mirror_axes) <= {-2, -1} or len(set(mirror_axes)) != len(mirror_axes):
        raise ValueError(f"mirror_axes must be of -2 (y) and -1 (x), got {mirror_axes}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    where = torch.device(device)
    with torch.inference_mode():
        padded, inside = pad_nd_image(
            torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)).to(where),
            (1, *plan.patch)[-3:],
            kwargs={"value": _PAD_VALUE},
            return_slicer=True,
        )  # at least the patch, and where the image lies in it
        forward = _forward(network, plan.dimensions, where, precision, channels_last=channels_last, mirrors=mirror_axes)
        seen = torch.nn.functional.pad(padded, (0, 0, 0, 0, plan.neighbours, plan.neighbours), value=_PAD_VALUE)

        def logits_of(planes: list[list[Region]]) -> torch.Tensor:
            batches = _batches(planes, plan.dimensions, where, batch_size)
            return _blend(forward, padded.shape, seen, planes, plan, batches)

        in_plane = tuple(window_starts(n, w, step) for n, w in zip(padded.shape[1:], plan.patch[-2:], strict=True))
        logits = _about_heart(logits_of, padded.shape, plan, step) if locate and _many(in_plane) else None
        if logits is None:
            logits = logits_of(_regions(padded.shape, plan.patch, step, in_plane))
        return np.ascontiguousarray(logits[(slice(None), *inside)].cpu().numpy())


def _many(in_plane: tuple[tuple[int, ...], ...]) -> bool:
    return any(len(starts) > 1 for starts in in_plane)


def _about_heart(
    logits_of: Callable[[list[list[Region]]], torch.Tensor], shape: Sequence[int], plan: Network, step: float
) -> torch.Tensor | None:
    """Return the logits of one window about the heart, background outside; ``None`` where the heart is not sure."""
    window = plan.patch[-2:]
    apart = tuple(window_starts(n, w, 1.0) for n, w in zip(shape[1:], window, strict=True))
    slices = coarse_slices(shape[0]) if plan.dimensions == 2 else range(shape[0])
    coarse = logits_of(_regions(shape, plan.patch, step, apart, slices))
    found = find_heart(coarse[:, list(slices)].argmax(0).to(torch.uint8).cpu().numpy(), window)
    if found is None:
        return None
    start = window_about(found, shape[1:], window)
    logits = logits_of(_regions(shape, plan.patch, step, ((start[0],), (start[1],))))
    outside = torch.ones(shape[1:], dtype=torch.bool, device=logits.device)
    outside[start[0] : start[0] + window[0], start[1] : start[1] + window[1]] = False
    logits[0, :, outside] = _SURE
    if reaches_border(logits.argmax(0).to(torch.uint8).cpu().numpy(), start, window):
        return None
    return logits


def _regions(
    shape: Sequence[int],
    patch: Sequence[int],
    step: float,
    in_plane: tuple[tuple[int, ...], ...],
    slices: Sequence[int] | None = None,
) -> list[list[Region]]:
    """Return the windows that begin at ``in_plane`` (y, x), as regions of the (z, y, x) image.

    One list per slice for 2D, of all ``slices`` or those given; one list in all for 3D.
    """
    height, width = patch[-2:]

    def plane(z: slice) -> list[Region]:
        return [(z, slice(y, y + height), slice(x, x + width)) for y, x in product(*in_plane)]

    if len(patch) == 2:
        return [plane(slice(z, z + 1)) for z in (range(shape[0]) if slices is None else slices)]
    return [[r for z in window_starts(shape[0], patch[0], step) for r in plane(slice(z, z + patch[0]))]]


def _batches(
    planes: list[list[Region]], dimensions: int, device: torch.device, batch_size: int | None
) -> Iterator[list[Region]]:
    if device.type == "cpu":
        size = batch_size or (len(planes[0]) if dimensions == 2 else 1)
        groups = planes
    else:
        size = batch_size or _DEVICE_BATCH[dimensions]
        groups = [list(chain.from_iterable(planes))]
    for group in groups:
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _forward(
    network: torch.nn.Module,
    dimensions: int,
    device: torch.device,
    precision: str,
    *,
    channels_last: bool,
    mirrors: tuple[int, ...],
) -> Forward:
    """Return the function from windows to their logits (n, classes, z, y, x), float32.

    Windows are (n, 1, z, y, x), float32, or for 2D networks (n, 1, channels, y, x) and their logits one slice thick.
    """
    layout = memory_format(dimensions, channels_last=channels_last)
    flips = [axes for count in range(len(mirrors) + 1) for axes in combinations(mirrors, count)]

    def once(windows: torch.Tensor) -> torch.Tensor:
        batch = windows[:, 0] if dimensions == 2 else windows
        with autocast(device, precision):
            logits: torch.Tensor = network(batch.contiguous(memory_format=layout))[0]
        logits = logits.float()
        return logits[:, :, None] if dimensions == 2 else logits

    def forward(windows: torch.Tensor) -> torch.Tensor:
        total = once(windows)
        for axes in flips[1:]:  # the first is no flip at all
            total = total + once(windows.flip(axes)).flip(axes)
        return total / len(flips) if len(flips) > 1 else total

    return forward


def _blend(
    forward: Forward,
    shape: Sequence[int],
    image: torch.Tensor,
    planes: list[list[Region]],
    plan: Network,
    batches: Iterator[list[Region]],
) -> torch.Tensor:
    """Return the weighted mean of the windows' logits, (classes, z, y, x) of ``shape``.

    ``image`` has the plan's neighbouring slices more at either end.
    """
    total = image.new_zeros((plan.classes, *shape))
    if len(planes[0]) == 1:  # one window covers the plane (or the stack): nothing to weigh
        for batch in batches:
            for region, logits in zip(batch, forward(_gather(image, batch, plan.neighbours)), strict=True):
                total[(slice(None), *region)] = logits
        return total
    weight = torch.tensor(gaussian_window(plan.patch)).to(image).reshape((1, *plan.patch)[-3:])
    weights = image.new_zeros(tuple(shape))
    for batch in batches:
        for region, logits in zip(batch, forward(_gather(image, batch, plan.neighbours)), strict=True):
            total[(slice(None), *region)] += logits * weight
            weights[region] += weight
    return total.div_(weights.clamp_min_(torch.finfo(weights.dtype).tiny))  # 0 where no window was asked for


def _gather(image: torch.Tensor, regions: Sequence[Region], neighbours: int) -> torch.Tensor:
    """Return the windows (n, 1, z + neighbours at either end, y, x) of an image that has as many slices more."""
    seen = [(slice(z.start, z.stop + 2 * neighbours), y, x) for z, y, x in regions]
    return torch.stack([image[region] for region in seen])[:, None]
