"""A report of label maps: what is read, grouped, written, refused, and what one bad case does to the others."""

from __future__ import annotations

import csv
import json
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import autolv
from autolv.cli.report import main
from autolv.core.errors import DataError, PartialFailure, WorkspaceError
from autolv.core.geometry import Geometry, Volume
from autolv.datasets._phantom_tree import ACDC_CODES, _in_codes
from autolv.datasets.phantom import PhantomSpec, make_phantom
from autolv.imageio.volumes import read_labels, write_image, write_labels
from autolv.pipeline.report import report
from autolv.pipeline.report_options import ReportOptions
from autolv.schema.readout import Readout, ReadoutSummary
from autolv.schema.record import read_record, write_record
from autolv.schema.results import PredictionStatus, PredictionSummary

CODES = dict(ACDC_CODES)
FLAGS = ["--labels", "rv_cavity=1,lv_myocardium=2,lv_cavity=3", "--workers", "1", "--quiet"]
SPEC = PhantomSpec(frames=8, shape=(6, 64, 64), spacing_mm=(12.0, 2.6, 2.6), shift_mm=0.0)


def write_frame(folder: Path, name: str, labels: np.ndarray, geometry: Geometry) -> Path:
    path = folder / name
    write_image(path, Volume(array=labels.astype(np.float32), geometry=geometry), dtype="uint8")
    return path


@pytest.fixture(scope="module")
def cine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cine ``images/heart.nii.gz`` and its label map ``labels/heart.nii.gz``; read-only."""
    root = tmp_path_factory.mktemp("cine")
    phantom = make_phantom(1, SPEC)
    image = root / "images" / "heart.nii.gz"
    volume = Volume(array=phantom.image, geometry=phantom.geometry, frame_time_ms=phantom.frame_time_ms)
    write_image(image, volume, dtype="int16")
    write_labels(root / "labels" / image.name, _in_codes(phantom.labels, phantom.truth.structures, CODES), like=image)
    return root


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ED and ES label maps of three patients, named by frame or by phase; read-only."""
    root = tmp_path_factory.mktemp("frames")
    for number, names in (
        (1, ("patient001_frame01", "patient001_frame07")),
        (2, ("p2_ES", "p2_ED")),
        (3, ("sub-03_ED",)),
    ):
        phantom = make_phantom(number, SPEC, frames="ends")
        ends = phantom.labels if number != 2 else phantom.labels[::-1]
        for name, labels in zip(names, ends, strict=False):
            codes = _in_codes(labels, phantom.truth.structures, CODES)
            write_frame(root, f"{name}.nii.gz", codes, phantom.geometry)
    return root


def test_a_cine_gives_a_record_a_page_tables_and_an_index(cine: Path, tmp_path: Path) -> None:
    (readout,) = autolv.report(cine / "labels", tmp_path / "out", labels=CODES, images=cine / "images", workers=0)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "columns.csv", "heart.html", "heart.json", "index.html", "readout.csv", "summary.json",
    ]  # fmt: skip
    assert read_record(Readout, tmp_path / "out" / "heart.json") == readout
    assert readout.curve is not None and len(readout.curve.volume_ml) == 8
    summary = read_record(ReadoutSummary, tmp_path / "out" / "summary.json")
    assert [(one.case, one.file) for one in summary.cases] == [("heart", "heart.json")]
    assert summary.versions["autolv"] == autolv.__version__
    (row,) = csv.DictReader((tmp_path / "out" / "readout.csv").read_text().splitlines())
    assert float(row["lv_ef_percent"]) == pytest.approx(readout.quantities["lv_ef_percent"].value, abs=1e-3)
    assert row["body_surface_m2"] == "" and "body_surface_m2: height and weight are not known" in row["blank"]
    columns = list(csv.DictReader((tmp_path / "out" / "columns.csv").read_text().splitlines()))
    assert [one["column"] for one in columns] == list(row)
    assert all(one["meaning"] for one in columns)
    assert {one["column"]: one["unit"] for one in columns}["lv_edv_ml"] == "ml"


