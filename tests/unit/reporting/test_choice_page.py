"""The page of a cross-validation and its drawings: what is on them, where, and that nothing in a name can break out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import summarise
from autolv.reporting.choice_page import Choice, choice_page
from autolv.reporting.history_drawing import histories_svg
from autolv.reporting.worst_cases import WorstCase, worst_case_figure, worst_first, worst_slice
from autolv.schema.results import BestConfig, Candidate

NAN = float("nan")
STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
SPACING_MM = (8.0, 1.5, 1.5)


def labels(shift: int = 0) -> np.ndarray:
    array = np.zeros((4, 40, 40), dtype=np.uint8)
    array[:, 10 + shift : 26 + shift, 10:26] = 2
    array[:, 13 + shift : 23 + shift, 13:23] = 1
    array[:3, 12:24, 4:10] = 3
    return array


def metrics(name: str, patient: str, phase: str, shift: int):
    return compare_case(
        labels(shift), labels(), SPACING_MM, STRUCTURES, case=name, patient=patient, phase=phase, group="<b>"
    )


CASES = tuple(metrics(f"{patient}_{phase}", patient, phase, shift)
              for patient, phase, shift in (("p1", "ED", 0), ("p1", "ES", 1), ("p2", "ED", 3), ("p2", "ES", 2)))  # fmt: skip


def worst(name: str = "p2_ED", causes: tuple[str, ...] = ()) -> WorstCase:
    image = np.random.default_rng(0).normal(size=(4, 40, 40)).astype(np.float32)
    case = next(one for one in CASES if one.case == name)
    return WorstCase(metrics=case, image=image, prediction=labels(3), reference=labels(), structures=STRUCTURES,
                     spacing_mm=SPACING_MM, causes=causes)  # fmt: skip


def best() -> BestConfig:
    candidate = Candidate(
        name="2d_unet", configurations=("2d_unet",), folds=(0, 1, 2), cases=4, patients=2, mean_dice=0.8125,
        interval=(0.7, 0.9), dice={"lv_cavity": 0.9}, ef_mae_percent=3.21, difference_to_best=0.0,
        difference_interval=(0.0, 0.0), separable=False,
    )  # fmt: skip
    return BestConfig(
        dataset="<script>alert(1)</script>", run="default", labels={"lv_cavity": 1}, structures=STRUCTURES,
        configurations={}, members=(), postprocessing=(), candidates=(candidate,), chosen="2d_unet", reason="alone & best",
        score=0.8125, score_with_postprocessing=0.8125, cases=4, patients=2, cross_fitted_score=NAN,
        folds_available="2d_unet 3/5", fingerprint_hash="", licence_note="terms", versions={},
    )  # fmt: skip


def page(**changes: object) -> str:
    rows = [{"epoch": float(e), "loss": 1.0 / e, "dice_lv_cavity": 1 - 1.0 / e} for e in range(1, 5)]
    parts: dict[str, object] = {
        "best": best(), "evaluation": summarise(CASES), "fingerprint": None, "histories": {"2d_unet": {0: rows, 1: rows}},
        "worst": [worst()],
    }  # fmt: skip
    return choice_page(Choice(**(parts | changes)), "1.0")  # type: ignore[arg-type]


def test_all_sections_are_there_and_no_request_leaves() -> None:
    text = page()
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert heads == [
        "Dataset", "Plan of what was chosen, with reasons", "Learning curves", "Candidates",
        "Results of the choice, on patients not seen in training", "The 1 worst cases", "Agreement by patient",
    ]  # fmt: skip
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|href)=\"(?!data:|#)", text) == []
    assert "http" not in text.replace("http-equiv", "")
    assert " style=" not in text  # the page's own policy would refuse it
    assert len(text) < 200_000


def test_names_cannot_become_part_of_the_page() -> None:
    text = page(worst=[worst(causes=("<img src=x>",))])
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;: cross-validation" in text
    assert "<img src=x>" not in text
    assert "group &lt;b&gt;" in text


def test_candidates_and_strata_stand_in_the_tables() -> None:
    text = page()
    assert '<td>2d_unet</td><td>chosen</td><td class="number">0-2</td><td class="number">0.8125</td>' in text
    assert '<td class="number">3.2</td>' in text
    for words in ("phase ED", "phase ES", "By level"):
        assert words in text


def test_what_is_not_there_is_said() -> None:
    text = page(histories={}, worst=[])
    assert "No history was kept." in text
    assert "fingerprint is not there" in text
    assert "worst cases" not in text


def test_the_worst_come_first_and_their_worst_slice() -> None:
    assert [one.case for one in worst_first(CASES)] == ["p2_ED", "p2_ES", "p1_ES", "p1_ED"]
    wrong = labels()
    wrong[2, 0:5, 0:5] = 1
    wrong[3, 0:3, 0:3] = 1
    assert worst_slice(wrong, labels()) == 2


def test_a_worst_case_shows_both_outlines_and_its_causes() -> None:
    figure = worst_case_figure(worst(causes=("LV missed",)))
    assert figure.count('class="outline found"') == figure.count('class="outline reference"') == 3
    assert "<li>LV missed</li>" in figure
    assert "no rule applies" in worst_case_figure(worst())


def test_learning_curves_pass_over_nan_and_are_thinned() -> None:
    points = [(float(e), NAN if e == 3 else float(e)) for e in range(1, 1001)]
    drawing = histories_svg("loss", {"fold 0": points, "fold 1": [(1.0, NAN)]})
    (line,) = re.findall(r'<polyline points="(.*?)"', drawing)
    assert 200 < len(line.split()) <= 252
    x, y = map(float, line.split()[-1].split(","))  # the last epoch at the right
    assert x == pytest.approx(448.0)
    assert y < 60
    assert histories_svg("loss", {"fold 0": [(1.0, NAN)]}) == ""
