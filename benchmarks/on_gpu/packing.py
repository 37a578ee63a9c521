"""From a planned and preprocessed dataset to the file that travels."""

from __future__ import annotations

from collections.abc import Sequence

from autolv.core.errors import PlanError
from autolv.core.workspace import Workspace
from autolv.imageio.volumes import read_labels
from autolv.ops.crop import crop
from autolv.pipeline.cache import load_cases
from autolv.pipeline.context import load_plan, load_splits, open_dataset, thread_count
from autolv.planning.planner import make_plan
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Plan
from autolv.schema.record import read_record
from on_gpu.packed import Pack, PackedCase, central_window, reach_mm


def gpu_plan(workspace: Workspace, dataset: str, memory_gb: float, minutes: float | None) -> Plan:
    """Return the plan for a GPU of ``memory_gb`` that need not be there, and ``minutes`` of training per fold."""
    fingerprint = read_record(Fingerprint, workspace.fingerprint_file(dataset))
    compute = Compute(
        device="cuda", cores=thread_count(None), memory_gb=memory_gb, time_budget_minutes=minutes
    )  # fmt: skip
    return make_plan(fingerprint, compute)


def make_pack(
    workspace: Workspace, dataset: str, plan: Plan | None, configurations: Sequence[str], margin_mm: float
) -> Pack:
    """Return the dataset with the ``configurations`` of ``plan`` (``None``: the workspace's), which must preprocess alike.

    Of each case the square about the centre of its field is kept that holds every heart of the dataset and ``margin_mm``
    more: the same for all, so that it does not tell where a single heart lies.
    """
    folder, record = open_dataset(workspace, dataset)
    plan = load_plan(workspace, dataset) if plan is None else plan
    missing = [name for name in configurations if name not in plan.configurations]
    if missing:
        raise PlanError(f"the plan has no {missing[0]!r}.", remedy=f"It has {', '.join(plan.configurations)}.")
    chosen = {name: plan.configurations[name] for name in configurations}
    block, *others = {c.preprocessing.content_hash(): c.preprocessing for c in chosen.values()}.values()
    if others:
        raise PlanError("these configurations preprocess in different ways.", remedy="Pack them one by one.")
    stored = load_cases(workspace, folder, record, block, record.training, workers=thread_count(None))
    half_mm = reach_mm([case.record for case in stored]) + margin_mm
    packed = []
    for case, raw in zip(stored, record.training, strict=True):
        grid = case.record.grid
        window = central_window(grid.shape, [half_mm / mm for mm in grid.spacing_mm[1:]])
        reference = record.schema_.to_internal(read_labels(folder / str(raw.label)).array)
        packed.append(
            PackedCase(
                record=case.record, window=window, image=crop(case.image, window), labels=crop(case.labels, window),
                reference=reference,
            )
        )  # fmt: skip
    return Pack(
        plan=plan.model_copy(update={"configurations": chosen, "recommended": configurations[0], "tuned": {}}),
        splits=load_splits(workspace, record),
        cases=tuple(packed),
    )
