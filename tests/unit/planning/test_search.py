"""What may be searched about a planned configuration, and what becomes of the values drawn."""

from __future__ import annotations

from typing import Any

import pytest

from autolv.planning.planner import make_plan
from autolv.planning.search import Ground, as_found, candidate, planned_point, search_space
from autolv.schema.plan import Compute, Configuration
from autolv.schema.tuning import Options, Span

CPU = Compute(device="cpu", cores=2, memory_gb=18.0, time_budget_minutes=12.0)


def ground_of(fingerprint: Any, name: str = "2d_unet", compute: Compute = CPU) -> Ground:
    plan = make_plan(fingerprint, compute)
    return Ground(planned=plan.configurations[name], fingerprint=fingerprint, compute=compute)


@pytest.fixture
def ground(make_fingerprint: Any) -> Ground:
    return ground_of(make_fingerprint())


def options(ground: Ground, name: str) -> tuple[object, ...]:
    return next((s.options for s in search_space(ground, ["dice_ce"]) if isinstance(s, Options) and s.name == name), ())


def edited(planned: Configuration, **training: object) -> Configuration:
    return planned.model_copy(update={"training": planned.training.model_copy(update=training)})


def test_the_ranges_lie_about_what_is_planned(ground: Ground) -> None:
    assert (ground.planned.network.patch, ground.planned.network.features[0]) == ((112, 112), 16)
    spans = {one.name: (one.low, one.high) for one in search_space(ground, ["dice_ce"]) if isinstance(one, Span)}
    assert spans["learning_rate"] == pytest.approx((0.0005, 0.008))
    assert spans["weight_decay"] == pytest.approx((0.001, 0.1))
    assert options(ground, "width") == (8, 12, 16, 24, 32)
    assert options(ground, "depth") == (4, 5)
    assert options(ground, "patch") == (80, 112, 144)
    assert options(ground, "supervision") == (0.0, 0.25, 0.5, 1.0)
    assert set(options(ground, "augmentation")) == {"upright", "default", "vendor-robust"}
    assert all(one.reason for one in search_space(ground, ["dice_ce"]))


def test_what_leaves_no_choice_is_not_searched(ground: Ground) -> None:
    assert "loss" not in {one.name for one in search_space(ground, ["dice_ce"])}
    assert options(ground, "loss") == ()
    found = {one.name: one for one in search_space(ground, ["other", "dice_ce"])}
    assert found["loss"].options == ("dice_ce", "other")  # type: ignore[union-attr]
    without = Ground(
        planned=edited(ground.planned, weight_decay=0.0), fingerprint=ground.fingerprint, compute=ground.compute
    )
    assert "weight_decay" not in {one.name for one in search_space(without, ["dice_ce"])}


@pytest.mark.parametrize("name", ["2d_unet", "2d_attention_unet", "2d_vnet", "3d_unet", "3d_attention_unet", "3d_vnet"])
def test_each_planned_configuration_is_a_point_of_its_own_space_and_comes_back_from_it(
    name: str, make_fingerprint: Any
) -> None:
    ground = ground_of(make_fingerprint(), name)
    point = planned_point(ground.planned)
    for one in search_space(ground, ["dice_ce"]):
        value = point[one.name]
        assert value in one.options if isinstance(one, Options) else one.low <= float(value) <= one.high, one.name
    assert candidate(ground, point) == ground.planned
    assert candidate(ground, {}) == ground.planned


@pytest.mark.parametrize("name", ["2d_unet", "2d_vnet", "3d_unet", "3d_vnet"])
def test_every_combination_of_sizes_is_a_network_that_can_be_built_and_fits(name: str, make_fingerprint: Any) -> None:
    ground = ground_of(make_fingerprint(), name, CPU.model_copy(update={"memory_gb": 6.0}))
    for width in options(ground, "width") or (ground.planned.network.features[0],):
        for depth in options(ground, "depth") or (ground.planned.network.stages,):
            for patch in options(ground, "patch") or (ground.planned.network.patch[-1],):
                made = candidate(ground, {"width": width, "depth": depth, "patch": patch})  # type: ignore[dict-item]
                type(made.network).model_validate(dict(made.network))
                assert made.network.stages <= int(str(depth))
                assert made.network.features[0] <= int(str(width))
                assert len(made.training.deep_supervision_weights) == made.network.heads
                assert made.training.expected_memory_gb <= 6.0


