"""Batches depend on (seed, iteration) alone, come from where they say, and are padded with the mean."""

import dataclasses

import pytest
import torch

from autolv.schema.plan import Network, Training
from autolv.training.pool import Pool
from autolv.training.sampler import (
    Batch,
    Sampler,
    TrainingCase,
    _made_together,
    gather,
    monitor_patches,
    never_annotated,
    parts_of,
)


def _network(patch: tuple[int, ...]) -> Network:
    dims = len(patch)
    return Network(
        architecture="unet", patch=patch, in_channels=1, classes=2, features=(4, 8), kernels=((3,) * dims,) * 2,
        strides=((1,) * dims, (2,) * dims), blocks=(1, 1), decoder_blocks=(1,), heads=1,
    )  # fmt: skip


def _training(augmentation: str = "none", *, mirror: bool = False, heart: float = 1.0, batch: int = 4) -> Training:
    return Training(
        batch_size=batch, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="adamw", learning_rate=0.002,
        weight_decay=0.0, momentum=0.9, warmup_fraction=0.0, schedule="cosine", gradient_clip=12.0,
        augmentation=augmentation, mirror=mirror, heart_fraction=heart, epochs=1, iterations_per_epoch=1,
        expected_memory_gb=1.0, expected_minutes=1.0,
    )  # fmt: skip


def _case(name: str, shape: tuple[int, int, int], value: float) -> TrainingCase:
    labels = torch.zeros(shape, dtype=torch.uint8)
    y, x = shape[1] // 2, shape[2] // 2
    labels[:, y - 2 : y + 2, x - 2 : x + 2] = 1
    return TrainingCase(
        case=name, patient=name, image=torch.full(shape, value), labels=labels,
        heart_box=((0, shape[0]), (y - 2, y + 2), (x - 2, x + 2)),
    )  # fmt: skip


def test_every_slice_once_per_pass() -> None:
    cases = [_case("a", (3, 20, 20), 1.0), _case("b", (5, 20, 20), 2.0)]
    sampler = Sampler(cases, _network((8, 8)), _training(batch=4), seed=7)
    assert len(sampler) == 8
    for first in (0, 2, 4):  # three passes of two batches
        names = [*sampler.batch(first).cases, *sampler.batch(first + 1).cases]
        assert (names.count("a"), names.count("b")) == (3, 5)


def test_a_batch_is_a_function_of_seed_and_iteration() -> None:
    cases = [_case("a", (3, 40, 30), 1.0), _case("b", (2, 40, 30), 2.0)]
    for patch in ((16, 16), (2, 16, 16)):
        one = Sampler(cases, _network(patch), _training("default", mirror=True), seed=7)
        two = Sampler(cases, _network(patch), _training("default", mirror=True), seed=7)
        two.batch(0)  # another history
        a, b = one.batch(5), two.batch(5)
        assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and a.cases == b.cases
        other = Sampler(cases, _network(patch), _training("default", mirror=True), seed=8).batch(5)
        assert not torch.equal(a.images, other.images)


@pytest.mark.parametrize(("patch", "shape"), [((8, 8), (4, 1, 8, 8)), ((2, 8, 8), (4, 1, 2, 8, 8))])
def test_shapes_and_types(patch: tuple[int, ...], shape: tuple[int, ...]) -> None:
    batch = Sampler([_case("a", (3, 20, 20), 1.0)], _network(patch), _training(), seed=0).batch(0)
    assert tuple(batch.images.shape) == shape and batch.images.dtype == torch.float32
    assert tuple(batch.labels.shape) == (shape[0], *shape[2:]) and batch.labels.dtype == torch.int64


def test_patches_about_the_heart_hold_it() -> None:
    sampler = Sampler([_case("a", (6, 100, 100), 1.0)], _network((32, 32)), _training(heart=1.0), seed=0)
    for iteration in range(20):
        labels = sampler.batch(iteration).labels
        assert (labels.sum((1, 2)) == 16).all()  # a jitter of a quarter patch never cuts the small heart


def test_small_images_are_padded_with_zero_and_centred() -> None:
    case = _case("a", (1, 8, 8), 5.0)
    batch = Sampler([case], _network((4, 16, 16)), _training(batch=1, heart=0.0), seed=0).batch(0)
    assert batch.images.sum() == 5.0 * 64  # the whole image, once
    assert batch.images[0, 0, 1].sum() + batch.images[0, 0, 2].sum() == 5.0 * 64  # in one of the middle slices
    assert batch.labels.sum() == 16


