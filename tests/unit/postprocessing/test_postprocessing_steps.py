"""Each step on label maps small enough to read."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from autolv.core.errors import ModelError
from autolv.core.registry import RegistryError
from autolv.postprocessing import POSTPROCESSING, apply_steps
from autolv.schema.results import Step

ALL = ("lv_cavity", "lv_myocardium", "rv_cavity")
SPACING = (10.0, 1.25, 1.5)
LV, MYO, RV = 1, 2, 3

Labels = NDArray[np.uint8]


def read(*slices: str) -> Labels:
    """Return labels (z, y, x) from drawings: rows apart by spaces, '.' for background."""
    return np.array(
        [[[0 if c == "." else int(c) for c in row] for row in slice_.split()] for slice_ in slices], dtype=np.uint8
    )


def run(labels: Labels, *steps: Step, structures: tuple[str, ...] = ALL) -> Labels:
    return apply_steps(labels, steps, structures, SPACING)[0]


def test_every_step_is_registered() -> None:
    assert list(POSTPROCESSING) == ["fill_holes", "largest_component", "largest_foreground", "remove_small"]


@pytest.mark.parametrize(
    ("name", "structure"),
    [(name, s) for name in POSTPROCESSING for s in ("", *ALL) if not (s and name == "largest_foreground")],
)
@pytest.mark.parametrize("value", [0, 1])
def test_empty_labels_stay_empty_full_ones_full_and_nothing_is_changed_in_place(
    name: str, structure: str, value: int
) -> None:
    labels = np.full((2, 3, 4), value, dtype=np.uint8)
    labels.setflags(write=False)  # a step that writes into its input fails
    after, changed = apply_steps(labels, [Step(name=name, structure=structure)], ALL, SPACING)
    if name == "remove_small" and value:  # 24 voxels of 0.01875 ml are 0.45 ml, less than the half millilitre to keep
        expected = 0 if structure in ("", "lv_cavity") else 1
    else:
        expected = value
    np.testing.assert_array_equal(after, np.full((2, 3, 4), expected))
    assert changed == (24 if expected != value else 0,)
    assert after is not labels and after.dtype == np.uint8


@pytest.mark.parametrize("name", list(POSTPROCESSING))
def test_random_input_is_not_changed_and_a_second_time_changes_nothing(name: str) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (4, 20, 20)).astype(np.uint8)
    labels[labels == 3] = 0
    labels[:, :, 14] = 0  # two pieces
    before = labels.copy()
    after = run(labels, Step(name=name))
    np.testing.assert_array_equal(labels, before)
    assert (after != before).any()
    np.testing.assert_array_equal(run(after, Step(name=name)), after)


def test_largest_component_is_of_one_structure_in_3d_across_corners() -> None:
    labels = read("11... ..... ...33 ....1", "..... ..1.. ...33 ....1")
    # the two LV voxels of slice 0 touch that of slice 1 by a corner: three voxels against two at the right
    after = run(labels, Step(name="largest_component", structure="lv_cavity"))
    np.testing.assert_array_equal(after, read("11... ..... ...33 .....", "..... ..1.. ...33 ....."))


def test_of_equal_components_the_first_stays() -> None:
    labels = read("1..1 ....")
    np.testing.assert_array_equal(run(labels, Step(name="largest_component", structure="lv_cavity")), read("1... ...."))


def test_largest_component_without_a_structure_takes_each_by_itself() -> None:
    labels = read("11.3 ...3 1... .3..")
    np.testing.assert_array_equal(run(labels, Step(name="largest_component")), read("11.3 ...3 .... ...."))


def test_largest_foreground_keeps_the_heart_whole() -> None:
    # LV, myocardium and RV touch; an island of two structures is larger than any one of them in the heart
    labels = read("12.3. .2.3. 333.. ....2 .1122")
    after = run(labels, Step(name="largest_foreground"))
    np.testing.assert_array_equal(after, read("12.3. .2.3. 333.. ..... ....."))


def test_largest_foreground_works_on_all_structures_only() -> None:
    with pytest.raises(ValueError, match="all structures together"):
        run(read("1"), Step(name="largest_foreground", structure="lv_cavity"))


def test_remove_small_counts_millilitres() -> None:
    labels = read("111.11", "111.11")

    # a voxel is 10 x 1.25 x 1.5 mm = 0.01875 ml: six make 0.1125 ml, four 0.075 ml
    def after(minimum_ml: float) -> Labels:
        return run(labels, Step(name="remove_small", structure="lv_cavity", parameters={"minimum_ml": minimum_ml}))

    np.testing.assert_array_equal(after(0.074), labels)
    np.testing.assert_array_equal(after(0.075), labels)
    np.testing.assert_array_equal(after(0.076), read("111...", "111..."))
    np.testing.assert_array_equal(after(0.113), read("......", "......"))
    with pytest.raises(ValueError, match="negative"):
        after(-1.0)


def test_remove_small_leaves_other_structures() -> None:
    labels = read("1.3")
    steps = Step(name="remove_small", structure="lv_cavity", parameters={"minimum_ml": 1.0})
    np.testing.assert_array_equal(run(labels, steps), read("..3"))


def test_a_hole_in_the_cavity_becomes_cavity_slice_by_slice() -> None:
    # slice 0 is closed; slice 1 opens to the border at the right; in slice 2 the hole is the whole slice below it
    labels = read("11111 1..11 11111", "11111 1.... 11111", "..... ..... .....")
    after = run(labels, Step(name="fill_holes", structure="lv_cavity"))
    np.testing.assert_array_equal(after, read("11111 11111 11111", "11111 1.... 11111", "..... ..... ....."))


def test_a_hole_that_a_corner_closes_is_closed() -> None:
    labels = read(".1. 1.1 .1.")
    np.testing.assert_array_equal(run(labels, Step(name="fill_holes", structure="lv_cavity")), read(".1. 111 .1."))


def test_the_gap_between_cavity_and_wall_becomes_wall_and_a_hole_in_the_cavity_does_not() -> None:
    labels = read("2222222 2.11112 2.1..12 2211112 2222222")
    after = run(labels, Step(name="fill_holes", structure="lv_myocardium"))
    np.testing.assert_array_equal(after, read("2222222 2211112 221..12 2211112 2222222"))
    both = run(labels, *(Step(name="fill_holes", structure=name) for name in ("lv_cavity", "lv_myocardium")))
    np.testing.assert_array_equal(both, read("2222222 2211112 2211112 2211112 2222222"))
    np.testing.assert_array_equal(run(labels, Step(name="fill_holes")), both)


def test_an_empty_ring_of_myocardium_is_filled_with_myocardium() -> None:
    np.testing.assert_array_equal(
        run(read("222 2.2 222"), Step(name="fill_holes", structure="lv_myocardium")), read("222 222 222")
    )


def test_a_gap_between_the_ventricles_is_no_hole() -> None:
    labels = read("3333 3..2 3322")
    for name in ALL:
        np.testing.assert_array_equal(run(labels, Step(name="fill_holes", structure=name)), labels)


def test_another_structure_within_a_hole_stays() -> None:
    labels = read("1111 1.31 1111")
    after = run(labels, Step(name="fill_holes", structure="lv_cavity"))
    np.testing.assert_array_equal(after, read("1111 1131 1111"))


def test_with_two_structures_the_second_is_what_its_name_says() -> None:
    # in a dataset of LV and RV, label 2 is the RV, which encloses nothing together with the LV
    labels = read("2222 2.12 2222")
    structures = ("lv_cavity", "rv_cavity")
    np.testing.assert_array_equal(
        run(labels, Step(name="fill_holes", structure="rv_cavity"), structures=structures), read("2222 2212 2222")
    )
    ring = read("2111 2..1 2111")
    np.testing.assert_array_equal(
        run(ring, Step(name="fill_holes", structure="rv_cavity"), structures=structures), ring
    )
    np.testing.assert_array_equal(
        run(ring, Step(name="fill_holes", structure="lv_myocardium"), structures=ALL[:2]), read("2111 2221 2111")
    )


def test_steps_run_in_order_and_each_is_counted() -> None:
    labels = read("1111.1 1..1.. 1111..")
    after, changed = apply_steps(
        labels,
        [Step(name="largest_foreground"), Step(name="fill_holes", structure="lv_cavity"), Step(name="fill_holes")],
        ("lv_cavity",),
        SPACING,
    )
    np.testing.assert_array_equal(after, read("1111.. 1111.. 1111.."))
    assert changed == (1, 2, 0)


def test_no_steps_give_a_copy() -> None:
    labels = read("12 30")
    after, changed = apply_steps(labels, (), ALL, SPACING)
    np.testing.assert_array_equal(after, labels)
    assert after is not labels and changed == ()


def test_what_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(ModelError, match="rv_cavity"):
        run(read("1"), Step(name="fill_holes", structure="rv_cavity"), structures=("lv_cavity",))
    with pytest.raises(RegistryError, match="largest_compnent") as caught:
        run(read("1"), Step(name="largest_compnent", structure="lv_cavity"))
    assert "Did you mean 'largest_component'" in caught.value.remedy


@pytest.mark.parametrize("labels", [np.zeros((3, 3), np.uint8), np.zeros((1, 3, 3), np.int32)])
def test_labels_of_another_kind_are_refused(labels: NDArray[np.integer]) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(z, y, x\)"):
        apply_steps(labels, (), ALL, SPACING)  # type: ignore[arg-type]


def test_a_channel_that_is_not_there_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="between 1 and 3"):
        POSTPROCESSING.get("largest_component")(read("1"), 4, ALL, SPACING)


IN_PLANE = np.array([[[0] * 3] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0] * 3] * 3], dtype=bool)


def filled_by_scipy(labels: Labels, channel: int, enclosing: list[int]) -> Labels:
    """The holes of a structure by scipy's fill, label and dilation over the whole grid."""
    result = labels.copy()
    holes = ndimage.binary_fill_holes(np.isin(labels, enclosing), structure=IN_PLANE) & (labels == 0)
    numbered, _ = ndimage.label(holes, structure=IN_PLANE)
    touching = np.unique(numbered[ndimage.binary_dilation(labels == channel, structure=IN_PLANE) & holes])
    result[np.isin(numbered, touching[touching > 0])] = channel
    return result


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("structure", "channel", "enclosing"), [(ALL[0], LV, [LV]), (ALL[1], MYO, [MYO, LV]), (ALL[2], RV, [RV])]
)
def test_holes_are_filled_as_by_scipy(seed: int, structure: str, channel: int, enclosing: list[int]) -> None:
    rng = np.random.default_rng(seed)
    weights = np.array([0.35, *(0.55 / len(enclosing) if label in enclosing else 0.05 for label in (LV, MYO, RV))])
    labels = rng.choice(4, (5, 24, 21), p=weights / weights.sum()).astype(np.uint8)
    labels[:, :3], labels[1] = 0, 0
    after = run(labels, Step(name="fill_holes", structure=structure))
    expected = filled_by_scipy(labels, channel, enclosing)
    np.testing.assert_array_equal(after, expected)
    assert (expected != labels).any()


@pytest.mark.parametrize("name", list(POSTPROCESSING))
@pytest.mark.parametrize("seed", range(3))
def test_a_step_on_the_part_about_the_structures_is_the_step_on_the_whole_grid(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((6, 40, 50), dtype=np.uint8)
    inside = labels[seed : seed + 3, 5 * seed : 20, 7:30]  # at seed 0 it lies at the array's faces
    inside[...] = rng.choice(4, inside.shape, p=[0.5, 0.2, 0.2, 0.1])
    whole = POSTPROCESSING.get(name)(labels, None, ALL, SPACING)
    after, changed = apply_steps(labels, [Step(name=name)], ALL, SPACING)
    np.testing.assert_array_equal(after, whole)
    assert changed == (int((whole != labels).sum()),)
