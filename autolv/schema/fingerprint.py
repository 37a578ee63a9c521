"""What a dataset looks like: measured per case, then combined. All triples are (z, y, x)."""

from __future__ import annotations

import math
from typing import Literal

from autolv.schema.record import NanFloat, Record

FloatTriple = tuple[float, float, float]
NanTriple = tuple[NanFloat, NanFloat, NanFloat]
IntTriple = tuple[int, int, int]


class Intensity(Record):
    """Mean, standard deviation and percentiles of some voxels' intensity; all NaN where there are none."""

    mean: NanFloat
    sd: NanFloat
    p005: NanFloat  # 0.5th percentile
    p50: NanFloat
    p995: NanFloat  # 99.5th percentile


class CaseFingerprint(Record):
    """One case. ``heart_*`` describe the box around all labelled voxels; NaN where nothing is labelled.

    ``heart_centre`` is the box's centre as a fraction of the field of view (0 to 1 along z, y, x); ``slices`` counts the
    slices in which a structure occurs; it and ``volume_ml`` leave out what was not annotated in the case. ``image_hash``
    is that of the voxels on their grid, so that one image that stands under two names is found. ``orientation`` tells how
    the file's axes were taken: e.g. ``"kji"``, reversed storage order. ``central_intensity`` is of the central 160 mm
    in-plane, by which networks see an image normalised; ``None`` in records of before.
    """

    case: str
    patient: str
    phase: Literal["ED", "ES"] | None
    group: str | None
    image_hash: str
    shape: IntTriple
    spacing_mm: FloatTriple
    orientation: str
    nonzero_box_shape: IntTriple
    intensity: Intensity
    foreground_intensity: Intensity
    heart_extent_mm: NanTriple
    heart_centre: NanTriple
    heart_slices: int
    central_intensity: Intensity | None = None
    volume_ml: dict[str, float]
    slices: dict[str, int]

    @property
    def brightness(self) -> float:
        """(Mean within the labels - mean) / SD of the field's centre; NaN where there is none."""
        centre = self.central_intensity
        if centre is None or not centre.sd > 0:
            return math.nan
        return (self.foreground_intensity.mean - centre.mean) / centre.sd

    @property
    def contrast(self) -> float:
        """SD within the labels / SD of the field's centre; NaN where there is none."""
        centre = self.central_intensity
        return math.nan if centre is None or not centre.sd > 0 else self.foreground_intensity.sd / centre.sd


class Spread(Record):
    """Minimum, 10th percentile, median, 90th percentile and maximum of a quantity over cases."""

    minimum: NanFloat
    p10: NanFloat
    median: NanFloat
    p90: NanFloat
    maximum: NanFloat


_UNKNOWN = Spread(minimum=math.nan, p10=math.nan, median=math.nan, p90=math.nan, maximum=math.nan)


class Fingerprint(Record):
    """A whole dataset. ``twins`` lists patients that share an image; they must stay in one fold.

    ``shape`` tells how many slices a stack has, ``heart_slices`` in how many of them anything is labelled, ``slices`` in
    how many each structure is, ``slice_coverage`` the same as a share of the stack. Records written before these and
    ``orientations`` existed load without them.
    """

    version: Literal[1] = 1
    dataset: str
    labels: dict[str, int]
    structures: tuple[str, ...]
    cases: tuple[CaseFingerprint, ...]
    patients: int
    groups: dict[str, int]  # patients per group
    phases: dict[str, int]  # cases per phase
    spacing_mm: tuple[Spread, Spread, Spread]
    shape: tuple[Spread, Spread, Spread]
    orientations: dict[str, int] = {}  # cases per orientation of the file's axes
    heart_extent_mm: tuple[Spread, Spread, Spread]
    heart_offset_mm: tuple[Spread, Spread, Spread]  # absolute distance of the heart's centre from the field's
    intensity: Intensity
    foreground_intensity: Intensity
    volume_ml: dict[str, Spread]
    heart_slices: Spread = _UNKNOWN
    slices: dict[str, Spread] = {}
    slice_coverage: dict[str, Spread] = {}  # 0 to 1
    twins: tuple[tuple[str, ...], ...] = ()
