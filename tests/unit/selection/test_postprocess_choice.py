"""Post-processing is kept where it helps across folds, on real label maps and on hand-made scores."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from autolv.evaluation.overlap import joint_histogram, overlap_of
from autolv.postprocessing import apply_steps
from autolv.schema.results import Step
from autolv.selection.candidates import ScoredCandidate, SharedCases
from autolv.selection.postprocess import Steps, candidate_steps, choose_postprocessing
from autolv.selection.procedure import select

ALL = ("lv_cavity", "lv_myocardium", "rv_cavity")
CASES = SharedCases(patients=tuple(f"p{i}" for i in range(10)), folds=tuple(i // 2 for i in range(10)))
Labels = NDArray[np.uint8]


def heart(cavity_gap: bool = False) -> Labels:
    """A ring of myocardium around a cavity, and an RV beside it: (2, 24, 40)."""
    y, x = np.ogrid[:24, :40]
    distance = np.hypot(y - 12, x - 12)
    slice_ = np.where(distance < 5, 1, np.where(distance < 8, 2, 0)).astype(np.uint8)
    slice_[8:16, 20:26] = 3
    if cavity_gap:  # papillary muscles cut the cavity in two, in truth
        slice_[(slice_ == 1) & (abs(x - 11) < 2) & (y > 0)] = 2
    return np.stack([slice_, slice_])


def dice_after_of(predictions: list[Labels], references: list[Labels]) -> Callable[[Steps], NDArray[np.float64]]:
    def dice_after(steps: Steps) -> NDArray[np.float64]:
        rows = []
        for prediction, reference in zip(predictions, references, strict=True):
            after, _ = apply_steps(prediction, steps, ALL, (10.0, 1.5, 1.5))
            histogram = joint_histogram(after, reference, 4)
            rows.append([overlap_of(histogram, channel).dice for channel in (1, 2, 3)])
        return np.array(rows)

    return dice_after


def scores(table: dict[tuple[str, ...], NDArray[np.float64]]) -> Callable[[Steps], NDArray[np.float64]]:
    return lambda steps: table[tuple(step.name for step in steps)]


def names(steps: Steps) -> list[tuple[str, str]]:
    return [(step.name, step.structure) for step in steps]


def test_what_is_tried_and_in_which_order() -> None:
    assert names(candidate_steps(("lv_cavity", "rv_cavity"))) == [
        ("largest_foreground", ""),
        ("largest_component", "lv_cavity"),
        ("fill_holes", "lv_cavity"),
        ("largest_component", "rv_cavity"),
        ("fill_holes", "rv_cavity"),
    ]


def test_a_far_island_in_each_fold_is_found_and_removed() -> None:
    predictions = [heart() for _ in range(10)]
    for number, prediction in enumerate(predictions):
        prediction[0, 2 + number % 3, 34:38] = 3
    choice = choose_postprocessing(dice_after_of(predictions, [heart()] * 10), candidate_steps(ALL), CASES)
    assert names(choice.steps) == [("largest_foreground", "")]
    assert choice.score == choice.cross_fitted_score == 1.0 > choice.score_before
    assert [trial.kept for trial in choice.trials] == [True] + [False] * 6
    assert choice.trials[0].gain == choice.trials[0].cross_fitted_gain == pytest.approx(1.0 - choice.score_before)


def test_an_island_that_touches_the_heart_takes_the_largest_component_of_its_structure() -> None:
    predictions = [heart() for _ in range(10)]
    for prediction in predictions:
        prediction[0, 12, 4] = 1  # cavity outside the wall, beside it
    choice = choose_postprocessing(dice_after_of(predictions, [heart()] * 10), candidate_steps(ALL), CASES)
    assert names(choice.steps) == [("largest_component", "lv_cavity")]


def test_a_cavity_that_is_in_two_parts_in_truth_is_not_cut() -> None:
    references = [heart(cavity_gap=number % 2 == 0) for number in range(10)]
    predictions = [reference.copy() for reference in references]
    for prediction in predictions[1::2]:
        prediction[0, 12, 4] = 1  # and here a largest component would help a little
    choice = choose_postprocessing(dice_after_of(predictions, references), candidate_steps(ALL), CASES)
    assert ("largest_component", "lv_cavity") not in names(choice.steps)
    trial = next(t for t in choice.trials if names((t.step,)) == [("largest_component", "lv_cavity")])
    assert trial.gain < 0 and trial.reason == "does not raise the mean Dice"


def test_holes_are_filled() -> None:
    predictions = [heart() for _ in range(10)]
    for prediction in predictions:
        prediction[:, 12, 12] = 0
    choice = choose_postprocessing(dice_after_of(predictions, [heart()] * 10), candidate_steps(ALL), CASES)
    assert names(choice.steps) == [("fill_holes", "lv_cavity")]
    assert choice.score == 1.0


def test_perfect_labels_need_nothing() -> None:
    choice = choose_postprocessing(dice_after_of([heart()] * 10, [heart()] * 10), candidate_steps(ALL), CASES)
    assert choice.steps == () and choice.score == choice.score_before == choice.cross_fitted_score == 1.0
    assert all(trial.gain == 0 and not trial.kept for trial in choice.trials)


STEP = (Step(name="s"),)


def test_a_gain_in_one_fold_alone_is_not_trusted() -> None:
    plain = np.full((10, 1), 0.8)
    after = plain.copy()
    after[:2] = 0.9  # fold 0: the others would not have kept the step
    choice = choose_postprocessing(scores({(): plain, ("s",): after}), STEP, CASES)
    assert choice.steps == () and choice.trials[0].gain == pytest.approx(0.02)
    assert choice.trials[0].cross_fitted_gain == 0.0 and "other patients" in choice.trials[0].reason
    assert choice.cross_fitted_score == pytest.approx(0.8)


def test_a_gain_in_two_folds_is_trusted() -> None:
    plain = np.full((10, 1), 0.8)
    after = plain.copy()
    after[:4] = 0.9
    choice = choose_postprocessing(scores({(): plain, ("s",): after}), STEP, CASES)
    assert choice.steps == STEP and choice.trials[0].cross_fitted_gain == pytest.approx(0.04)
    assert choice.score == pytest.approx(0.84)
    # without fold 0 only fold 1 gains, which is not trusted, and the other way round; the other three keep it in vain
    assert choice.cross_fitted_score == pytest.approx(0.8)


def test_a_structure_that_loses_is_not_paid_with_another() -> None:
    plain = np.full((10, 2), 0.8)
    after = plain + np.array([0.05, -0.001])
    choice = choose_postprocessing(scores({(): plain, ("s",): after}), STEP, CASES)
    assert choice.steps == () and choice.trials[0].reason == "lowers a structure's mean Dice"


def test_a_fold_that_loses_is_not_paid_with_another() -> None:
    plain = np.full((10, 1), 0.8)
    after = plain + 0.05
    after[8:] = 0.79
    choice = choose_postprocessing(scores({(): plain, ("s",): after}), STEP, CASES)
    assert choice.steps == () and choice.trials[0].reason == "lowers the mean Dice of a part of the patients"
    # without fold 4 the step looks good, and is scored on it: 0.79; without another fold it is left out
    assert choice.cross_fitted_score == pytest.approx((8 * 0.8 + 2 * 0.79) / 10)


def test_removing_an_invention_counts_as_a_gain() -> None:
    # a structure that is not there: invented it scores 0, removed it is undefined and left out
    plain = np.full((10, 2), 0.8)
    plain[::2, 1] = 0.0
    after = np.where(plain == 0.0, math.nan, plain)
    choice = choose_postprocessing(scores({(): plain, ("s",): after}), STEP, CASES)
    assert choice.steps == STEP and choice.score == pytest.approx(0.8)


def test_losing_a_structure_altogether_is_no_gain() -> None:
    plain = np.array([[0.8, 0.3]] * 10)
    after = np.array([[0.8, math.nan]] * 10)  # the mean over structures would rise to 0.8
    choice = choose_postprocessing(scores({(): plain, ("s",): after}), STEP, CASES)
    assert choice.steps == ()


def test_each_tuple_of_steps_is_computed_once() -> None:
    calls: list[list[tuple[str, str]]] = []
    inner = dice_after_of([heart()] * 10, [heart()] * 10)

    def counted(steps: Steps) -> NDArray[np.float64]:
        calls.append(names(steps))
        return inner(steps)

    choose_postprocessing(counted, candidate_steps(ALL), CASES)
    assert len(calls) == 8  # none, and each of the seven on top of none


def test_one_patient_cannot_be_cross_fitted() -> None:
    alone = SharedCases(patients=("p", "p"), folds=(0, 0))
    choice = choose_postprocessing(scores({(): np.full((2, 1), 0.8), ("s",): np.full((2, 1), 0.9)}), STEP, alone)
    assert choice.steps == STEP and math.isnan(choice.cross_fitted_score)


def test_the_whole_choice_is_cross_fitted_together() -> None:
    # a is chosen everywhere; its step gains 0.1 in every fold
    plain = {"a": np.full((10, 1), 0.8), "b": np.full((10, 1), 0.6)}
    asked: list[str] = []

    def dice_after(name: str, steps: Steps) -> NDArray[np.float64]:
        asked.append(name)
        return plain[name] + 0.1 * len(steps)

    candidates = [
        ScoredCandidate(name=name, configurations=(name,), dice=dice, cost=1.0) for name, dice in plain.items()
    ]
    selection = select(candidates, dice_after, STEP, CASES)
    assert selection.choice.chosen == "a" and selection.choice.cross_fitted_score == pytest.approx(0.8)
    assert selection.postprocessing.steps == STEP
    assert selection.postprocessing.score_before == pytest.approx(0.8)
    assert selection.postprocessing.score == selection.cross_fitted_score == pytest.approx(0.9)
    assert set(asked) == {"a"} and len(asked) == 1


def test_a_part_that_would_choose_otherwise_is_scored_so() -> None:
    # as in the choice of candidates: b is better but for the last fold, where it fails; b alone gains from the step
    last = np.array(CASES.folds) == 4
    plain = {"a": np.full((10, 1), 0.7), "b": np.where(last[:, None], 0.0, 0.85 + np.zeros((10, 1)))}

    def dice_after(name: str, steps: Steps) -> NDArray[np.float64]:
        return plain[name] + (0.1 if name == "b" else 0.0)

    candidates = [
        ScoredCandidate(name=name, configurations=(name,), dice=dice, cost=1.0) for name, dice in plain.items()
    ]
    selection = select(candidates, dice_after, STEP, CASES)
    assert selection.choice.chosen == "a" and selection.postprocessing.steps == ()
    assert selection.cross_fitted_score == pytest.approx((8 * 0.7 + 2 * 0.1) / 10)
