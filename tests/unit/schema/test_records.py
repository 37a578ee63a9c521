"""Every record written to disk: there and back, strict, with the key in the message."""

import importlib
import json
import math
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autolv.schema
from autolv.core.errors import SchemaError
from autolv.schema.dataset import Case, CheckProblem, CheckReport, ConversionReport, Dataset
from autolv.schema.fingerprint import CaseFingerprint, Fingerprint, Intensity, Spread
from autolv.schema.phantom import PhantomTruth
from autolv.schema.plan import Compute, Configuration, Network, NnunetConventions, Plan, Preprocessing, Training
from autolv.schema.predicted_quality import DiceRegression, ExpectedQuality, IntervalFactor, PredictedQuality
from autolv.schema.prediction import PredictedCase, PredictionOptions
from autolv.schema.preprocessed import Grid, PreprocessedCase
from autolv.schema.quality import Finding, NotChecked, Verdict
from autolv.schema.readers import Estimate, QuantityAgreement, ReaderRange, ReadoutAgreement
from autolv.schema.readout import (
    Method,
    Orientation,
    Quantity,
    Readout,
    ReadoutStatus,
    ReadoutSummary,
    Segment,
    SliceArea,
)
from autolv.schema.record import Record, from_json, read_record, write_record
from autolv.schema.results import (
    Agreement,
    BestConfig,
    Candidate,
    CaseMetrics,
    Evaluation,
    Measured,
    Member,
    PredictionStatus,
    PredictionSummary,
    RunChoices,
    RunRecord,
    Step,
    StructureMetrics,
)
from autolv.schema.splits import Fold, Splits
from autolv.schema.steps import RememberedTrial, TrialSetting, Way
from autolv.schema.tuning import Options, Schedule, Span, Study, Trial, Tuning
from autolv.schema.tuning import Verdict as TuningVerdict

