"""Global function and body surface by hand: values, units, and blanks with their reasons."""

from __future__ import annotations

import pytest

from autolv.readout.body import body_surface_m2, surface_quantity
from autolv.readout.function import INDEXED, cardiac_output, indexed, mass, ventricle_function
from autolv.readout.quantities import blank, derived, known
from autolv.schema.readout import Quantity


def test_a_quantity_has_a_value_or_a_reason_and_never_both() -> None:
    with pytest.raises(ValueError, match="either a value or the reason"):
        Quantity(value=1.0, unit="ml", reason="but why")
    with pytest.raises(ValueError, match="either a value or the reason"):
        Quantity(value=None, unit="ml")
    with pytest.raises(ValueError, match="finite"):
        known(float("nan"), "ml")


def test_the_first_lacking_part_gives_its_reason() -> None:
    there, not_there = known(2.0, "ml"), blank("ml", "no end-systolic frame")
    lacking = derived(lambda a, b: a + b, "ml", there, not_there)
    assert (lacking.value, lacking.reason) == (None, "no end-systolic frame")
    assert derived(lambda a, b: a * b, "ml2", there, there).value == 4.0


# the body of ACDC's patient001, 184 cm and 95 kg, by each formula: sqrt(184 * 95 / 3600) = 2.2035
@pytest.mark.parametrize(("formula", "m2"), [("mosteller", 2.204), ("dubois", 2.182), ("haycock", 2.220)])
def test_body_surface_by_three_formulas(formula, m2) -> None:
    assert round(body_surface_m2(184.0, 95.0, formula), 3) == m2


def test_body_surface_is_blank_without_height_or_weight() -> None:
    assert surface_quantity(None, 80.0, "mosteller").reason == "height is not known"
    assert surface_quantity(None, None, "dubois").reason == "height and weight are not known"
    assert surface_quantity(180.0, 80.0, "mosteller").value == pytest.approx(2.0)  # sqrt(14400 / 3600)
    with pytest.raises(ValueError, match="positive"):
        body_surface_m2(0.0, 80.0)


def test_ejection_fraction_stroke_volume_and_output_by_hand() -> None:
    lv = ventricle_function("lv", known(150.0, "ml", "in_cavity"), known(60.0, "ml", "in_cavity"))
    assert {name: q.value for name, q in lv.items()} == {
        "lv_edv_ml": 150.0, "lv_esv_ml": 60.0, "lv_sv_ml": 90.0, "lv_ef_percent": pytest.approx(60.0),
    }  # fmt: skip
    assert [q.unit for q in lv.values()] == ["ml", "ml", "ml", "%"]
    assert {q.convention for q in lv.values()} == {"in_cavity"}
    flow = cardiac_output(lv["lv_sv_ml"], known(800.0, "ms"))  # 75 beats of 90 ml
    assert flow["heart_rate_per_min"].value == pytest.approx(75.0)
    assert flow["lv_co_l_per_min"].value == pytest.approx(6.75)


def test_an_empty_ventricle_at_end_diastole_has_no_ejection_fraction() -> None:
    lv = ventricle_function("lv", known(0.0, "ml"), known(0.0, "ml"))
    assert lv["lv_sv_ml"].value == 0.0
    assert lv["lv_ef_percent"].value is None
    assert lv["lv_ef_percent"].reason == "division by zero"


def test_output_is_blank_without_the_rr_interval() -> None:
    flow = cardiac_output(known(90.0, "ml"), blank("ms", "the frame time is not known"))
    assert flow["lv_co_l_per_min"].reason == "the frame time is not known"


def test_mass_at_both_phases_and_their_difference() -> None:
    found = mass(known(100.0, "ml"), known(110.0, "ml"), 1.05)
    assert found["lv_ed_mass_g"].value == pytest.approx(105.0)
    assert found["lv_es_mass_g"].value == pytest.approx(115.5)
    assert found["lv_mass_difference_percent"].value == pytest.approx(10.0)
    assert found["lv_ed_mass_g"].convention == "1.05 g/ml"
    assert mass(known(100.0, "ml"), known(110.0, "ml"), 1.04)["lv_ed_mass_g"].value == pytest.approx(104.0)
    assert mass(known(0.0, "ml"), known(1.0, "ml"))["lv_mass_difference_percent"].value is None


def test_indexing_divides_by_the_body_surface_and_passes_its_lack_on() -> None:
    lv = ventricle_function("lv", known(150.0, "ml"), known(60.0, "ml"))
    by_body = indexed(lv, known(2.0, "m2", "body surface area after Mosteller 1987"))
    assert {name: q.value for name, q in by_body.items()} == {
        "lv_edv_index_ml_per_m2": 75.0, "lv_esv_index_ml_per_m2": 30.0, "lv_sv_index_ml_per_m2": 45.0,
    }  # fmt: skip
    assert by_body["lv_edv_index_ml_per_m2"].convention == "body surface area after Mosteller 1987"
    lacking = indexed(lv, blank("m2", "weight is not known"))
    assert {q.reason for q in lacking.values()} == {"weight is not known"}
    assert not any("ef" in name for name in INDEXED)
