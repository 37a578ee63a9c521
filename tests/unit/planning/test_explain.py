from __future__ import annotations

from typing import Any

import pytest

from autolv.planning.explain import explain
from autolv.planning.planner import make_plan
from autolv.schema.plan import Compute, Plan


@pytest.fixture
def plan(make_fingerprint: Any) -> Plan:
    return make_plan(make_fingerprint(), Compute(device="cpu", cores=2, memory_gb=18.0, time_budget_minutes=12.0))


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_it_fits_a_terminal_and_ends_with_a_newline(plan: Plan) -> None:
    text = explain(plan)
    assert max(len(line) for line in text.splitlines()) < 120
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert text.endswith("\n")


def test_the_head_says_what_for_and_what_to_begin_with(plan: Plan) -> None:
    head = explain(plan).splitlines()[:4]
    assert head[0] == "Plan of Made for cpu, 2 cores, 18 GB, 12 min per fold"
    assert head[2].startswith("Recommended: 2d_unet: ")


def test_the_overview_has_a_row_per_configuration(plan: Plan) -> None:
    rows = [line for line in explain(plan).splitlines() if line.startswith("2d_unet  ")]
    assert len(rows) == 1
    assert rows[0].split()[:8] == ["2d_unet", "112", "x", "112", "16..256", "1.75", "M", "0.9"]


def test_each_field_of_each_configuration_is_told_or_referred_to(plan: Plan) -> None:
    sections = explain(plan).split("\n\n")
    for name, configuration in plan.configurations.items():
        section = next(s for s in sections if s.startswith(f"{name}\n"))
        for block in ("network", "training"):
            for field in type(getattr(configuration, block)).model_fields:
                label = field.removesuffix("_gb").replace("_", " ")
                assert squeezed(label) in squeezed(section), (name, field)


def test_no_reason_is_lost(plan: Plan) -> None:
    """The reasons of the recommended configuration stand in full, word by word, in their column."""
    right = squeezed("".join(line[57:] for line in explain(plan).splitlines()))
    for reason in plan.configurations[plan.recommended].reasons.values():
        assert squeezed(reason) in right, reason


def test_one_preprocessing_block_is_told_once_and_what_is_not_proposed_with_its_reason(plan: Plan) -> None:
    text = explain(plan)
    assert "\nPreprocessing, the same for all configurations\n" in text
    assert squeezed(f"Not proposed: 3d_unet_iso: {plan.not_proposed['3d_unet_iso']}") in squeezed(text)


def test_a_second_preprocessing_block_is_told_where_it_differs(make_fingerprint: Any) -> None:
    compute = Compute(device="cuda", cores=16, memory_gb=40.0, time_budget_minutes=None)
    text = explain(make_plan(make_fingerprint(), compute))
    titles = ("Preprocessing\n", "Preprocessing of 3d_unet_iso\n")
    own, fine = (next(s for s in text.split("\n\n") if s.startswith(title)) for title in titles)
    assert "1.5625 x 1.5625" in own and "own of each stack" in own and "cubic splines" in own
    assert "1 x 1" in fine and squeezed("a rival to the dataset's own spacing") in squeezed(fine)
    assert fine.splitlines()[-1] == "  as in Preprocessing: normalisation, image order, label order, crop to nonzero"
    assert "Not proposed" not in text


def test_a_plan_edited_by_hand_is_still_explained(plan: Plan) -> None:
    configuration = plan.configurations["2d_unet"]
    edited = configuration.model_copy(update={"reasons": {}})
    text = explain(plan.model_copy(update={"configurations": {**plan.configurations, "2d_unet": edited}}))
    assert "2d_unet" in text
