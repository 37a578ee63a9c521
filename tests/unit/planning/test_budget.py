from __future__ import annotations

import pytest

from autolv.planning import budget
from autolv.schema.plan import Compute, Network

CPU = Compute(device="cpu", cores=2, memory_gb=8.0, time_budget_minutes=10.0)
WORK = budget.Workload(items=1000, slices_per_item=1, data_gb=0.5)


def network(base: int, *, kernel: int = 3, patch: tuple[int, ...] = (64, 64)) -> Network:
    dims = len(patch)
    return Network(
        architecture="unet",
        patch=patch,
        in_channels=1,
        classes=2,
        features=(base, 2 * base, 4 * base),
        kernels=((kernel,) * dims,) * 3,
        strides=((1,) * dims, (2,) * dims, (2,) * dims),
        blocks=(2, 2, 2),
        decoder_blocks=(2, 2),
        heads=1,
    )


def compute(**changes: object) -> Compute:
    return Compute.model_validate({**CPU.model_dump(), **changes})


@pytest.mark.parametrize(
    ("base", "batch", "slices", "steps"),
    [
        (16, 12, 1, 1000),  # 12 000 slices in batches of 12
        (24, 12, 1, 2250),  # (24 / 16)² times as many
        (8, 12, 1, 250),
        (4, 12, 1, 250),  # 63 would do, but fewer than 250 steps train nothing
        (12, 2, 9, 375),  # 6750 slices in batches of 18
    ],
)
def test_steps_grow_with_the_square_of_the_width(base: int, batch: int, slices: int, steps: int) -> None:
    assert budget.steps_needed(base, batch, slices) == steps


def test_assumed_throughput() -> None:
    assert budget.throughput(network(8), CPU) == 120e9
    assert budget.throughput(network(8), compute(cores=64)) == 16 * 60e9
    assert budget.throughput(network(8, kernel=5, patch=(16, 16, 16)), CPU) == pytest.approx(48e9)
    assert budget.throughput(network(8, kernel=5), CPU) == 120e9
    assert budget.throughput(network(8), compute(device="cuda")) == 20e12


def test_time_assumed_without_a_budget() -> None:
    assert budget.minutes(CPU) == 10.0
    assert budget.minutes(compute(time_budget_minutes=None)) == 60.0
    assert budget.minutes(compute(time_budget_minutes=None, device="cuda")) == 600.0


def test_time_and_activations_grow_with_the_batch() -> None:
    assert budget.seconds_per_step(network(8), 12, CPU) == pytest.approx(
        12 * budget.seconds_per_step(network(8), 1, CPU)
    )
    one, two, three = (budget.training_memory_gb(network(8), n, CPU, 0.0) for n in (1, 2, 3))
    assert two - one == pytest.approx(three - two)
    assert two > one > 0.6


def test_data_count_where_the_device_shares_the_memory() -> None:
    cpu, mps, cuda = (
        budget.training_memory_gb(network(8), 2, compute(device=d), 3.0)
        - budget.training_memory_gb(network(8), 2, compute(device=d), 0.0)
        for d in ("cpu", "mps", "cuda")
    )
    assert (cpu, mps, cuda) == pytest.approx((3.0, 3.0, 0.0))


def test_the_widest_that_time_and_memory_allow() -> None:
    candidates = [network(base) for base in budget.BASES]
    found = budget.largest(candidates, WORK, CPU)
    assert found is not None
    assert found.batch == 12
    wider = candidates[budget.BASES.index(found.network.features[0]) + 1]
    assert not budget.size(wider, 12, WORK, CPU).enough_time
    assert budget.largest(candidates, WORK, compute(memory_gb=0.9)) is None  # 1.1 GB before the first activation


GPU = {"device": "cuda", "time_budget_minutes": None}
FLAT = [network(base, patch=(128, 128)) for base in (*budget.BASES, *budget.WIDE_BASES)]


def needs_gb(base: int, batch: int) -> float:
    return budget.training_memory_gb(FLAT[budget.bases("cuda").index(base)], batch, compute(**GPU), 0.0)


def on_gpu(memory_gb: float, *, work: budget.Workload = WORK, **changes: object) -> tuple[int, int]:
    found = budget.largest(FLAT, work, compute(**{**GPU, "memory_gb": memory_gb + 1e-6, **changes}))
    assert found is not None
    assert found.memory_gb <= memory_gb + 1e-6
    return found.network.features[0], found.batch


def test_wide_bases_are_for_cuda() -> None:
    assert budget.bases("cpu") == budget.bases("mps") == budget.BASES
    assert budget.bases("cuda")[-3:] == (64, 96, 128)


