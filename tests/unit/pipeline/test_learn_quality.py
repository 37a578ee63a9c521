"""From fold folders of validation predictions to what they teach: 22 small patients who err by as much as they doubt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from autolv.imageio.probabilities import write_probabilities
from autolv.inference.quality import expecting
from autolv.pipeline.learn_quality import learn_quality, voxels_about
from autolv.pipeline.model import TrainedFold
from autolv.pipeline.scoring import Predicted, Scorer
from autolv.readout.expected import SIGNALS, expected_dice, signals_of
from autolv.schema.dataset import Case, Dataset
from autolv.schema.results import Step

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
SHAPE, SPACING_MM = (4, 40, 40), (10.0, 2.0, 2.0)
STEPS = (Step(name="largest_component", structure="lv_cavity"),)
PARTS = ("a",)


def _map(radius: float) -> np.ndarray:
    """A cavity of ``radius`` pixels in a wall of 4, and the RV beside it."""
    y, x = np.ogrid[:40, :40]
    from_lv, from_rv = np.hypot(y - 20, x - 24), np.hypot(y - 20, x - 9)
    plane = np.zeros((40, 40), dtype=np.uint8)
    plane[from_rv < 7] = 3
    plane[from_lv < radius + 4] = 2
    plane[from_lv < radius] = 1
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:] = plane
    return labels


def _predicted(truth: np.ndarray, doubt: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities in which a voxel is given away with the chance ``doubt``, and none is surer than that leaves."""
    moved = truth.copy()
    lost = (rng.random(SHAPE) < doubt) & (truth > 0)
    moved[lost] = rng.integers(0, 4, int(lost.sum()))
    share = np.full((4, *SHAPE), doubt / 4)
    np.put_along_axis(share, moved[None], 1 - 0.75 * doubt, axis=0)
    share[:, truth == 0] = np.array([[0.9999], [0.00004], [0.00003], [0.00003]])
    return share.astype(np.float32)


