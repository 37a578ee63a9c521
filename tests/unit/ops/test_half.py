"""Half precision from a table: every number as numpy converts it."""

import numpy as np

from autolv.ops.half import from_half


def test_every_number_of_half_precision_is_that_of_numpy_bit_for_bit() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(4, 8, 2048)
    found = from_half(every)
    assert found.dtype == np.float32 and found.shape == every.shape
    np.testing.assert_array_equal(found.view(np.uint32), every.astype(np.float32).view(np.uint32))
    part = every[1::2, :, ::-3]  # a view with steps
    np.testing.assert_array_equal(from_half(part), part.astype(np.float32))
    assert from_half(every[:0]).shape == (0, 8, 2048)


def test_the_result_is_a_new_array() -> None:
    half = np.array([0.5, 6e-8], dtype=np.float16)
    from_half(half)[:] = 0
    assert from_half(half).tolist() == [0.5, 2.0**-24]