def test_memory_left_goes_to_the_batch_up_to_5_percent_then_to_width_then_to_the_batch_again() -> None:
    # 1000 slices: 5 % are 50, 10 % are 100
    assert on_gpu(needs_gb(64, 49)) == (64, 49)
    assert on_gpu(needs_gb(64, 60)) == (64, 60)
    assert on_gpu(needs_gb(96, 50)) == (96, 50)
    base, batch = on_gpu(needs_gb(96, 50) - 0.01)
    assert base == 64 and needs_gb(64, batch) <= needs_gb(96, 50) - 0.01 < needs_gb(64, batch + 1)
    assert on_gpu(needs_gb(128, 50)) == (128, 50)
    assert on_gpu(needs_gb(128, 70)) == (128, 70)
    assert on_gpu(10 * needs_gb(128, 100)) == (128, 100)


def test_no_wide_network_before_the_batch_is_5_percent() -> None:
    light = network(96, patch=(32, 32))  # would fit
    for batch, base in ((49, 64), (50, 96)):
        found = budget.largest([FLAT[8], light], WORK, compute(**GPU, memory_gb=needs_gb(64, batch) + 1e-6))
        assert found is not None
        assert found.network.features[0] == base


def test_no_wide_network_where_the_steps_would_be_too_few_for_it() -> None:
    # 100 slices: 5 % are less than the reference batch of 12. 128 channels want 12 000 · 64 / 12 = 64 000 steps and 96
    # want 36 000, more than the 25 000 of a run without a budget; 64 want 16 000.
    few = budget.Workload(items=100, slices_per_item=1, data_gb=0.0)
    assert on_gpu(500.0, work=few)[0] == 64
    assert on_gpu(500.0, work=few, time_budget_minutes=1e6)[0] == 128


def test_in_a_short_time_on_a_gpu_steps_are_worth_more_than_large_batches() -> None:
    # 25 000 steps of 32 patches with 64 channels are the longest run that counts as short
    brief = budget.size(FLAT[8], 32, WORK, compute(**GPU)).seconds_per_step * 25_000 / 60
    assert on_gpu(500.0, time_budget_minutes=0.999 * brief) == (64, 32)
    assert on_gpu(500.0, time_budget_minutes=1.001 * brief)[1] > 32
    assert on_gpu(needs_gb(64, 20), time_budget_minutes=0.999 * brief) == (64, 20)


def test_no_wide_network_where_the_time_is_too_short() -> None:
    wide = budget.size(FLAT[-1], 50, WORK, compute(**GPU))
    needed_minutes = budget.steps_needed(128, 50, 1) * wide.seconds_per_step / 60
    assert on_gpu(500.0, time_budget_minutes=needed_minutes * 1.001)[0] == 128
    assert on_gpu(500.0, time_budget_minutes=needed_minutes * 0.999)[0] == 96


def test_on_the_cpu_the_batch_and_the_usual_widths_do_not_grow() -> None:
    found = budget.largest(FLAT, WORK, compute(memory_gb=500.0, time_budget_minutes=1e6))
    assert found is not None
    assert (found.network.features[0], found.batch) == (64, 12)


def test_memory_lowers_the_batch_before_it_gives_up() -> None:
    candidates = [network(8, patch=(512, 512))]
    needed = [budget.training_memory_gb(candidates[0], batch, CPU, WORK.data_gb) for batch in (3, 6, 12)]
    for batch, gb in zip((3, 6, 12), needed, strict=True):
        found = budget.largest(candidates, WORK, compute(memory_gb=gb + 1e-6, time_budget_minutes=600.0))
        assert found is not None
        assert found.batch == batch


def test_a_batch_never_exceeds_the_data_or_falls_below_two() -> None:
    for items, batch in ((1, 2), (5, 5), (40, 12)):
        work = budget.Workload(items=items, slices_per_item=1, data_gb=0.0)
        found = budget.largest([network(8)], work, CPU)
        assert found is not None
        assert found.batch == batch


def test_without_time_the_narrowest_is_taken_at_half_the_batch() -> None:
    found = budget.largest([network(4), network(8)], WORK, compute(time_budget_minutes=0.001))
    assert found is not None
    assert (found.network.features[0], found.batch, found.enough_time) == (4, 6, False)


def test_a_short_run_takes_more_and_smaller_steps() -> None:
    found = budget.largest([network(4)], WORK, compute(time_budget_minutes=60.0))
    assert found is not None and found.batch == 12
    full_s = found.seconds_per_step
    few = budget.largest([network(4)], WORK, compute(time_budget_minutes=999 * full_s / 60))
    enough = budget.largest([network(4)], WORK, compute(time_budget_minutes=1001 * full_s / 60))
    assert few is not None and enough is not None
    assert (few.batch, enough.batch) == (6, 12)
    assert few.seconds_per_step == pytest.approx(full_s / 2)
