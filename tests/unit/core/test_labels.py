"""Structures by name: both orders of codes mean the same thing inside."""

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.core.labels import LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY, STRUCTURES, LabelSchema, canonical_name

ACDC = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
MNMS = {"background": 0, "LV": 1, "MYO": 2, "RV": 3}


def test_acdc_and_mnms_files_of_one_heart_are_the_same_inside() -> None:
    acdc = np.array([[0, 1, 1], [2, 3, 3]], dtype=np.uint8)
    mnms = np.array([[0, 3, 3], [2, 1, 1]], dtype=np.uint8)  # the same heart, codes 1 and 3 exchanged
    inside = np.array([[0, 3, 3], [2, 1, 1]], dtype=np.uint8)  # 1 LV cavity, 2 myocardium, 3 RV cavity
    for labels, array in ((ACDC, acdc), (MNMS, mnms)):
        schema = LabelSchema.from_names(labels)
        assert schema.structures == (LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY)
        np.testing.assert_array_equal(schema.to_internal(array), inside)
        np.testing.assert_array_equal(schema.to_file(inside), array)


@pytest.mark.parametrize(
    ("codes", "inside"),
    [({LV_CAVITY: 3}, [0, 1, 0]), ({LV_CAVITY: 3, LV_MYOCARDIUM: 200}, [0, 1, 2])],
    ids=["cavity alone", "cavity and myocardium"],
)
def test_datasets_with_fewer_structures_round_trip(codes: dict[str, int], inside: list[int]) -> None:
    schema = LabelSchema(codes)
    array = np.array([0, 3, 200 if LV_MYOCARDIUM in codes else 0])
    assert schema.to_internal(array).tolist() == inside
    assert schema.to_file(schema.to_internal(array)).tolist() == array.tolist()
    assert schema.to_internal(array).dtype == np.uint8


def test_an_empty_map_stays_empty_and_nothing_is_changed_in_place() -> None:
    schema = LabelSchema.from_names(ACDC)
    array = np.zeros((2, 3), dtype=np.int16)
    assert not schema.to_internal(array).any()
    assert array.dtype == np.int16
    assert schema.to_internal(np.zeros((0, 3), dtype=np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(("value", "count"), [(7, 2), (-1, 1), (1.5, 3), (259, 1)])
def test_an_unexpected_value_is_named_with_its_count(value: float, count: int) -> None:
    array = np.zeros(10, dtype=np.float64)
    array[:count] = value
    with pytest.raises(DataError, match=rf"value {value}(\.0)? in {count} voxels.*\[0, 1, 2, 3\]"):
        LabelSchema.from_names(ACDC).to_internal(array)


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("LV", LV_CAVITY), ("lv_cavity", LV_CAVITY), ("LV blood pool", LV_CAVITY), ("left ventricle", LV_CAVITY),
        ("MYO", LV_MYOCARDIUM), ("LV-Myo", LV_MYOCARDIUM), ("Myocardium", LV_MYOCARDIUM),
        ("RV", RV_CAVITY), ("right_ventricle", RV_CAVITY), ("atrium", None), ("", None),
    ],
)  # fmt: skip
def test_names_in_use_are_recognised(name: str, structure: str | None) -> None:
    assert canonical_name(name) == structure


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"RV": 1, "MYO": 2}, "no lv_cavity"),
        ({"LV": 1, "atrium": 2}, "'atrium'"),
        ({"LV": 1, "lv_cavity": 2}, "two labels mean lv_cavity"),
        ({"LV": 1, "RV": 1}, "distinct"),
        ({"LV": 300}, "between 1 and 255"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused_with_a_remedy(labels: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        LabelSchema.from_names(labels)
    assert caught.value.remedy


def test_the_order_of_channels_is_fixed() -> None:
    assert STRUCTURES == (LV_CAVITY, LV_MYOCARDIUM, RV_CAVITY)
    assert LabelSchema({RV_CAVITY: 1, LV_CAVITY: 2}).structures == (LV_CAVITY, RV_CAVITY)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_codes_become_channels_as_by_comparing_with_each(dtype):
    schema = LabelSchema.from_names(ACDC)
    array = np.random.default_rng(0).choice([0, *schema.codes.values()], (3, 7, 5)).astype(dtype)
    expected = np.zeros(array.shape, dtype=np.uint8)
    for channel, name in enumerate(schema.structures, start=1):
        expected[array == schema.codes[name]] = channel
    np.testing.assert_array_equal(schema.to_internal(array), expected)


@pytest.mark.parametrize("array", [np.array([[0, 9, 9]], dtype=np.uint8), np.array([[0, 265, 9]]), np.array([-1, 9.5])])
def test_an_unknown_code_is_told_whatever_the_type(array):
    with pytest.raises(DataError, match="unexpected label value"):
        LabelSchema.from_names(ACDC).to_internal(array)
