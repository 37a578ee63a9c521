"""The report on paper: text that is set within its place, slices that fit, the same bytes every time."""

from __future__ import annotations

import dataclasses
import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from autolv.core.geometry import Geometry
from autolv.core.labels import STRUCTURES
from autolv.readout.compose import Facts, read_out
from autolv.reporting._canvas import sheet
from autolv.reporting._setting import A4_POINTS, Setting, printable, width_of, wrapped
from autolv.reporting.case_drawings import draw_slices, grid_of
from autolv.reporting.case_sheet import _BOTTOM, _told, case_pdf, case_png
from autolv.reporting.sprites import Pictures, view_of
from autolv.schema.quality import Finding, NotChecked, Verdict
from autolv.schema.readout import Readout


def labels(slices: int, size: int = 12) -> np.ndarray:
    found = np.zeros((slices, 40, 40), np.uint8)
    found[:, 20 - size : 20 + size, 20 - size : 20 + size] = 2
    found[:, 24 - size : 16 + size, 24 - size : 16 + size] = 1
    found[: slices // 2, 14:26, 2 : 20 - size] = 3
    return found


def case(slices: int, **changes: object) -> tuple[Readout, Pictures]:
    frames = {1: labels(slices), 5: labels(slices, 10)}
    geometry = Geometry.from_spacing((8.0, 2.0, 2.0), (slices, 40, 40))
    readout = read_out(frames, STRUCTURES, geometry, Facts(case="a", patient="p")).model_copy(update=changes)
    grey = {n: np.random.default_rng(n).normal(90.0, 20.0, one.shape).astype(np.float32) for n, one in frames.items()}
    return readout, Pictures(labels=frames, images=grey, structures=STRUCTURES, spacing_mm=(8.0, 2.0, 2.0))


def hard() -> dict[str, object]:
    """Texts as long as nobody should write them."""
    finding = Finding(check="lv_holes", level="fail", message="A hole, of which there is much to say. " * 12, frame=1)
    not_checked = tuple(NotChecked(check=f"check_{i}", reason="something is not known " * 5) for i in range(20))
    return {
        "case": "a_case_without_any_space_in_its_name_" * 6, "patient": "p $x^2$ 漢 <b>", "model": "model/" * 200,
        "verdict": Verdict(level="fail", findings=(finding,) * 60, not_checked=not_checked),
    }  # fmt: skip


def test_lines_break_where_the_place_ends() -> None:
    words = "one two three four five six seven eight nine ten"
    lines = wrapped(words, 10.0, 80.0)
    assert " ".join(lines) == words and all(width_of(line, 10.0) <= 80.0 for line in lines) and len(lines) > 3
    assert width_of("iiii", 20.0) == pytest.approx(2 * width_of("iiii", 10.0))
    cut = wrapped(words, 10.0, 80.0, most_lines=2)
    assert cut[0] == lines[0] and cut[1].endswith("…") and len(cut) == 2 and width_of(cut[1], 10.0) <= 80.0
    broken = wrapped("x" * 100, 10.0, 80.0)
    assert "".join(broken) == "x" * 100 and all(width_of(line, 10.0) <= 80.0 for line in broken)
    assert wrapped("", 10.0, 80.0) == []
    assert printable("é 漢 $") == "é \N{WHITE SQUARE} $"


def test_text_goes_down_by_its_lines() -> None:
    page = Setting(left=10.0, top=20.0, width=100.0, scale=0.5)
    page.words("word " * 3, 20.0)  # one line of 10 points
    assert page.y == pytest.approx(20.0 + 10.0 * 1.32)


def test_tiles_fill_their_place() -> None:
    """Of 12 tiles in 400 x 300 four in a row are 100 wide, three or six in a row less."""
    assert grid_of(12, 400.0, 300.0, 1.0, 999.0) == (4, 100.0)
    assert grid_of(1, 400.0, 300.0, 1.0, 150.0) == (1, 150.0)
    for count in range(1, 25):
        across, wide = grid_of(count, 531.0, 200.0, 1.3, 150.0)
        assert across * wide <= 531.001 and -(-count // across) * wide * 1.3 <= 200.001


@pytest.mark.parametrize("changes", [{}, hard()], ids=["plain", "long"])
def test_all_words_stay_on_the_first_page(changes: dict[str, object]) -> None:
    told = _told(case(3, **changes)[0], "1.2.3")
    assert told.y <= A4_POINTS[1] - _BOTTOM
    figure = sheet(A4_POINTS[0] / 72, A4_POINTS[1] / 72, arranged=False)
    told.draw(figure)
    figure.draw_without_rendering()
    ends = [text.get_window_extent() for text in figure.texts]
    assert len(ends) > 30 and max(box.x1 for box in ends) <= figure.bbox.x1 and min(box.y0 for box in ends) >= 0


def test_slices_are_numbered_as_in_the_file_and_the_flagged_one_is_framed() -> None:
    _, pictures = case(4)
    shown = dataclasses.replace(pictures, slices_reversed=True)
    axes = sheet(4.0, 4.0, arranged=False).add_axes((0, 0, 1, 1))
    draw_slices(axes, shown, view_of(shown), 1, 2, {0})
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4"]
    assert np.array_equal(axes.images[0].get_array(), shown.images[1][3][view_of(shown)])  # slice 1 is the last place
    (framed,) = [line for line in axes.lines if line.get_color() == "#FF5A4F"]
    assert framed.get_xdata()[0] > 0 and framed.get_ydata()[0] > 0  # place 0 is slice 4: below on the right


def test_the_pdf_has_two_pages_of_a4_and_no_date_and_is_the_same_every_time() -> None:
    readout, pictures = case(3)
    first = case_pdf(readout, pictures, "1.2.3")
    assert first == case_pdf(readout, pictures, "1.2.3") and first.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", first)
    assert [(round(float(w)), round(float(h))) for w, h in boxes] == [(595, 842)] * 2
    assert b"CreationDate" not in first and b"ModDate" not in first and b"(a: LV read-out)" in first
    unpacked = [
        zlib.decompress(one) for one in re.findall(rb"stream\n(.+?)\nendstream", first, re.S) if one[:1] == b"x"
    ]
    assert any(b"BT" in one for one in unpacked)  # text, not a picture of text


@pytest.mark.parametrize(("slices", "image"), [(1, False), (24, True)])
def test_the_png_holds_both_pages(slices: int, image: bool) -> None:
    readout, pictures = case(slices, **hard())
    shown = pictures if image else dataclasses.replace(pictures, images={})
    with Image.open(io.BytesIO(case_png(readout, shown, "1.2.3"))) as picture:
        assert picture.size == (2479, 1754)  # 2 x 595 and 842 points at 150 dots an inch
        ink = np.asarray(picture.convert("L")) < 128
    assert ink[:, :1239].any() and ink[:, 1239:].any()
    for edge in (ink[:40], ink[-30:], ink[:, :50], ink[:, -50:]):
        assert not edge.any()  # the margins are free
    assert not ink[:, 1239 - 50 : 1239 + 50].any()  # and nothing runs from one page into the other


def test_an_empty_heart_has_a_sheet_too() -> None:
    nothing = np.zeros((2, 20, 20), np.uint8)
    geometry = Geometry.from_spacing((8.0, 2.0, 2.0), nothing.shape)
    readout = read_out({1: nothing}, STRUCTURES, geometry, Facts(case="a", patient="p"))
    pictures = Pictures(labels={1: nothing}, images={}, structures=STRUCTURES, spacing_mm=(8.0, 2.0, 2.0))
    boxes = re.findall(rb"/MediaBox", case_pdf(readout, pictures, "1"))
    assert len(boxes) == 2
