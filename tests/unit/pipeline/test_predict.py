"""Predicting file by file: what fails is told and stops nothing, the summary goes on, the right model is taken."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from autolv.core.errors import DataError, ModelError, PartialFailure, PlanError, SchemaError, WorkspaceError
from autolv.core.geometry import Geometry, Volume
from autolv.core.labels import LabelSchema
from autolv.core.workspace import Workspace
from autolv.imageio.volumes import read_labels, write_image
from autolv.inference.predictor import Prediction
from autolv.pipeline import predict as module
from autolv.pipeline import predict_model, stream
from autolv.pipeline.predict import predict
from autolv.pipeline.report_options import ReportOptions
from autolv.schema.levels import Quality
from autolv.schema.readout import Readout, ReadoutSummary
from autolv.schema.record import read_record
from autolv.schema.results import Member, PredictionStatus, PredictionSummary

LABELS = {"lv_cavity": 3, "lv_myocardium": 2, "rv_cavity": 1}
MEMBERS = tuple(
    Member(configuration=name, fold=fold, weights=f"weights/{name}_fold{fold}.safetensors", sha256="0")
    for name, fold in (("2d_unet", 0), ("2d_unet", 1), ("3d_unet", 1))
)


class Threshold:
    """Three thresholds for three structures; raises what a test puts into ``errors`` for an image's brightest value."""

    def __init__(self) -> None:
        self.best = SimpleNamespace(
            quality=None,
            labels=LABELS,
            chosen="2d_unet + 3d_unet",
            members=MEMBERS,
            content_hash=lambda: f"of {self.best.chosen}",
        )
        self.device = torch.device("cpu")
        self.errors: dict[float, BaseException] = {}
        self.quality_reason = ""

    def predict(self, volume: Volume, *, probabilities: bool = False) -> Prediction:
        error = self.errors.get(float(volume.array.max()))
        if error is not None:
            raise error
        labels = np.digitize(volume.array, (100, 300, 500)).astype(np.uint8)
        kept = np.stack([labels == channel for channel in range(4)]).astype(np.float16) if probabilities else None
        return Prediction(labels=labels, probabilities=kept, changed_voxels=())


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Threshold:
    """The model that every call loads; how it was asked for stands in ``model.asked``."""
    threshold = Threshold()

    def load(folder: Path, **asked: Any) -> Threshold:
        threshold.asked = {"folder": folder, **asked}  # type: ignore[attr-defined]
        return threshold

    monkeypatch.setattr(module, "Predictor", SimpleNamespace(load=load))
    monkeypatch.setattr(predict_model, "read_model", lambda _folder: threshold.best)
    monkeypatch.setattr(module, "prepare", lambda device, threads: 1)
    return threshold


def image(folder: Path, name: str, brightest: float = 200.0) -> bytes:
    """Write a (6, 5, 4) image of 2 x 2 x 10 mm with three bright voxels, 0.12 ml; return the bytes written."""
    array = np.full((6, 5, 4), 10, np.int16)
    array[1, 1, 1:4] = brightest
    nifti = nib.Nifti1Image(array, np.diag([2.0, 2.0, 10.0, 1.0]))
    nifti.header.set_xyzt_units("mm")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(nifti.to_bytes())
    return nifti.to_bytes()


def summary(folder: Path) -> dict[str, PredictionStatus]:
    return {status.input: status for status in read_record(PredictionSummary, folder / "summary.json").cases}


def run(tmp_path: Path, source: str = "in", **more: Any) -> tuple[PredictionStatus, ...]:
    return predict(tmp_path / source, tmp_path / "out", model=tmp_path / "model", **more)


