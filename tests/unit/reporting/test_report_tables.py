"""Tables and CSV of an evaluation and of candidates."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from autolv.evaluation.case import compare_case
from autolv.evaluation.summary import summarise
from autolv.reporting.sheets import cases_csv, patients_csv
from autolv.reporting.tables import acdc_table, candidates_table, evaluation_table
from autolv.schema.record import from_json
from autolv.schema.results import BestConfig, Candidate, Evaluation, Step

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")


def _case(patient, phase, group, *, shift, rv=True, annotated=STRUCTURES):
    reference = np.zeros((4, 16, 20), dtype=np.uint8)
    reference[:, 2:12, 2:12] = 2
    size = 4 if phase == "ED" else 5
    reference[:, size : 14 - size, size : 14 - size] = 1
    reference[:2, 4:10, 14:17] = 3
    prediction = np.roll(reference, shift, axis=2)
    if not rv:
        prediction[prediction == 3] = 0
    name = f"{patient}_{phase}"
    return compare_case(
        prediction, reference, (10.0, 1.5, 1.5), STRUCTURES, case=name, patient=patient, phase=phase, group=group,
        not_annotated=[structure for structure in STRUCTURES if structure not in annotated],
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluation():
    return summarise(
        tuple(
            _case(f"p{i}", phase, "NOR" if i % 2 else "an unusually long group name", shift=i % 3, rv=i != 2)
            for i in range(4)
            for phase in ("ED", "ES")
        )
    )


def test_every_section_is_there_in_plain_text_under_110_columns(evaluation) -> None:
    text = evaluation_table(evaluation)
    assert text.isascii()
    assert max(len(line) for line in text.splitlines()) < 110 + len("an unusually long group name")
    for title in ("8 cases of 4 patients", "Means over cases", "By phase", "By slice level", "Agreement with", "By group",
                  "Agreement by group"):  # fmt: skip
        assert title in text
    assert "Structures without voxels: 2 empty in prediction only." in text


def test_usual_groups_keep_the_table_under_110_columns() -> None:
    cases = tuple(_case(f"p{i}", phase, "MINF", shift=1) for i in range(3) for phase in ("ED", "ES"))
    evaluation = summarise(cases)
    for text in (evaluation_table(evaluation), acdc_table(evaluation)):
        assert max(len(line) for line in text.splitlines()) < 110


def test_table_shows_the_means(evaluation) -> None:
    line = next(line for line in evaluation_table(evaluation).splitlines() if line.startswith("RV cavity"))
    cells = line.split()
    rv = evaluation.summary["rv_cavity"]
    assert cells[2] == f"{rv['dice']:.3f}"
    assert cells[6] == f"{rv['iou']:.3f}"
    assert cells[7] == f"{rv['hausdorff_mm']:.2f}"


def _rows_of(text, title):
    """The lines of a section below its title, head and rule."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title)) + 3
    return lines[start : lines.index("", start)]


def test_table_has_every_measure_of_every_slice_level(evaluation) -> None:
    *rows, last = _rows_of(evaluation_table(evaluation), "By slice level")
    assert len(rows) == 3 * 3  # structures, levels
    assert [row.split()[-9] for row in rows] == ["base", "mid", "apex"] * 3
    assert rows[0].startswith("LV cavity")
    assert rows[1].startswith(" ")
    assert rows[0].split()[-8:] == [
        f"{evaluation.by_level['lv_cavity']['base']:.3f}",
        f"{evaluation.by_level_iou['lv_cavity']['base']:.3f}",
        f"{evaluation.by_level_hausdorff_mm['lv_cavity']['base']:.2f}",
        f"{evaluation.by_level_hd95_mm['lv_cavity']['base']:.2f}",
        f"{evaluation.by_level_assd_mm['lv_cavity']['base']:.2f}",
        *(f"{evaluation.by_level_surface_dice[t]['lv_cavity']['base']:.3f}" for t in ("1", "2", "3")),
    ]
    # the RV of p2 is missed in the two slices of each of its two frames
    assert last == "Slices missed / invented: LV cavity 0 / 0; LV myocardium 0 / 0; RV cavity 4 / 0."


