"""Parts of the report's pages: outlines as chains, tiles, ticks, bullseye, histogram, verdict, table, methods."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from autolv.core.geometry import Geometry
from autolv.core.labels import STRUCTURES
from autolv.readout.compose import Facts, read_out
from autolv.reporting._drawing import scale_colour, ticks
from autolv.reporting.bullseye import bullseye_svg
from autolv.reporting.case_page import case_page, viewer_data
from autolv.reporting.cohort_page import CohortRow, cohort_page, histogram_svg, thumbnail
from autolv.reporting.long_axis import long_axis_svg
from autolv.reporting.methods import methods_text
from autolv.reporting.montage import montage_svg
from autolv.reporting.quantity_table import quantity_table
from autolv.reporting.readout_sheet import readout_csv
from autolv.reporting.sprites import STEPS, Pictures, chain, path_of, sheets_of, turned, view_of
from autolv.reporting.verdict_box import findings_by_place, other_frames, ranges, verdict_box
from autolv.schema.quality import Finding, NotChecked, Verdict
from autolv.schema.readout import NormalRange, Quantity, Readout, ReadoutStatus, Segment

SHAPE = (4, 40, 40)
GEOMETRY = Geometry.from_spacing((10.0, 2.0, 2.0), SHAPE)


def labels(size: int = 12) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    for z, shrink in enumerate((0, 0, 2, 4)):
        r = size - shrink
        found[z, 20 - r : 20 + r, 20 - r : 20 + r] = 2
        found[z, 24 - r : 16 + r, 24 - r : 16 + r] = 1
        if z < 2:
            found[z, 14:26, 2 : 20 - r] = 3
    return found


def pictures(*, image: bool = True) -> Pictures:
    both = {1: labels(), 5: labels(10)}
    grey = np.random.default_rng(0).normal(100.0, 20.0, SHAPE).astype(np.float32)
    return Pictures(
        labels=both, images={1: grey, 5: grey} if image else {}, structures=STRUCTURES, spacing_mm=(10.0, 2.0, 2.0)
    )


def readout(**changes: object) -> Readout:
    found = read_out({1: labels(), 5: labels(10)}, STRUCTURES, GEOMETRY, Facts(case="a", patient="p"))
    return found.model_copy(update=changes)


def decoded(text: str) -> list[list[tuple[int, int]]]:
    """Follow the chains as the page's script does."""
    lines = []
    for part in filter(None, text.split("|")):
        start, steps = part.split(":")
        points = [tuple(int(v) for v in start.split(","))]
        for digit in steps:
            points.append((points[-1][0] + STEPS[int(digit)][0], points[-1][1] + STEPS[int(digit)][1]))
        lines.append(points)
    return lines


def area_px(points: list[tuple[int, int]]) -> float:
    """Return the area within closed points in half pixels, in pixels."""
    x, y = np.array(points[:-1], float).T / 2
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def test_a_chain_goes_around_its_mask_and_closes() -> None:
    """A block of 4 x 3 pixels: marching squares cut an eighth of a pixel off each of its four corners."""
    mask = np.zeros((10, 12), bool)
    mask[2:5, 6:10] = True
    (points,) = decoded(chain(mask))
    assert points[0] == points[-1]
    x, y = np.array(points).T
    assert (x.min(), x.max(), y.min(), y.max()) == (11, 19, 3, 9)  # half pixels: 5.5 to 9.5 and 1.5 to 4.5
    assert area_px(points) == pytest.approx(12 - 4 / 8)
    mask[3, 7] = False
    assert len(decoded(chain(mask))) == 2  # a hole has its own line
    assert chain(np.zeros((5, 5), bool)) == "" and path_of(np.zeros((5, 5), bool)) == ""
    touching = np.ones((3, 3), bool)  # up to the image's border
    assert area_px(decoded(chain(touching))[0]) == pytest.approx(9 - 0.5)


def test_a_path_has_the_same_lines_in_fewer_steps() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:6, 1:7] = True
    points = decoded(chain(mask))[0]
    text = path_of(mask)
    assert text.startswith(f"M{points[0][0]} {points[0][1]}") and text.endswith("z")
    moves = [tuple(map(int, move)) for move in re.findall(r"l(-?\d+) (-?\d+)", text)]
    assert tuple(np.sum(moves, axis=0)) == (0, 0) and len(moves) <= 9