def test_a_page_asks_for_nothing_and_is_the_same_every_time(cine: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        report(cine / "labels", tmp_path / name, labels=CODES, images=cine / "images", workers=0)
    for page in ("heart.html", "index.html"):
        text = (tmp_path / "a" / page).read_text(encoding="utf-8")
        assert text == (tmp_path / "b" / page).read_text(encoding="utf-8")
        assert "default-src 'none'" in text and "unsafe" not in text
        links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", text)
        own = {"index.html", "heart.html", "readout.csv", "columns.csv"}
        assert len(links) > 3
        assert [link[:60] for link in links if not link.startswith(("data:image/", "#")) and link not in own] == []
        assert "http:" not in text and "https:" not in text and "@import" not in text


def test_pdf_and_png_come_beside_the_page_and_go_with_it(cine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["-i", str(cine / "labels"), "--images", str(cine / "images"), "-o", str(out), *FLAGS]
    assert main([*given, "--pdf", "--png"]) == 0
    assert (out / "heart.pdf").read_bytes().startswith(b"%PDF-")
    assert (out / "heart.png").read_bytes().startswith(b"\x89PNG")
    assert main([*given, "--pdf"]) == 2  # it is there already
    assert main([*given, "--pdf", "--overwrite"]) == 0
    assert (out / "heart.pdf").exists() and not (
        out / "heart.png"
    ).exists()  # an older report's picture is not this one's


def test_the_cohort_shows_how_far_it_agrees_with_a_reference(frames: Path, tmp_path: Path) -> None:
    """The read label map of one patient lacks a slab of the cavity; the reference of another is missing."""
    reference, out = tmp_path / "reference", tmp_path / "out"
    shutil.copytree(frames, reference)
    (reference / "sub-03_ED.nii.gz").unlink()
    predicted = tmp_path / "predicted"
    shutil.copytree(frames, predicted)
    path = predicted / "patient001_frame01.nii.gz"
    file = nib.load(path)
    array = np.asarray(file.dataobj).copy()
    slab = array[..., 2] == CODES["lv_cavity"]
    array[..., 2][slab] = 0
    nib.save(nib.Nifti1Image(array, file.affine, file.header), path)
    lost_ml = slab.sum() * 12.0 * 2.6 * 2.6 / 1000
    report(predicted, out, labels=CODES, options=ReportOptions(reference=reference), workers=0)
    page = (out / "index.html").read_text()
    assert "2 of 3 cases have a reference" in page and page.count('class="drawing agreement"') == 4
    assert f"patient001: {-lost_ml:+.1f} ml at" in page
    assert (
        f"bias {-lost_ml / 2:+.1f} ml, limits {(-1 - 1.96 * np.sqrt(2)) * lost_ml / 2:+.1f} to" in page
    )  # SD: loss / sqrt 2
    rows = {row["case"]: row for row in csv.DictReader((out / "reference.csv").read_text().splitlines())}
    mine = {row["case"]: row for row in csv.DictReader((out / "readout.csv").read_text().splitlines())}
    assert set(rows) == {"patient001", "p2"}
    difference = float(mine["patient001"]["lv_edv_ml"]) - float(rows["patient001"]["lv_edv_ml"])
    assert difference == pytest.approx(-lost_ml, abs=1e-3)
    report(predicted, out, labels=CODES, workers=0, overwrite=True)
    assert not (out / "reference.csv").exists() and "Agreement with" not in (out / "index.html").read_text()


def test_a_reference_of_other_names_or_grid_is_told(frames: Path, cine: Path, tmp_path: Path, caplog: Any) -> None:
    with pytest.raises(DataError, match="no reference in"):
        report(frames, tmp_path / "out", labels=CODES, options=ReportOptions(reference=cine / "labels"), workers=0)
    reference = tmp_path / "reference"
    small = Geometry.from_spacing((12.0, 2.6, 2.6), (6, 20, 20))
    reference.mkdir()
    write_frame(reference, "sub-03_ED.nii.gz", np.zeros((6, 20, 20), np.uint8), small)
    for name in ("p2_ED.nii.gz", "p2_ES.nii.gz", "patient001_frame01.nii.gz"):  # of patient001 one frame alone
        shutil.copy(frames / name, reference)
    report(frames, tmp_path / "out", labels=CODES, options=ReportOptions(reference=reference), workers=0)
    assert "1 of 3 cases have a reference" in (tmp_path / "out" / "index.html").read_text()
    assert "sub-03: its reference is left out: sub-03_ED.nii.gz has shape (6, 20, 20)" in caplog.text


def test_frames_go_together_by_their_names(frames: Path, tmp_path: Path) -> None:
    readouts = {one.case: one for one in report(frames, tmp_path / "out", labels=CODES, workers=0)}
    assert set(readouts) == {"patient001", "p2", "sub-03"}
    first, second, third = (readouts[name] for name in ("patient001", "p2", "sub-03"))
    assert (first.ed_frame, first.es_frame) == (1, 7)
    assert first.sources == ("patient001_frame01.nii.gz", "patient001_frame07.nii.gz")
    # phases by name, whatever the order of files; frames that have no number are counted
    assert (second.ed_frame, second.es_frame) == (1, 2)
    assert second.method.phases_rule == (
        "end-diastole and end-systole as given; frames numbered in the order of their files"
    )
    assert second.quantities["lv_edv_ml"].value > second.quantities["lv_esv_ml"].value
    assert third.quantities["lv_edv_ml"].value > 0
    assert third.quantities["lv_ef_percent"].reason == "end-systole is not known"
    page = (tmp_path / "out" / "sub-03.html").read_text(encoding="utf-8")
    assert "There is no ejection fraction: end-systole is not known." in page and "No images were given" in page


def test_a_dataset_gives_phases_facts_and_images(tiny_phantoms: Path, tmp_path: Path) -> None:
    from autolv.pipeline.convert import convert

    convert("acdc", tiny_phantoms, dataset="D", root=tmp_path)
    raw = tmp_path / "raw_data" / "D"
    text = (raw / "cases.csv").read_text().splitlines()
    place = text[0].split(",").index("rr_ms")
    rows = [line.split(",") for line in text]
    for row in rows[1:]:
        row[place] = "800"
    (raw / "cases.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    readouts = report(raw / "labelsTr", tmp_path / "out", dataset="D", root=tmp_path, workers=0)
    assert len(readouts) == 4
    one = next(r for r in readouts if r.patient == "patient001")
    info = dict(
        line.split(": ") for line in (tiny_phantoms / "training" / "patient001" / "Info.cfg").read_text().splitlines()
    )
    assert (one.ed_frame, one.es_frame, one.group) == (int(info["ED"]), int(info["ES"]), info["Group"])
    surface = (float(info["Height"]) * float(info["Weight"]) / 3600) ** 0.5
    assert one.quantities["body_surface_m2"].value == pytest.approx(surface, rel=1e-3)
    assert one.quantities["heart_rate_per_min"].value == pytest.approx(75.0)
    assert one.quantities["lv_papillary_mass_g"].value is not None  # from the dataset's images
    assert "No images were given" not in (tmp_path / "out" / "patient001.html").read_text(encoding="utf-8")
    # the same without -d: the dataset is found beside the label maps
    assert report(raw / "labelsTr", tmp_path / "again", workers=0) == readouts
    # label maps are no references of themselves; copies of them agree wholly with those of the dataset
    assert "Agreement with" not in (tmp_path / "out" / "index.html").read_text()
    shutil.copytree(raw / "labelsTr", tmp_path / "copies")
    report(tmp_path / "copies", tmp_path / "compared", dataset="D", root=tmp_path, workers=0)
    # label maps that lie elsewhere are of the cases whose images they have
    apart = report(tmp_path / "copies", tmp_path / "apart", labels=CODES, images=raw / "imagesTr", workers=0)
    assert [r.quantities for r in apart] == [r.quantities for r in readouts]
    assert not (tmp_path / "apart" / "reference.csv").exists()
    page = (tmp_path / "compared" / "index.html").read_text()
    assert "4 of 4 cases have a reference" in page and "bias 0.0 ml, limits 0.0 to 0.0 ml" in page
    assert "8 of the label maps are of training cases of D" in page


def test_a_dataset_of_the_images_that_cannot_be_read_is_told_and_left_out(
    cine: Path, tmp_path: Path, caplog: Any
) -> None:
    shutil.copytree(cine / "images", tmp_path / "images")
    (tmp_path / "dataset.json").write_text("{}")
    (readout,) = report(cine / "labels", tmp_path / "out", labels=CODES, images=tmp_path / "images", workers=0)
    assert readout.patient == "heart"
    assert "what the images' dataset knows of the cases is left out" in caplog.text


def test_the_codes_and_the_model_come_from_the_prediction(cine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    shutil.copytree(cine / "labels", folder)
    status = PredictionStatus(input="heart.nii.gz", output="heart.nii.gz", status="done")
    write_record(
        PredictionSummary(model="2d_unet", cases=(status,), labels=CODES, weights_sha256=("0123456789abcdef",)),
        folder / "summary.json",
    )
    (readout,) = report(folder, tmp_path / "out", workers=0)
    assert readout.model == "2d_unet (weights 0123456789ab)"
    assert readout.model in (tmp_path / "out" / "heart.html").read_text(encoding="utf-8")


def test_one_bad_case_among_many_does_not_stop_the_others(frames: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    shutil.copytree(frames, folder)
    (folder / "bad_ED.nii.gz").write_bytes(b"not an image")
    labels = read_labels(folder / "sub-03_ED.nii.gz")
    write_frame(folder, "odd_ED.nii.gz", np.where(labels.array == 3, 9, labels.array), labels.geometry)
    with pytest.raises(PartialFailure, match="2 of 5 cases failed: bad, odd") as caught:
        report(folder, tmp_path / "out", labels=CODES, workers=0)
    assert caught.value.exit_status == 1
    summary = read_record(ReadoutSummary, tmp_path / "out" / "summary.json")
    messages = {one.case: one.message for one in summary.cases if not one.file}
    assert "cannot be read as an image" in messages["bad"] and "unexpected label value 9" in messages["odd"]
    assert (tmp_path / "out" / "p2.html").is_file() and not (tmp_path / "out" / "bad.json").exists()
    assert "unexpected label value 9" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert main(["-i", str(folder), "-o", str(tmp_path / "out"), "--overwrite", *FLAGS]) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-i", "{tmp}/nowhere"], "does not exist"),
        (["-i", "{frames}", "--images", "{cine}/images"], "no image in"),
        (["-i", "{frames}", "--ed", "1"], "holds 3 patients"),
        (["-i", "{frames}", "--basal-rule", "valve_plane"], "go together"),
        (["-i", "{cine}/labels", "--papillary-rule", "in_mass"], "Name their folder with --images"),
        (["-i", "{cine}/labels", "--ed", "9"], "frame 9 is not among the frames 1 to 8"),
        (["-i", "{cine}/labels", "-o", "{cine}/labels"], "is that of the label maps"),
        (["-i", "{cine}/labels", "-d", "Unknown"], "there is no dataset 'Unknown'"),
        (["-i", "{cine}/images"], "unexpected label value|label values must"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    flags: list[str], words: str, frames: Path, cine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"tmp": tmp_path, "frames": frames, "cine": cine}
    given = [flag.format(**places) for flag in flags]
    given += [] if "-o" in given else ["-o", str(tmp_path / "out")]
    assert main([*given, "--root", str(tmp_path), *FLAGS]) == 2
    told = capsys.readouterr().err
    assert re.search(words, told) and "Traceback" not in told
    assert len(told.strip().splitlines()) <= 2  # what is wrong, and what to do
    assert not list((tmp_path / "out").glob("*"))


def test_without_codes_it_is_refused(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which label code is which structure is not known"):
        report(frames, tmp_path / "out")


def test_a_report_that_is_there_is_replaced_only_if_asked(cine: Path, tmp_path: Path) -> None:
    where = {"labels": CODES, "workers": 0}
    report(cine / "labels", tmp_path / "out", **where)
    with pytest.raises(WorkspaceError, match=r"holds index\.html already"):
        report(cine / "labels", tmp_path / "out", **where)
    ends = ReportOptions(ed_frame=2, es_frame=4)
    (given,) = report(cine / "labels", tmp_path / "out", **where, overwrite=True, options=ends)
    assert (given.ed_frame, given.es_frame) == (2, 4)
    assert read_record(Readout, tmp_path / "out" / "heart.json") == given


def test_frames_that_do_not_fit_together_are_refused(frames: Path, tmp_path: Path) -> None:
    one = read_labels(frames / "patient001_frame01.nii.gz")
    folder = tmp_path / "labels"
    folder.mkdir()
    write_frame(folder, "a_ED.nii.gz", one.array, one.geometry)
    small = one.array[:, :-2]
    write_frame(folder, "a_ES.nii.gz", small, Geometry.from_spacing(one.spacing_mm, small.shape))
    with pytest.raises(DataError, match="another frame of the patient"):
        report(folder, tmp_path / "out", labels=CODES, workers=0)
    (folder / "a_ES.nii.gz").unlink()
    write_frame(folder, "a_ED_frame02.nii.gz", one.array, one.geometry)
    with pytest.raises(DataError, match="a has 2 label maps of phase ED"):
        report(folder, tmp_path / "out", labels=CODES, workers=0)


def test_valve_planes_come_from_a_table(cine: Path, tmp_path: Path) -> None:
    """Two points on slice 1's centre: the plane halves slice 1, so slices from there on make the volume."""
    labels = read_labels(cine / "labels" / "heart.nii.gz")
    cavity = labels.array == CODES["lv_cavity"]
    occupied = np.flatnonzero(cavity[0].any(axis=(1, 2)))
    top = int(occupied[0])
    header = nib.load(cine / "labels" / "heart.nii.gz")
    points = [header.affine @ [20.0, 30.0, float(top), 1.0], header.affine @ [40.0, 30.0, float(top), 1.0]]
    table = tmp_path / "planes.csv"
    rows = [f"heart,{n},{','.join(f'{v:.4f}' for point in points for v in point[:3])}" for n in (1, 4)]
    table.write_text("\n".join(["case,frame,x1_mm,y1_mm,z1_mm,x2_mm,y2_mm,z2_mm", *rows]) + "\n")
    options = ReportOptions(basal_rule="valve_plane", valve_planes=table, ed_frame=1, es_frame=4)
    (readout,) = report(cine / "labels", tmp_path / "out", labels=CODES, options=options, workers=0)
    voxel_ml = 12.0 * 2.6 * 2.6 / 1000
    below = int(cavity[0, top + 1 :].sum())
    # the slice that the plane halves takes the label of the next one, where that is not the RV's
    edv = readout.quantities["lv_edv_ml"].value
    assert below * voxel_ml < edv <= (below + 0.5 * int(cavity[0, top + 1].sum())) * voxel_ml + 1e-6
    assert readout.curve is None and readout.curve_reason == "a fit needs 8 frames with a volume, there are 2"
    table.write_text("case,frame,x1_mm\nheart,1,2\n")
    with pytest.raises(DataError, match=r"planes\.csv, line 2"):
        report(cine / "labels", tmp_path / "no", labels=CODES, options=options)


def test_an_empty_label_map_is_reported_as_empty(tmp_path: Path) -> None:
    geometry = Geometry.from_spacing((8.0, 1.5, 1.5), (4, 24, 24))
    (tmp_path / "labels").mkdir()
    write_frame(tmp_path / "labels", "a_ED.nii.gz", np.zeros((4, 24, 24), np.uint8), geometry)
    (readout,) = report(tmp_path / "labels", tmp_path / "out", labels=CODES, workers=0)
    assert readout.quantities["lv_edv_ml"].reason == "no left ventricle is labelled"
    assert (tmp_path / "out" / "a.html").is_file()


def test_a_large_cine_in_time_and_size(tmp_path: Path) -> None:
    """12 slices of 30 frames, all noise (what JPEG likes least): under 8 MB, and 5 s of one core with the read-out."""
    phantom = make_phantom(0, PhantomSpec(frames=2, shape=(12, 200, 200), spacing_mm=(8.0, 1.5, 1.5)))
    labels = np.stack([phantom.labels[n % 2] for n in range(30)])
    image = np.random.default_rng(0).normal(500.0, 150.0, labels.shape).astype(np.float32)
    folder = tmp_path / "images"
    write_image(folder / "a.nii.gz", Volume(array=image, geometry=phantom.geometry, frame_time_ms=30.0), dtype="int16")
    codes = _in_codes(labels, phantom.truth.structures, CODES)
    write_labels(tmp_path / "labels" / "a.nii.gz", codes, like=folder / "a.nii.gz")
    begin = time.process_time()
    report(tmp_path / "labels", tmp_path / "out", labels=CODES, images=folder, workers=0)
    seconds = time.process_time() - begin
    assert (tmp_path / "out" / "a.html").stat().st_size < 8_000_000
    assert seconds < 10.0  # 5 s is the aim, and was met where it was measured; slow machines pass too


def test_names_that_are_html_stay_text(cine: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    shutil.copy(cine / "labels" / "heart.nii.gz", tmp_path / "labels" / "<img src=x>&'.nii.gz")
    report(tmp_path / "labels", tmp_path / "out", labels=CODES, workers=0)
    for page in (tmp_path / "out").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<img src=x" not in text
    data = json.loads((next((tmp_path / "out").glob("_img*.json"))).read_text(encoding="utf-8"))
    assert data["patient"].startswith("<img") and data["case"] == "_img_src_x_"


def test_a_model_s_own_text_cannot_end_the_data(cine: Path, tmp_path: Path) -> None:
    from autolv.reporting._html import json_in_html, standalone_page

    attack: dict[str, Any] = {"a": "</script><script>alert(1)</script>"}
    assert "</script>" not in json_in_html(attack) and json.loads(json_in_html(attack)) == attack
    page = standalone_page("<b>", "", style="", script="1", data=attack)
    assert page.count("<script") == 2 and "<title>&lt;b&gt;</title>" in page


def test_tables_of_patients_and_of_normal_ranges(
    frames: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patients, ranges = tmp_path / "patients.csv", tmp_path / "ranges.csv"
    patients.write_text("patient,height_cm,weight_kg,sex,age_years\npatient001,180,80,F,50\nsomebody,170,70,M,40\n")
    ranges.write_text("quantity,low,high,source,bsa_formula\nlv_edv_index_ml_per_m2,900,1000,Ours,mosteller\n")
    options = ReportOptions(cases=patients, normal_ranges=ranges)
    with caplog.at_level(logging.WARNING):
        found = {one.patient: one for one in report(frames, tmp_path / "out", labels=CODES, options=options, workers=1)}
    known = found["patient001"]
    assert known.quantities["body_surface_m2"].value == pytest.approx(2.0)
    assert set(known.normal) == {"lv_ef_percent", "lv_edv_index_ml_per_m2"} and known.sex == "F"
    assert "⚑ index below normal" in (tmp_path / "out" / f"{known.case}.html").read_text(encoding="utf-8")
    assert found["p2"].normal == {} and "sex and age are not known" in found["p2"].normal_reason
    assert [r.getMessage() for r in caplog.records if "table of cases" in r.getMessage()] == [
        "the table of cases names 1 that no label map is of (somebody)."
    ]


def test_a_table_that_cannot_be_read_stops_the_report_before_anything_is_written(frames: Path, tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.csv"
    ranges.write_text("quantity,low,high,source\nlv_edv_ml,2,1,Ours\n")
    with pytest.raises(DataError, match="low 2 is not below high 1"):
        report(frames, tmp_path / "out", labels=CODES, options=ReportOptions(normal_ranges=ranges), workers=1)
    assert not (tmp_path / "out").exists()
