"""Whether the stack holds the whole heart: each structure at all, each slice between two others, base and apex."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY
from autolv.readout.masks import Mask
from autolv.readout.quality._check import Check, Example, Found, add, at, in_frame, place
from autolv.readout.quality._example import CAVITY, MIDDLE, RV, SPACING_MM, WALL, Labels, healthy, spoilt
from autolv.readout.quality._heart import Frame, Heart

_REFERENCE = "ACDC's reference masks"
_NAMES = {LV_CAVITY: "LV cavity", LV_MYOCARDIUM: "myocardium", RV_CAVITY: "RV cavity"}
_CODES = {LV_CAVITY: CAVITY, LV_MYOCARDIUM: WALL, RV_CAVITY: RV}


def _mask(frame: Frame, structure: str) -> Mask:
    masks = frame.masks
    mask = {LV_CAVITY: masks.cavity, LV_MYOCARDIUM: masks.wall, RV_CAVITY: masks.rv}[structure]
    if mask is None:
        raise ValueError(f"{structure} is not segmented; the check should name it in 'needs'")
    return mask


def _find_absent(check: Check, heart: Heart) -> Found:
    name = _NAMES[check.structure]
    return [
        check.finding(f"No {name} was found{in_frame(heart, frame.number)}", value=0.0, frame=frame.number)
        for frame in heart.frames
        if check.beyond(float(np.count_nonzero(_mask(frame, check.structure))))
    ]


def _find_missing(mask_of: Callable[[Frame], Mask], what: str) -> Callable[[Check, Heart], Found]:
    def find(check: Check, heart: Heart) -> Found:
        found = []
        for frame in heart.frames:
            held = np.flatnonzero(mask_of(frame).any(axis=(1, 2)))
            between = [z for z in range(held[0], held[-1]) if z not in held] if held.size else []
            if check.beyond(len(between)):
                more = f" and {len(between) - 1} more" if len(between) > 1 else ""
                message = (
                    f"No {what} is labelled in {at(heart, frame.number, between[0])}{more}, though on either side it is"
                )
                found.append(check.finding(message, value=len(between), frame=frame.number, slices=between))
        return found

    return find


def _find_few(check: Check, heart: Heart) -> Found:
    count = len(heart.ed.lv_slices)
    if not check.beyond(count):
        return []
    message = (f"The left ventricle is seen in {count} {'slice' if count == 1 else 'slices'} only, too few for a sum of slices "
               "to tell its volume well")  # fmt: skip
    return [check.finding(message, value=count, frame=heart.ed.number)]


def _find_base_cut(check: Check, heart: Heart) -> Found:
    """The cavity narrows towards its base, and the base descends in systole: the least of all frames counts."""
    if heart.base_first is None:
        return "the labels do not tell which end of the stack is the base"
    end = 0 if heart.base_first else heart.slices - 1
    frames = [frame for frame in heart.frames if frame.cavity_ml > 0]
    if not frames:
        return "there is no LV cavity"
    share = min(100 * float(frame.cavity_mm2[end] / frame.cavity_mm2.max()) for frame in frames)
    if not check.beyond(share):
        return []
    message = (
        f"The LV cavity has not narrowed where the stack ends at the base, in {place(heart, end)}: it has {share:.0f} % of its "
        "largest area or more in every frame, and the base may be cut off"
    )
    return [check.finding(message, value=share, slices=(end,))]


def _find_apex_cut(check: Check, heart: Heart) -> Found:
    if heart.base_first is None:
        return "the labels do not tell which end of the stack is the apex"
    end = heart.slices - 1 if heart.base_first else 0
    area = heart.ed.lv_mm2
    if not area.max() > 0:
        return "there is no left ventricle"
    share = 100 * float(area[end] / area.max())
    if not check.beyond(share):
        return []
    message = (f"The left ventricle still has {share:.0f} % of its largest area where the stack ends at the apex "
               f"({at(heart, heart.ed.number, end)}): the apex may be cut off")  # fmt: skip
    return [check.finding(message, value=share, frame=heart.ed.number, slices=(end,))]


def _absent_example(structure: str) -> Callable[[], Example]:
    def change(labels: Labels) -> None:
        labels[labels == _CODES[structure]] = 0

    return lambda: spoilt(change, both=True)


def _kept(first: int, stop: int) -> Example:
    """Return the healthy heart in a stack of the slices ``first`` to ``stop`` - 1."""
    return Example(frames={1: healthy()[first:stop], 2: healthy(1.0)[first:stop]}, spacing_mm=SPACING_MM)


def _few_example() -> Example:
    """Return the healthy heart with every other slice, and one more beyond the apex."""
    frames = {1: healthy()[[0, 2, 4, 6, 8, 9]], 2: healthy(1.0)[[0, 2, 4, 6, 8, 9]]}
    return Example(frames=frames, spacing_mm=(2 * SPACING_MM[0], *SPACING_MM[1:]))


def _without_lv(labels: Labels) -> None:
    labels[MIDDLE][np.isin(labels[MIDDLE], (CAVITY, WALL))] = 0


def _without_rv(labels: Labels) -> None:
    labels[MIDDLE][labels[MIDDLE] == RV] = 0


for _structure, _name in _NAMES.items():
    add(Check(
        name=f"{_structure}_absent", level="fail", threshold=1.0, unit="voxels", below=True, structure=_structure,
        source=f"every heart has it; {_REFERENCE} have it in each frame", needs=tuple({LV_CAVITY, _structure}),
        meaning=f"A whole frame has no {_name}.", find=_find_absent, example=_absent_example(_structure),
    ))  # fmt: skip
add(Check(
    name="lv_missing_slice", level="fail", threshold=0.0, unit="slices", structure=LV_CAVITY,
    source=f"the LV is one piece; {_REFERENCE} miss none", meaning="A slice between two slices of the LV has none of it.",
    find=_find_missing(lambda frame: frame.masks.lv, "left ventricle"), example=lambda: spoilt(_without_lv),
))  # fmt: skip
add(Check(
    name="rv_missing_slice", level="review", threshold=0.0, unit="slices", structure=RV_CAVITY, needs=(RV_CAVITY,),
    source=f"{_REFERENCE} miss none", meaning="A slice between two slices of the RV has none of it.",
    find=_find_missing(lambda frame: _mask(frame, RV_CAVITY), "RV cavity"), example=lambda: spoilt(_without_rv),
))  # fmt: skip
add(Check(
    name="few_slices", level="review", threshold=6.0, unit="slices", below=True, structure=LV_CAVITY,
    source=f"the least that ukbb_cardiac accepts (Bai 2018, doi 10.1186/s12968-018-0471-x), and the least in {_REFERENCE}",
    meaning="The LV lies in so few slices that their sum tells its volume poorly.", find=_find_few, example=_few_example,
))  # fmt: skip
add(Check(
    name="base_cut", level="review", threshold=98.0, unit="%", structure=LV_CAVITY,
    source=f"a choice of this project: the LV narrows towards the valve plane; in {_REFERENCE} of 16 of 100 patients it does "
           "not, whose stacks begin with the ventricle",
    meaning="The stack ends at the base before the LV cavity has narrowed in any frame.", find=_find_base_cut,
    example=lambda: _kept(1, 10),
))  # fmt: skip
add(Check(
    name="apex_cut", level="review", threshold=50.0, unit="%", structure=LV_CAVITY,
    source=f"a choice of this project; in {_REFERENCE} the last slice has up to 49 % of the largest area",
    meaning="The stack ends at the apex while the LV is still large.", find=_find_apex_cut, example=lambda: _kept(0, 7),
))  # fmt: skip
