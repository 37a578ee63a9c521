"""What makes two plans the same training: their blocks, not the words beside them."""

from autolv.planning.planner import make_plan
from autolv.schema.dataset import Case, Dataset
from autolv.schema.plan import Compute, Plan, Tuned


def _plan() -> Plan:
    import numpy as np

    from autolv.core.geometry import Geometry, Volume
    from autolv.planning.fingerprint import combine_fingerprints, fingerprint_case

    labels = np.zeros((6, 60, 60), np.uint8)
    labels[1:5, 20:40, 20:40] = 2
    labels[1:5, 25:35, 25:35] = 1
    rng = np.random.default_rng(0)
    cases, prints = [], []
    for n in range(2):
        case = Case(case=f"p{n}_ED", patient=f"p{n}", image="i", label="l", phase="ED")
        image = rng.normal(size=labels.shape).astype(np.float32)
        volume = Volume(array=image, geometry=Geometry.from_spacing((8.0, 1.5, 1.5), (6, 60, 60)))
        cases.append(case)
        prints.append(fingerprint_case(case, volume, labels, ("lv_cavity", "lv_myocardium")))
    dataset = Dataset(
        name="D", labels={"lv_cavity": 1, "lv_myocardium": 2}, file_ending=".nii.gz", training=tuple(cases)
    )
    fingerprint = combine_fingerprints(dataset, prints)
    return make_plan(fingerprint, Compute(device="cpu", cores=2, memory_gb=8.0, time_budget_minutes=5.0))


def test_words_do_not_count_and_numbers_do() -> None:
    plan = _plan()
    name = plan.recommended
    chosen = plan.configurations[name]
    reworded = plan.model_copy(
        update={"configurations": {**plan.configurations, name: chosen.model_copy(update={"reasons": {}})}}
    )
    assert reworded.training_hash() == plan.training_hash()
    assert reworded.content_hash() != plan.content_hash()
    quicker = chosen.training.model_copy(update={"learning_rate": 0.5})
    changed = plan.model_copy(
        update={"configurations": {**plan.configurations, name: chosen.model_copy(update={"training": quicker})}}
    )
    assert changed.training_hash() != plan.training_hash()
    assert (
        plan.model_copy(update={"labels": {"lv_cavity": 2, "lv_myocardium": 1}}).training_hash() != plan.training_hash()
    )


def test_what_a_search_adds_leaves_the_identity_of_what_was_planned() -> None:
    plan = _plan()
    planned = plan.configurations["2d_unet"]
    quicker = planned.training.model_copy(update={"learning_rate": 0.5})
    found = planned.model_copy(update={"name": "2d_unet_tuned", "training": quicker})
    origin = Tuned(began_with="2d_unet", study="tune/2d_unet/study_1", trial=3, dice=0.9, dice_before=0.8)
    wider = plan.model_copy(update={"configurations": {**plan.configurations, "2d_unet_tuned": found}})
    assert wider.training_hash() != plan.training_hash()
    tuned = wider.model_copy(update={"tuned": {"2d_unet_tuned": origin}})
    assert tuned.training_hash() == plan.training_hash()
    assert Plan.model_validate_json(tuned.to_json()) == tuned


def test_expectations_are_no_part_of_what_is_trained() -> None:
    planned = _plan().configurations["2d_unet"]
    slower = planned.training.model_copy(update={"expected_minutes": 99.0})
    assert planned.model_copy(update={"training": slower}).block_hashes() == planned.block_hashes()
    longer = planned.training.model_copy(update={"epochs": planned.training.epochs + 1})
    assert planned.model_copy(update={"training": longer}).block_hashes() != planned.block_hashes()
