"""Student's t without scipy: against its table and against scipy."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from autolv.evaluation.student import student_quantile, student_share


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (2, 4.303), (9, 2.262), (19, 2.093), (120, 1.980)])
def test_quantiles_of_the_printed_table(freedom, expected):
    assert student_quantile(0.975, freedom) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 49, 149, 1000])
def test_quantiles_are_scipys(freedom):
    for share in (0.5, 0.8, 0.95, 0.975, 0.995):
        assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-11, abs=1e-12)


def test_one_degree_is_cauchys_and_two_have_a_square_root():
    assert student_share(1.0, 1) == pytest.approx(0.5)  # atan(1) is an eighth of a turn
    assert student_share(1.0, 2) == pytest.approx(1 / math.sqrt(3))


def test_what_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"between 0\.5 and 1"):
        student_quantile(1.0, 5)
    with pytest.raises(ValueError, match="positive"):
        student_share(1.0, 0)