def test_the_view_holds_all_frames_and_a_turn_is_half() -> None:
    shown = pictures()
    rows, columns = view_of(shown)
    for one in shown.labels.values():
        assert one[:, rows, columns].astype(bool).sum() == one.astype(bool).sum()
    array = np.arange(6).reshape(1, 2, 3)
    assert turned(array).tolist() == [[[5, 4, 3], [2, 1, 0]]]
    empty = Pictures(
        labels={1: np.zeros(SHAPE, np.uint8)}, images={}, structures=STRUCTURES, spacing_mm=(1.0, 1.0, 1.0)
    )
    assert view_of(empty) == (slice(None), slice(None))


def test_a_sheet_has_a_tile_per_slice_in_whole_blocks() -> None:
    shown = pictures()
    sheets = sheets_of(shown, view_of(shown))
    assert sheets is not None and set(sheets.jpegs) == {1, 5} and sheets.columns == 2
    assert sheets.tile[0] % 8 == sheets.tile[1] % 8 == 0
    with Image.open(io.BytesIO(sheets.jpegs[1])) as picture:
        assert picture.size == (2 * sheets.tile[1], 2 * sheets.tile[0])
    assert sheets_of(pictures(image=False), view_of(shown)) is None


def test_ticks_are_round_and_lie_within() -> None:
    assert ticks(0.0, 170.0) == [0.0, 50.0, 100.0, 150.0]
    assert ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(23.0, 68.0, 8) == pytest.approx([25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0])


def test_a_scale_ends_where_it_ends_and_its_ink_can_be_read() -> None:
    assert scale_colour(-1.0) == scale_colour(0.0) == ("#440154", "on-dark")
    assert scale_colour(2.0) == scale_colour(1.0) == ("#fde725", "on-bright")


def test_the_bullseye_has_anterior_above_and_the_septum_on_the_left() -> None:
    blank = Quantity(value=None, unit="mm", reason="an <open> ring")
    segments = [
        Segment(number=n, name="s", ed_mm=Quantity(value=float(n), unit="mm"), es_mm=blank, thickening_percent=blank,
                ed_max_mm=blank, es_max_mm=blank)
        for n in range(1, 18)
    ]  # fmt: skip
    drawing = bullseye_svg(segments, "T", "mm", lambda s: s.ed_mm if s.number < 17 else blank, (0.0, 16.0))
    places = {
        int(n): (float(x), float(y))
        for x, y, n in re.findall(r'x="([\d.]+)" y="([\d.]+)" class="value[^>]*>(\d+)<', drawing)
    }
    assert set(places) == set(range(1, 17))
    for anterior, inferior in ((1, 4), (7, 10), (13, 15)):
        assert places[anterior][1] < 120 < places[inferior][1]
    for left, right in ((2, 6), (3, 5), (8, 12), (9, 11), (14, 16)):
        assert places[left][0] < 120 < places[right][0]
    assert "an &lt;open&gt; ring" in drawing and "<open>" not in drawing


def test_a_histogram_counts_all_values() -> None:
    drawing = histogram_svg([10.0, 12.0, 31.0, 50.0], "Title", "ml")
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" class="bar"', drawing)]
    assert sum(heights) / max(heights) * 2 == pytest.approx(4.0)  # the highest bar holds two
    assert "4 cases, median 21.5 ml" in drawing
    assert 'class="bar"' in histogram_svg([5.0, 5.0, 5.0], "Alike", "%")


def test_the_cuts_along_the_axis_have_one_scale_and_the_base_above() -> None:
    first, second = (long_axis_svg(pictures(), 1, angle, "t", base_first=True) for angle in (0.0, 90.0))
    box = re.compile(r'viewBox="([^"]+)"')
    assert box.search(first).group(1) == box.search(second).group(1)
    upside = long_axis_svg(pictures(), 1, 0.0, "t", base_first=False)
    numbers = [re.findall(r'class="tiny"[^>]*>(\d)<', drawing) for drawing in (first, upside)]
    assert numbers == [["1", "2", "3", "4"], ["4", "3", "2", "1"]]
    assert first.index("base") < first.index("apex")
    nothing = Pictures(
        labels={1: np.zeros(SHAPE, np.uint8)}, images={}, structures=STRUCTURES, spacing_mm=(1.0, 1.0, 1.0)
    )
    assert long_axis_svg(nothing, 1, 0.0, "t", base_first=None) == ""


