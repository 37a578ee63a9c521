"""Stored probabilities: what comes back, and files that are refused."""

from pathlib import Path

import numpy as np
import pytest

from autolv.core.errors import DataError
from autolv.imageio.probabilities import read_probabilities, write_probabilities


def test_what_is_near_the_heart_comes_back_in_half_precision(tmp_path: Path) -> None:
    probabilities = np.zeros((2, 3, 4, 5), dtype=np.float32)
    probabilities[0] = 1.0
    probabilities[:, 1, 2:4, 1:3] = np.array([0.3, 0.7], dtype=np.float32)[:, None, None]
    write_probabilities(tmp_path / "a.npz", probabilities)
    stored = read_probabilities(tmp_path / "a.npz")
    assert (stored.box, stored.shape) == (((1, 2), (2, 4), (1, 3)), (3, 4, 5))
    assert stored.half.dtype == np.float16 and stored.inside.dtype == np.float32
    np.testing.assert_array_equal(stored.inside[:, 0, 0, 0], np.float16([0.3, 0.7]).astype(np.float32))


def test_probabilities_in_another_precision_are_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", inside=np.ones((2, 1, 1, 1), dtype=np.float32), box=np.array([(0, 1)] * 3),
        shape=np.array((2, 1, 1, 1)),
    )  # fmt: skip
    with pytest.raises(DataError, match="are float32, not float16"):
        read_probabilities(tmp_path / "a.npz")
