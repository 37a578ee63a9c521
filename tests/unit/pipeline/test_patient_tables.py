"""Tables given beside label maps: facts on patients, and a laboratory's normal ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolv.core.errors import DataError
from autolv.pipeline.patient_tables import not_met, read_normal_ranges, read_patients, with_facts
from autolv.schema.dataset import Case

RANGES = "quantity,sex,age_from,age_to,low,high,papillary_rule,source\n"


def table(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_facts_go_by_case_or_else_by_patient_and_leave_what_they_do_not_say(tmp_path: Path) -> None:
    patients = read_patients(
        table(tmp_path, "case,patient,height_cm,weight_kg,sex,age\na_ED,a,170,70,F,61\n,b,180,,male,\n,gone,1,1,,\n")
    )
    first = with_facts(Case(case="a_ED", patient="a", image="", group="NOR"), patients)
    assert (first.height_cm, first.weight_kg, first.sex, first.age_years, first.group) == (
        170.0,
        70.0,
        "F",
        61.0,
        "NOR",
    )
    second = with_facts(Case(case="b_x", patient="b", image="", weight_kg=99.0), patients)
    assert (second.height_cm, second.weight_kg, second.sex, second.age_years) == (180.0, 99.0, "M", None)
    other = Case(case="a_ES", patient="a", image="")
    assert with_facts(other, patients) == other
    assert not_met(patients, [first, second]) == ("gone",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,height_cm\n,170\n", "line 2: neither a case nor a patient"),
        ("patient,height_cm\na,170\na,171\n", "line 3: 'a' stands twice"),
        ("patient,height_cm\na,tall\n", "line 2: height_cm 'tall' is not a number"),
        ("patient,height_cm\n", "has no rows"),
    ],
)
def test_a_table_of_patients_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_patients(table(tmp_path, text))


def test_normal_ranges_hold_for_what_their_columns_say(tmp_path: Path) -> None:
    women, all_ = read_normal_ranges(
        table(tmp_path, RANGES + "lv_edv_ml,F,40,59,80,160,in_mass,Ours 2026\nlv_ef_percent,,,,50,70,,Ours\n")
    )
    assert (women.quantity, women.sex, women.ages, women.low, women.high) == (
        "lv_edv_ml",
        "F",
        (40.0, 59.0),
        80.0,
        160.0,
    )
    assert (women.papillary_rule, women.basal_rule, women.source) == ("in_mass", None, "Ours 2026")
    assert all_.is_of(None, None) and not women.is_of("F", 60.0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("lv_mass,F,,,1,2,,s", "line 2: quantity 'lv_mass' is not one that is read out"),
        ("lv_edv_ml,F,,,2,1,,s", "line 2: low 2 is not below high 1"),
        ("lv_edv_ml,F,,,1,,,s", "line 2: low and high must both be given"),
        ("lv_edv_ml,F,old,,1,2,,s", "line 2: age_from 'old' is not a number"),
        ("lv_edv_ml,F,60,40,1,2,,s", "line 2: age_from 60 is above age_to 40"),
        ("lv_edv_ml,woman,,,1,2,,s", "line 2: sex 'woman' is none of F, M"),
        ("lv_edv_ml,F,,,1,2,blood,s", "line 2: papillary_rule 'blood' is none of in_cavity, in_mass"),
        ("lv_edv_ml,F,,,1,2,,", "line 2: no source is given"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_normal_ranges(table(tmp_path, f"{RANGES}{row}\n"))
