from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autolv.core.errors import DataError
from autolv.datasets.raw import load_dataset, write_cases, write_dataset
from autolv.schema.dataset import Case, Dataset

Writer = Callable[..., Path]


def refused(folder: Path, *parts: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(folder, **options)
    assert caught.value.remedy
    for part in parts:
        assert part in str(caught.value)


def test_nnunet_dataset_is_read_as_it_is(tmp_path: Path, nnunet_dataset: Writer) -> None:
    dataset = load_dataset(nnunet_dataset(tmp_path / "Heart"))
    assert dataset.name == "Heart"
    assert dataset.labels == {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
    assert dataset.patients == ("patient001",)
    assert dataset.training[1] == Case(
        case="patient001_frame05", patient="patient001", frame=5,
        image="imagesTr/patient001_frame05_0000.nii.gz", label="labelsTr/patient001_frame05.nii.gz",
    )  # fmt: skip
    assert "'patient001_frame01' is of patient 'patient001'" in dataset.patient_rule


def test_older_format_one_and_byte_order_mark(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "Old")
    old = {
        "name": "Old", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "LV", "2": "MYO", "3": "RV"},
        "numTraining": 7, "training": [{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}],
    }  # fmt: skip
    (folder / "dataset.json").write_text("\ufeff" + json.dumps(old), encoding="utf-8")
    dataset = load_dataset(folder)
    assert dataset.labels == {"lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3}
    assert dataset.file_ending == ".nii.gz"
    assert len(dataset.training) == 2  # what lies there counts, not numTraining


def test_images_without_channel_suffix_and_of_other_endings(tmp_path: Path, files: Any) -> None:
    for case in ("a_0001", "b"):
        files.save(tmp_path / "imagesTr" / f"{case}.nii", files.picture(1))
        files.save(tmp_path / "labelsTr" / f"{case}.nii", files.ring())
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "LV": 1}}')
    dataset = load_dataset(tmp_path)
    assert [case.case for case in dataset.training] == ["a_0001", "b"]
    assert dataset.training[0].image == "imagesTr/a_0001.nii"
    assert dataset.file_ending == ".nii"


def test_hidden_files_are_not_cases(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D")
    (folder / "imagesTr" / "._patient001_frame01_0000.nii.gz").write_bytes(b"x")
    assert len(load_dataset(folder).training) == 2


def test_listed_cases_are_taken_from_their_paths(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(
        tmp_path / "D", dataset={"one_ED": {"images": ["elsewhere/one.nii.gz"], "label": "elsewhere/one_gt.nii.gz"}}
    )
    (case,) = load_dataset(folder).training
    assert (case.case, case.image, case.phase) == ("one_ED", "elsewhere/one.nii.gz", "ED")


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ({"labels": {"background": 0, "LV": [1, 2]}}, "region"),
        ({"labels": {"background": 0, "LV": 1, "ignore": 2}}, "'ignore'"),
        ({"labels": {"background": 0, "kidney": 1}}, "'kidney'"),
        ({"labels": {"background": 0, "RV": 1}}, "no lv_cavity"),
        ({"labels": {"LV": "left"}}, "'left'"),
        ({"labels": {}}, "no 'labels'"),
        ({"channel_names": {"0": "MRI", "1": "T2"}}, "2 channels"),
        ({"file_ending": ".png"}, "'.png'"),
        ({"file_ending": ".nrrd"}, "patient001_frame01_0000.nii.gz"),
        ({"dataset": {"x": {"images": ["a", "b"]}}}, "dataset.x"),
    ],
)
def test_dataset_json_that_cannot_be_used(
    tmp_path: Path, nnunet_dataset: Writer, extra: dict[str, Any], part: str
) -> None:
    refused(nnunet_dataset(tmp_path / "D", **extra), part)


def test_trailing_comma_is_named(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D")
    (folder / "dataset.json").write_text('{"labels": {"LV": 1},}')
    refused(folder, "dataset.json", "line 1", "comma")


def test_missing_and_empty_folders_say_what_was_expected_and_found(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "the folder does not exist", "imagesTr/<case>_0000.nii.gz")
    refused(tmp_path, "the folder is empty")
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / name).touch()
    refused(tmp_path, "found a.txt, b.txt, c.txt, ...")


