"""The trials of a search: the first is as planned, a kill changes nothing, what is poor is stopped."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from autolv.core.errors import TrainingError
from autolv.schema.tuning import Options, Point, Span, Trial
from autolv.selection.trials import Trials, best_of, require_optuna

SPACE = (
    Span(name="learning_rate", low=1e-4, high=1e-2, reason="r"),
    Options(name="width", options=(8, 16, 24), reason="w"),
    Options(name="augmentation", options=("upright", "default"), reason="a"),
)
FIRST: Point = {"learning_rate": 0.002, "width": 16, "augmentation": "default", "depth": 5}


def opened(folder: Path, *, count: int = 20, seed: int = 0) -> Trials:
    return Trials(folder / "trials.jsonl", SPACE, FIRST, count=count, seed=seed)


def make(trials: Trials, dice: float, clock_s: float = 0.0) -> Trial:
    trials.begin(clock_s)
    trials.finish(dice, clock_s=clock_s + 10.0)
    return trials.all[-1]


def test_the_first_trial_is_as_planned_and_the_others_lie_in_the_space(tmp_path: Path) -> None:
    trials = opened(tmp_path)
    made = [make(trials, 0.5 + 0.01 * number) for number in range(12)]
    assert made[0].point == {"learning_rate": 0.002, "width": 16, "augmentation": "default"}
    assert [trial.number for trial in trials.done] == list(range(1, 13))
    for trial in made:
        assert 1e-4 <= float(trial.point["learning_rate"]) <= 1e-2
        assert trial.point["width"] in (8, 16, 24)
        assert trial.point["augmentation"] in ("upright", "default")
    assert len({json.dumps(trial.point) for trial in made}) > 8
    assert made[3].dice == pytest.approx(0.53) and made[3].seconds == 10.0 and made[3].state == "finished"


def test_a_search_that_was_cut_anywhere_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def score(trial: Trial) -> float:
        return 0.9 - abs(math.log10(float(trial.point["learning_rate"])) + 2.5)

    (tmp_path / "calm").mkdir()
    (tmp_path / "rough").mkdir()
    calm = opened(tmp_path / "calm")
    for _ in range(14):
        trial = calm.begin(0.0)
        calm.finish(score(trial), clock_s=10.0)
    for number in range(14):
        trial = opened(tmp_path / "rough").begin(0.0)  # killed after it was drawn
        rough = opened(tmp_path / "rough")
        assert rough.begin(0.0) == trial, number
        rough.report(0, 1, 0.5)
        rough = opened(tmp_path / "rough")  # killed after its first fold
        again = rough.begin(99.0)
        assert again.point == trial.point and again.fold_dice == {1: 0.5}
        rough.report(0, 1, 0.5)
        rough.finish(score(again), clock_s=10.0)
    assert [t.point for t in opened(tmp_path / "rough").done] == [t.point for t in calm.done]
    assert [t.dice for t in opened(tmp_path / "rough").done] == [t.dice for t in calm.done]
    assert rough.all[3].seconds == 10.0  # since it first began


def test_seeds_draw_different_trials(tmp_path: Path) -> None:
    drawn = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        trials = opened(tmp_path / str(seed), seed=seed)
        drawn.append([make(trials, 0.5).point for _ in range(3)])
    assert drawn[0][0] == drawn[1][0]
    assert drawn[0][1:] != drawn[1][1:]


def test_later_trials_gather_where_the_earlier_ones_were_good(tmp_path: Path) -> None:
    trials = opened(tmp_path, count=40)
    rates = []
    for _ in range(40):
        trial = trials.begin(0.0)
        exponent = math.log10(float(trial.point["learning_rate"]))
        rates.append(exponent)
        trials.finish(0.9 - abs(exponent + 3.5), clock_s=1.0)  # best at 10^-3.5
    early, late = (sum(abs(e + 3.5) for e in part) / len(part) for part in (rates[1:11], rates[20:]))
    assert late < 0.7 * early


def test_below_the_median_of_the_first_fold_a_trial_is_to_stop(tmp_path: Path) -> None:
    trials = opened(tmp_path)
    for dice in (0.80, 0.82, 0.84, 0.86):
        trials.begin(0.0)
        assert not trials.report(0, 1, dice), "too few have finished to say"
        trials.finish(dice, clock_s=1.0)
    trials.begin(5.0)
    assert not trials.report(0, 1, 0.84)
    trials.finish(0.84, clock_s=6.0)
    trials.begin(6.0)
    assert trials.report(0, 1, 0.81)
    trials.stop("below the median on fold 1", clock_s=9.0)
    last = trials.all[-1]
    assert (last.state, last.note, last.seconds) == ("stopped early", "below the median on fold 1", 3.0)
    assert last.fold_dice == {1: 0.81} and math.isnan(last.dice)
    best = best_of(trials.all)
    assert best is not None and best.number == 4


def test_the_best_is_a_finished_one_and_of_equals_the_first(tmp_path: Path) -> None:
    trials = opened(tmp_path)
    assert best_of(trials.all) is None
    make(trials, 0.8)
    trials.begin(0.0)
    trials.fail("the loss ran away", clock_s=2.0)
    make(trials, 0.8)
    assert [t.state for t in trials.all] == ["finished", "failed", "finished"]
    best = best_of(trials.all)
    assert best is not None and best.number == 1


def test_a_line_that_a_kill_tore_is_cut_off_and_a_lock_that_it_left_is_broken(tmp_path: Path) -> None:
    trials = opened(tmp_path)
    make(trials, 0.7)
    journal = tmp_path / "trials.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "wor')
    (tmp_path / "trials.jsonl.lock").touch()
    again = opened(tmp_path)
    assert [t.dice for t in again.done] == [0.7]
    make(again, 0.6)
    assert [t.dice for t in opened(tmp_path).done] == [0.7, 0.6]
    for line in journal.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def test_without_optuna_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "optuna":
            raise ImportError("No module named 'optuna'")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    require_optuna()
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(TrainingError, match="optuna") as caught:
        require_optuna()
    assert "[tune]" in caught.value.remedy