def _folds(tmp_path: Path, patients: int) -> tuple[Scorer, list[Case]]:
    rng = np.random.default_rng(0)
    cases, by_fold = [], [[] for _ in range(2)]
    (tmp_path / "labelsTr").mkdir()
    for number in range(patients):
        doubt = 0.02 + 0.3 * number / patients
        for phase, radius in (("ED", 8.0), ("ES", 5.0)):
            name = f"p{number:02d}_{phase}"
            truth = _map(radius)
            path = f"labelsTr/{name}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(truth.transpose(2, 1, 0), np.diag([2.0, 2.0, 10.0, 1.0])), tmp_path / path)
            cases.append(Case(case=name, patient=f"p{number:02d}", phase=phase, image="", label=path))
            place = tmp_path / "a" / f"fold_{number % 2}" / "validation" / f"{name}.npz"
            write_probabilities(place, _predicted(truth, doubt, rng))
        by_fold[number % 2].append(f"p{number:02d}")
    trained = [TrainedFold("a", fold, tmp_path / "a" / f"fold_{fold}", SimpleNamespace(validation_patients=tuple(names)))
               for fold, names in enumerate(by_fold)]  # fmt: skip
    labels = {"lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3}
    dataset = Dataset(name="D", labels=labels, file_ending=".nii.gz", training=tuple(cases))
    return Scorer(tmp_path, dataset, {"a": trained}, workers=0), cases


def test_fold_folders_teach_what_new_frames_are_worth(tmp_path: Path) -> None:
    scorer, cases = _folds(tmp_path, 22)
    evaluation = scorer.evaluation(PARTS, cases, STEPS)
    found = learn_quality(scorer, PARTS, cases, STEPS, evaluation, STRUCTURES, workers=0)
    assert not isinstance(found, str)
    assert (found.cases, found.patients, set(found.dice)) == (44, 22, set(STRUCTURES))
    assert all(one.spearman > 0.9 and one.mean_absolute_error < 0.02 for one in found.dice.values())
    assert set(found.intervals) == {"lv_edv_ml", "lv_esv_ml", "lv_ef_percent"}
    # a fresh frame, as prediction has it: labels of the mean, post-processed
    truth = _map(7.0)
    for doubt in (0.05, 0.25):
        fresh = _predicted(truth, doubt, np.random.default_rng(9))
        labels = fresh.argmax(axis=0).astype(np.uint8)
        signals = signals_of(fresh, ((0, 4), (0, 40), (0, 40)), labels, STRUCTURES, SPACING_MM, found.temperature)
        expected = expected_dice(found, signals)["lv_cavity"]
        common = 2 * np.count_nonzero((labels == 1) & (truth == 1))
        assert expected == pytest.approx(common / (np.sum(labels == 1) + np.sum(truth == 1)), abs=0.04)


def test_the_same_prediction_gives_the_same_signals_out_of_fold_and_at_prediction(tmp_path: Path) -> None:
    """What a fold's networks say of an unseen case is read from a file there, and taken from memory here."""
    scorer, cases = _folds(tmp_path, 22)
    evaluation = scorer.evaluation(PARTS, cases, STEPS)
    quality = learn_quality(scorer, PARTS, cases, STEPS, evaluation, STRUCTURES, workers=0)
    member = SimpleNamespace(configuration="a", fold=0)
    best = SimpleNamespace(quality=quality, configurations={"a": None}, postprocessing=STEPS, structures=STRUCTURES)
    ask = expecting(best, [member], as_scored=True)  # type: ignore[arg-type]
    assert not isinstance(ask, str)
    stored = scorer.predicted(PARTS, cases[30], STEPS)
    rng = np.random.default_rng(0)
    for number in range(16):
        for radius in (8.0, 5.0):
            made = _predicted(_map(radius), 0.02 + 0.3 * number / 22, rng)
            if (number, radius) == (15, 8.0):
                fresh = ask.of_frame([(made, ((0, 4), (0, 40), (0, 40)))], SHAPE, SPACING_MM)
    signals = signals_of(
        stored.probabilities, stored.box, stored.labels, STRUCTURES, stored.spacing_mm, quality.temperature
    )  # fmt: skip
    out_of_fold = expected_dice(quality, signals)
    assert set(fresh) == set(STRUCTURES)
    for name, value in fresh.items():
        assert out_of_fold[name] == pytest.approx(value, abs=1e-3)  # half precision on disk


@pytest.mark.parametrize(
    ("signals", "as_scored", "configurations", "words"),
    [
        (SIGNALS, True, ("a",), None),
        (("of", "old"), True, ("a",), "made by another version of autolv"),
        (SIGNALS, False, ("a",), "made in another way"),
        (SIGNALS, True, ("a", "b"), "no fold has a network of each"),
    ],
)
def test_why_a_model_does_not_say_what_to_expect_is_returned_for_who_predicts_to_tell(
    signals: object,
    as_scored: bool,
    configurations: tuple[str, ...],
    words: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    members = [SimpleNamespace(configuration="a", fold=0), SimpleNamespace(configuration="b", fold=1)]
    best = SimpleNamespace(
        quality=SimpleNamespace(signals=signals),
        configurations=dict.fromkeys(configurations),
        postprocessing=(),
        structures=(),
    )
    with caplog.at_level("INFO", logger="autolv"):
        told = expecting(best, members, as_scored=as_scored)  # type: ignore[arg-type]
        unlearnt = SimpleNamespace(quality=None, configurations={"a": None})
        assert expecting(unlearnt, members, as_scored=True) == ""  # type: ignore[arg-type]
    assert (words is None) == (not isinstance(told, str))
    assert words is None or (isinstance(told, str) and words in told)
    assert caplog.text == ""  # measuring passes loads a model five times


def test_few_patients_teach_nothing_and_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, cases = _folds(tmp_path, 3)
    evaluation = scorer.evaluation(PARTS, cases, ())
    monkeypatch.setattr(Scorer, "predicted", lambda *_: pytest.fail("a case was read"))
    said = learn_quality(scorer, PARTS, cases, (), evaluation, STRUCTURES, workers=0)
    assert said == "3 validated patients, at least 20 are needed"


def test_voxels_about_structures_are_chosen_by_the_prediction_alone() -> None:
    labels = np.zeros((1, 20, 20), dtype=np.uint8)
    labels[0, 10, 10] = 1
    reference = np.zeros_like(labels)
    reference[0, 2, 2] = 1  # far from what is labelled
    shares = np.zeros((2, 1, 20, 20), dtype=np.float32)
    shares[0] = 1.0
    shares[:, 0, 10, 10] = 0.1, 0.9
    one = Predicted(
        probabilities=shares, box=((0, 1), (0, 20), (0, 20)), labels=labels, reference=reference, spacing_mm=SPACING_MM
    )
    found, truth = voxels_about(one)
    assert found.shape == (2, 25)  # three steps to the sides from one pixel: 1 + 3 + 5 + 7 + 5 + 3 + 1
    assert truth.tolist() == [0] * 25
