"""What every form of a case's report shows: who it is, which frames, which cuts, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autolv.reporting.sprites import Pictures
from autolv.schema.readout import Readout, SliceArea

HEADLINE = (
    ("lv_edv_ml", "EDV"), ("lv_esv_ml", "ESV"), ("lv_ef_percent", "EF"), ("lv_ed_mass_g", "Mass"), ("lv_sv_ml", "SV"),
    ("rv_ef_percent", "RV EF"),
)  # fmt: skip
DISCLAIMER = "For research use only: this is not a medical device."


def facts_of(readout: Readout, version: str) -> list[tuple[str, str]]:
    """Return what identifies a case, by name; ``version`` is autolv's."""
    names = readout.sources
    few = [*names] if len(names) <= 3 else [names[0], "...", names[-1]]
    facts = [("patient", readout.patient), ("group", readout.group or ""), ("sex and age", _person(readout)),
             ("label maps", ", ".join(few)),
             ("model", readout.model or "not known"), ("autolv", version)]  # fmt: skip
    return [(name, value) for name, value in facts if value]


def _person(readout: Readout) -> str:
    years = "" if readout.age_years is None else f"{readout.age_years:.0f} years"
    return ", ".join(words for words in ({"F": "female", "M": "male"}.get(readout.sex or "", ""), years) if words)


def phases_shown(readout: Readout, pictures: Pictures) -> list[tuple[int, str]]:
    """Return the frames of which every slice is shown, and what they are called."""
    ends = [(readout.ed_frame, "End-diastole"), (readout.es_frame, "End-systole")]
    known = [(frame, words) for frame, words in ends if frame is not None]
    return known or [(min(pictures.labels), "The first frame, of which the phase is not known")]


def flagged_slices(readout: Readout, frame: int) -> set[int]:
    """Return the slices (0-based, in the array) of which a finding in ``frame`` speaks."""
    if readout.verdict is None:
        return set()
    return {z for finding in readout.verdict.of_frame(frame) for z in finding.slices}


def thickness_bounds_mm(readout: Readout) -> tuple[float, float]:
    """Return the ends of the bullseye's scale: as far as the thickest segment, and at least to 12 mm."""
    thick = [segment.ed_mm.value for segment in readout.segments if segment.ed_mm.value is not None]
    return 4.0, float(np.ceil(max([12.0, *thick])))


def cut_frame(readout: Readout, pictures: Pictures) -> int:
    """Return the frame that is cut along the long axis: end-diastole, else the first."""
    return readout.ed_frame if readout.ed_frame is not None else min(pictures.labels)


def cuts_of(readout: Readout) -> tuple[list[tuple[float, str]], bool | None]:
    """Return the directions of the two cuts along the long axis with their names, and whether slice 0 is at the base."""
    known = readout.orientation
    if known is not None:
        degrees = known.septum_degrees + 180.0
        return [(degrees, "Cut through the septum"), (degrees + 90.0, "Cut square to it")], known.base_first
    base_first = _base_first(readout.slices) if any(one.from_base is not None for one in readout.slices) else None
    return [(0.0, "Cut along x"), (90.0, "Cut along y")], base_first


def coverage(pictures: Pictures, frame: int) -> str:
    """Return in a sentence how many slices hold labels, and whether the stack goes on beyond them."""
    labels = pictures.labels[frame]
    occupied = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    before, after = int(occupied[0]), len(labels) - 1 - int(occupied[-1])
    if pictures.slices_reversed:
        before, after = after, before
    return (
        f"{len(occupied)} of {len(labels)} slices are labelled; {before or 'no'} slice{'' if before == 1 else 's'} of the "
        f"stack before and {after or 'none'} after them."
    )


def _base_first(slices: Sequence[SliceArea]) -> bool:
    ordered = sorted((one.from_base, one.index) for one in slices if one.from_base is not None)
    return ordered[0][1] <= ordered[-1][1]
