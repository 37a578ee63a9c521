"""Windows of many cases taken at once are those taken one by one."""

import torch

from autolv.training.pool import Pool
from autolv.training.sampler import gather


def test_windows_are_those_taken_one_by_one_also_beyond_every_border():
    rng = torch.Generator().manual_seed(0)
    arrays = [torch.rand(shape, generator=rng) + 1 for shape in ((3, 7, 5), (1, 4, 9), (6, 6, 6))]
    pool = Pool(arrays)
    numbers, starts = [], []
    for number in (2, 0, 1, 0):
        for start in ((0, 0, 0), (-1, -2, -3), (2, 4, 3), (-9, 0, 0), (0, 1, 40), (1, 1, 1)):
            numbers.append(number)
            starts.append(start)
    taken = pool.windows(numbers, starts, (2, 4, 6))
    assert taken.shape == (24, 2, 4, 6)
    for window, number, start in zip(taken, numbers, starts, strict=True):
        torch.testing.assert_close(window, gather(arrays[number], start, (2, 4, 6)), rtol=0, atol=0)


def test_labels_keep_their_type():
    labels = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    (window,) = Pool([labels]).windows([0], [(1, -1, 2)], (1, 3, 3))
    # slice 1 holds 12 to 23, four a row; rows -1 to 1, columns 2 to 4
    assert window.dtype == torch.uint8
    assert window[0].tolist() == [[0, 0, 0], [14, 15, 0], [18, 19, 0]]