def test_the_status_counts_the_volume(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a_0000.nii")
    image(tmp_path / "in", "b.nii", brightest=90)
    done, empty = run(tmp_path)
    assert (done.input, done.output, done.status, done.message) == ("a_0000.nii", "a.nii", "done", "")
    assert done.volumes_ml == {"lv_cavity": (0.12,), "lv_myocardium": (0.0,), "rv_cavity": (0.0,)}
    assert (empty.status, empty.output) == ("empty", "b.nii")
    assert np.bincount(np.asarray(nib.load(tmp_path / "out" / "a.nii").dataobj).ravel()).tolist() == [117, 0, 0, 3]


def test_a_report_of_what_was_predicted_with_its_images_and_its_model(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a_ED_0000.nii")
    image(tmp_path / "in", "b_ED.nii", brightest=90)
    (tmp_path / "in" / "c_ED.nii").write_bytes(b"not an image")
    with pytest.raises(PartialFailure, match=r"1 of 3 inputs failed: c_ED\.nii"):
        run(tmp_path, report=True)
    report = tmp_path / "out" / "report"
    written = {one.case: one.file for one in read_record(ReadoutSummary, report / "summary.json").cases}
    assert written == {"a": "a.json", "b": "b.json"}
    readout = read_record(Readout, report / "a.json")
    assert readout.quantities["lv_edv_ml"].value == pytest.approx(0.12)
    assert readout.model == "2d_unet + 3d_unet (weights 0, 0, 0)"
    assert "No images were given" not in (report / "a.html").read_text(encoding="utf-8")
    assert read_record(PredictionSummary, tmp_path / "out" / "summary.json").labels == LABELS
    run(tmp_path, source="in/a_ED_0000.nii", report=True, overwrite=True)  # a report that is there is made anew


def test_a_report_of_what_was_predicted_follows_its_options(model: Threshold, tmp_path: Path) -> None:
    """Of three bright voxels of the cavity and two of the wall, 0.12 ml and 0.08 ml; the reference has the cavity alone."""
    path = tmp_path / "in" / "a_ED_0000.nii"
    image(tmp_path / "in", path.name)
    file = nib.load(path)
    array = np.asarray(file.dataobj).copy()
    array[3, 1, 1:3] = 400
    nib.save(nib.Nifti1Image(array, file.affine, file.header), path)
    (tmp_path / "reference").mkdir()
    labels = np.where(array == 200, LABELS["lv_cavity"], 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels, file.affine), tmp_path / "reference" / "a_ED.nii")
    options = ReportOptions(reference=tmp_path / "reference", density_g_per_ml=1.5, png=True)
    run(tmp_path, report=options)
    report = tmp_path / "out" / "report"
    mass = read_record(Readout, report / "a.json").quantities["lv_ed_mass_g"]
    assert mass.value == pytest.approx(0.08 * 1.5)
    assert (report / "a.png").is_file() and not (report / "a.pdf").exists()
    assert "1 of 1 cases have a reference" in (report / "index.html").read_text(encoding="utf-8")
    run(tmp_path, report=True)  # nothing is predicted anew, and the older report's picture goes with it
    assert not (report / "a.png").exists() and not (report / "reference.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda tmp: ReportOptions(reference=tmp / "nowhere"), "nowhere does not exist"),
        (lambda tmp: ReportOptions(basal_rule="valve_plane", valve_planes=tmp / "planes.csv"), r"planes\.csv, line 2"),
        (lambda tmp: ReportOptions(ed_frame=1), "holds 2 patients"),
    ],
    ids=["reference", "valve planes", "frames of two patients"],
)
def test_a_report_that_could_not_be_written_is_refused_before_anything_is_predicted(
    model: Threshold, tmp_path: Path, options: Callable[[Path], ReportOptions], words: str
) -> None:
    image(tmp_path / "in", "a_ED_0000.nii")
    image(tmp_path / "in", "b_ED_0000.nii")
    (tmp_path / "planes.csv").write_text("case,frame,x1_mm\na,1,2\n")
    with pytest.raises(DataError, match=words):
        run(tmp_path, report=options(tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["in/*_0000.nii", "list.csv"])
def test_a_report_has_the_images_that_a_pattern_or_a_table_named(model: Threshold, tmp_path: Path, source: str) -> None:
    image(tmp_path / "in", "a_ED_0000.nii")
    (tmp_path / "list.csv").write_text("image,case\nin/a_ED_0000.nii,b_ED\n")
    run(tmp_path, source=source, report=ReportOptions(papillary_rule="in_mass"))  # which needs images
    name = "b" if source == "list.csv" else "a"
    page = (tmp_path / "out" / "report" / f"{name}.html").read_text(encoding="utf-8")
    assert "No images were given" not in page


def test_why_the_quality_of_predictions_is_not_predicted_is_told_once(
    model: Threshold, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image(tmp_path / "in", "a_0000.nii")
    model.quality_reason = "of a test"
    with caplog.at_level(logging.INFO, logger="autolv"):
        run(tmp_path)
    assert caplog.text.count("the quality of predictions is not predicted: of a test") == 1


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_probabilities_lie_beside_the_labels_in_the_order_of_the_structures(
    model: Threshold, tmp_path: Path, ending: str
) -> None:
    array = np.zeros((4, 5, 6), np.float32)  # (z, y, x)
    array[1, 2, 3:6] = [200, 400, 600]
    array[3, 0, 1] = 600
    affine = np.diag([-1.25, 1.5, 8.0, 1.0])  # x runs towards the patient's left: to and fro between file and array
    geometry = Geometry.from_affine(affine, (6, 5, 4))
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / f"a_0000{ending}", Volume(array=array, geometry=geometry))
    (status,) = run(tmp_path, save_probabilities=True)
    assert status.output == f"a{ending}"
    assert status.volumes_ml == {"lv_cavity": (0.015,), "lv_myocardium": (0.015,), "rv_cavity": (0.03,)}
    written = read_labels(tmp_path / "out" / f"a{ending}").array
    assert written[1, 2, 3:6].tolist() == [3, 2, 1] and written[3, 0, 1] == 1 and np.count_nonzero(written) == 4
    with np.load(tmp_path / "out" / "a.npz") as stored:
        assert stored["classes"].tolist() == ["background", "lv_cavity", "lv_myocardium", "rv_cavity"]
        assert stored["probabilities"].dtype == np.float16
        channels = stored["probabilities"].argmax(axis=0)
    np.testing.assert_array_equal(channels, LabelSchema(LABELS).to_internal(written))


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (70, np.array([9999], "<i2").tobytes(), "NIfTI has no datatype 9999"),
        (40, np.array([3, 32767, 32767, 32767], "<i2").tobytes(), "its header claims 70362301923678 bytes"),
        (70, np.array([128], "<i2").tobytes(), "expected one real number per voxel"),  # RGB
    ],
    ids=["datatype", "dim", "colour"],
)
def test_a_damaged_header_stops_no_other_file(
    model: Threshold, tmp_path: Path, offset: int, value: bytes, words: str
) -> None:
    source = tmp_path / "in"
    image(source, "a.nii")
    data = bytearray(image(source, "b.nii"))
    data[offset : offset + len(value)] = value
    (source / "b.nii").write_bytes(data)
    image(source, "c.nii")
    with pytest.raises(PartialFailure, match=r"1 of 3 inputs failed: b\.nii\.") as caught:
        run(tmp_path)
    assert caught.value.exit_status == 1
    found = summary(tmp_path / "out")
    assert [found[name].status for name in ("a.nii", "b.nii", "c.nii")] == ["done", "failed", "done"]
    assert words in found["b.nii"].message
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.nii", "c.nii", "records", "summary.json"]


