"""Each registered check finds what is wrong in its own example, and beside it only what the example's geometry implies."""

from __future__ import annotations

import pytest

from autolv.core.labels import STRUCTURES
from autolv.readout.quality import QUALITY_CHECKS, Example, judge_example
from autolv.readout.quality._example import SPACING_MM, beat, cycle, healthy

PAINCHAUD_16 = (
    "lv_holes", "rv_holes", "wall_holes", "lv_pieces", "rv_pieces", "wall_pieces", "lv_wall_gap", "rv_wall_gap",
    "rv_apart", "lv_touches_rv", "lv_touches_background", "lv_dent", "rv_dent", "wall_dent", "lv_roundness",
    "wall_roundness",
)  # fmt: skip
# what else an example shows, for the reason given
IMPLIED = {
    "wall_pieces": {"wall_dent"},  # between the ring and a piece beside it lies a dent
    "wall_roundness": {"lv_roundness"},  # a flat wall has a flat cavity
    "lv_cavity_absent": {"lv_edv_small", "wall_holes"},  # no volume, and a ring around nothing
    "lv_myocardium_absent": {"lv_mass_small", "lv_touches_background", "open_base"},  # nothing encloses the cavity
    "rv_cavity_absent": {"rv_edv_small"},
    "lv_edv_small": {"rv_edv_small"},  # the whole heart is drawn smaller
    "rv_edv_small": {"lv_edv_small"},
    "lv_mass_small": {"lv_edv_small", "rv_edv_small"},
    "lv_edv_large": {"lv_mass_large"},  # the whole heart is drawn larger
    "rv_edv_large": {"lv_edv_large", "lv_mass_large", "rv_dent"},
    "ef_low": {"rv_ef_not_positive"},  # an LV that hardly contracts uncovers some of the RV
    "ef_not_positive": {"ef_low", "rv_ef_not_positive"},  # both ventricles have their phases exchanged
    "curve_roughness": {"frame_jump"},  # every other frame lies off
    "frame_jump": {"curve_roughness"},
    "swapped_labels": {
        "lv_dent",
        "lv_touches_background",
        "open_base",
        "wall_holes",
    },  # a crescent called LV has no wall
}


def checks_of(example: Example) -> set[str]:
    return {finding.check for finding in judge_example(example).findings}


@pytest.mark.parametrize("name", list(QUALITY_CHECKS))
def test_an_example_triggers_its_check_and_only_what_its_geometry_implies(name: str) -> None:
    check = QUALITY_CHECKS.get(name)
    assert check.name == name
    verdict = judge_example(check.example())
    assert {finding.check for finding in verdict.findings} == {name} | IMPLIED.get(name, set())
    found = next(finding for finding in verdict.findings if finding.check == name)
    assert found.level == check.level
    assert (found.threshold, found.unit, found.structure) == (check.threshold, check.unit, check.structure)
    assert check.beyond(found.value)
    assert found.message[0].isupper()
    assert found.message.endswith(".")


@pytest.mark.parametrize("name", list(QUALITY_CHECKS))
def test_a_check_says_what_it_means_and_where_it_comes_from(name: str) -> None:
    check = QUALITY_CHECKS.get(name)
    assert check.meaning[0].isupper()
    assert check.meaning.endswith(".")
    assert check.source
    assert check.structure in STRUCTURES
    assert set(check.needs) <= set(STRUCTURES)


def test_the_sixteen_criteria_are_registered() -> None:
    assert set(PAINCHAUD_16) <= set(QUALITY_CHECKS)
    assert set(IMPLIED) <= set(QUALITY_CHECKS)


@pytest.mark.parametrize(
    "example",
    [
        Example(frames={1: healthy(), 2: healthy(1.0)}, spacing_mm=SPACING_MM),
        Example(frames={1: healthy()[::-1], 2: healthy(1.0)[::-1]}, spacing_mm=SPACING_MM),
        Example(frames={7: healthy()}, spacing_mm=SPACING_MM),
        cycle(beat(20)),
    ],
    ids=["ED and ES", "apex first", "one frame", "cine"],
)
def test_a_healthy_heart_passes(example: Example) -> None:
    verdict = judge_example(example)
    assert verdict.findings == ()
    assert verdict.level == "pass"


@pytest.mark.parametrize("name", PAINCHAUD_16)
@pytest.mark.parametrize("turned", ["mirrored", "transposed", "apex first"])
def test_a_criterion_does_not_depend_on_how_the_image_lies(name: str, turned: str) -> None:
    example = QUALITY_CHECKS.get(name).example()
    turn = {
        "mirrored": lambda labels: labels[:, :, ::-1],
        "transposed": lambda labels: labels.transpose(0, 2, 1),
        "apex first": lambda labels: labels[::-1],
    }[turned]
    moved = Example(
        frames={n: turn(labels).copy() for n, labels in example.frames.items()}, spacing_mm=example.spacing_mm
    )
    assert checks_of(moved) == checks_of(example)