@pytest.mark.parametrize("patch", [(16, 16), (2, 16, 16)])
def test_windows_are_copied_before_their_case_is_put_back(patch: tuple[int, ...]) -> None:
    kept = [_case("a", (3, 40, 30), 1.0), _case("b", (2, 40, 30), 2.0)]
    put_back: list[str] = []

    def spoilt(case: TrainingCase) -> TrainingCase:
        mine = dataclasses.replace(case, image=case.image.clone(), labels=case.labels.clone())

        def spoil() -> None:
            put_back.append(case.case)
            mine.image.add_(1.0)

        return dataclasses.replace(mine, put_back=spoil)

    for augmentation in ("none", "default"):  # without a transform nothing else copies
        one = Sampler(kept, _network(patch), _training(augmentation), seed=7).batch(0)
        other = Sampler([spoilt(case) for case in kept], _network(patch), _training(augmentation), seed=7).batch(0)
        assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
        assert put_back == list(other.cases)
        put_back.clear()
    watched = monitor_patches([spoilt(case) for case in kept], _network(patch))
    assert set(put_back) == {"a", "b"} and [float(batch.images.max()) for batch in watched] == [1.0, 2.0]


def test_gather_by_hand() -> None:
    array = torch.arange(12.0).reshape(1, 3, 4)
    window = gather(array, (0, -1, 2), (1, 3, 3))
    assert window.tolist() == [[[0, 0, 0], [2, 3, 0], [6, 7, 0]]]
    assert gather(array, (0, 5, 0), (1, 2, 2)).abs().sum() == 0
    assert array.tolist() == torch.arange(12.0).reshape(1, 3, 4).tolist()  # not changed


def test_no_cases_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        Sampler([], _network((8, 8)), _training(), seed=0)


def test_monitor_patches_are_fixed_and_hold_the_heart() -> None:
    cases = [_case(str(i), (6, 40, 40), 1.0) for i in range(3)]
    flat = monitor_patches(cases, _network((16, 16)))
    assert sum(len(batch.cases) for batch in flat) == 18  # all slices of three stacks of six
    assert all((batch.labels.sum((1, 2)) == 16).all() for batch in flat)
    deep = monitor_patches(cases, _network((4, 16, 16)))
    assert [tuple(batch.images.shape) for batch in deep] == [(1, 1, 4, 16, 16)] * 3
    assert monitor_patches([], _network((16, 16))) == []


def test_monitor_slices_reach_from_one_end_of_the_heart_to_the_other() -> None:
    """With one slice per case it was once the first of each heart: the base alone."""
    depth = torch.arange(10.0).view(10, 1, 1).expand(10, 40, 40).contiguous()
    cases = [dataclasses.replace(_case(str(i), (10, 40, 40), 0.0), image=depth) for i in range(40)]
    seen = [float(batch.images[0, 0, 0, 0]) for batch in monitor_patches(cases, _network((16, 16)))]
    assert len(seen) == 40
    counts = [seen.count(float(z)) for z in range(10)]
    assert min(counts) >= 2 and max(counts) <= 6  # four of each, about


