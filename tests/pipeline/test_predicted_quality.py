"""A model that knows what its labels are worth: predicted, told, reported; and one that does not, as before."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from autolv.cli.predict import main as predict_main
from autolv.imageio.volumes import read_labels
from autolv.inference.predictor import Predictor
from autolv.readout.expected import SIGNALS
from autolv.schema.predicted_quality import DiceRegression, IntervalFactor, PredictedQuality
from autolv.schema.readout import Readout
from autolv.schema.record import read_record, write_record
from autolv.schema.results import BestConfig, PredictionSummary

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _quality(temperature: float) -> PredictedQuality:
    one = DiceRegression(
        centre=(0.0,) * 6, scale=(1.0,) * 6, weights=(0.1, 0.0, 0.0, 0.0, 0.0, 0.0), intercept=0.0, frames=40, patients=20,
        spearman=0.8, mean_absolute_error=0.02,
    )  # fmt: skip
    factor = IntervalFactor(factor=0.5, patients=20, coverage=0.9, median_half_width=5.0)
    return PredictedQuality(
        signals=SIGNALS, temperature=temperature, nll_before=0.2, nll=0.1, dice=dict.fromkeys(STRUCTURES, one), level=0.9,
        intervals=dict.fromkeys(("lv_edv_ml", "lv_esv_ml", "lv_ef_percent"), factor), cases=40, patients=20,
    )  # fmt: skip


@pytest.fixture
def knowing(untrained: Path, tmp_path: Path) -> Path:
    """The untrained model, with made-up knowledge of its quality and a temperature of 2."""
    folder = tmp_path / "model"
    shutil.copytree(untrained, folder)
    best = read_record(BestConfig, folder / "best_config.json")
    write_record(best.model_copy(update={"quality": _quality(2.0)}), folder / "best_config.json")
    return folder


def _images(root: Path) -> Path:
    return root / "raw_data" / "D" / "imagesTr"


def test_a_record_without_quality_keeps_its_hash_and_text(untrained: Path) -> None:
    best = read_record(BestConfig, untrained / "best_config.json")
    assert best.quality is None
    assert "quality" not in json.loads(best.to_json())
    told = best.model_copy(update={"quality_reason": "3 patients"})
    assert told.content_hash() != best.content_hash()


def test_prediction_tells_and_the_report_shows_what_is_expected(
    knowing: Path, planned_small: Path, tmp_path: Path
) -> None:
    patient = sorted(path.name for path in _images(planned_small).iterdir())[0].split("_")[0]
    images = tmp_path / "images"
    images.mkdir()
    for path in _images(planned_small).glob(f"{patient}_*"):
        shutil.copy(path, images)
    out = tmp_path / "out"
    command = ["-i", str(images), "-o", str(out), "--model", str(knowing), "--report", "--device", "cpu", "--quiet"]
    assert predict_main(command) == 0
    summary = read_record(PredictionSummary, out / "summary.json")
    assert len(summary.cases) == 2
    for status in summary.cases:
        assert status.expected is not None and status.expected.factors["lv_ef_percent"] == 0.5
        for name in STRUCTURES:
            (value,) = status.expected.dice[name]
            assert np.isnan(value) or 0.3 < value < 0.7
    readout = read_record(Readout, out / "report" / f"{patient}.json")
    assert set(readout.expected_dice) <= {"ED", "ES"} and readout.expected_dice
    page = (out / "report" / f"{patient}.html").read_text(encoding="utf-8")
    assert "Dice that the model expects of its labels" in page
    assert readout.verdict is not None
    assert "predicted_dice" in {finding.check for finding in readout.verdict.findings}
    (row,) = csv.DictReader((out / "report" / "readout.csv").read_text().splitlines())
    edv = readout.quantities["lv_edv_ml"]
    dice = readout.expected_dice["ED"]["lv_cavity"]
    half = 0.5 * edv.value * (1 - dice)
    assert edv.interval == pytest.approx((edv.value - half, edv.value + half))
    assert float(row["lv_edv_low_ml"]) == pytest.approx(edv.interval[0], abs=1e-3)
    columns = list(csv.DictReader((out / "report" / "columns.csv").read_text().splitlines()))
    assert [one["column"] for one in columns] == list(row) and all(one["meaning"] for one in columns)


def test_labels_stay_and_written_probabilities_are_calibrated(
    knowing: Path, untrained: Path, planned_small: Path
) -> None:
    image = sorted(_images(planned_small).iterdir())[0]
    plain = Predictor.load(untrained, device="cpu").predict_file(image, probabilities=True)
    told = Predictor.load(knowing, device="cpu").predict_file(image, probabilities=True)
    np.testing.assert_array_equal(plain.labels, told.labels)
    assert plain.expected_dice is None and told.expected_dice is not None
    roots = np.sqrt(np.maximum(plain.probabilities.astype(np.float64), 1e-6))
    np.testing.assert_allclose(told.probabilities, roots / roots.sum(axis=0), atol=2e-3)


def test_what_is_expected_is_of_the_first_fold_whatever_others_join(knowing: Path, planned_small: Path) -> None:
    image = sorted(_images(planned_small).iterdir())[0]
    both, first, second = (
        Predictor.load(knowing, device="cpu", folds=folds).predict_file(image).expected_dice
        for folds in (None, (0,), (1,))
    )
    assert both == first != second


@pytest.mark.parametrize("way", [{"postprocess": False}, {"whole_field": True}])
def test_another_way_than_cross_validations_tells_nothing(knowing: Path, planned_small: Path, way: dict) -> None:
    image = sorted(_images(planned_small).iterdir())[0]
    assert Predictor.load(knowing, device="cpu", **way).predict_file(image).expected_dice is None


def test_an_edited_label_map_is_not_given_its_predictions_quality(
    knowing: Path, planned_small: Path, tmp_path: Path
) -> None:
    import nibabel

    from autolv.cli.report import main as report_main

    image = sorted(_images(planned_small).iterdir())[0]
    out = tmp_path / "out"
    assert predict_main(["-i", str(image), "-o", str(out), "--model", str(knowing), "--device", "cpu", "--quiet"]) == 0
    (label,) = out.glob("*.nii.gz")
    stored = nibabel.load(label)
    array = np.asarray(stored.dataobj).copy()
    assert read_labels(label).array.any()
    array[np.unravel_index(np.flatnonzero(array)[0], array.shape)] = 0  # one voxel of some 80 mm³
    nibabel.save(nibabel.Nifti1Image(array, stored.affine, stored.header), label)
    assert report_main(["-i", str(out), "-o", str(tmp_path / "report"), "--quiet"]) == 0
    (record,) = [path for path in (tmp_path / "report").glob("*.json") if path.name != "summary.json"]
    assert read_record(Readout, record).expected_dice == {}