def test_table_has_the_agreement_of_each_group(evaluation) -> None:
    rows = _rows_of(evaluation_table(evaluation), "Agreement by group")
    assert len(rows) == sum(value.n > 1 for group in evaluation.agreement_by_group.values() for value in group.values())
    assert [row[:3] for row in rows].count("NOR") == 1  # the group's name stands once
    start = next(i for i, row in enumerate(rows) if row.startswith("NOR"))
    volume = evaluation.agreement_by_group["NOR"]["EDV [ml]"]
    assert rows[start].split()[1:4] == ["EDV", "[ml]", "2"]
    assert rows[start].split()[5] in (f"{volume.bias:+.2f}", "0.00")


def test_evaluation_of_an_earlier_day_has_its_table_with_gaps(evaluation) -> None:
    content = json.loads(evaluation.to_json())
    for name in [name for name in content if name.startswith(("agreement_by_", "by_level_"))]:
        del content[name]
    text = evaluation_table(from_json(Evaluation, json.dumps(content), where="memory"))
    assert "Agreement by group" not in text
    cells = _rows_of(text, "By slice level")[0].split()
    assert cells[2:] == ["base", f"{evaluation.by_level['lv_cavity']['base']:.3f}", *["-"] * 7]


def test_nothing_to_tell_of_no_cases() -> None:
    empty = summarise(())
    assert evaluation_table(empty).startswith("0 cases of 0 patients: mean Dice -")
    assert acdc_table(empty).startswith("ACDC challenge")
    assert len(cases_csv(empty).splitlines()) == 1
    assert patients_csv(empty) == "patient,group\n"


def test_acdc_table_has_the_challenge_s_rows(evaluation) -> None:
    lines = acdc_table(evaluation).splitlines()
    starts = [line.split()[0] for line in lines if line.startswith(("LV ", "RV ", "MYO "))]
    assert starts == ["LV", "RV", "MYO", "LV", "LV", "RV", "RV", "MYO", "MYO"]
    assert any(line.startswith("MYO  volume ES [ml]") for line in lines)
    assert "Present in one map only, 2 of the structures' frames" in lines[-1]


def test_acdc_table_says_when_phases_were_derived() -> None:
    cases = tuple(_case("p", phase, None, shift=0).model_copy(update={"phase": None}) for phase in ("ED", "ES"))
    assert "Without phase, 2 frames" in acdc_table(summarise(cases))


def test_cases_csv_has_a_row_per_case_and_structure(evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(cases_csv(evaluation))))
    assert len(rows) == 8 * 3
    first = rows[0]
    assert (first["case"], first["patient"], first["phase"], first["structure"]) == ("p0_ED", "p0", "ED", "lv_cavity")
    assert float(first["dice"]) == 1.0
    missed = next(row for row in rows if row["patient"] == "p2" and row["structure"] == "rv_cavity")
    assert missed["empty"] == "prediction"
    assert missed["hausdorff_mm"] == ""  # undefined, not a number
    assert float(missed["volume_error_ml"]) == pytest.approx(-2 * 6 * 3 * 0.0225)
    assert int(missed["slices_missed"]) == 2
    metrics = next(case for case in evaluation.cases if case.case == "p1_ED").structures["lv_cavity"]
    row = next(row for row in rows if row["case"] == "p1_ED" and row["structure"] == "lv_cavity")
    assert float(row["iou_mid"]) == pytest.approx(metrics.level_iou["mid"], abs=1e-6)
    assert float(row["hausdorff_2d_mm_base"]) == pytest.approx(1.5)  # shifted by one pixel
    assert float(row["assd_2d_mm_apex"]) == pytest.approx(metrics.level_assd_mm["apex"], abs=1e-6)
    assert float(row["surface_dice_2d_1mm_mid"]) == pytest.approx(metrics.level_surface_dice["1"]["mid"], abs=1e-6)