def verdict() -> Verdict:
    finding = Finding(check="slice_shift", level="review", message="Slice 3 <lies> aside.", frame=5, slices=(2,))
    worse = Finding(check="hole", level="fail", message="A hole.", frame=1, slices=(0, 1))
    return Verdict(level="fail", findings=(finding, worse), not_checked=(NotChecked(check="rv_gap", reason="no RV"),))


def test_the_verdict_tells_its_reasons_the_gravest_first_and_leads_to_the_places() -> None:
    box = verdict_box(readout(verdict=verdict()))
    assert 'class="verdict fail"' in box and box.index("A hole.") < box.index("Slice 3 &lt;lies&gt; aside.")
    assert 'data-frame="5" data-slice="2">frame 5, slice 3</button>' in box
    assert 'data-frame="1" data-slice="0">frame 1, slices 1, 2</button>' in box
    assert "Not checked (1)" in box and "rv gap: no RV" in box
    assert "Quality not judged" in verdict_box(readout())


def test_what_is_found_in_many_frames_is_told_once_at_its_worst() -> None:
    def shift(frame: int, value: float, z: int = 2) -> Finding:
        message = f"Frame {frame} of slice {z} is {value:g} mm aside."
        return Finding(check="slice_shift", level="review", message=message, frame=frame, slices=(z,), value=value,
                       threshold=8.0, unit="mm")  # fmt: skip

    found = (shift(1, 9.0), shift(2, 14.0), shift(3, 12.0), shift(3, 10.0, z=3), shift(7, 9.0))
    read = readout(verdict=Verdict(level="review", findings=found))
    assert [(worst.frame, [one.frame for one in others]) for worst, others in findings_by_place(read)] == [
        (2, [1, 3, 7]),
        (3, []),
    ]
    box = verdict_box(read)
    assert box.count("<li>") == 2 and "Frame 1 of slice 2" not in box
    assert 'data-frame="2" data-slice="2">frame 2, slice 3</button> The same in frames ' in box
    assert all(f'data-frame="{frame}" data-slice="2">{frame}</button>' in box for frame in (1, 3, 7))
    assert other_frames(found) == "The same in frames 1 to 3 and 7."
    assert other_frames(found[:1]) == "The same in frame 1." and other_frames(()) == ""
    assert ranges([1, 2, 4, 6, 7, 8]) == "1, 2, 4 and 6 to 8" and ranges([5]) == "5" and ranges([]) == ""


def test_findings_of_no_frame_stay_apart() -> None:
    twice = tuple(Finding(check="lv_edv", level="review", message=words) for words in ("One.", "Two."))
    box = verdict_box(readout(verdict=Verdict(level="review", findings=twice)))
    assert "One." in box and "Two." in box and "The same" not in box


def test_the_table_letters_its_conventions_and_gives_reasons() -> None:
    text = quantity_table(readout())
    assert 'data-name="lv_edv_ml">' in text and "ml/m²" not in text  # nothing is indexed without height and weight
    assert text.count("height and weight are not known") >= 1
    assert "only single frames were read, not the whole cycle" in text
    letters = set(re.findall(r"<sup>(\w)</sup>", text))
    listed = text[text.index("<ol") :].count("<li>")
    assert letters == {chr(97 + i) for i in range(listed)}


def test_flagged_slices_are_framed_and_the_viewer_begins_at_end_diastole() -> None:
    page = case_page(readout(verdict=verdict()), pictures(), "1.2.3")
    assert page.count('class="flagged"') == 3  # slices 1 and 2 at end-diastole, 3 at end-systole
    data = viewer_data(readout(), pictures(), view_of(pictures()))
    assert (data["frames"], data["total"], data["start"]) == ([1, 5], 0, {"frame": 0, "slice": 2})


