"""Label maps and images made small for a page: grey tiles on one sheet per frame, outlines as chains of steps."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Spacing, slice_number
from autolv.reporting.figures import heart_window

Grey = NDArray[np.uint8]
Kind = TypeVar("Kind", bound=np.generic)
# (x, y) in half pixels of each of the eight steps between midpoints of pixel edges, which marching squares can take
STEPS = ((2, 0), (1, 1), (0, 2), (-1, 1), (-2, 0), (-1, -1), (0, -2), (1, -1))
_CODE = {step: str(code) for code, step in enumerate(STEPS)}
_MOST_BYTES = 4_000_000  # of all sheets; a third more in the page, which may have 8 MB
_SIZES = ((160, 82), (144, 76), (128, 70), (112, 62), (96, 55), (80, 45), (64, 35))  # (pixels of a tile, JPEG quality)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """What there is to see of a patient: labels and, where they are known, images, by frame (from 1), all (z, y, x).

    They are turned for the eye (``turned``): y runs down the screen, towards the patient's back or feet, x towards the left.
    ``slices_reversed``: the files count slices from the array's other end; slices are shown in the files' order.
    """

    labels: Mapping[int, NDArray[np.integer]]
    images: Mapping[int, NDArray[np.generic]]
    structures: Sequence[str]
    spacing_mm: Spacing
    slices_reversed: bool = False

    @property
    def slice_count(self) -> int:
        """How many slices the stack has."""
        return len(next(iter(self.labels.values())))

    def slice_number(self, index: int) -> int:
        """Return the number of a slice in its file, from 1."""
        return slice_number(index, self.slice_count, backwards=self.slices_reversed)

    def in_file_order(self) -> list[int]:
        """Return the places in the array of slice 1, 2, ... of the file."""
        return sorted(range(self.slice_count), key=self.slice_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheets:
    """Tiles (one a slice, ``columns`` in a row, ``tile`` pixels (y, x) each) of each frame as JPEG, by frame."""

    jpegs: Mapping[int, bytes]
    tile: tuple[int, int]
    columns: int


def turned(array: NDArray[Kind]) -> NDArray[Kind]:
    """Return slices (z, y, x) as radiologists see them: half a turn from the array, whose x and y run right and forward or up.

    A turn leaves the heart's handedness as it is.
    """
    return array[:, ::-1, ::-1]


def view_of(pictures: Pictures) -> tuple[slice, slice]:
    """Return the rows and columns about everything labelled in any frame; the whole field where nothing is."""
    occupied = np.zeros(next(iter(pictures.labels.values())).shape[1:], dtype=np.bool_)
    for labels in pictures.labels.values():
        occupied |= (labels > 0).any(axis=0)
    return heart_window(occupied)


def sheets_of(pictures: Pictures, view: tuple[slice, slice]) -> Sheets | None:
    """Return the sheets of all frames with an image, as large as the page's weight allows; ``None`` without images."""
    if not pictures.images:
        return None
    cropped = {number: np.asarray(image[:, *view], dtype=np.float32) for number, image in pictures.images.items()}
    some = np.concatenate([image[:, ::2, ::2].ravel() for image in cropped.values()])
    low, high = (float(value) for value in np.nanpercentile(some, (0.5, 99.5)))
    scale = 255.0 / max(high - low, 1e-6)
    grey = {
        number: np.clip((np.nan_to_num(image, nan=low) - low) * scale, 0, 255).astype(np.uint8)
        for number, image in cropped.items()
    }
    some_frames = {number: grey[number] for number in sorted(grey)[:: max(1, len(grey) // 3)]}
    for most, quality in _SIZES:
        tried = _sheets(some_frames, pictures.spacing_mm, most, quality)
        if max(map(len, tried.jpegs.values())) * len(grey) <= _MOST_BYTES:
            break
    return _sheets(grey, pictures.spacing_mm, most, quality)


def _sheets(grey: Mapping[int, Grey], spacing_mm: Spacing, most: int, quality: int) -> Sheets:
    depth, height, width = next(iter(grey.values())).shape
    high, wide = height * spacing_mm[1], width * spacing_mm[2]
    longest = min(most, max(height, width))
    tile = _whole(longest * high / max(high, wide)), _whole(longest * wide / max(high, wide))
    columns = math.ceil(math.sqrt(depth))
    return Sheets(
        jpegs={number: jpeg(_joined(frame, tile, columns), quality) for number, frame in grey.items()},
        tile=tile, columns=columns,
    )  # fmt: skip


def _whole(pixels: float) -> int:
    """Return a size in whole blocks of JPEG's 8 pixels: so no tile bleeds into the next."""
    return max(8, 8 * math.ceil(pixels / 8))


def _joined(frame: Grey, tile: tuple[int, int], columns: int) -> Grey:
    sheet = np.zeros((math.ceil(len(frame) / columns) * tile[0], columns * tile[1]), dtype=np.uint8)
    for z, picture in enumerate(frame):
        row, column = divmod(z, columns)
        place = np.s_[row * tile[0] : (row + 1) * tile[0], column * tile[1] : (column + 1) * tile[1]]
        sheet[place] = resized(picture, tile)
    return sheet


def resized(picture: Grey, size: tuple[int, int]) -> Grey:
    """Return a grey picture (y, x) in another size (y, x)."""
    from PIL import Image

    if picture.shape == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC), dtype=np.uint8)


def jpeg(picture: Grey, quality: int) -> bytes:
    """Return a picture (y, x) or (y, x, colour) as JPEG."""
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(picture).save(written, "JPEG", quality=quality, optimize=True)
    return written.getvalue()


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the closed lines about ``mask`` (y, x): points (x, y) in half pixels from the centre of pixel (0, 0)."""
    from skimage.measure import find_contours

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    padded = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.float32)
    lines = find_contours(padded, 0.5)  # type: ignore[no-untyped-call]  # (points, 2): y, x
    return [np.rint(2 * (line[:, ::-1] + (left - 1, top - 1))).astype(np.int64) for line in lines]


def chain(mask: NDArray[np.bool_]) -> str:
    """Return the lines about ``mask`` as text: ``x,y:`` of the first point in half pixels and a digit per step, by ``|``."""
    texts = []
    for line in outlines(mask):
        steps = "".join(_CODE[dx, dy] for dx, dy in np.diff(line, axis=0).tolist())
        texts.append(f"{line[0, 0]},{line[0, 1]}:{steps}")
    return "|".join(texts)


def path_of(mask: NDArray[np.bool_]) -> str:
    """Return the lines about ``mask`` as the data of an SVG path, in half pixels."""
    parts = []
    for line in outlines(mask):
        parts.append(f"M{line[0, 0]} {line[0, 1]}")
        steps = np.diff(line, axis=0)
        turns = np.flatnonzero((steps[1:] != steps[:-1]).any(axis=1)) + 1
        for run in np.split(steps, turns):
            x, y = run.sum(axis=0)
            parts.append(f"l{x} {y}")
        parts.append("z")
    return "".join(parts)
