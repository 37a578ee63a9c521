"""Numbers and columns as text."""

from __future__ import annotations

import math

import pytest

from autolv.reporting._text import grid, interval, label_of, number, short_of


def test_numbers() -> None:
    assert number(0.91249, 3) == "0.912"
    assert number(math.nan, 3) == "-"
    assert number(2.0, 1, signed=True) == "+2.0"
    assert number(-2.04, 1, signed=True) == "-2.0"
    assert number(-0.001, 1, signed=True) == "0.0"
    assert number(-0.0, 2) == "0.00"


def test_intervals() -> None:
    assert interval((0.9, 0.95), 2) == "0.90 to 0.95"
    assert interval((-0.5, 0.25), 1, signed=True) == "-0.5 to +0.2"
    assert interval((math.nan, 1.0), 1) == "-"


def test_names() -> None:
    assert (label_of("lv_myocardium"), short_of("lv_myocardium")) == ("LV myocardium", "MYO")
    assert (label_of("left_atrium"), short_of("left_atrium")) == ("left_atrium", "left_atrium")


def test_columns_line_up() -> None:
    assert grid(("name", "n"), [("a", "1000"), ("longer", "2")]) == [
        "name       n",
        "------  ----",
        "a       1000",
        "longer     2",
    ]
    assert grid(("", "n"), []) == ["  n", "  -"]


def test_ragged_row_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        grid(("a", "b"), [("1",)])