def test_neighbouring_slices_become_channels_and_labels_are_the_middle_one() -> None:
    image = torch.arange(1.0, 5.0).reshape(4, 1, 1).expand(4, 20, 20).clone()  # slice z holds z + 1
    labels = (image > 0).to(torch.uint8) * torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1)
    case = TrainingCase(case="a", patient="a", image=image, labels=labels, heart_box=((0, 4), (8, 12), (8, 12)))
    network = _network((8, 8)).model_copy(update={"in_channels": 3})
    batch = Sampler([case], network, _training(batch=4), seed=0).batch(0)
    assert batch.images.shape == (4, 3, 8, 8) and batch.labels.shape == (4, 8, 8)
    found = sorted((int(batch.labels[n, 0, 0]), batch.images[n, :, 0, 0].tolist()) for n in range(4))
    # beyond the stack lies the mean
    assert found == [(0, [0.0, 1.0, 2.0]), (1, [1.0, 2.0, 3.0]), (2, [2.0, 3.0, 4.0]), (3, [3.0, 4.0, 0.0])]
    (watched,) = monitor_patches([case], network)
    assert torch.equal(watched.images[:, 1, 4, 4], watched.labels[:, 4, 4] + 1.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_batches_made_on_a_gpu_are_those_made_on_the_cpu() -> None:
    case = _case("a", (6, 60, 60), 1.0)
    case = dataclasses.replace(case, image=torch.randn((6, 60, 60), generator=torch.Generator().manual_seed(1)))
    moved = dataclasses.replace(case, image=case.image.cuda(), labels=case.labels.cuda())
    here, there = (Sampler([c], _network((32, 32)), _training("vendor-robust"), seed=3) for c in (case, moved))
    for iteration in range(10):
        one, other = here.batch(iteration), there.batch(iteration)
        assert other.images.is_cuda
        torch.testing.assert_close(other.images.cpu(), one.images, atol=1e-3, rtol=1e-3)
        assert (other.labels.cpu() != one.labels).float().mean() < 1e-3  # ties at boundaries may fall otherwise


def _partly(name: str, known: tuple[bool, ...] | None) -> TrainingCase:
    return dataclasses.replace(_case(name, (2, 20, 20), 1.0), known=known)


@pytest.mark.parametrize("patch", [(8, 8), (2, 8, 8)])
def test_a_batch_says_what_is_annotated_in_each_sample(patch: tuple[int, ...]) -> None:
    cases = [_partly("whole", None), _partly("part", (True, False, True)), _partly("other", (True, True, False))]
    batch = Sampler(cases, _network(patch), _training(), seed=1).batch(0)
    rows = {"whole": [True, True, True], "part": [True, False, True], "other": [True, True, False]}
    assert batch.known is not None and batch.known.dtype == torch.bool
    assert batch.known.tolist() == [rows[name] for name in batch.cases]


def test_where_all_is_annotated_nothing_is_said() -> None:
    cases = [_case("a", (3, 20, 20), 1.0), _case("b", (5, 20, 20), 2.0)]
    assert Sampler(cases, _network((8, 8)), _training(), seed=1).batch(0).known is None
    assert all(batch.known is None for batch in monitor_patches(cases, _network((8, 8))))


def test_a_class_that_is_annotated_in_no_case_counts_as_absent_from_all() -> None:
    cases = [_partly("a", (True, False, False)), _partly("b", (True, True, False))]
    assert never_annotated(cases) == (2,)
    batch = Sampler(cases, _network((8, 8)), _training(), seed=1).batch(0)
    rows = {"a": [True, False, True], "b": [True, True, True]}
    assert batch.known is not None
    assert batch.known.tolist() == [rows[name] for name in batch.cases]
    assert never_annotated([*cases, _partly("c", None)]) == ()
    assert Sampler([_partly("a", (True, False))], _network((8, 8)), _training(), seed=1).batch(0).known is None


def test_patches_to_watch_say_what_is_annotated() -> None:
    first, second = monitor_patches([_partly("a", None), _partly("b", (True, False))], _network((8, 8)))
    assert first.known is None
    assert second.known is not None and second.known.tolist() == [[True, False]] * len(second.images)


@pytest.mark.parametrize(("parts", "sizes"), [(1, [5]), (2, [3, 2]), (4, [2, 1, 1, 1]), (5, [1, 1, 1, 1, 1])])
def test_parts_of_a_batch_make_up_the_batch(parts: int, sizes: list[int]) -> None:
    known = torch.tensor([[True, number % 2 == 0] for number in range(5)])
    batch = Batch(
        images=torch.rand(5, 1, 2, 2), labels=torch.arange(20).view(5, 2, 2), cases=tuple("abcde"), known=known
    )
    found = parts_of(batch, parts)
    assert [len(part.images) for part in found] == sizes
    for name in ("images", "labels", "known"):
        assert torch.equal(torch.cat([getattr(part, name) for part in found]), getattr(batch, name))
    assert "".join(case for part in found for case in part.cases) == "abcde"
    assert all(part.known is None for part in parts_of(dataclasses.replace(batch, known=None), parts))


@pytest.mark.parametrize(("patch", "neighbours"), [((16, 20), 0), ((16, 20), 1), ((4, 16, 20), 0)])
@pytest.mark.parametrize("share", [(0, 1), (1, 2)])
def test_batches_made_together_as_on_a_gpu_are_those_made_one_by_one(
    patch: tuple[int, ...], neighbours: int, share: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [_case("a", (6, 60, 50), 1.0), _case("b", (4, 40, 70), 2.0), _partly("c", (True, False, True))]
    rng = torch.Generator().manual_seed(1)
    cases = [dataclasses.replace(c, image=torch.randn(c.image.shape, generator=rng)) for c in cases]
    network = _network(patch).model_copy(update={"in_channels": 1 + 2 * neighbours})
    plain, grouped = (
        Sampler(cases, network, _training("vendor-robust", batch=3), seed=3, share=share) for _ in range(2)
    )
    grouped._pools = tuple(Pool([getattr(c, part) for c in cases]) for part in ("image", "labels"))
    grouped._together = 4
    for iteration in (0, 1, 2, 3, 4, 9, 2):  # a resumed run begins within a group
        one, other = plain.batch(iteration), grouped.batch(iteration)
        torch.testing.assert_close(other.images, one.images, rtol=1e-5, atol=1e-5)  # sums over rows group otherwise
        assert torch.equal(other.labels, one.labels)
        assert other.cases == one.cases
        assert (other.known is None) == (one.known is None)
        assert one.known is None or torch.equal(other.known, one.known)


def test_no_more_is_made_together_than_fits() -> None:
    assert _made_together(12, 172 * 172) == 21  # 256 / 12
    assert _made_together(4, 20 * 301 * 301) == 4  # 2^25 / 7.2 million
    assert _made_together(300, 400 * 400) == 1
