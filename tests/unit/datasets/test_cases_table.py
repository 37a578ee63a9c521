"""``cases.csv`` as people write it: other names, other columns, odd numbers, and what a command may change in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autolv.core.errors import DataError
from autolv.datasets import CONVERTERS, ConvertOptions
from autolv.datasets._cases_table import completed_text, read_table, table_text
from autolv.datasets.raw import load_dataset, write_cases
from autolv.schema.dataset import Case

Writer = Callable[..., Path]


def table(folder: Path, text: str) -> Path:
    path = folder / "cases.csv"
    path.write_bytes(text.encode())
    return path


def row(path: Path, case: str = "a") -> Any:
    return read_table(path)[case]


def test_columns_without_unit_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = table(tmp_path, "case,patient,height,weight,rr\na,P,170.5,80,850\n")
    with caplog.at_level(logging.WARNING):
        found = row(path)
    assert (found.height_cm, found.weight_kg, found.rr_ms) == (170.5, 80.0, 850.0)
    assert caplog.records == []


def test_sex_and_age_are_read_and_codes_of_others_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(tmp_path, "case,patient,sex,age\na,P,F,61\nb,P,male,\nc,P,,40.5\nd,P,1,\ne,P,1,\n")
    with caplog.at_level(logging.WARNING):
        rows = read_table(path)
    assert [(one.sex, one.age_years) for one in rows.values()] == [
        ("F", 61.0), ("M", None), (None, 40.5), (None, None), (None, None),
    ]  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: sex '1' is not read: F, M, female and male are."
    ]


def test_a_column_with_its_unit_comes_first(tmp_path: Path) -> None:
    path = table(tmp_path, "case,patient,height,height_cm\na,P,160,170\nb,P,160,\n")
    assert row(path).height_cm == 170.0
    assert row(path, "b").height_cm == 160.0


@pytest.mark.parametrize(
    ("column", "value", "unit"),
    [
        ("height", "1.75", "cm"),
        ("height", "0", "cm"),
        ("weight", "70000", "kg"),
        ("rr", "0.85", "ms"),
        ("age", "600", "years"),
    ],
)
def test_numbers_in_another_unit_are_refused_where_the_column_names_none(
    tmp_path: Path, column: str, value: str, unit: str
) -> None:
    path = table(tmp_path, f"case,patient,{column}\na,P,{value}\n")
    with pytest.raises(DataError, match=f"line 2: {column} .* not plausible in {unit}") as caught:
        read_table(path)
    assert f"{column}_{unit}" in caught.value.remedy


def test_unknown_columns_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = table(tmp_path, "case,patient,Vendor,note,\na,P,GE,x,\n")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert row(path).vendor is None
    (record,) = caplog.records
    assert "columns that are not read: Vendor, note (known are case, patient, split" in record.getMessage()
    assert str(path) in record.getMessage()


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "1.5", "0", "-3", "first"])
def test_a_frame_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = table(tmp_path, f"case,patient,frame\na,P,4\nb,P,{text}\n")
    with pytest.raises(DataError, match=f"line 3: frame '{text}' is not a") as caught:
        read_table(path)
    assert caught.value.remedy


def test_a_frame_may_be_written_as_a_float(tmp_path: Path) -> None:
    assert row(table(tmp_path, "case,patient,frame\na,P,12.0\n")).frame == 12


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_a_height_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=f"height_cm '{text}' is not a number"):
        read_table(table(tmp_path, f"case,patient,height_cm\na,P,{text}\n"))


KNOWN = (Case(case="a", patient="P1", image="", phase="ED", height_cm=170.5), Case(case="b", patient="P2", image=""))
ROWS = [(case, "training") for case in KNOWN]


def test_a_table_that_lacks_nothing_stays_byte_for_byte() -> None:
    text = '\ufeffnote;case; patient ;phase;height\r\n"x;y";a;P1;ED;170.5\r\n;b;P2\r\n\r\n'
    assert completed_text(text, ROWS) == text


def test_what_is_lacking_is_added_and_the_rest_stays() -> None:
    text = "\ufeffcase;note;patient\r\nb;two;P2\r\na;one;P1\r\n"
    assert completed_text(text, ROWS) == (
        "\ufeffcase;note;patient;phase;height_cm\r\nb;two;P2;;\r\na;one;P1;ED;170.5\r\n"
    )


def test_an_alias_is_its_column() -> None:
    text = "case,patient,phase,height\na,P1,,\nb,P2,ES,\n"
    assert completed_text(text, ROWS) == "case,patient,phase,height\na,P1,ED,170.5\nb,P2,ES,\n"


def test_a_case_without_a_row_gets_one() -> None:
    assert completed_text(
        "patient,x,case\nP1,1,a\n", [ROWS[0], (KNOWN[1].model_copy(update={"phase": "ES"}), "test")]
    ) == ("patient,x,case,phase,height_cm\nP1,1,a,ED,170.5\nP2,,b,ES,\n")


def test_rows_of_other_cases_stay_unless_they_must_not() -> None:
    text = "case,patient,note,phase,height_cm\na,P1,one,ED,170.5\nc,P3,three,,\n"
    assert completed_text(text, ROWS[:1]) == text
    assert completed_text(text, ROWS[:1], others=False) == text.rsplit("c,", 1)[0]


def test_used_in_place_the_users_table_is_kept(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=("a", "b"))
    smaller = files.ring()
    smaller[8, 7:11] = 2  # the cavity of b is 3 x 4 instead of 4 x 4 pixels
    files.save(folder / "labelsTr" / "b.nii.gz", smaller)
    table(folder, "case;patient;bsa;height\r\na;P;1.9;180\r\nb;P;1.9;180\r\n")
    CONVERTERS.get("nnunet").convert(folder, folder, ConvertOptions())
    written = (folder / "cases.csv").read_bytes()
    assert written == b"case;patient;bsa;height;phase\r\na;P;1.9;180;ED\r\nb;P;1.9;180;ES\r\n"
    CONVERTERS.get("nnunet").convert(folder, folder, ConvertOptions())
    assert (folder / "cases.csv").read_bytes() == written
    assert [case.phase for case in load_dataset(folder).training] == ["ED", "ES"]


def test_a_copy_carries_the_users_columns(tmp_path: Path, nnunet_dataset: Writer) -> None:
    source = nnunet_dataset(tmp_path / "D", cases=("a_ED", "b_ED"))
    table(source, "case,patient,bsa\na_ED,P,1.9\nb_ED,Q,2.1\n")
    (source / "labelsTr" / "b_ED.nii.gz").unlink()
    CONVERTERS.get("nnunet").convert(source, tmp_path / "raw", ConvertOptions())
    assert (tmp_path / "raw" / "cases.csv").read_text() == "case,patient,bsa,phase\na_ED,P,1.9,ED\n"
    assert load_dataset(tmp_path / "raw").patients == ("P",)


def test_a_patient_pattern_leaves_the_table_as_it_is(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=("x_7_a", "x_7_b"))
    path = table(folder, "case,patient,bsa\nx_7_a,7,1.9\nx_7_b,7,1.9\n")
    before = path.read_bytes()
    write_cases(folder, load_dataset(folder, patient_pattern=r"x_(\d)"))
    assert path.read_bytes() == before


def test_codes_given_for_a_dataset_in_place_are_refused(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D")
    before = files.tree_hash(folder)
    with pytest.raises(DataError) as caught:
        CONVERTERS.get("nnunet").convert(folder, folder, ConvertOptions(labels={"LV": 1, "MYO": 2, "RV": 3}))
    assert "lv_cavity=3" in caught.value.message and "lv_cavity=1" in caught.value.message
    assert (
        '"labels" there to {"background": 0, "lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3}' in caught.value.remedy
    )
    assert str(folder / "dataset.json") in caught.value.message
    assert files.tree_hash(folder) == before
    same = CONVERTERS.get("nnunet").convert(folder, folder, ConvertOptions(labels={"LV": 3, "MYO": 2, "RV": 1}))
    assert same.labels == {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}


def test_a_linked_dataset_has_the_name_of_the_link(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    real = nnunet_dataset(tmp_path / "elsewhere" / "Dataset027_ACDC")
    link = tmp_path / "raw_data" / "Heart"
    link.parent.mkdir()
    try:
        link.symlink_to(real, target_is_directory=True)
    except OSError:
        pytest.skip("this machine does not let us make links")
    assert load_dataset(link).name == "Heart"
    before = files.tree_hash(real)
    other = nnunet_dataset(tmp_path / "other", cases=("z_ED",))
    CONVERTERS.get("nnunet").convert(other, link, ConvertOptions(overwrite=True))  # the link goes, not what it leads to
    assert not link.is_symlink() and [case.case for case in load_dataset(link).training] == ["z_ED"]
    assert [path.name for path in link.parent.iterdir()] == ["Heart"]
    assert files.tree_hash(real) == before
    assert load_dataset(real).name == "Dataset027_ACDC"


@pytest.mark.parametrize("text", ["lv_cavity lv_myocardium", "MYO;LV", "lv_myocardium, lv", " LV  myocardium "])
def test_annotated_structures_go_by_any_of_their_names_in_one_order(tmp_path: Path, text: str) -> None:
    path = table(tmp_path, f'case,patient,annotated\na,P,"{text}"\nb,P,\n')
    assert row(path).annotated == ("lv_cavity", "lv_myocardium")
    assert row(path, "b").annotated is None


def test_an_unknown_structure_among_the_annotated_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "case,patient,annotated\na,P,lv_cavity atrium\n")
    with pytest.raises(DataError, match="line 2: annotated 'atrium' is not a structure") as caught:
        read_table(path)
    assert "lv_cavity, lv_myocardium, rv_cavity" in caught.value.remedy


def test_what_is_annotated_is_written_as_it_is_read(tmp_path: Path) -> None:
    partial = Case(case="a", patient="P1", image="", annotated=("lv_cavity", "rv_cavity"))
    path = table(tmp_path, table_text([(partial, "training"), ROWS[1]]))
    assert row(path).annotated == partial.annotated
    assert row(path, "b").annotated is None
    assert completed_text("case,patient\na,P1\n", [(partial, "training")]) == (
        "case,patient,annotated\na,P1,lv_cavity rv_cavity\n"
    )


def test_what_is_annotated_survives_a_conversion(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    source = nnunet_dataset(tmp_path / "D", cases=("a_ED", "b_ED"))
    without = files.ring()
    without[without == 1] = 0
    files.save(source / "labelsTr" / "b_ED.nii.gz", without)
    table(source, "case,patient,annotated\na_ED,P,\nb_ED,Q,LV MYO\n")
    CONVERTERS.get("nnunet").convert(source, tmp_path / "raw", ConvertOptions())
    listed = table(tmp_path, (source / "cases.csv").read_text().replace("case,", "image,label,case,", 1)
                   .replace("\na_ED", "\nimagesTr/a_ED_0000.nii.gz,labelsTr/a_ED.nii.gz,a_ED")
                   .replace("\nb_ED", "\nimagesTr/b_ED_0000.nii.gz,labelsTr/b_ED.nii.gz,b_ED"))  # fmt: skip
    options = ConvertOptions(table=listed, labels={"LV": 3, "MYO": 2, "RV": 1})
    CONVERTERS.get("folder").convert(source, tmp_path / "plain", options)
    for name in ("raw", "plain"):
        whole, partial = load_dataset(tmp_path / name).training
        assert (whole.annotated, partial.annotated) == (None, ("lv_cavity", "lv_myocardium"))
