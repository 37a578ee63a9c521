"""What a segmentation says of one heart: each number with its unit and convention, or blank with the reason."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from autolv.core.geometry import slice_number
from autolv.schema.dataset import Sex
from autolv.schema.quality import Verdict
from autolv.schema.record import NanFloat, Record

BasalRule = Literal["as_segmented", "ring50", "valve_plane"]
PapillaryRule = Literal["in_cavity", "in_mass"]
BsaFormula = Literal["mosteller", "dubois", "haycock"]
Level = Literal["base", "mid", "apex", ""]


class Quantity(Record):
    """One number with its unit and in words how it came about, or ``value`` ``None`` with the ``reason``.

    ``interval`` is where the truth is expected to lie, at the level that ``Readout.interval_level`` says.
    """

    value: float | None
    unit: str
    convention: str = ""
    reason: str = ""
    interval: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> Quantity:
        if (self.value is None) != bool(self.reason):
            raise ValueError("a quantity has either a value or the reason why it has none")
        return self


class NormalRange(Record):
    """Where healthy people of the patient's sex and age lie, by the ``source``'s words."""

    low: float
    high: float
    source: str


class Flag(Record):
    """Something that a reader should look at: the check's name, and what it saw in one sentence."""

    check: str
    message: str


class Curve(Record):
    """The LV cavity's volume over one cardiac cycle, entry i of each tuple at i / n of the cycle.

    ``volume_ml`` is as measured (NaN: not measured), ``wall_ml`` and ``rv_ml`` the myocardium and the RV likewise (empty where
    not segmented). The periodic fit at the part u (0 to 1) of the cycle is ``mean_ml`` + the sum over k = 1, 2, ... of
    ``cosine_ml[k-1]`` cos(2 pi k u) + ``sine_ml[k-1]`` sin(2 pi k u); ``fitted_ml`` is it at the frames.
    """

    basal_rule: BasalRule
    volume_ml: tuple[NanFloat, ...]
    wall_ml: tuple[float, ...] = ()
    rv_ml: tuple[float, ...] = ()
    fitted_ml: tuple[float, ...]
    mean_ml: float
    cosine_ml: tuple[float, ...]
    sine_ml: tuple[float, ...]
    frame_time_ms: float | None


class SliceArea(Record):
    """One slice at end-diastole or end-systole.

    ``index`` is the slice's place in the array (0-based, along its slice axis; -1 or one too many where a valve plane lies
    beyond the stack), ``from_base`` counts the slices with LV from the basal one (0); ``None`` without LV, or where the
    base is not known. ``ring_percent`` is the part of directions from the cavity's centre in which myocardium lies outside
    of it (NaN: no cavity). ``counted_mm2`` is the area that went into the cavity's volume, ``counted_percent`` how much
    that is of the slice's own cavity (NaN: none, or what counts cannot be told).
    """

    phase: Literal["ED", "ES"]
    index: int
    from_base: int | None
    level: Level
    lv_cavity_mm2: float
    lv_myocardium_mm2: NanFloat
    rv_cavity_mm2: NanFloat
    ring_percent: NanFloat
    counted_mm2: NanFloat
    counted_percent: NanFloat


class Segment(Record):
    """One of the 17 segments of the American Heart Association (Cerqueira 2002).

    Thickness is the mean over the segment of the distance from inner to outer contour along rays from the cavity's centre;
    ``*_max_mm`` is its 95th percentile.
    """

    number: int
    name: str
    ed_mm: Quantity
    es_mm: Quantity
    thickening_percent: Quantity
    ed_max_mm: Quantity
    es_max_mm: Quantity


class Orientation(Record):
    """How the heart lies in the array, found from the labels.

    Angles run in the slice from +x towards +y, in degrees. ``septum_degrees`` halves the two insertions of the right ventricle;
    ``turn`` is +1 where anterior follows the septum in that sense, -1 where it precedes it, and ``turn_rule`` says how it
    is known. ``base_first`` tells whether slice 0 is at the base.
    """

    base_first: bool
    septum_degrees: float
    anterior_insertion_degrees: float
    inferior_insertion_degrees: float
    turn: Literal[1, -1]
    turn_rule: str


class Method(Record):
    """The conventions of a read-out, for its methods paragraph."""

    basal_rule: BasalRule
    papillary_rule: PapillaryRule
    density_g_per_ml: float
    bsa_formula: BsaFormula
    slice_distance_mm: float
    slice_distance_rule: str
    pixel_mm: tuple[float, float]  # (y, x)
    phases_rule: str
    time_rule: str


class Readout(Record):
    """Everything read out of one patient's label maps. Frames are counted from 1.

    ``quantities`` go by name with the unit in it (``readout.dictionary`` explains each); ``regional_reason`` says why there
    are no segments. ``sources`` are the label maps' file names, ``model`` is what made them, where that is known.
    ``slice_count`` is how many slices the stack has; ``slices_reversed``: the files count them from the array's other end.
    ``normal`` are the ranges of healthy people that hold for this patient and this method, by quantity; ``normal_reason``
    says why there are none. ``expected_dice`` is what the model expects of its labels: phase (``ED``, ``ES``, or ``frame``
    where there is one of which the phase is not known) -> structure -> Dice.
    """

    version: Literal[1] = 1
    case: str
    patient: str
    group: str | None = None
    sex: Sex | None = None
    age_years: float | None = None
    sources: tuple[str, ...]
    ed_frame: int | None
    es_frame: int | None
    method: Method
    quantities: dict[str, Quantity]
    slices: tuple[SliceArea, ...] = ()
    curve: Curve | None = None
    curve_reason: str = ""
    orientation: Orientation | None = None
    segments: tuple[Segment, ...] = ()
    regional_reason: str = ""
    flags: tuple[Flag, ...] = ()
    model: str = ""
    verdict: Verdict | None = None
    slice_count: int = 0
    slices_reversed: bool = False
    normal: dict[str, NormalRange] = {}
    normal_reason: str = ""
    expected_dice: dict[str, dict[str, float]] = {}
    interval_level: float | None = None

    def outside_normal(self) -> dict[str, str]:
        """Return the quantities that lie outside of their normal range: name -> ``"below"`` or ``"above"``."""
        found = {}
        for name, normal in self.normal.items():
            value = self.quantities[name].value
            if value is not None and not normal.low <= value <= normal.high:
                found[name] = "below" if value < normal.low else "above"
        return found

    def slice_number(self, index: int) -> int:
        """Return the number in its file, from 1, of the slice at place ``index`` (0-based) of the array."""
        return slice_number(index, self.slice_count, backwards=self.slices_reversed)


class ReadoutStatus(Record):
    """What became of one patient: ``file`` is the record's name, empty where the read-out failed with ``message``."""

    case: str
    file: str
    message: str = ""


class ReadoutSummary(Record):
    """``summary.json`` of a folder of read-outs."""

    version: Literal[1] = 1
    cases: tuple[ReadoutStatus, ...]
    versions: dict[str, str]
