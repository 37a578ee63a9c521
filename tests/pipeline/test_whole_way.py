"""From phantoms to a chosen model that predicts frames and cines, in seconds; what each stage promises to the next."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autolv.cli.convert import main as convert_main
from autolv.cli.evaluate import main as evaluate_main
from autolv.cli.find_best_config import main as find_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.predict import main as predict_main
from autolv.cli.train import main as train_main
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.imageio.volumes import read_geometry, read_image, read_labels, write_image
from autolv.inference.predictor import Predictor
from autolv.schema.record import read_record
from autolv.schema.results import BestConfig, Evaluation, PredictionSummary, RunRecord
from autolv.schema.splits import Splits

_TRAIN = ["-d", "D", "--epochs", "2", "--precision", "float32", "--device", "cpu", "--seed", "4"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the whole way has been gone: two configurations, both folds of the first, one of the other."""
    folder = tmp_path_factory.mktemp("way")
    at = ["--root", str(folder), "--quiet"]
    spec = replace(PhantomSpec(), shape=(6, 80, 80), spacing_mm=(10.0, 2.2, 2.2))
    write_acdc_tree(folder / "source", patients=4, test_patients=1, frames=5, spec=spec, seed=9)
    assert convert_main(["acdc", str(folder / "source"), "-d", "D", *at]) == 0
    assert plan_main(["-d", "D", "--device", "cpu", "--time-budget", "1m", "--folds", "2", *at]) == 0
    assert train_main([*_TRAIN, "-c", "2d_unet", "-f", "all", *at]) == 0
    assert train_main([*_TRAIN, "-c", "3d_unet", "-f", "1", *at]) == 0
    assert find_main(["-d", "D", *at]) == 0
    return folder


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_patients_never_stand_on_both_sides(root: Path) -> None:
    splits = read_record(Splits, Workspace.at(root).splits_file("D"))
    validated = [patient for fold in splits.folds for patient in fold.validation]
    assert sorted(validated) == [f"patient{n:03d}" for n in range(1, 5)]
    for fold in splits.folds:
        assert not set(fold.train) & set(fold.validation)


