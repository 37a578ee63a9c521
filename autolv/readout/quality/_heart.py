"""One patient's labels as the checks look at them: cropped to the heart, each measure taken once and only when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autolv.core.geometry import Geometry, slice_number
from autolv.readout.axis import base_is_first
from autolv.readout.masks import Floats, Mask, Masks, centre_of, masks_of
from autolv.readout.quality._limits import Limits
from autolv.readout.quality._plane import PixelMm, border_mm, enclosed
from autolv.schema.readout import Readout

_MARGIN = 2  # empty pixels around what is labelled
_HALF_OPEN = 0.5  # of the cavity's border, from which on the valve plane crosses the next slice too


class Plane:
    """One slice, cropped to its labels with an empty margin. Masks are (y, x); those not segmented are empty."""

    def __init__(self, index: int, cavity: Mask, wall: Mask, rv: Mask, pixel_mm: PixelMm) -> None:
        self.index, self.cavity, self.wall, self.rv, self.pixel_mm = index, cavity, wall, rv, pixel_mm

    @property
    def pixel_mm2(self) -> float:
        """The area of a pixel."""
        return self.pixel_mm[0] * self.pixel_mm[1]

    @cached_property
    def lv(self) -> Mask:
        """Cavity and wall."""
        return self.cavity | self.wall

    @cached_property
    def background(self) -> Mask:
        """What is not labelled."""
        return ~(self.lv | self.rv)

    @cached_property
    def within_cavity(self) -> Mask:
        """What the cavity alone encloses."""
        return enclosed(self.cavity)

    @cached_property
    def within_lv(self) -> Mask:
        """What cavity and wall enclose together."""
        return enclosed(self.lv)

    @cached_property
    def whole_lv(self) -> Mask:
        """Cavity and wall with all that they enclose."""
        return self.lv | self.within_lv

    @cached_property
    def whole_cavity(self) -> Mask:
        """The cavity with all that it encloses."""
        return self.cavity | self.within_cavity

    @cached_property
    def within_rv(self) -> Mask:
        """What the RV cavity encloses."""
        return enclosed(self.rv)

    @cached_property
    def cavity_border_mm(self) -> float:
        """The length of the cavity's border, along pixel edges."""
        return border_mm(self.cavity, ~self.cavity, self.pixel_mm)

    @cached_property
    def open_mm(self) -> float:
        """How much of that borders on background that the LV does not enclose."""
        return border_mm(self.cavity, self.background & ~self.within_lv, self.pixel_mm)