NAN = float("nan")
CODES = {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
NNUNET = NnunetConventions(transpose=(0, 2, 1), nonzero_only=True, mirror_axes=(-2, -1))


def configuration() -> Configuration:
    return Configuration(
        name="2d_unet",
        preprocessing=Preprocessing(
            in_plane_spacing_mm=(1.5, 1.5), slice_spacing_mm=None, normalisation="zscore", image_order=3, label_order=1,
            crop_to_nonzero=True,
        ),
        network=Network(
            architecture="unet", patch=(128, 128), in_channels=1, classes=4, features=(16, 32, 64),
            kernels=((3, 3),) * 3, strides=((1, 1), (2, 2), (2, 2)), blocks=(2, 2, 2), decoder_blocks=(2, 2), heads=2,
        ),
        training=Training(
            batch_size=12, loss="dice_ce", deep_supervision_weights=(2 / 3, 1 / 3), optimiser="adamw",
            learning_rate=0.002, weight_decay=0.01, momentum=0.9, warmup_fraction=0.05, schedule="cosine",
            gradient_clip=12.0, augmentation="cine", mirror=False, heart_fraction=0.5, epochs=40,
            iterations_per_epoch=50, expected_memory_gb=1.2, expected_minutes=12.0,
        ),
        reasons={"network.patch": "the heart's extent"},
    )  # fmt: skip


def metrics() -> StructureMetrics:
    return StructureMetrics(
        dice=0.95, iou=0.9, hausdorff_mm=NAN, hd95_mm=3.0, assd_mm=0.5, surface_dice={"1": 0.8, "2": NAN},
        volume_ml=120.0, reference_volume_ml=118.5, slices_missed=0, slices_invented=1, empty="",
        level_dice={"base": 0.9, "mid": 0.96, "apex": NAN},
    )  # fmt: skip


def examples() -> Iterator[Record]:
    case = Case(
        case="patient001_ED", patient="patient001", image="imagesTr/patient001_ED_0000.nii.gz",
        label="labelsTr/patient001_ED.nii.gz", frame=1, phase="ED", group="DCM", height_cm=184.0, weight_kg=95.5,
    )  # fmt: skip
    yield Dataset(name="ACDC", labels=CODES, file_ending=".nii.gz", training=(case,))
    yield ConversionReport(
        kind="acdc", source="/data", dataset="ACDC", cases=1, test_cases=0, patients=1, frames={"ED": 1}, labels=CODES,
        labels_seen={"1": 1}, patient_rule="the folder", skipped=(("patient002", "no label"),),
    )  # fmt: skip
    yield CheckReport(
        dataset="ACDC", cases=2, twins=(("patient001", "patient002"),),
        problems=(CheckProblem(case="c", severity="error", problem="NaN", values="12 voxels", remedy="Replace them."),),
    )  # fmt: skip
    intensity = Intensity(mean=100.0, sd=20.0, p005=1.0, p50=90.0, p995=300.0)
    spread = Spread(minimum=1.0, p10=2.0, median=3.0, p90=4.0, maximum=NAN)
    yield Fingerprint(
        dataset="ACDC", labels=CODES, structures=STRUCTURES, patients=1, groups={"DCM": 1}, phases={"ED": 1},
        spacing_mm=(spread,) * 3, shape=(spread,) * 3, heart_extent_mm=(spread,) * 3, heart_offset_mm=(spread,) * 3,
        intensity=intensity, foreground_intensity=intensity, volume_ml={"lv_cavity": spread},
        orientations={"kji": 1}, heart_slices=spread, slices={"lv_cavity": spread}, slice_coverage={"lv_cavity": spread},
        cases=(
            CaseFingerprint(
                case="c", patient="p", phase=None, group=None, image_hash="0f", shape=(10, 256, 216),
                spacing_mm=(10.0, 1.5, 1.5), orientation="kji", nonzero_box_shape=(10, 250, 200), intensity=intensity,
                foreground_intensity=intensity, heart_extent_mm=(NAN, NAN, NAN), heart_centre=(0.5, 0.5, 0.5),
                heart_slices=0, volume_ml={"lv_cavity": 0.0}, slices={"lv_cavity": 0},
            ),
        ),
    )  # fmt: skip
    yield Plan(
        dataset="ACDC", fingerprint_hash="00ff", labels=CODES, structures=STRUCTURES, recommended="2d_unet",
        recommended_reason="fits", configurations={"2d_unet": configuration()},
        compute=Compute(device="cpu", cores=2, memory_gb=16.0, time_budget_minutes=None),
    )  # fmt: skip
    yield PreprocessedCase(
        case="c", patient="p", phase="ES", group="NOR", key="ab", heart_box=((1, 9), (20, 90), (30, 100)),
        label_voxels={"lv_cavity": 1000},
        grid=Grid(original_shape=(10, 256, 216), original_spacing_mm=(10.0, 1.4, 1.4),
                  box=((0, 10), (1, 256), (0, 216)), shape=(10, 238, 202),
                  spacing_mm=(10.0, 1.5, 1.5), clip=None, mean=100.0, sd=20.0),
    )  # fmt: skip
    yield Splits(dataset="ACDC", by="patient", seed=0, folds=(Fold(name="0", train=("a", "b"), validation=("c",)),))
    yield RunRecord(
        dataset="ACDC", run="default", fold=0, configuration=configuration(), labels=CODES, structures=STRUCTURES,
        choices=RunChoices(plan_hash="0", splits_hash="1", seed=0, epochs=None, time_budget_minutes=12.0),
        train_patients=("a",), validation_patients=("b",), versions={"python": "3.11"},
        measured=Measured(device="cpu", device_name="x", threads=2, precision="float32", channels_last=False,
                          compiled=False, seconds_per_iteration=0.4, epochs=3, iterations_per_epoch=10,
                          trial={"float32": 0.4}),
        status="validated", minutes=12.0,
    )  # fmt: skip
    estimate = Estimate(value=0.5, interval=(NAN, 0.7))
    quantity = QuantityAgreement(
        quantity="EF [%]", n=2, r=estimate, icc=estimate, bias=estimate, sd=estimate, lower_limit=estimate,
        upper_limit=estimate, mae=estimate,
        published=(ReaderRange(measure="icc", lower=0.8, upper=0.9, source="a paper"),),
    )  # fmt: skip
    yield ReadoutAgreement(patients=2, quantities=(quantity,))
    yield Evaluation(
        cases=(CaseMetrics(case="c", patient="p", phase="ED", group=None, structures={"lv_cavity": metrics()}),),
        mean_dice=0.95, summary={"lv_cavity": {"dice": 0.95, "hausdorff_mm": NAN}}, by_phase={}, by_group={},
        by_level={"lv_cavity": {"apex": NAN}}, undefined={"prediction": 1},
        agreement={"EF [%]": Agreement(n=1, r=NAN, bias=1.0, sd=NAN, lower_limit=NAN, upper_limit=NAN, mae=1.0)},
    )  # fmt: skip
    yield BestConfig(
        dataset="ACDC", run="default", labels=CODES, structures=STRUCTURES,
        configurations={"2d_unet": configuration(), "theirs": configuration().model_copy(update={"nnunet": NNUNET})},
        members=(Member(configuration="2d_unet", fold=0, weights="2d_unet_0.safetensors", sha256="aa"),),
        postprocessing=(Step(name="largest_component", structure="lv_cavity"),),
        candidates=(Candidate(name="2d_unet", configurations=("2d_unet",), folds=(0,), cases=1, patients=1,
                              mean_dice=0.9, interval=(0.8, 0.95), dice={"lv_cavity": 0.9}, ef_mae_percent=2.0,
                              difference_to_best=0.0, difference_interval=(0.0, 0.0), separable=False),),
        chosen="2d_unet", reason="alone", score=0.9, score_with_postprocessing=0.91, cross_fitted_score=NAN,
        folds_available="2d_unet 1/5", fingerprint_hash="0", licence_note="", versions={},
        quality=PredictedQuality(
            signals=("soft_dice",), temperature=1.3, nll_before=NAN, nll=0.1, level=0.9, cases=40, patients=20,
            dice={"lv_cavity": DiceRegression(centre=(0.0,), scale=(1.0,), weights=(0.5,), intercept=-2.0, frames=40,
                                              patients=20, spearman=0.8, mean_absolute_error=0.02)},
            intervals={"lv_ef_percent": IntervalFactor(factor=1.5, patients=20, coverage=0.9, median_half_width=4.0)},
        ),
    )  # fmt: skip
    yield PhantomTruth(
        group="NOR", preset="default", frames=2, ed_frame=1, es_frame=2, rr_ms=900.0, systole_fraction=0.35,
        edv_ml=140.0, esv_ml=56.0, sv_ml=84.0, ef_percent=60.0, mass_g=110.0, peak_ejection_ml_per_s=400.0,
        peak_filling_ml_per_s=500.0, volume_ml=(140.0, 56.0), rv_edv_ml=150.0, rv_esv_ml=70.0, rv_ef_percent=53.3,
        ed_diameter_mm=50.0, es_diameter_mm=33.0, wall_ed_mm={"1": 9.0}, wall_es_mm={"1": 13.0},
        base_plane_mm=(10.0, 20.0), apex_mm=90.0, anterior_insertion_degrees=60.0, inferior_insertion_degrees=-60.0,
        rv_direction_degrees=180.0, tilt_degrees=2.0, mirrored=False, axis_centre_mm=(80.0, 90.0),
        slice_shifts_mm=((0.0, 1.0),), thickness_mm=8.0, spacing_mm=(10.0, 1.5, 1.5), shape=(10, 128, 128),
        blood_snr=None, height_cm=175.0, weight_kg=75.0, structures=STRUCTURES,
    )  # fmt: skip
    yield PredictionSummary(
        model="2d_unet",
        cases=(PredictionStatus(input="a.nii.gz", output="a.nii.gz", status="done", frames=2, seconds=1.5,
                                volumes_ml={"lv_cavity": (120.0, 60.0)},
                                expected=ExpectedQuality(dice={"lv_cavity": (0.93, NAN)}, level=0.9,
                                                         factors={"lv_edv_ml": 1.2})),),
    )  # fmt: skip
    yield PredictedCase(
        autolv="0.1.0", model="2d_unet", model_hash="0", input_sha256="1", output_sha256="2",
        options=PredictionOptions(members=("2d_unet fold 0",), mirror="auto", postprocess=True, whole_field=False,
                                  save_probabilities=False, frame_numbers=(1, 12)),
        status=PredictionStatus(input="a.nii.gz", output="a.nii.gz", status="done", frames=2, frame_numbers=(1, 12)),
    )  # fmt: skip
    yield RememberedTrial(
        setting=TrialSetting(device="cpu", device_name="x", threads=2, torch="2.13.0", autolv="0.1.0",
                             architecture="unet", patch=(16, 16), network_hash="0", samples=12, loss="dice_ce",
                             optimiser="adamw", layout="auto", compile_mode="off"),
        way=Way(precision="bfloat16"), seconds={"bfloat16 contiguous": 0.25},
    )  # fmt: skip
    study = Study(
        dataset="ACDC", configuration=configuration(),
        space=(Span(name="learning_rate", low=1e-3, high=1e-2, reason="r"),
               Options(name="width", options=(8, 16), reason="w"),
               Options(name="supervision", options=(0.0, 0.5), reason="s"),
               Options(name="augmentation", options=("default", "upright"), reason="a")),
        search_folds=(1, 2), held_out_folds=(0, 3, 4),
        schedule=Schedule(trials=8, trial_minutes=4.0, search_minutes=80.0, confirm_minutes=5.0),
        time_budget_minutes=120.0, trials_asked=None, seed=0, plan_hash="0", splits_hash="1", data_hash="2",
    )  # fmt: skip
    yield study
    yield Tuning(
        study=study, place="tune/2d_unet/study_1",
        trials=(Trial(number=1, state="stopped early", point={"learning_rate": 0.002, "width": 8, "supervision": 0.0},
                      fold_dice={1: 0.8}, dice=NAN, seconds=30.0, note="below the median on fold 1"),),
        best=1, winner="2d_unet_tuned", conclusion="it is better", minutes=100.0,
        verdict=TuningVerdict(folds=(0, 3), minutes_per_fold=5.0, cases=2, patients=1, dice_before=0.8, dice=0.9,
                        difference=0.1, interval=(NAN, NAN)),
    )  # fmt: skip
    yield readout()
    yield ReadoutSummary(cases=(ReadoutStatus(case="a", file="a.json"),), versions={"autolv": "0.1.0"})


def readout() -> Readout:
    thickness, unknown = Quantity(value=8.5, unit="mm"), Quantity(value=None, unit="mm", reason="an open ring")
    return Readout(
        case="a", patient="p", group="NOR", sources=("a_ED.nii.gz", "a_ES.nii.gz"), ed_frame=1, es_frame=12,
        method=Method(
            basal_rule="as_segmented", papillary_rule="in_cavity", density_g_per_ml=1.05, bsa_formula="mosteller",
            slice_distance_mm=10.0, slice_distance_rule="header", pixel_mm=(1.5, 1.5), phases_rule="given", time_rule="none",
        ),
        quantities={"lv_edv_ml": Quantity(value=150.0, unit="ml", convention="slice summation"), "bsa_m2": unknown},
        slices=(
            SliceArea(
                phase="ED", index=0, from_base=0, level="base", lv_cavity_mm2=1500.0, lv_myocardium_mm2=NAN,
                rv_cavity_mm2=900.0, ring_percent=75.0, counted_mm2=1500.0, counted_percent=100.0,
            ),
            SliceArea(
                phase="ES", index=1, from_base=None, level="", lv_cavity_mm2=0.0, lv_myocardium_mm2=300.0,
                rv_cavity_mm2=0.0, ring_percent=NAN, counted_mm2=NAN, counted_percent=NAN,
            ),
        ),
        orientation=Orientation(
            base_first=True, septum_degrees=170.0, anterior_insertion_degrees=120.0, inferior_insertion_degrees=220.0,
            turn=-1, turn_rule="affine",
        ),
        segments=(
            Segment(
                number=1, name="basal anterior", ed_mm=thickness, es_mm=thickness, thickening_percent=unknown,
                ed_max_mm=thickness, es_max_mm=thickness,
            ),
        ),
        regional_reason="", model="2d_unet",
        verdict=Verdict(level="review", not_checked=(NotChecked(check="contrast", reason="no images"),),
                        findings=(Finding(check="slice_shift", level="review", message="Slice 3 lies aside.", frame=1,
                                          slices=(2,), value=7.5, threshold=5.0, unit="mm"),)),
    )  # fmt: skip


EXAMPLES = {type(record).__name__: record for record in examples()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_record_comes_back_from_disk_as_it_was(name: str, tmp_path: Path) -> None:
    record = EXAMPLES[name]
    write_record(record, tmp_path / "deep" / "record.json")
    back = read_record(type(record), tmp_path / "deep" / "record.json")
    assert back.to_json() == record.to_json()
    assert back.content_hash() == record.content_hash()
    assert type(back) is type(record)


def test_every_versioned_record_of_the_schema_is_among_the_examples() -> None:
    versioned = {
        name
        for module in pkgutil.iter_modules(autolv.schema.__path__)
        for name, kind in vars(importlib.import_module(f"autolv.schema.{module.name}")).items()
        if isinstance(kind, type) and issubclass(kind, Record) and "version" in kind.model_fields
    }
    assert versioned >= {"Plan", "Splits", "RunRecord", "BestConfig"}
    assert versioned <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_unknown_key_is_refused_by_name_and_file(name: str, tmp_path: Path) -> None:
    record = EXAMPLES[name]
    data = json.loads(record.to_json()) | {"inherits_from": "2d"}
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SchemaError, match=r"record\.json: inherits_from: Extra inputs") as caught:
        read_record(type(record), path)
    assert caught.value.remedy


def broken(change: Any) -> str:
    data = json.loads(EXAMPLES["Plan"].to_json())
    change(data["configurations"]["2d_unet"])
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda c: c["training"].update(batch_size="4"),
            r"configurations\.2d_unet\.training\.batch_size: .*\(got '4'\)",
        ),
        (lambda c: c["training"].update(batch_size=True), r"training\.batch_size: .*\(got True\)"),
        (lambda c: c["training"].update(batch_size=2.5), r"training\.batch_size: .*\(got 2\.5\)"),
        (lambda c: c["training"].update(optimiser="sdg"), r"training\.optimiser: .*'adamw' or 'sgd'.*'sdg'"),
        (lambda c: c["training"].pop("loss"), r"training\.loss: Field required"),
        (lambda c: c["preprocessing"].update(in_plane_spacing_mm=[1.5]), r"in_plane_spacing_mm\.1: Field required"),
        (lambda c: c["network"].update(patch=[130, 128]), r"network: .*multiple of the downsampling"),
        (lambda c: c["network"].update(heads=3), r"network: .*heads"),
        (lambda c: c["network"].update(kernels=[[3, 3]] * 2), r"network: .*one entry per stage"),
        (lambda c: c["network"].update(patch=[128]), r"network: "),
    ],
)
def test_a_wrong_value_is_named_by_its_path(change: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        from_json(Plan, broken(change), where="plan.json")


def test_records_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EXAMPLES["Plan"].dataset = "other"  # type: ignore[attr-defined]


def test_undefined_is_nan_in_memory_and_null_on_disk() -> None:
    record = EXAMPLES["Evaluation"]
    data = json.loads(record.to_json())
    assert data["agreement"]["EF [%]"]["r"] is None
    back = from_json(Evaluation, record.to_json(), where="x")
    assert math.isnan(back.agreement["EF [%]"].r)
    assert back.agreement["EF [%]"].bias == 1.0


def test_a_fingerprint_from_before_orientation_and_slice_coverage_still_loads() -> None:
    data = json.loads(EXAMPLES["Fingerprint"].to_json())
    for name in ("orientations", "heart_slices", "slices", "slice_coverage"):
        del data[name]
    old = from_json(Fingerprint, json.dumps(data), where="fingerprint.json")
    assert (old.orientations, old.slices, old.slice_coverage) == ({}, {}, {})
    assert math.isnan(old.heart_slices.median)
    assert from_json(Fingerprint, old.to_json(), where="x").to_json() == old.to_json()


def test_a_patient_on_both_sides_of_a_fold_is_refused() -> None:
    data = json.loads(EXAMPLES["Splits"].to_json())
    data["folds"][0]["validation"] = ["c", "a"]
    with pytest.raises(SchemaError, match="fold 0 has patients on both sides: a"):
        from_json(Splits, json.dumps(data), where="splits.json")


def test_two_cases_of_one_name_are_refused() -> None:
    data = json.loads(EXAMPLES["Dataset"].to_json())
    data["training"] *= 2
    with pytest.raises(SchemaError, match="two cases have the same name"):
        from_json(Dataset, json.dumps(data), where="x")


def test_what_a_network_derives_from_its_strides() -> None:
    network = configuration().network
    assert (network.dimensions, network.stages, network.downsampling) == (2, 3, (4, 4))


def test_a_run_record_of_version_1_is_read() -> None:
    """Version 1 held a hash of the fold's own cases; the run's choices hold one of all of them now."""
    record = EXAMPLES["RunRecord"]
    old = json.loads(record.to_json()) | {"version": 1, "data_hash": "e4906c18ba8b856c"}
    for choice in ("augmentation", "data_hash", "init_from"):
        del old["choices"][choice]
    del old["measured"]["parts"]
    assert from_json(RunRecord, json.dumps(old), where="run.json") == record
