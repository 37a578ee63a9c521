"""Evaluating folders of label maps: whose codes, which patient, phase and group, which dataset."""

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autolv.core.errors import DataError, WorkspaceError
from autolv.pipeline.evaluate import evaluate
from autolv.schema.readers import ReadoutAgreement
from autolv.schema.record import read_record

ACDC = {"rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3}
MMS = {"lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3}


def write(path: Path, *, shift: int = 0) -> None:
    """A stack of two slices with codes 1, 2, 3 in 2, 4 and 6 columns of two rows."""
    array = np.zeros((16, 4, 2), dtype=np.uint8)  # x, y, z
    for code, first, width in ((1, 0, 2), (2, 3, 4), (3, 8, 6)):
        array[first + shift : first + shift + width, 1:3] = code
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 8.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def dataset(root: Path, names: list[str], *, table: str | None = None, labels: str = "") -> Path:
    """A raw dataset with the references ``names``; files of images are not opened by an evaluation."""
    folder = root / "raw_data" / "Mine"
    for name in names:
        write(folder / "labelsTr" / f"{name}.nii.gz")
        (folder / "imagesTr").mkdir(exist_ok=True)
        (folder / "imagesTr" / f"{name}_0000.nii.gz").write_bytes(b"")
    codes = labels or '"background": 0, "rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3'
    description = f'{{"channel_names": {{"0": "MRI"}}, "labels": {{{codes}}}, "file_ending": ".nii.gz"'
    (folder / "dataset.json").write_text(f'{description}, "numTraining": {len(names)}}}', encoding="utf-8")
    if table is not None:
        (folder / "cases.csv").write_text(table, encoding="utf-8")
    return folder


def two_maps(tmp_path: Path, *names: str) -> tuple[Path, Path]:
    for name in names:
        write(tmp_path / "ref" / f"{name}.nii.gz")
        write(tmp_path / "pred" / f"{name}.nii.gz", shift=1)
    return tmp_path / "ref", tmp_path / "pred"


def test_an_unknown_dataset_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    dataset(tmp_path, ["a_ED"])
    places = two_maps(tmp_path, "a_ED")
    for labels in (None, ACDC):  # codes given or not: the name was given, so it must be right
        with pytest.raises(WorkspaceError, match="there is no dataset 'Mien'") as caught:
            evaluate(*places, dataset="Mien", root=tmp_path, labels=labels, workers=0)
        assert "Mine" in caught.value.remedy


def test_patient_and_phase_come_from_the_names_where_no_table_tells(tmp_path: Path) -> None:
    places = two_maps(tmp_path, "patient007_ED", "patient007_ES_frame09", "sub-1_frame03")
    evaluation = evaluate(*places, labels=ACDC, workers=0)
    assert [(case.patient, case.phase, case.group) for case in evaluation.cases] == [
        ("patient007", "ED", None), ("patient007", "ES", None), ("sub-1", None, None)
    ]  # fmt: skip
    assert list(evaluation.by_phase) == ["ED", "ES"]


def test_the_table_of_the_dataset_named_holds_whatever_codes_are_given(tmp_path: Path) -> None:
    table = "case,patient,phase,group\nx1,p,ED,NOR\nx2,p,ES,NOR\ny1,q,ED,DCM\n"
    dataset(tmp_path, ["x1", "x2", "y1"], table=table)
    places = two_maps(tmp_path, "x1", "x2", "y1")
    evaluation = evaluate(*places, dataset="Mine", root=tmp_path, labels=MMS, workers=0)
    assert [(case.patient, case.phase, case.group) for case in evaluation.cases] == [
        ("p", "ED", "NOR"), ("p", "ES", "NOR"), ("q", "ED", "DCM")
    ]  # fmt: skip
    # code 1, two columns of which one is met, is the LV by the codes given and the RV by the dataset
    assert evaluation.summary["lv_cavity"]["dice"] == pytest.approx(1 / 2)
    assert list(evaluation.agreement_by_group) == ["DCM", "NOR"]
    of_dataset = evaluate(*places, dataset="Mine", root=tmp_path, workers=0)
    assert of_dataset.summary["rv_cavity"]["dice"] == pytest.approx(1 / 2)
    assert of_dataset.summary["lv_cavity"]["dice"] == pytest.approx(5 / 6)


def test_a_dataset_beside_the_references_is_found(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ["x1"], table="case,patient,phase,group\nx1,p,ES,NOR\n")
    write(tmp_path / "pred" / "x1.nii.gz")
    (case,) = evaluate(folder / "labelsTr", tmp_path / "pred", workers=0).cases
    assert (case.patient, case.phase, case.group) == ("p", "ES", "NOR")
    assert case.structures["lv_cavity"].dice == 1.0


def test_codes_that_nobody_tells_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not known") as caught:
        evaluate(*two_maps(tmp_path, "a_ED"), workers=0)
    assert "--labels" in caught.value.remedy


def test_the_figure_is_left_out_on_request_and_nothing_else(tmp_path: Path) -> None:
    places = two_maps(tmp_path, "p1_ED", "p1_ES")
    for name, figure in (("with", True), ("without", False)):
        evaluate(*places, output=tmp_path / name, labels=ACDC, figure=figure, workers=0)
    written = {name: {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("with", "without")}
    assert b">EDV, 1 patient</text>" in written["with"].pop("agreement.svg")
    assert written["with"] == written["without"]
    assert set(written["without"]) == {"evaluation.json", "cases.csv", "patients.csv"}


def test_the_read_out_s_agreement_is_written_beside_the_evaluation(tmp_path: Path) -> None:
    places = two_maps(tmp_path, "p1_ED", "p1_ES", "p2_ED", "p2_ES")
    out = tmp_path / "out"
    evaluate(*places, output=out, labels=ACDC, readout=True, workers=0)
    found = read_record(ReadoutAgreement, out / "readout_agreement.json")
    assert [one.n for one in found.quantities] == [2] * 8
    # LV: 6 columns of 2 rows, of 2 slices, of 8 mm3 a voxel: 0.192 ml on either side
    assert found.quantities[0].bias.value == pytest.approx(0.0)
    lines = (out / "readout_agreement.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("quantity,patients,r,r_lower_95,r_upper_95,icc,")
    assert lines[1].startswith("EDV [ml],2,,,,,,,0,")
    drawn = (out / "readout_agreement.svg").read_text(encoding="utf-8")
    titles = re.findall(r'class="title" text-anchor="start">(.*?), 2 patients<', drawn)
    assert titles == [one.quantity.partition(" [")[0] for one in found.quantities]
    evaluate(*places, output=tmp_path / "bare", labels=ACDC, readout=True, figure=False, workers=0)
    assert not list((tmp_path / "bare").glob("*.svg"))
