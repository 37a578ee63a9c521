"""Bland-Altman drawings: points and lines where they belong, in pages and in a file that holds everything in itself."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from autolv.evaluation.agreement import agreement
from autolv.evaluation.case import compare_case
from autolv.evaluation.patients import EDV, EF, ESV, MASS, READOUT_QUANTITIES
from autolv.reporting.agreement_drawing import agreement_svg, patient_comparisons
from autolv.reporting.bland_altman import HEIGHT, WIDTH, Comparison, bland_altman_svg
from autolv.schema.results import CaseMetrics

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
SVG = "{http://www.w3.org/2000/svg}"


def comparison(read: list[float], reference: list[float], **changes: object) -> Comparison:
    fields = {
        "title": "EDV", "unit": "ml", "counted": "patient", "side": "prediction", "names": list("abcdefghij")[: len(read)],
        "read": read, "reference": reference, "agreement": agreement(read, reference),
    }  # fmt: skip
    return Comparison(**{**fields, **changes})


def case(patient: str, phase: str, *, missed: int = 0, group: str | None = None) -> CaseMetrics:
    """A cavity of 3 x 10 x 10 voxels at end-diastole and 3 x 5 x 10 else, of 8 mm3; ``missed`` voxels are not predicted."""
    labels = np.zeros((3, 30, 30), dtype=np.uint8)
    labels[:, 6:20, 6:20] = 2
    labels[:, 8 : 18 if phase == "ED" else 13, 8:18] = 1
    prediction = labels.copy()
    prediction[1, 8, 8 : 8 + missed] = 2
    return compare_case(
        prediction, labels, (8.0, 1.0, 1.0), STRUCTURES, case=f"{patient}_{phase}", patient=patient, phase=phase,
        group=group,
    )  # fmt: skip


def test_points_are_at_mean_and_difference_and_lines_at_bias_and_limits() -> None:
    """Differences 2, -4, 2: bias 0, SD sqrt(12) = 3.46, limits 6.79 on either side; the means rise from left to right."""
    drawing = bland_altman_svg(comparison([102.0, 116.0, 142.0], [100.0, 120.0, 140.0], names=["a", "<b>", "c"]))
    assert "EDV, 3 patients" in drawing and "<b>" not in drawing
    assert "bias 0.0 ml, limits -6.8 to +6.8 ml" in drawing and "r 0.985," in drawing
    places = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing)]
    assert places[0][0] < places[1][0] < places[2][0] and places[0][1] == places[2][1] < places[1][1]
    lines = re.findall(r'y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)" class="(bias|limit)"', drawing)
    assert [kind for _, _, kind in lines] == ["bias", "limit", "limit"] and all(a == b for a, b, _ in lines)
    bias, upper, lower = (float(y) for y, _, _ in lines)
    up, down = bias - places[0][1], places[1][1] - bias
    assert down == pytest.approx(2 * up, abs=0.03)
    assert bias - upper == pytest.approx(lower - bias, abs=0.03) and bias - upper == pytest.approx(3.395 * up, abs=0.05)


def test_each_point_tells_its_name_and_values() -> None:
    drawing = bland_altman_svg(comparison([104.0, 90.0], [100.0, 100.0], names=['"x"', "y"]))
    assert re.findall(r"<title>(.*?)</title>", drawing) == ["&quot;x&quot;: +4.0 ml at 102.0", "y: -10.0 ml at 95.0"]


def test_of_one_there_is_a_bias_and_no_limits() -> None:
    drawing = bland_altman_svg(comparison([50.0], [48.0], counted="case", side="read-out", unit="%"))
    assert "EDV, 1 case<" in drawing and "limit" not in drawing and drawing.count('class="bias"') == 1
    assert "mean of read-out and reference [%]" in drawing and "read-out \u2212 reference [%]" in drawing


def test_numbers_of_lines_that_nearly_meet_keep_apart() -> None:
    """Of 2000 pairs one differs by 10: limits 0.44 from the bias, which is 7 of 190 units."""
    drawing = bland_altman_svg(comparison([110.0, *[100.0] * 1999], [100.0] * 2000, names=["x"] * 2000))
    numbers = {
        words: float(y) for y, words in re.findall(r'y="([\d.]+)" class="tick" text-anchor="start">([^<,]+)<', drawing)
    }
    assert numbers["0.0"] - numbers["+0.4"] == numbers["-0.4"] - numbers["0.0"] == 11.0
    upper, lower = (float(y) for y in re.findall(r'y2="([\d.]+)" class="limit"', drawing))
    assert 13.0 < lower - upper < 14.5


def test_small_steps_are_told_apart_on_the_axes() -> None:
    drawing = bland_altman_svg(comparison([0.191, 0.192], [0.192, 0.192]))
    steps = re.findall(r'class="tick" text-anchor="(?:end|middle)">(-?[\d.]+)<', drawing)
    assert len(steps) > 8 and len(set(steps)) == len(steps)


def test_what_a_patient_lacks_on_a_side_is_left_out() -> None:
    cases = [case("p1", "ED", group="DCM"), case("p1", "ES", missed=5, group="DCM"), case("p2", "ED", missed=2)]
    found = {one.title: one for one in patient_comparisons(cases, (EDV, ESV, EF, MASS))}
    assert {title: list(one.names) for title, one in found.items()} == {
        "EDV": ["p1 (DCM)", "p2"], "ESV": ["p1 (DCM)"], "EF": ["p1 (DCM)"], "mass": ["p1 (DCM)", "p2"]
    }  # fmt: skip
    assert found["ESV"].read == [pytest.approx(1.16)] and found["ESV"].reference == [pytest.approx(1.2)]  # ml
    assert found["EDV"].agreement.bias == pytest.approx(-0.008)
    assert [found[title].unit for title in ("EF", "mass")] == ["%", "g"]


def test_the_file_is_xml_on_white_that_asks_for_nothing() -> None:
    cases = [
        case(patient, phase, missed=n) for n, patient in enumerate(("a<b", "c\x07", "d")) for phase in ("ED", "ES")
    ]
    text = agreement_svg(cases, READOUT_QUANTITIES[:5])
    root = ElementTree.fromstring(text)
    panels = root.findall(f"{SVG}g")
    places = [tuple(map(float, re.findall(r"[\d.]+", panel.attrib["transform"]))) for panel in panels]
    assert places == [(14.0 + x * (WIDTH + 18.0), 14.0 + y * (HEIGHT + 18.0)) for y in range(3) for x in range(2)][:5]
    width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
    assert max(x for x, _ in places) + WIDTH < width and max(y for _, y in places) + HEIGHT < height
    ground = root.find(f"{SVG}rect")
    assert ground is not None and (float(ground.attrib["width"]), float(ground.attrib["height"])) == (width, height)
    style = root.findtext(f"{SVG}style") or ""
    assert ".ground { fill: #fff; }" in style and "var(" not in style
    used = {name for element in root.iter() for name in element.attrib.get("class", "").split()} - {"drawing"}
    assert used == {"ground", "title", "tick", "grid", "axis", "bias", "limit", "pair"}
    assert all(f".{name}" in style for name in used)
    assert "href" not in text and "url(" not in text and text.count("http") == 1  # the name space
    names = [point.findtext(f"{SVG}title") for point in panels[0].iter(f"{SVG}circle")]
    assert [(name or "").partition(":")[0] for name in names] == ["a<b", "c\ufffd", "d"]


def test_a_file_of_nothing_says_so() -> None:
    for cases in ((), (case("a", "ED").model_copy(update={"phase": None}),)):
        root = ElementTree.fromstring(agreement_svg(cases, (EDV, ESV, EF, MASS)))
        words = [element.text for element in root.iter(f"{SVG}text")]
        assert words == ["Nothing to compare by patient", "No patient has any of EDV, ESV, EF, mass on both sides."]