def test_patients_csv_has_a_row_per_patient(evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(patients_csv(evaluation))))
    assert [row["patient"] for row in rows] == ["p0", "p1", "p2", "p3"]
    # 6 x 6 pixels at ED, 4 x 4 at ES: 100 (36 - 16) / 36 %
    assert float(rows[1]["reference EF [%]"]) == pytest.approx(100 * 20 / 36, abs=1e-5)
    assert rows[2]["predicted RV EF [%]"] == ""


def _candidate(name, dice, *, separable, folds=(0, 1, 2)):
    return Candidate(
        name=name, configurations=tuple(name.split(" + ")), folds=folds, cases=40, patients=20, mean_dice=dice,
        interval=(dice - 0.01, dice + 0.01), dice=dict.fromkeys(STRUCTURES, dice), ef_mae_percent=12.34,
        difference_to_best=dice - 0.92, difference_interval=(dice - 0.93, dice - 0.91), separable=separable,
    )  # fmt: skip


def test_candidates_come_best_first_with_the_choice_marked() -> None:
    best = BestConfig(
        dataset="ACDC", run="default", labels={"lv_cavity": 3}, structures=STRUCTURES, configurations={}, members=(),
        postprocessing=(Step(name="largest_component", structure="lv_cavity"), Step(name="fill_holes")),
        candidates=(
            _candidate("2d_unet", 0.915, separable=False),
            _candidate("3d_vnet", 0.85, separable=True),
            _candidate("2d_unet + 2d_attention_unet + 3d_unet + 3d_vnet", 0.92, separable=False, folds=(0, 1, 2, 3, 4)),
        ),
        chosen="2d_unet", reason="The simpler one, as no difference can be told. " * 4, score=0.915,
        score_with_postprocessing=0.9161, score_with_cross_fitted_postprocessing=0.9158, cases=200, patients=100,
        cross_fitted_score=0.9155, folds_available="2d_attention_unet 3/5, " * 6,
        fingerprint_hash="0", licence_note="", versions={},
    )  # fmt: skip
    text = candidates_table(best)
    lines = text.splitlines()
    assert text.isascii()
    assert max(len(line) for line in lines) < 110
    rows = [line for line in lines if "  0-2  " in line or "  0-4  " in line]
    assert [row[0] for row in rows] == ["~", "*", " "]
    assert "  3d_unet + 3d_vnet" in lines  # an ensemble's long name goes on in the next line
    assert "On its own 200 cases of 100 patients: mean Dice 0.9150, with post-processing 0.9161," in lines
    assert "  with the steps chosen on other patients than they are scored on 0.9158." in lines
    assert (
        "On the 40 shared cases of 20 patients: 0.9150; configuration and steps chosen on others 0.9155." in lines
    )  # the plain score of the choice among the candidates
    assert "Post-processing: largest component of LV cavity; fill holes." in lines


def test_what_is_not_annotated_is_told_apart_from_what_is_empty() -> None:
    partial = _case("p1", "ED", "NOR", shift=0, annotated=("lv_cavity", "lv_myocardium"))
    evaluation = summarise((_case("p0", "ED", "NOR", shift=0), partial))
    text = evaluation_table(evaluation)
    assert "Not annotated in the reference, 1 of the structures' cases: left out of everything." in text
    assert "Structures without voxels" not in text
    assert evaluation_table(summarise((partial,)))  # a structure of which nothing is known at all
    rows = list(csv.DictReader(io.StringIO(cases_csv(evaluation))))
    assert len(rows) == 2 * 3
    (row,) = [row for row in rows if row["empty"] == "not annotated"]
    assert (row["case"], row["structure"], row["dice"], row["reference_volume_ml"]) == ("p1_ED", "rv_cavity", "", "")