def test_second_channel_is_refused(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D")
    files.save(folder / "imagesTr" / "patient001_frame01_0001.nii.gz", files.picture(3))
    refused(folder, "more than one channel", "patient001_frame01_0001")


def test_missing_label_and_missing_image_are_left_to_the_check(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D")
    (folder / "labelsTr" / "patient001_frame01.nii.gz").unlink()
    (folder / "imagesTr" / "patient001_frame05_0000.nii.gz").unlink()
    first, second = load_dataset(folder).training
    assert first.label is None
    assert second.image == "imagesTr/patient001_frame05_0000.nii.gz"


def test_test_cases_stand_apart(tmp_path: Path, nnunet_dataset: Writer, files: Any) -> None:
    folder = nnunet_dataset(tmp_path / "D")
    files.save(folder / "imagesTs" / "patient002_ED_0000.nii.gz", files.picture(9))
    dataset = load_dataset(folder)
    assert [(case.case, case.label, case.phase) for case in dataset.test] == [("patient002_ED", None, "ED")]
    assert dataset.patients == ("patient001",)
    files.save(folder / "imagesTs" / "patient001_frame01_0000.nii.gz", files.picture(9))
    refused(folder, "'patient001_frame01' stands in imagesTr and in imagesTs")


def table(folder: Path, text: str) -> None:
    (folder / "cases.csv").write_text(text, encoding="utf-8")


def test_table_gives_what_nnunet_has_no_place_for(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=("a", "b"))
    table(folder, "\ufeffcase;patient;phase;group;height_cm;note\na;P1;ed;NOR;170.5;x\nb;P2;;;;\n")
    first, second = load_dataset(folder).training
    assert (first.patient, first.phase, first.group, first.height_cm) == ("P1", "ED", "NOR", 170.5)
    assert (second.patient, second.phase, second.group, second.height_cm) == ("P2", None, None, None)
    assert load_dataset(folder).patient_rule == "column 'patient' of cases.csv"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("case,patient\na,P\n", ("lacks case 'b'",)),
        ("case,patient\na,P\nb,P\nc,P\n", ("case 'c'", "no image")),
        ("case,patient\na,P\na,P\nb,P\n", ("line 3", "twice")),
        ("case,patient\na,P\nb,\n", ("line 3", "no patient")),
        ("name,who\na,P\n", ("no case", "name, who")),
        ("case,patient,phase\na,P,ED\nb,P,diastole\n", ("line 3", "'DIASTOLE'")),
        ("case,patient,weight_kg\na,P,heavy\nb,P,\n", ("weight_kg 'heavy'",)),
        ("case,patient,split\na,P,test\nb,P,training\n", ("'a'", "'test'")),
        ("case,patient,split\na,P,train\nb,P,\n", ("'train'",)),
    ],
)
def test_table_that_does_not_fit(tmp_path: Path, nnunet_dataset: Writer, text: str, parts: tuple[str, ...]) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=("a", "b"))
    table(folder, text)
    refused(folder, *parts)


def test_pattern_must_agree_with_the_table(tmp_path: Path, nnunet_dataset: Writer) -> None:
    folder = nnunet_dataset(tmp_path / "D", cases=("x_7_a", "x_7_b"))
    assert load_dataset(folder, patient_pattern=r"x_(\d)").patients == ("7",)
    write_cases(folder, load_dataset(folder, patient_pattern=r"x_(\d)"))
    assert load_dataset(folder).patients == ("7",)  # the table keeps what the pattern found
    assert load_dataset(folder, patient_pattern=r"x_(\d)").patients == ("7",)
    refused(folder, "'x_7_a'", "'7'", "'a'", patient_pattern=r"_(\w)$")


def test_written_dataset_is_read_back(tmp_path: Path, files: Any) -> None:
    cases = tuple(
        Case(
            case=name, patient="P", image=f"imagesTr/{name}_0000.nii.gz", label=f"labelsTr/{name}.nii.gz", frame=frame,
            phase=phase, group="MINF", vendor="A", centre="1", height_cm=171.5, weight_kg=None,
        )
        for name, frame, phase in (("p_1", 4, "ED"), ("p_2", 11, "ES"))
    )  # fmt: skip
    dataset = Dataset(
        name=tmp_path.name, labels={"lv_cavity": 3, "lv_myocardium": 2}, file_ending=".nii.gz", training=cases
    )
    for case in cases:
        files.save(tmp_path / case.image, files.picture(1))
        files.save(tmp_path / str(case.label), files.ring())
    write_dataset(tmp_path, dataset)
    assert load_dataset(tmp_path) == dataset
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "lv_myocardium": 2, "lv_cavity": 3}
    assert content["channel_names"] == {"0": "cineMRI"}
    assert content["numTraining"] == 2
    before = files.tree_hash(tmp_path)
    write_dataset(tmp_path, load_dataset(tmp_path))
    assert files.tree_hash(tmp_path) == before
