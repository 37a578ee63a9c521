"""Two cuts along the stack's axis at one frame: they show slices that lie aside, and whether base and apex were imaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from autolv.core.labels import LV_CAVITY
from autolv.reporting._canvas import colour_of
from autolv.reporting._drawing import plain, text
from autolv.reporting._html import data_uri, escaped
from autolv.reporting.sprites import Pictures, jpeg

_MARGIN_MM = 15.0  # beyond what is labelled
STEP_MM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """Labels and grey values along one direction of all slices: (z, along)."""

    labels: NDArray[np.uint8]
    grey: NDArray[np.uint8] | None


def long_axis_svg(pictures: Pictures, frame: int, degrees: float, title: str, *, base_first: bool | None) -> str:
    """Return the cut through the LV's centre along ``degrees`` (from +x to +y): base above where it is known.

    Each slice is drawn as a band as high as the distance between slices, so a slice that lies aside makes a step.
    Empty text where the frame has no LV.
    """
    cut = cut_of(pictures, frame, degrees)
    if cut is None:
        return ""
    depth, length = cut.labels.shape
    high = pictures.spacing_mm[0]
    order = range(depth) if base_first is not False else range(depth - 1, -1, -1)
    width, height, left = length * STEP_MM, depth * high, 22.0
    ends = ("", "") if base_first is None else ("base", "apex")
    parts = [
        f'<svg class="drawing axis-cut" viewBox="0 0 {plain(width + left + 4)} {plain(height + 30)}" role="img" '
        f'aria-label="{escaped(title)}">',
        text(left + width / 2, 11, title, "small title"),
    ]
    top = 16.0
    if cut.grey is not None:
        rows = cut.grey[list(order)].repeat(2, axis=0)
        parts.append(
            f'<image x="{plain(left)}" y="{plain(top)}" width="{plain(width)}" height="{plain(height)}" '
            f'preserveAspectRatio="none" href="{data_uri(jpeg(rows, 80))}"/>'
        )
    else:
        parts.append(f'<rect x="{plain(left)}" y="{plain(top)}" width="{plain(width)}" height="{plain(height)}"/>')
    for row, z in enumerate(order):
        y = top + row * high
        for channel, name in enumerate(pictures.structures, start=1):
            for start, stop in runs(cut.labels[z] == channel):
                parts.append(
                    f'<rect x="{plain(left + start * STEP_MM)}" y="{plain(y)}" width="{plain((stop - start) * STEP_MM)}" '
                    f'height="{plain(high)}" fill="{colour_of(name)}" fill-opacity="0.35" stroke="{colour_of(name)}" '
                    'stroke-width="0.7"/>'
                )
        parts.append(text(left - 3, y + high / 2 + 2.5, str(pictures.slice_number(z)), "tiny", "end"))
    parts += [text(left + width - 2, top + 8, ends[0], "on-image", "end"),
              text(left + width - 2, top + height - 3, ends[1], "on-image", "end")]  # fmt: skip
    return "".join([*parts, "</svg>"])


def cut_of(pictures: Pictures, frame: int, degrees: float) -> Cut | None:
    """Return the cut through the LV's centre along ``degrees``, a sample each ``STEP_MM``; ``None`` without an LV."""
    labels = pictures.labels[frame]
    if LV_CAVITY not in pictures.structures:
        return None
    cavity = (labels == pictures.structures.index(LV_CAVITY) + 1).sum(axis=0)
    if not cavity.any():
        return None
    dy, dx = pictures.spacing_mm[1:]
    total = float(cavity.sum())
    centre = (float(cavity.sum(axis=1) @ np.arange(cavity.shape[0])) / total,
              float(cavity.sum(axis=0) @ np.arange(cavity.shape[1])) / total)  # fmt: skip
    rows, columns = np.nonzero((labels > 0).any(axis=0))
    furthest = float(np.hypot((rows - centre[0]) * dy, (columns - centre[1]) * dx).max()) + _MARGIN_MM
    reach = np.arange(-furthest, furthest, STEP_MM)  # alike for all directions, so that cuts have one scale
    y = centre[0] + reach * math.sin(math.radians(degrees)) / dy
    x = centre[1] + reach * math.cos(math.radians(degrees)) / dx
    places = np.stack([y, x])
    found = np.stack([map_coordinates(one, places, np.uint8, order=0, cval=0) for one in labels.astype(np.uint8)])
    image = pictures.images.get(frame)
    if image is None:
        return Cut(labels=found, grey=None)
    seen = np.stack(
        [map_coordinates(one, places, np.float32, order=1, cval=0.0) for one in np.asarray(image, np.float32)]
    )
    low, high = np.nanpercentile(seen, (0.5, 99.5))
    grey = np.clip((seen - low) * (255.0 / max(float(high - low), 1e-6)), 0, 255).astype(np.uint8)
    return Cut(labels=found, grey=grey)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of ``True``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
