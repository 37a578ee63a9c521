"""How the time for a search is divided."""

from __future__ import annotations

import re

import pytest

from autolv.core.errors import TrainingError
from autolv.planning.search_time import make_schedule, search_folds


@pytest.mark.parametrize(
    ("folds", "seen", "held_out"),
    [(2, (1,), (0,)), (3, (1,), (0, 2)), (4, (1, 2), (0, 3)), (5, (1, 2), (0, 3, 4)), (6, (1, 2), (0, 3, 4, 5))],
)
def test_no_fold_is_both_searched_and_held_out(folds: int, seen: tuple[int, ...], held_out: tuple[int, ...]) -> None:
    assert search_folds(folds) == (seen, held_out)


def test_four_hours_for_folds_of_twelve_minutes() -> None:
    schedule = make_schedule(240.0, searched=2, held_out=3, planned_minutes=12.0, trials=None)
    # a third, 80 min, for 2 x 3 folds of which three quarters train; two thirds, 160 min, for trials of 2 x 4 min
    assert schedule.confirm_minutes == pytest.approx(10.0)
    assert schedule.search_minutes == pytest.approx(160.0)
    assert schedule.trials == 15
    assert schedule.trial_minutes == pytest.approx(4.0)


def test_the_comparison_takes_no_longer_than_planned_and_leaves_the_rest_to_the_trials() -> None:
    schedule = make_schedule(600.0, searched=2, held_out=3, planned_minutes=12.0, trials=None)
    assert schedule.confirm_minutes == 12.0
    assert schedule.search_minutes == pytest.approx(600.0 - 6 * 12.0 / 0.75)


@pytest.mark.parametrize("minutes", [4.0, 30.0, 240.0, 3000.0])
@pytest.mark.parametrize("trials", [None, 2, 12])
def test_all_parts_together_are_no_more_than_the_whole(minutes: float, trials: int | None) -> None:
    schedule = make_schedule(minutes, searched=2, held_out=3, planned_minutes=12.0, trials=trials)
    assert trials is None or schedule.trials == trials
    trained = schedule.trials * 2 * schedule.trial_minutes + 2 * 3 * schedule.confirm_minutes
    assert trained <= 0.75 * minutes + 1e-9
    assert schedule.trials * 2 * schedule.trial_minutes <= schedule.search_minutes


def test_a_short_time_makes_short_trials_rather_than_few() -> None:
    schedule = make_schedule(30.0, searched=2, held_out=3, planned_minutes=12.0, trials=None)
    assert schedule.trials == 10
    assert schedule.trial_minutes == pytest.approx(0.75)


def test_folds_that_are_planned_for_seconds_are_searched_in_seconds() -> None:
    schedule = make_schedule(1.0, searched=1, held_out=2, planned_minutes=2 / 60, trials=None)
    assert schedule.confirm_minutes == pytest.approx(2 / 60) and schedule.trial_minutes <= 2 / 60


def test_one_trial_is_no_search() -> None:
    with pytest.raises(TrainingError, match="one trial") as caught:
        make_schedule(60.0, searched=2, held_out=3, planned_minutes=12.0, trials=1)
    assert "2 --trials" in caught.value.remedy


@pytest.mark.parametrize(("minutes", "trials"), [(0.5, None), (1.0, None), (10.0, 200)])
def test_too_short_a_time_is_refused_with_one_that_is_enough(minutes: float, trials: int | None) -> None:
    with pytest.raises(TrainingError, match="too short") as caught:
        make_schedule(minutes, searched=2, held_out=3, planned_minutes=12.0, trials=trials)
    told = re.search(r"--time-budget (\d+)m", caught.value.remedy)
    assert told is not None
    make_schedule(float(told[1]), searched=2, held_out=3, planned_minutes=12.0, trials=trials)