class Frame:
    """One frame: its labels (z, y, x) cropped in-plane, and its slices that hold a label."""

    def __init__(self, number: int, labels: NDArray[np.integer], structures: Sequence[str], geometry: Geometry) -> None:
        self.number = number
        self.voxel_ml, self._pixel_mm = geometry.voxel_ml, geometry.spacing_mm[1:]
        labelled = labels != 0
        self.box = _box(labelled.any(axis=0))
        kept = labels[:, self.box[0], self.box[1]]
        self.labels = np.pad(kept, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)))
        self.masks: Masks = masks_of(self.labels, structures)

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The slices in which anything is labelled."""
        nothing = np.zeros_like(self.masks.cavity)
        wall = nothing if self.masks.wall is None else self.masks.wall
        rv = nothing if self.masks.rv is None else self.masks.rv
        found = []
        for index in np.flatnonzero((self.labels != 0).any(axis=(1, 2))):
            rows, columns = _box(self.labels[index] != 0)
            box = (index, slice(rows.start - _MARGIN, rows.stop + _MARGIN),
                   slice(columns.start - _MARGIN, columns.stop + _MARGIN))  # fmt: skip
            found.append(Plane(int(index), self.masks.cavity[box], wall[box], rv[box], self._pixel_mm))
        return tuple(found)

    @cached_property
    def lv_slices(self) -> NDArray[np.intp]:
        """Where along the stack cavity or wall is labelled."""
        return np.flatnonzero(self.masks.lv.any(axis=(1, 2)))

    @cached_property
    def cavity_mm2(self) -> Floats:
        """The cavity's area, slice by slice."""
        return self._areas(self.masks.cavity)

    @cached_property
    def lv_mm2(self) -> Floats:
        """The area of cavity and wall, slice by slice."""
        return self._areas(self.masks.lv)

    @cached_property
    def lv_centres_mm(self) -> Floats:
        """The centroid (y, x) of cavity and wall in each of ``lv_slices``: shape (slices, 2)."""
        centres = [centre_of(self.masks.lv[index]) for index in self.lv_slices]
        return np.array(centres, dtype=np.float64).reshape(-1, 2) * np.asarray(self._pixel_mm, dtype=np.float64)

    @cached_property
    def cavity_ml(self) -> float:
        """The cavity's volume."""
        return int(np.count_nonzero(self.masks.cavity)) * self.voxel_ml

    def volume_ml(self, mask: Mask | None) -> float:
        """Return the volume of one of this frame's masks; NaN where it was not segmented."""
        return float("nan") if mask is None else int(np.count_nonzero(mask)) * self.voxel_ml

    def basal(self, *, base_first: bool | None) -> frozenset[int]:
        """Return the slices in which the valve plane may cut the ring open, so that its shape says nothing.

        That is the most basal slice of the LV, and the next one where more than half of that one's border is open: the plane
        is oblique to the slices. Without a known base either end of the LV may be it.
        """
        found: set[int] = set()
        planes = {plane.index: plane for plane in self.planes}
        for order in self._from_base(base_first=base_first):
            found.add(order[0])
            first = planes[order[0]]
            half_open = first.open_mm > _HALF_OPEN * first.cavity_border_mm or not first.cavity.any()
            if base_first is not None and half_open:
                found.update(order[1:2])
        return frozenset(found)

    def _from_base(self, *, base_first: bool | None) -> list[list[int]]:
        order = [int(index) for index in self.lv_slices]
        if not order:
            return []
        return [order, order[::-1]] if base_first is None else [order if base_first else order[::-1]]

    def _areas(self, mask: Mask) -> Floats:
        pixels = np.asarray(np.count_nonzero(mask, axis=(1, 2)), dtype=np.float64)
        return pixels * (self._pixel_mm[0] * self._pixel_mm[1])


class Heart:
    """What is known of one patient. ``frames`` are in the order of their numbers, which count from 1."""

    def __init__(
        self, frames: Mapping[int, NDArray[np.integer]], structures: Sequence[str], geometry: Geometry, *,
        readout: Readout | None, limits: Limits | None, images: Mapping[int, NDArray[np.floating]] | None,
        whole_cycle: bool, expected_dice: Mapping[int, Mapping[str, float]] | None = None,
    ) -> None:  # fmt: skip
        self.expected_dice = expected_dice or {}
        self.frames = tuple(Frame(number, frames[number], structures, geometry) for number in sorted(frames))
        self.structures, self.geometry = tuple(structures), geometry
        self.readout, self.limits, self.images, self.whole_cycle = readout, limits, images, whole_cycle

    @property
    def slices(self) -> int:
        """How many slices the stack has."""
        return self.geometry.shape[0]

    def slice_number(self, index: int) -> int:
        """Return the number of a slice in the file, from 1."""
        return slice_number(index, self.slices, backwards=self.geometry.slices_reversed)

    @cached_property
    def ed(self) -> Frame:
        """End-diastole: the read-out's, else the frame with the largest cavity."""
        return self._given("ed_frame") or max(self.frames, key=lambda frame: frame.cavity_ml)

    @cached_property
    def es(self) -> Frame | None:
        """End-systole: the read-out's, else the frame with the smallest cavity; ``None`` where there is one frame only."""
        if len(self.frames) < 2:
            return None
        return self._given("es_frame") or min(self.frames, key=lambda frame: frame.cavity_ml)

    @cached_property
    def base_first(self) -> bool | None:
        """Whether slice 0 is at the base, by the first frame that tells, end-diastole before others."""
        for frame in (self.ed, *self.frames):
            known = base_is_first(frame.masks)
            if known is not None:
                return known
        return None

    @cached_property
    def basal(self) -> dict[int, frozenset[int]]:
        """Of each frame's number the slices in which the ring may be open."""
        return {frame.number: frame.basal(base_first=self.base_first) for frame in self.frames}

    def _given(self, name: str) -> Frame | None:
        number = None if self.readout is None else getattr(self.readout, name)
        return next((frame for frame in self.frames if frame.number == number), None)


def _box(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that ``mask`` (y, x) reaches; none of either for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
