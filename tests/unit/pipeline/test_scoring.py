"""Scores of candidates from stored probabilities, against whole maps that are made and counted anew for every question."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from autolv.evaluation.case import compare_case
from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.imageio.probabilities import read_probabilities, write_probabilities
from autolv.pipeline.model import TrainedFold
from autolv.pipeline.scoring import Scorer
from autolv.postprocessing import POSTPROCESSING
from autolv.schema.dataset import Case, Dataset
from autolv.schema.results import Step
from autolv.selection.candidates import enumerate_candidates

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
SPACING_MM = (8.0, 1.0, 1.0)
SHAPE = (4, 30, 26)
STEPS = (
    Step(name="largest_foreground"),
    Step(name="fill_holes", structure="lv_myocardium"),
    Step(name="largest_component", structure="rv_cavity"),
)
NAMES = ("a", "b")


def _softmax(logits):
    shares = np.exp(logits)
    return (shares / shares.sum(axis=0)).astype(np.float32)


def _map(rng):
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:3, 8:20, 6:18] = rng.choice(4, (2, 12, 12), p=[0.1, 0.4, 0.4, 0.1])
    labels[0, 2:4, 2:4] = 3
    return labels


@pytest.fixture
def known(tmp_path: Path):
    """Two configurations that validated three patients in two folds; the last case is empty in both."""
    rng = np.random.default_rng(0)
    cases, references, stored = [], {}, {}
    for number in range(6):
        name = f"p{number // 2}_{number}"
        references[name] = _map(rng)
        path = tmp_path / "labelsTr" / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(references[name].transpose(2, 1, 0), np.diag([1.0, 1.0, 8.0, 1.0])), path)
        cases.append(
            Case(case=name, patient=f"p{number // 2}", phase=("ED", "ES")[number % 2], image="",
                 label=f"labelsTr/{name}.nii.gz")
        )  # fmt: skip
    labels = {"lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3}
    dataset = Dataset(name="D", labels=labels, file_ending=".nii.gz", training=tuple(cases))
    trained = {}
    for name in NAMES:
        trained[name] = []
        for fold, patients in enumerate((("p0",), ("p1", "p2"))):
            place = tmp_path / name / f"fold_{fold}"
            record = SimpleNamespace(validation_patients=patients)
            trained[name].append(TrainedFold(name, fold, place, record))
            for case in (case for case in cases if case.patient in patients):
                truth = np.stack([references[case.case] == label for label in range(4)])
                logits = 9.0 * truth + rng.normal(scale=0.1, size=(4, *SHAPE)) * 20 * (truth[:1] == 0)
                logits[0] += 3.0 * truth[0]
                if case is cases[-1]:
                    logits[0] += 99.0
                write_probabilities(place / "validation" / f"{case.case}.npz", _softmax(logits))
                stored[name, case.case] = place / "validation" / f"{case.case}.npz"
    return SimpleNamespace(folder=tmp_path, dataset=dataset, trained=trained, references=references, stored=stored)


def _plain(known, parts, case, steps):
    """Labels of the whole grid: probabilities pasted, their mean, the largest, step after step."""
    grids = []
    for name in parts:
        one = read_probabilities(known.stored[name, case.case])
        grid = np.zeros((4, *one.shape), dtype=np.float32)
        grid[0] = 1.0
        grid[(slice(None), *(slice(*side) for side in one.box))] = one.inside
        grids.append(grid)
    labels = (sum(grids) / np.float32(len(grids))).argmax(axis=0).astype(np.uint8)
    for step in steps:
        channel = 1 + STRUCTURES.index(step.structure) if step.structure else None
        labels = POSTPROCESSING.get(step.name)(labels, channel, STRUCTURES, SPACING_MM)
    return labels


@pytest.mark.parametrize("workers", [0, 2])
def test_dice_of_every_candidate_after_any_steps_is_that_of_whole_maps(known, workers):
    scorer = Scorer(known.folder, known.dataset, known.trained, workers=workers)
    differ = False
    for steps in ((), STEPS[:1], STEPS[:2], STEPS, (STEPS[0], STEPS[2]), STEPS[1:]):
        for parts in enumerate_candidates(NAMES):
            cases = scorer.cases(parts)
            expected = np.array([
                [overlap_of(joint_histogram(_plain(known, parts, case, steps), known.references[case.case], 4), c).dice
                 for c in (1, 2, 3)]
                for case in cases
            ])  # fmt: skip
            np.testing.assert_array_equal(scorer.dice(parts, cases, steps), expected)
            differ |= bool(steps) and not np.array_equal(expected, scorer.dice(parts, cases, ()))
    assert differ  # or the steps would not have been tested


def test_the_evaluation_and_the_error_of_ef_are_those_of_whole_maps(known):
    scorer = Scorer(known.folder, known.dataset, known.trained, workers=0)
    cases = scorer.cases(NAMES)
    found = scorer.evaluation(NAMES, cases, STEPS)
    expected = [
        compare_case(_plain(known, NAMES, case, STEPS), known.references[case.case], SPACING_MM, STRUCTURES,
                     case=case.case, patient=case.patient, phase=case.phase, group=case.group)
        for case in cases
    ]  # fmt: skip
    assert [one.to_json() for one in found.cases] == [one.to_json() for one in expected]
    errors = []
    for patient in range(
        2
    ):  # the third has an empty end-systole: a defined error too, of 100 points less the reference
        volumes = [(np.sum(_plain(known, NAMES, c, ()) == 1), np.sum(known.references[c.case] == 1))
                   for c in cases[2 * patient : 2 * patient + 2]]  # fmt: skip
        (ed, ed_true), (es, es_true) = volumes
        errors.append(abs(100 * (ed - es) / ed - 100 * (ed_true - es_true) / ed_true))
    last = [np.sum(known.references[c.case] == 1) for c in cases[4:]]
    ed = np.sum(_plain(known, NAMES, cases[4], ()) == 1)
    errors.append(abs(100 * (ed - 0) / ed - 100 * (last[0] - last[1]) / last[0]))
    assert scorer.ef_mae_percent(NAMES, cases) == pytest.approx(np.mean(errors))


def test_probabilities_that_do_not_fit_are_read_again_with_the_same_result(known, monkeypatch):
    cases, read = known.dataset.training[:2], []
    sizes = [read_probabilities(known.stored["a", case.case]).half.nbytes for case in cases]
    monkeypatch.setattr(
        "autolv.pipeline.scoring.read_probabilities", lambda path: read.append(path) or read_probabilities(path)
    )
    found = {}
    for room, times in ((sum(sizes), 2), (sizes[0], 3), (0, 4)):
        monkeypatch.setattr("autolv.pipeline.scoring._MOST_HELD", room)
        scorer = Scorer(known.folder, known.dataset, {"a": known.trained["a"]}, workers=0)
        read.clear()
        scorer.dice(("a",), cases, ())
        found[room] = [scorer.predicted(("a",), case, STEPS) for case in cases]
        assert len(read) == times
    for ones in zip(*found.values(), strict=True):
        assert len({(one.probabilities.tobytes(), one.labels.tobytes(), one.box) for one in ones}) == 1
        assert ones[0].probabilities.size


def test_each_file_is_read_once_for_all_candidates_and_steps(known, monkeypatch):
    read = []
    monkeypatch.setattr(
        "autolv.pipeline.scoring.read_probabilities", lambda path: read.append(path) or read_probabilities(path)
    )
    scorer = Scorer(known.folder, known.dataset, known.trained, workers=0)
    for parts in enumerate_candidates(NAMES):
        scorer.dice(parts, scorer.cases(parts), STEPS)
        scorer.predicted(parts, known.dataset.training[0], STEPS)
    assert sorted(read) == sorted(known.stored.values())
