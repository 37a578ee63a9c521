"""One temperature for all probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from autolv.ops.temperature import with_temperature


def test_a_temperature_of_two_takes_the_square_root() -> None:
    # 0.8 and 0.2: roots 0.894427 and 0.447214, so 2 to 1
    found = with_temperature(np.array([[0.8], [0.2]], dtype=np.float32), 2.0)
    np.testing.assert_allclose(found[:, 0], [2 / 3, 1 / 3], rtol=1e-6)


def test_the_largest_stays_the_largest_and_the_sum_is_one() -> None:
    rng = np.random.default_rng(0)
    given = rng.dirichlet([0.3] * 4, size=500).T.astype(np.float32)
    before = given.copy()
    for temperature in (0.3, 0.9, 1.7, 4.0):
        found = with_temperature(given, temperature)
        np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)
        chosen = found[given.argmax(axis=0), np.arange(500)]
        assert (chosen == found.max(axis=0)).all()
    np.testing.assert_array_equal(given, before)


def test_one_changes_nothing_and_certainty_stays_finite() -> None:
    certain = np.array([[1.0], [0.0]], dtype=np.float32)
    assert with_temperature(certain, 1.0) is certain
    # 1e-6 to the power of a half is 1e-3: 1 / 1.001
    np.testing.assert_allclose(with_temperature(certain, 2.0)[:, 0], [1 / 1.001, 0.001 / 1.001], rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="a temperature is positive"):
        with_temperature(np.ones((2, 1), dtype=np.float32), temperature)