def test_a_fold_leaves_what_it_promises(root: Path) -> None:
    place = Workspace.at(root).fold("D", "default", "2d_unet", 0)
    record = read_record(RunRecord, place / "run.json")
    assert record.status == "validated" and record.measured.epochs == 2 and record.measured.precision == "float32"
    rows = list(csv.DictReader((place / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1.0", "2.0"]
    assert float(rows[-1]["learning_rate"]) < 0.1 * float(rows[0]["learning_rate"])
    assert (place / "progress.png").stat().st_size > 10_000
    assert (place / "patches.png").stat().st_size > 10_000
    page = (place / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 and "Validation patients" in page
    evaluation = read_record(Evaluation, place / "evaluation.json")
    assert len(evaluation.cases) == 4  # two patients, two frames each
    for case in evaluation.cases:
        assert (place / "validation" / f"{case.case}.nii.gz").exists()
        assert (place / "validation" / f"{case.case}.npz").exists()


def test_four_patients_are_too_few_to_learn_quality_from(root: Path) -> None:
    model = Workspace.at(root).model("D", "default")
    best = read_record(BestConfig, model / "best_config.json")
    assert best.quality is None and "at least 20 are needed" in best.quality_reason
    assert (
        f"The quality of predictions is not predicted: {best.quality_reason}." in (model / "candidates.txt").read_text()
    )


def test_a_finished_fold_is_not_trained_again(root: Path) -> None:
    weights = Workspace.at(root).fold("D", "default", "2d_unet", 0) / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert train_main([*_TRAIN, "-c", "2d_unet", "-f", "0", "--root", str(root), "--quiet"]) == 0
    assert weights.stat().st_mtime_ns == before


@pytest.mark.parametrize("other", [["--seed", "5"], ["--epochs", "3"], ["--augment", "nnunet"]])
def test_the_same_run_with_other_choices_is_refused(
    root: Path, other: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_main([*_TRAIN, *other, "-c", "2d_unet", "-f", "0", "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert "other choices" in said and "--run" in said and other[0][2:-1] in said


def test_an_augmentation_asked_for_is_what_the_fold_records(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upright = [*_TRAIN, "-c", "2d_unet", "-f", "0", "--run", "upright", "--augment", "upright"]
    assert train_main([*upright, "--root", str(root), "--quiet"]) == 0
    workspace = Workspace.at(root)
    record = read_record(RunRecord, workspace.fold("D", "upright", "2d_unet", 0) / "run.json")
    assert record.configuration.training.augmentation == record.choices.augmentation == "upright"
    one = workspace.fold("D", "default", "2d_unet", 0) / "weights.safetensors"
    assert _sha(one) != _sha(workspace.fold("D", "upright", "2d_unet", 0) / "weights.safetensors")
    capsys.readouterr()
    assert train_main([*_TRAIN, "-f", "0", "--run", "other", "--augment", "vendor-robst", "--root", str(root)]) == 2
    assert "'vendor-robust'" in capsys.readouterr().err
    assert not workspace.run("D", "other").exists()


def test_the_same_seed_gives_the_same_weights_under_another_name(root: Path) -> None:
    again = [*_TRAIN, "-c", "2d_unet", "-f", "0", "--run", "again", "--root", str(root), "--quiet", "--workers", "0"]
    assert train_main(again) == 0
    workspace = Workspace.at(root)
    one = workspace.fold("D", "default", "2d_unet", 0) / "weights.safetensors"
    two = workspace.fold("D", "again", "2d_unet", 0) / "weights.safetensors"
    assert _sha(one) == _sha(two)


def test_the_choice_says_what_it_used(root: Path) -> None:
    best = read_record(BestConfig, Workspace.at(root).model("D", "default") / "best_config.json")
    assert best.folds_available == "2d_unet 2/2 folds, 3d_unet 1/2 folds"
    assert {candidate.name for candidate in best.candidates} == {"2d_unet", "3d_unet", "2d_unet + 3d_unet"}
    assert {candidate.cases for candidate in best.candidates} == {4}  # those of fold 1, which all share
    names = {member.configuration for member in best.members}
    assert names == set(best.configurations)
    for member in best.members:
        assert _sha(Workspace.at(root).model("D", "default") / member.weights) == member.sha256


def test_predictions_lie_on_the_inputs_grid_and_score(root: Path, tmp_path: Path) -> None:
    raw = root / "raw_data" / "D"
    out = tmp_path / "out"
    assert predict_main(["-d", "D", "-i", str(raw / "imagesTs"), "-o", str(out), "--root", str(root), "--quiet"]) == 0
    summary = read_record(PredictionSummary, out / "summary.json")
    assert len(summary.cases) == 2
    for status in summary.cases:
        image = nibabel.load(raw / "imagesTs" / status.input)
        labels = nibabel.load(out / str(status.output))
        assert labels.get_data_dtype() == np.uint8 and labels.shape == image.shape
        assert np.array_equal(labels.affine, image.affine)
        assert set(np.unique(np.asarray(labels.dataobj))) <= {0, 1, 2, 3}
        assert status.status in ("done", "empty")
    arguments = ["-r", str(raw / "labelsTs"), "-p", str(out), "-o", str(tmp_path / "scores"), "--root", str(root)]
    assert evaluate_main([*arguments, "--quiet"]) == 0
    evaluation = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    rows = list(csv.DictReader((tmp_path / "scores" / "cases.csv").read_text().splitlines()))
    assert len(rows) == 2 * 3
    column = [float(row["dice"]) for row in rows if row["structure"] == "lv_cavity" and row["dice"]]
    assert evaluation["summary"]["lv_cavity"]["dice"] == pytest.approx(np.mean(column), abs=1e-6)


def test_existing_results_are_not_overwritten_unasked(root: Path, tmp_path: Path) -> None:
    image = next((root / "raw_data" / "D" / "imagesTs").iterdir())
    arguments = ["-d", "D", "-i", str(image), "-o", str(tmp_path / "out"), "--root", str(root), "--quiet"]
    assert predict_main(arguments) == 0
    assert predict_main(arguments) == 0  # the same command again has nothing to do
    other = [*arguments, "--no-postprocessing"]
    assert predict_main(other) == 2
    assert predict_main([*other, "--skip-existing"]) == 0
    assert predict_main([*other, "--overwrite"]) == 0
    assert predict_main(arguments) == 2


def test_a_cine_is_predicted_frame_by_frame_with_its_header(root: Path, tmp_path: Path) -> None:
    cine = next((root / "source" / "testing").glob("*/*_4d.nii.gz"))
    assert predict_main(["-d", "D", "-i", str(cine), "-o", str(tmp_path), "--root", str(root), "--quiet"]) == 0
    image, labels = nibabel.load(cine), nibabel.load(tmp_path / cine.name)
    assert labels.shape == image.shape and labels.header.get_zooms() == image.header.get_zooms()
    assert labels.header.get_xyzt_units() == image.header.get_xyzt_units()
    third = nibabel.Nifti1Image(np.asarray(image.dataobj)[..., 2], image.affine)
    nibabel.save(third, tmp_path / "third.nii.gz")
    alone = ["-d", "D", "-i", str(tmp_path / "third.nii.gz"), "-o", str(tmp_path / "alone"), "--root", str(root)]
    assert predict_main([*alone, "--quiet"]) == 0
    single = np.asarray(nibabel.load(tmp_path / "alone" / "third.nii.gz").dataobj)
    assert np.array_equal(single, np.asarray(labels.dataobj)[..., 2])


def test_probabilities_of_an_nrrd_frame_are_those_of_its_labels(root: Path, tmp_path: Path) -> None:
    image = next((root / "raw_data" / "D" / "imagesTs").iterdir())
    frame = tmp_path / "frame_0000.nrrd"
    write_image(frame, read_image(image))
    plain = ["-d", "D", "--no-postprocessing", "--root", str(root), "--quiet"]
    assert predict_main([*plain, "-i", str(frame), "-o", str(tmp_path / "out"), "--save-probabilities"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "frame.nrrd",
        "frame.npz",
        "records",
        "summary.json",
    }
    written = read_labels(tmp_path / "out" / "frame.nrrd")
    assert read_geometry(tmp_path / "out" / "frame.nrrd") == read_geometry(frame)
    with np.load(tmp_path / "out" / "frame.npz") as stored:
        probabilities, classes = stored["probabilities"], stored["classes"].tolist()
    schema = LabelSchema(read_record(BestConfig, Workspace.at(root).model("D", "default") / "best_config.json").labels)
    assert classes == ["background", *schema.structures]
    assert probabilities.shape == (len(classes), *written.array.shape)
    np.testing.assert_allclose(probabilities.astype(np.float64).sum(axis=0), 1.0, atol=2e-3)
    labels = schema.to_internal(written.array)
    # halves round alike what is close, so a tie between two classes may hide which of them was more probable
    assert np.array_equal(np.take_along_axis(probabilities, labels[None], axis=0)[0], probabilities.max(axis=0))
    tied = (probabilities == probabilities.max(axis=0)).sum(axis=0) > 1
    assert tied.mean() < 0.01
    assert np.array_equal(probabilities.argmax(axis=0)[~tied], labels[~tied])

    assert predict_main([*plain, "-i", str(image), "-o", str(tmp_path / "nifti")]) == 0
    as_nifti = read_labels(tmp_path / "nifti" / image.name.replace("_0000", ""))
    assert (as_nifti.array != written.array).mean() < 1e-3  # the same image, but for the rounding of its spacing


def test_one_bad_file_does_not_stop_the_others(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    shutil.copytree(root / "raw_data" / "D" / "imagesTs", images)
    good = sorted(images.iterdir())
    (images / "broken.nii.gz").write_bytes(good[0].read_bytes()[:2000])
    assert predict_main(["-d", "D", "-i", str(images), "-o", str(tmp_path / "out"), "--root", str(root)]) == 1
    assert "broken.nii.gz" in capsys.readouterr().err
    summary = read_record(PredictionSummary, tmp_path / "out" / "summary.json")
    assert [status.status for status in summary.cases].count("failed") == 1
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == len(good)


def test_a_model_folder_copied_away_predicts_the_same(root: Path, tmp_path: Path) -> None:
    image = next((root / "raw_data" / "D" / "imagesTs").iterdir())
    here = Predictor.load(Workspace.at(root).model("D", "default")).predict_file(image)
    shutil.copytree(Workspace.at(root).model("D", "default"), tmp_path / "elsewhere")
    there = ["--model", str(tmp_path / "elsewhere"), "-i", str(image), "-o", str(tmp_path / "out"), "--quiet"]
    assert predict_main(there) == 0
    best = read_record(BestConfig, tmp_path / "elsewhere" / "best_config.json")
    name = image.name.replace("_0000", "")
    written = LabelSchema(best.labels).to_internal(read_labels(tmp_path / "out" / name).array)
    assert np.array_equal(written, here.labels)


def test_members_of_a_model_folder_are_used_alone_where_asked_for(root: Path, tmp_path: Path) -> None:
    folder = Workspace.at(root).configuration("D", "default", "2d_unet")
    image = next((root / "raw_data" / "D" / "imagesTs").iterdir())
    given = ["-i", str(image), "--root", str(root), "--device", "cpu", "--quiet", "--overwrite"]
    assert predict_main([*given, "-d", "D", "-c", "2d_unet", "-o", str(tmp_path / "both")]) == 0
    both = folder / "model_0_1"
    assert predict_main([*given, "--model", str(both), "-f", "1", "-o", str(tmp_path / "one")]) == 0
    schema = LabelSchema(read_record(BestConfig, both / "best_config.json").labels)
    name = image.name.replace("_0000", "")
    for out, folds in (("both", None), ("one", (1,))):
        expected = Predictor.load(both, folds=folds).predict_file(image).labels
        written = schema.to_internal(read_labels(tmp_path / out / name).array)
        assert np.array_equal(written, expected)
    models = [read_record(PredictionSummary, tmp_path / out / "summary.json").model for out in ("both", "one")]
    assert models == ["2d_unet", "2d_unet fold 1 (of 2d_unet)"]
    assert predict_main([*given, "--model", str(both), "-f", "2", "-o", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_a_chosen_model_predicts_after_its_raw_data_and_plan_are_gone(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((root / "raw_data" / "D" / "imagesTs").iterdir())
    left = tmp_path / "w"
    shutil.copytree(root / "results", left / "results")
    given = ["-i", str(image), "--root", str(left)]
    assert predict_main([*given, "-d", "D", "-o", str(tmp_path / "chosen")]) == 0
    assert predict_main([*given, "-d", "D", "-c", "2d_unet", "-o", str(tmp_path / "named")]) == 0
    capsys.readouterr()
    assert predict_main([*given, "-d", "E", "-o", str(tmp_path / "unknown")]) == 2
    assert "there is no dataset 'E'" in capsys.readouterr().err


def test_an_edited_label_cannot_be_trained_on_until_preprocessed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "w"
    shutil.copytree(root, copy)
    label = sorted((copy / "raw_data" / "D" / "labelsTr").iterdir())[0]
    stored = nibabel.load(label)
    array = np.asarray(stored.dataobj).copy()
    array[array == 3] = np.where(np.arange((array == 3).sum()) % 50 == 0, 2, 3)  # a few cavity voxels become wall
    nibabel.save(nibabel.Nifti1Image(array, stored.affine, stored.header), label)
    train = [*_TRAIN, "-c", "2d_unet", "-f", "0", "--run", "new", "--root", str(copy)]
    assert train_main(train) == 2
    said = capsys.readouterr().err
    assert label.name.removesuffix(".nii.gz") in said and "autolv_plan_and_preprocess -d D" in said
    before = {path.name: path.stat().st_mtime_ns for path in (copy / "preprocessed").rglob("*.safetensors")}
    plan = ["-d", "D", "--device", "cpu", "--time-budget", "1m", "--folds", "2", "--overwrite", "--root", str(copy)]
    assert plan_main([*plan, "--quiet"]) == 0
    after = {path.name: path.stat().st_mtime_ns for path in (copy / "preprocessed").rglob("*.safetensors")}
    assert [name for name in after if after[name] != before.get(name)] == [
        label.name.replace(".nii.gz", ".safetensors")
    ]


def test_overwriting_a_fold_also_forgets_its_validation(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "w"
    shutil.copytree(root, copy)
    place = Workspace.at(copy).fold("D", "default", "2d_unet", 0)
    stale = next((place / "validation").glob("*.json"))
    stale.write_text(stale.read_text().replace('"dice": ', '"dice": 0.5, "was": '))  # no longer a valid record
    assert train_main([*_TRAIN, "-c", "2d_unet", "-f", "0", "--overwrite", "--root", str(copy), "--quiet"]) == 0
    assert '"was"' not in stale.read_text()
    assert read_record(RunRecord, place / "run.json").status == "validated"


def test_data_that_do_not_fit_into_memory_give_the_same_weights(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("autolv.pipeline.cache.IN_MEMORY_SHARE", 0.0)
    workspace = Workspace.at(root)
    one = workspace.fold("D", "default", "2d_unet", 0) / "weights.safetensors"
    for workers in ("0", "2"):
        run = f"disk{workers}"
        disk = [*_TRAIN, "-c", "2d_unet", "-f", "0", "--run", run, "--root", str(root), "--workers", workers]
        with caplog.at_level(logging.INFO):
            assert train_main(disk) == 0
        assert _sha(one) == _sha(workspace.fold("D", run, "2d_unet", 0) / "weights.safetensors")
    assert any("2 processes read them ahead" in message for message in caplog.messages)