def test_every_slice_has_the_number_that_it_has_in_a_file_that_counts_from_the_other_end() -> None:
    """Four slices, the file's first is the array's last: places 0, 1, 2 are its slices 4, 3, 2."""
    turned_about = Geometry.from_affine(np.diag([2.0, 2.0, -10.0, 1.0]), (40, 40, 4))
    found = read_out({1: labels(), 5: labels(10)}, STRUCTURES, turned_about, Facts(case="a", patient="p"))
    found = found.model_copy(update={"verdict": verdict()})
    shown = dataclasses.replace(pictures(), slices_reversed=True)
    assert shown.in_file_order() == [3, 2, 1, 0] and pictures().in_file_order() == [0, 1, 2, 3]
    page = case_page(found, shown, "1")
    assert 'data-frame="5" data-slice="2">frame 5, slice 2</button>' in page
    assert 'data-frame="1" data-slice="0">frame 1, slices 3, 4</button>' in page
    drawing = montage_svg(shown, view_of(shown), 1, "t", {0})
    assert re.findall(r'class="on-image"[^>]*>(\d)<', drawing) == ["1", "2", "3", "4"]
    assert drawing.index('class="flagged"') > drawing.index(">3</text>")  # place 0 is slice 4
    assert re.findall(r"<tr><td>ED</td><td>(\d)</td><td>(\w+|–)", page)[0] == ("4", found.slices[0].level)
    assert viewer_data(found, shown, view_of(shown))["reversed"] is True
    cut = long_axis_svg(shown, 1, 0.0, "t", base_first=True)
    assert re.findall(r'class="tiny"[^>]*>(\d)<', cut) == ["4", "3", "2", "1"]


def test_the_methods_name_every_rule() -> None:
    words = methods_text(readout(model="2d_unet"), "1.2.3")
    for part in ("2d_unet", "autolv 1.2.3", "2.00 x 2.00 mm", "10.0 mm apart", "counted as segmented", "1.05 g/ml",
                 "largest cavity of 2 frames"):  # fmt: skip
        assert part in words
    assert "indexed" not in words and "harmonics" not in words
    assert words.count("No normal ranges are given") == 1


def test_a_normal_range_stands_beside_its_value_with_a_source_and_a_flag_where_it_is_left() -> None:
    plain = readout()
    name, value = "lv_edv_ml", plain.quantities["lv_edv_ml"].value
    assert value is not None
    within = {name: NormalRange(low=value - 1, high=value + 1, source="healthy people (X 2020)")}
    below = {name: NormalRange(low=value + 1, high=value + 2, source="healthy people (X 2020)")}
    table = quantity_table(plain.model_copy(update={"normal": within}))
    assert f"normal {value - 1:.1f} to {value + 1:.1f} ml (b)" in table and "healthy people (X 2020)" in table
    assert "below normal" not in table
    assert "⚑ below normal" in quantity_table(plain.model_copy(update={"normal": below}))
    words = methods_text(plain.model_copy(update={"normal": within, "normal_reason": ""}), "1")
    assert "Normal ranges (LV end-diastolic volume): healthy people (X 2020)." in words and "No normal" not in words


def test_the_cohort_begins_with_the_worst_and_names_what_failed() -> None:
    ok = Verdict(level="pass")
    rows = [
        CohortRow(readout=readout(case=name, verdict=one), page=f"{name}.html", thumbnail=thumbnail(pictures(), 1))
        for name, one in (("a", ok), ("b", None), ("c", verdict()), ("d", ok))
    ]
    page = cohort_page(rows, [ReadoutStatus(case="<e>", file="", message="it is bad.")], "1")
    assert re.findall(r'<td data-key="([a-z])">', page) == ["c", "b", "a", "d"]
    assert "<b>&lt;e&gt;</b>: it is bad." in page and "1 fail, 1 quality not judged, 2 pass" in page
    assert "<svg" not in cohort_page(rows[:2], [], "1")  # two values make no histogram


def test_a_cell_is_no_formula() -> None:
    text = readout_csv([readout(case="=1+1", patient="-x", group="-3.5")])
    assert text.splitlines()[1].startswith("'=1+1,'-x,-3.5,")
