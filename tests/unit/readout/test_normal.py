"""Normal ranges: they hold for one sex, an age and one way of measuring, and are left out with the reason otherwise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from autolv.core.geometry import Geometry
from autolv.core.labels import STRUCTURES
from autolv.readout.compose import Facts, Rules, read_out
from autolv.readout.dictionary import DICTIONARY
from autolv.readout.normal import BUILT_IN, Population, normal_ranges
from autolv.schema.dataset import Sex
from autolv.schema.readout import Method, Readout

METHOD = Method(
    basal_rule="as_segmented", papillary_rule="in_cavity", density_g_per_ml=1.05, bsa_formula="mosteller",
    slice_distance_mm=10.0, slice_distance_rule="r", pixel_mm=(1.0, 1.0), phases_rule="p", time_rule="t",
)  # fmt: skip
OWN = Population(quantity="lv_edv_index_ml_per_m2", low=50.0, high=90.0, source="our own 40", bsa_formula="dubois")


def ranges(
    sex: Sex | None, age: float | None, method: Method = METHOD, own: tuple[Population, ...] = ()
) -> tuple[dict[str, tuple[float, float]], str]:
    found, reason = normal_ranges(DICTIONARY, sex, age, method, own)
    return {name: (one.low, one.high) for name, one in found.items()}, reason


def test_the_ejection_fraction_of_healthy_women_and_men() -> None:
    """61 ± 5 and 58 ± 5 %: 95 % of a normal distribution lie within 1.96 standard deviations."""
    assert ranges("F", 60.0) == ({"lv_ef_percent": pytest.approx((51.2, 70.8))}, "")
    assert ranges("M", 60.0) == ({"lv_ef_percent": pytest.approx((48.2, 67.8))}, "")


@pytest.mark.parametrize(("age", "there"), [(44.9, False), (45.0, True), (74.9, True), (75.0, False)])
def test_ages_are_those_of_birthdays(age: float, there: bool) -> None:
    assert bool(ranges("F", age)[0]) is there


@pytest.mark.parametrize(
    ("sex", "age", "changes", "reason"),
    [
        (None, None, {}, "the patient's sex and age are not known"),
        (None, 60.0, {}, "the patient's sex is not known"),
        ("F", None, {}, "the patient's age is not known"),
        ("F", 30.0, {}, "none of those known is of the patient's sex and age"),
        ("F", 60.0, {"papillary_rule": "in_mass"}, "measured by other rules"),
        ("F", 60.0, {"basal_rule": "valve_plane"}, "measured by other rules"),
    ],
)
def test_where_none_hold_the_reason_is_told(
    sex: Sex | None, age: float | None, changes: dict[str, object], reason: str
) -> None:
    found, told = ranges(sex, age, METHOD.model_copy(update=changes))
    assert found == {} and reason in told


def test_a_laboratorys_own_come_before_and_hold_by_their_own_rules() -> None:
    dubois = METHOD.model_copy(update={"bsa_formula": "dubois"})
    assert ranges(None, None, dubois, (OWN,))[0] == {"lv_edv_index_ml_per_m2": (50.0, 90.0)}
    assert ranges("F", 60.0, METHOD, (OWN,))[0] == {"lv_ef_percent": pytest.approx((51.2, 70.8))}
    ef = Population(quantity="lv_ef_percent", low=55.0, high=75.0, source="s", sex="M")
    other = dataclasses.replace(ef, low=50.0)
    assert ranges("M", 60.0, METHOD, (ef, other))[0] == {"lv_ef_percent": (55.0, 75.0)}  # the first that holds
    assert ranges("F", 60.0, METHOD, (ef,))[0] == {}  # once named, the built-in ones of the quantity do not count


def test_built_in_ranges_are_of_quantities_and_name_their_source() -> None:
    for one in BUILT_IN:
        assert one.quantity in DICTIONARY and "doi:" in one.source and one.low < one.high


def test_a_read_out_carries_those_of_values_that_it_has() -> None:
    labels = np.zeros((3, 32, 32), np.uint8)
    labels[:, 8:24, 8:24] = 2
    labels[:, 12:20, 12:20] = 1

    def found(facts: Facts, frames: dict[int, np.ndarray]) -> Readout:
        geometry = Geometry.from_spacing((10.0, 1.0, 1.0), labels.shape)
        return read_out(frames, STRUCTURES, geometry, facts, Rules(normal=(OWN,)))

    woman = Facts(case="a", patient="p", sex="F", age_years=50.0)
    both = found(woman, {1: labels, 2: np.where(labels == 1, 2, labels)})
    assert (
        list(both.normal) == ["lv_ef_percent"]
        and both.normal_reason == ""
        and (both.sex, both.age_years) == ("F", 50.0)
    )
    assert both.outside_normal() == {"lv_ef_percent": "above"}  # 100 %
    alone = found(woman, {1: labels})  # no ejection fraction
    assert alone.normal == {} and alone.normal_reason
    assert "sex and age" in found(Facts(case="a", patient="p"), {1: labels, 2: labels}).normal_reason