def test_a_code_of_units_that_nobody_knows_is_predicted(model: Threshold, tmp_path: Path) -> None:
    data = bytearray(image(tmp_path / "in", "a.nii"))
    data[123] = 255
    (tmp_path / "in" / "a.nii").write_bytes(data)
    (status,) = run(tmp_path)
    assert (status.status, status.volumes_ml["lv_cavity"]) == ("done", (0.12,))
    assert (tmp_path / "out" / "a.nii").read_bytes()[123] == 255  # copied as it stands


@pytest.mark.parametrize(
    ("error", "device", "message"),
    [
        (KeyError("surprise"), "cpu", "KeyError: 'surprise'"),
        (ZeroDivisionError(), "cpu", "ZeroDivisionError"),
        (RuntimeError("one\n  two"), "cpu", "RuntimeError: one two"),
        (MemoryError(), "cpu", "it does not fit the memory of cpu. Close what else uses that memory."),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
            "cpu", "it does not fit the memory of cpu. Close what else uses that memory.",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
            "cuda", "it does not fit the memory of cuda. Close what else uses that memory, or compute with --device cpu.",
        ),
    ],
)  # fmt: skip
def test_any_error_is_told_in_the_status_and_its_traceback_to_who_asks(
    model: Threshold,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    device: str,
    message: str,
) -> None:
    released = []
    monkeypatch.setattr(stream, "release_cached", released.append)
    image(tmp_path / "in", "a.nii", brightest=150)
    image(tmp_path / "in", "b.nii")
    model.errors[150.0] = error
    model.device = torch.device(device)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.nii").write_bytes(b"of an older call")
    with caplog.at_level(logging.DEBUG), pytest.raises(PartialFailure, match=r"1 of 2 inputs failed: a\.nii\."):
        run(tmp_path, overwrite=True)
    found = summary(tmp_path / "out")
    assert (found["a.nii"].status, found["a.nii"].output, found["a.nii"].message) == ("failed", None, message)
    assert found["b.nii"].status == "done"
    assert not (tmp_path / "out" / "a.nii").exists()  # it must not pass for this call's
    traces = [record for record in caplog.records if record.exc_info]
    assert [(record.levelno, record.exc_info[1]) for record in traces] == [(logging.DEBUG, error)]  # type: ignore[index]
    assert released == ([torch.device(device)] if "memory" in message else [])