def test_a_change_of_size_takes_along_what_depends_on_it(ground: Ground) -> None:
    made = candidate(ground, {"width": 24, "depth": 6, "patch": 176})
    assert made.network.features == (24, 48, 96, 192, 384, 512)
    assert made.network.patch == (192, 192)  # a multiple of 32
    assert len(made.network.strides) == len(made.network.kernels) == len(made.network.blocks) == 6
    assert made.network.heads == 4
    assert made.training.deep_supervision_weights == pytest.approx((8 / 15, 4 / 15, 2 / 15, 1 / 15))
    assert made.training.expected_minutes <= 12.0
    assert made.training.expected_memory_gb > ground.planned.training.expected_memory_gb
    assert made.training.learning_rate == ground.planned.training.learning_rate


def test_a_patch_of_the_planned_depth_keeps_its_strides(ground: Ground) -> None:
    made = candidate(ground, {"patch": 144})
    assert made.network == ground.planned.network.model_copy(update={"patch": (144, 144)})


def test_where_the_memory_is_short_a_wide_network_becomes_narrower(ground: Ground) -> None:
    tight = Ground(
        planned=ground.planned, fingerprint=ground.fingerprint,
        compute=CPU.model_copy(update={"memory_gb": ground.planned.training.expected_memory_gb + 0.01}),
    )  # fmt: skip
    assert options(tight, "width") == (8, 12, 16)
    assert options(tight, "patch") == (80, 112)
    made = candidate(tight, {"width": 16, "patch": 144})
    assert made.network.features[0] < 16
    assert made.network.patch == (144, 144)
    assert candidate(tight, {"width": 16, "patch": 80}).network.features[0] == 16


def test_numbers_drawn_are_kept_to_three_digits_and_planned_ones_as_they_are(ground: Ground) -> None:
    made = candidate(
        ground, {"learning_rate": 0.00314159, "weight_decay": 0.027182818, "augmentation": "vendor-robust"}
    )
    assert (made.training.learning_rate, made.training.weight_decay) == (0.00314, 0.0272)
    assert made.training.augmentation == "vendor-robust"
    assert made.network == ground.planned.network
    by_hand = edited(ground.planned, learning_rate=0.00123456)
    own = Ground(planned=by_hand, fingerprint=ground.fingerprint, compute=ground.compute)
    assert candidate(own, planned_point(by_hand)) == by_hand


def test_the_weight_of_the_coarser_heads(ground: Ground) -> None:
    assert ground.planned.network.heads == 3
    for ratio, expected in ((0.0, (1.0, 0.0, 0.0)), (1.0, (1 / 3,) * 3), (0.25, (16 / 21, 4 / 21, 1 / 21))):
        made = candidate(ground, {"supervision": ratio})
        assert made.training.deep_supervision_weights == pytest.approx(expected)
    other = edited(ground.planned, deep_supervision_weights=(0.6, 0.3, 0.1))
    assert options(Ground(planned=other, fingerprint=ground.fingerprint, compute=CPU), "supervision") == ()


def test_a_patch_is_no_larger_than_the_field_and_not_searched_unless_square(make_fingerprint: Any) -> None:
    small = ground_of(make_fingerprint(shape=(9, 100, 100), heart_mm=(80.0, 130.0, 130.0)))
    assert small.planned.network.patch == (112, 112)
    assert options(small, "patch") == (80, 112)  # 84 is nearer to 80; 140 is beyond the field of 100
    ground = ground_of(make_fingerprint())
    oblong = ground.planned.network.model_copy(update={"patch": (144, 112)})
    planned = ground.planned.model_copy(update={"network": oblong})
    narrow = Ground(planned=planned, fingerprint=ground.fingerprint, compute=CPU)
    assert options(narrow, "patch") == ()
    assert candidate(narrow, {"width": 12}).network.patch == (144, 112)


def test_the_winner_says_why_each_of_its_numbers_is_another(ground: Ground) -> None:
    made = candidate(ground, {"learning_rate": 0.004, "width": 24})
    found = as_found(ground.planned, made, name="2d_unet_tuned", how="study 1, trial 7: Dice 0.9")
    assert found.name == "2d_unet_tuned"
    assert found.reasons["training.learning_rate"] == "study 1, trial 7: Dice 0.9; 2d_unet has 0.002"
    assert found.reasons["network.features"] == "study 1, trial 7: Dice 0.9; 2d_unet has 16, 32, 64, 128, 256"
    assert found.reasons["training.weight_decay"] == ground.planned.reasons["training.weight_decay"]
    assert "min per fold allow" in found.reasons["training.epochs"]
    assert found.block_hashes() == made.block_hashes()