def test_an_interruption_gets_through_and_leaves_what_is_done(model: Threshold, tmp_path: Path) -> None:
    for name, brightest in (("a.nii", 200), ("b.nii", 150), ("c.nii", 200)):
        image(tmp_path / "in", name, brightest)
    model.errors[150.0] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert list(summary(tmp_path / "out")) == ["a.nii"]
    del model.errors[150.0]
    assert [status.input for status in run(tmp_path, skip_existing=True)] == ["a.nii", "b.nii", "c.nii"]


def test_the_summary_goes_on_from_the_one_that_is_there(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a.nii")
    image(tmp_path / "in", "b.nii")
    image(tmp_path / "in", "f.nii", brightest=150)
    model.errors[150.0] = ValueError("no")
    with pytest.raises(PartialFailure):
        run(tmp_path)
    image(tmp_path / "more", "c_0000.nii")
    assert [status.input for status in run(tmp_path, "more")] == ["c_0000.nii"]  # its own inputs only
    found = summary(tmp_path / "out")
    assert list(found) == ["a.nii", "b.nii", "c_0000.nii"]  # what failed and left no file is forgotten
    assert found["a.nii"].volumes_ml["lv_cavity"] == (0.12,)

    (tmp_path / "out" / "b.nii").unlink()
    image(tmp_path / "again", "a.nii", brightest=90)
    run(tmp_path, "again", overwrite=True)
    found = summary(tmp_path / "out")
    assert [(name, status.status) for name, status in found.items()] == [("a.nii", "empty"), ("c_0000.nii", "done")]
    image(tmp_path / "renamed", "c.nii")  # another input with the same result
    for source, last in (("more", "c_0000.nii"), ("renamed", "c.nii"), ("more", "c_0000.nii")):
        run(tmp_path, source, overwrite=True)
        record = read_record(PredictionSummary, tmp_path / "out" / "summary.json")
        assert [status.input for status in record.cases] == ["a.nii", last]


def test_entries_of_another_model_say_so(model: Threshold, tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii", "c.nii"):
        image(tmp_path / name[0], name, brightest=90 if name == "a.nii" else 200)
    for call, chosen in (("a", "2d_unet"), ("b", "3d_unet"), ("c", "2d_vnet")):
        model.best.chosen = chosen
        run(tmp_path, call)
    record = read_record(PredictionSummary, tmp_path / "out" / "summary.json")
    assert record.model == "2d_vnet"
    assert [status.message for status in record.cases] == [
        "no structure was found: look at the image (by the model 2d_unet)", "(by the model 3d_unet)", "",
    ]  # fmt: skip


def test_results_that_are_kept_are_not_computed_again(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a.nii")
    first = run(tmp_path)
    before = (tmp_path / "out" / "a.nii").stat().st_mtime_ns
    image(tmp_path / "in", "b.nii")
    kept, fresh = run(tmp_path, skip_existing=True)
    assert (kept, fresh.input) == (first[0], "b.nii")
    assert (tmp_path / "out" / "a.nii").stat().st_mtime_ns == before


def test_a_summary_of_another_program_is_not_lost_unasked(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a.nii")
    (tmp_path / "out").mkdir()
    foreign = json.dumps({"foreground_mean": {"Dice": 0.9}})  # nnU-Net writes one of this name
    (tmp_path / "out" / "summary.json").write_text(foreign)
    with pytest.raises(SchemaError, match="autolv_predict did not write.*--overwrite"):
        run(tmp_path)
    assert (tmp_path / "out" / "summary.json").read_text() == foreign
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["summary.json"]
    run(tmp_path, overwrite=True)
    assert list(summary(tmp_path / "out")) == ["a.nii"]


def test_workers_are_the_threads_of_the_device(
    model: Threshold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int | None]] = []
    monkeypatch.setattr(module, "prepare", lambda device, threads: calls.append((str(device), threads)))
    image(tmp_path / "in", "a.nii")
    for workers in (None, 0, 3):
        run(tmp_path, device="cpu", workers=workers, overwrite=True)
    assert calls == [("cpu", None), ("cpu", None), ("cpu", 3)]


def test_workers_reach_torch(model: Threshold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autolv.runtime.device import prepare

    monkeypatch.setattr(module, "prepare", prepare)
    threads = torch.get_num_threads()
    try:
        image(tmp_path / "in", "a.nii")
        run(tmp_path, device="cpu", workers=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("configuration", "folds", "name"),
    [
        (None, None, "2d_unet + 3d_unet"),
        (None, (0, 1), "2d_unet + 3d_unet"),
        ("2d_unet", None, "2d_unet fold 0, 2d_unet fold 1 (of 2d_unet + 3d_unet)"),
        ("2d_unet", (1,), "2d_unet fold 1 (of 2d_unet + 3d_unet)"),
        (None, (1,), "2d_unet fold 1, 3d_unet fold 1 (of 2d_unet + 3d_unet)"),
    ],
)
def test_members_of_a_model_folder_are_asked_for_and_named(
    model: Threshold, tmp_path: Path, configuration: str | None, folds: tuple[int, ...] | None, name: str
) -> None:
    image(tmp_path / "in", "a.nii")
    run(tmp_path, configuration=configuration, folds=folds)
    asked = model.asked  # type: ignore[attr-defined]
    assert asked["folder"] == tmp_path / "model"
    assert asked["configurations"] == (None if configuration is None else (configuration,))
    assert asked["folds"] == folds
    assert read_record(PredictionSummary, tmp_path / "out" / "summary.json").model == name


def test_a_fold_that_the_model_lacks_is_refused_before_anything_is_written(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a.nii")
    with pytest.raises(ModelError, match=r"has no 3d_unet fold 0\. It has: 2d_unet fold 0, .*, 3d_unet fold 1\."):
        run(tmp_path, configuration="3d_unet", folds=(0, 1))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [({"model": "m", "dataset": "D"}, "both a dataset and"), ({}, "neither a dataset nor")],
    ids=["both", "neither"],
)
def test_either_a_dataset_or_a_model_folder(
    model: Threshold, tmp_path: Path, given: dict[str, str], words: str
) -> None:
    image(tmp_path / "in", "a.nii")
    with pytest.raises(ModelError, match=words):
        predict(tmp_path / "in", tmp_path / "out", **given)  # type: ignore[arg-type]


Ask = Callable[..., str]


@pytest.fixture
def ask(model: Threshold, tmp_path: Path, workspace: Workspace) -> Ask:
    """Return a function that predicts with a dataset's model and returns which folder was loaded."""
    image(tmp_path / "in", "a.nii")

    def predicted(dataset: str, **more: Any) -> str:
        predict(tmp_path / "in", tmp_path / "out", dataset=dataset, root=workspace.root, overwrite=True, **more)
        folder: Path = model.asked["folder"]  # type: ignore[attr-defined]
        return folder.relative_to(workspace.root).as_posix()

    return predicted


def plan_of(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every dataset a plan of two configurations, and let whatever is trained be put together."""
    plan = SimpleNamespace(dataset="D", not_proposed={}, configurations={"2d_unet": None, "3d_unet": None})
    monkeypatch.setattr(predict_model, "load_plan", lambda _workspace, _dataset: plan)
    monkeypatch.setattr(
        predict_model,
        "assemble_model",
        lambda w, dataset, run, name, folds: w.configuration(dataset, run, name) / "model_0",
    )


def test_a_chosen_model_predicts_without_raw_data_or_plan(ask: Ask, workspace: Workspace) -> None:
    chosen = workspace.model("D", "default")
    chosen.mkdir(parents=True)
    (chosen / "best_config.json").touch()
    assert ask("D") == "results/D/default/model"


def test_trained_folds_predict_without_raw_data_or_plan(
    ask: Ask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        predict_model, "assemble_model", lambda w, dataset, run, name, folds: w.root / name / str(folds)
    )
    workspace.configuration("D", "long", "2d_unet").mkdir(parents=True)
    assert ask("D", configuration="2d_unet", run="long", folds=(1,)) == "2d_unet/(1,)"


@pytest.mark.parametrize("more", [{}, {"configuration": "2d_unet"}, {"run": "long"}], ids=str)
def test_an_unknown_dataset_comes_with_the_one_that_may_be_meant(
    ask: Ask, workspace: Workspace, more: dict[str, str]
) -> None:
    for name in ("Phantom", "ACDC"):
        workspace.raw(name).mkdir(parents=True)
    with pytest.raises(WorkspaceError, match=r"there is no dataset 'Phantm'.*did you mean 'Phantom'\?"):
        ask("Phantm", **more)


@pytest.mark.parametrize(
    ("run_name", "command"),
    [("default", "autolv_find_best_config -d D"), ("long", "autolv_find_best_config -d D --run long")],
)
def test_without_a_choice_the_remedy_is_a_command_to_the_end(
    ask: Ask, workspace: Workspace, run_name: str, command: str
) -> None:
    from autolv.cli.find_best_config import build_parser

    workspace.raw("D").mkdir(parents=True)
    with pytest.raises(ModelError, match="D has no chosen model in the run .* named with -c") as caught:
        ask("D", run=run_name)
    assert caught.value.remedy == f"Run: {command}"
    args = build_parser().parse_args(command.split()[1:])  # nothing but the command: the root can follow it
    assert (args.dataset, args.run) == ("D", run_name)


def test_an_unknown_configuration_comes_with_the_known_ones(
    ask: Ask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.raw("D").mkdir(parents=True)
    with pytest.raises(PlanError, match="D has no plan.*autolv_plan_and_preprocess -d D"):
        ask("D", configuration="2d_unte")
    plan_of(workspace, monkeypatch)
    with pytest.raises(PlanError, match="no configuration '2d_unte'.*did you mean '2d_unet'"):
        ask("D", configuration="2d_unte")
    assert ask("D", configuration="2d_unet") == "results/D/default/2d_unet/model_0"


def test_a_level_of_quality_says_which_networks_predict(model: Threshold, tmp_path: Path) -> None:
    image(tmp_path / "in", "a.nii")
    model.best.levels = {
        "fast": Quality(configurations=("2d_unet",), folds=(1,)), "best": Quality(mirror=True),
    }  # fmt: skip
    run(tmp_path, quality="fast")
    asked = model.asked  # type: ignore[attr-defined]
    assert (asked["configurations"], asked["folds"], asked["mirror"]) == (("2d_unet",), (1,), "auto")
    with pytest.raises(WorkspaceError, match="with other members and mirror"):
        run(tmp_path, quality="best")  # a result of other networks is not taken for one of these
    run(tmp_path, quality="best", overwrite=True)
    asked = model.asked  # type: ignore[attr-defined]
    assert (asked["configurations"], asked["folds"], asked["mirror"]) == (None, None, "on")
    with pytest.raises(ModelError, match="--quality says itself"):
        run(tmp_path, quality="best", mirror="on")
