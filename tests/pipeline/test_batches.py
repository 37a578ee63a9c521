"""Batches: the same command goes on after a kill, results of others are never mixed in, parts and frames are what was asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autolv.cli.predict import main
from autolv.core.geometry import Geometry, Volume
from autolv.imageio.frames import ImageFile, LabelFile
from autolv.imageio.volumes import read_labels, write_image
from autolv.inference.predictor import Prediction, Predictor
from autolv.schema.prediction import PredictedCase
from autolv.schema.record import read_record, write_record
from autolv.schema.results import BestConfig, PredictionSummary

_SHAPE = (3, 40, 36)
_SLOW = """
import time
from autolv.inference.predictor import Predictor
once = Predictor.predict
def slowly(self, *args, **kwargs):
    time.sleep(0.15)
    return once(self, *args, **kwargs)
Predictor.predict = slowly
"""


def cine(path: Path, frames: int = 3, seed: int = 0) -> Path:
    """Write a cine of noise, (frames, 3, 40, 36) of 2.6 mm and 40 ms."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).normal(100, 30, (frames, *_SHAPE)).astype(np.float32)
    geometry = Geometry.from_spacing((12.0, 2.6, 2.6), _SHAPE)
    write_image(path, Volume(array=array, geometry=geometry, frame_time_ms=40.0), dtype="int16")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five cines of three frames, a folder each, all of one name."""
    for number in range(5):
        cine(tmp_path / "scans" / f"p{number}" / "cine.nii.gz", seed=number)
    return tmp_path / "scans"


Command = Callable[..., int]


@pytest.fixture
def command(untrained: Path, source: Path, tmp_path: Path) -> Command:
    """Return a function that predicts ``source`` by the untrained model into ``out``, and returns the exit status."""

    def run(*more: str, model: Path = untrained, images: Path = source, out: str = "out") -> int:
        given = [
            "-i",
            str(images),
            "-o",
            str(tmp_path / out),
            "--model",
            str(model),
            "--device",
            "cpu",
            "--workers",
            "1",
        ]
        return main([*given, *more])

    return run


def hashes(folder: Path) -> dict[str, str]:
    """The content of all results below a folder."""
    found = [path for path in sorted(folder.rglob("*")) if path.name.endswith((".nii.gz", ".npz"))]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in hashes(folder)}


def half_written(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def start(untrained: Path, source: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own, so slow that it can be stopped on its way."""
    given = ["-i", str(source), "-o", str(out), "--model", str(untrained), "--device", "cpu", "--workers", "1", *more]
    code = f"{_SLOW}\nfrom autolv.cli.predict import main\nraise SystemExit(main({given!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_after_a_kill_the_same_command_goes_on(
    command: Command, untrained: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(out="calm") == 0
    with start(untrained, source, out) as process:
        wait_for(lambda: len(hashes(out)) >= 2 and any(half_written(out)), process)
        process.send_signal(signal.SIGKILL)
    before = times(out)
    assert 2 <= len(before) < 5
    assert not (out / "summary.json").exists()
    capsys.readouterr()
    assert command() == 0
    assert f"{len(before)} of 5 are done already" in capsys.readouterr().err
    assert {name: when for name, when in times(out).items() if name in before} == before  # not done again
    assert hashes(out) == hashes(tmp_path / "calm")
    assert half_written(out) == []
    summary = read_record(PredictionSummary, out / "summary.json")
    assert [(case.input, case.output) for case in summary.cases] == [
        (f"p{n}/cine.nii.gz", f"p{n}/cine.nii.gz") for n in range(5)
    ]
    assert all(len(case.volumes_ml["lv_cavity"]) == 3 for case in summary.cases)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_in_order(
    command: Command, untrained: Path, source: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with start(untrained, source, out, "--save-probabilities") as process:
        wait_for(lambda: len(hashes(out)) >= 2, process)  # the first case's labels and probabilities
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == 130 and "Run the same command again" in said and "Traceback" not in said
    assert half_written(out) == []
    done = read_record(PredictionSummary, out / "summary.json").cases
    assert 1 <= len(done) < 5
    assert hashes(out).keys() == {f"p{n}/cine.{e}" for n in range(len(done)) for e in ("nii.gz", "npz")}
    before = times(out)
    assert command("--save-probabilities") == 0
    assert {name: when for name, when in times(out).items() if name in before} == before
    assert command("--save-probabilities", out="calm") == 0
    assert hashes(out) == hashes(tmp_path / "calm") and len(hashes(out)) == 10


@pytest.fixture
def other_model(untrained: Path, tmp_path: Path) -> Path:
    """The same networks in another order of weights: another model by its hash, of another name."""
    folder = tmp_path / "other"
    shutil.copytree(untrained, folder)
    best = read_record(BestConfig, folder / "best_config.json")
    write_record(
        best.model_copy(update={"members": best.members[::-1], "chosen": "other"}), folder / "best_config.json"
    )
    return folder


def test_results_of_another_model_are_never_mixed_in(
    command: Command, other_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 0
    (tmp_path / "out" / "p4" / "cine.nii.gz").unlink()
    before = hashes(tmp_path / "out")
    capsys.readouterr()
    assert command(model=other_model) == 2
    said = capsys.readouterr().err
    assert "holds 4 results already that this command did not make: p0/cine.nii.gz (by the model 2d_unet)" in said
    assert "--overwrite" in said and "--skip-existing" in said and "Traceback" not in said
    assert hashes(tmp_path / "out") == before
    assert command("--skip-existing", model=other_model) == 0
    cases = read_record(PredictionSummary, tmp_path / "out" / "summary.json").cases
    assert [case.message for case in cases] == [*["(by the model 2d_unet)"] * 4, ""]
    assert command("--overwrite", model=other_model) == 0
    records = [read_record(PredictedCase, path) for path in sorted((tmp_path / "out" / "records").rglob("*.json"))]
    assert [record.model for record in records] == ["other"] * 5


def test_each_kind_of_foreign_result_is_named(
    command: Command, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 0
    out = tmp_path / "out"
    labels = out / "p0" / "cine.nii.gz"
    labels.write_bytes(labels.read_bytes() + b"x")
    cine(source / "p1" / "cine.nii.gz", seed=9)
    (out / "records" / "p2" / "cine.json").unlink()
    record = read_record(PredictedCase, out / "records" / "p3" / "cine.json")
    write_record(record.model_copy(update={"autolv": "0.0.1"}), out / "records" / "p3" / "cine.json")
    capsys.readouterr()
    assert command() == 2
    said = capsys.readouterr().err
    for words in ("p0/cine.nii.gz (it was changed since)", "p1/cine.nii.gz (of another image)",
                  "p2/cine.nii.gz (it is not known how it was made)", "p3/cine.nii.gz (by autolv 0.0.1)"):  # fmt: skip
        assert words in said
    assert "p4/" not in said
    assert command("--frames", "1", "--whole-field") == 2
    assert "p4/cine.nii.gz (with other whole field and frame numbers)" in capsys.readouterr().err
    assert command("--skip-existing") == 0
    cases = {case.input: case for case in read_record(PredictionSummary, out / "summary.json").cases}
    assert (cases["p2/cine.nii.gz"].status, cases["p4/cine.nii.gz"].status) == ("kept", "done")


def test_a_renamed_image_or_another_device_s_threads_do_not_count(
    command: Command, source: Path, tmp_path: Path
) -> None:
    assert command() == 0
    before = times(tmp_path / "out")
    shutil.copytree(source, tmp_path / "moved")  # the same content elsewhere
    assert command("--workers", "2", images=tmp_path / "moved") == 0
    assert times(tmp_path / "out") == before


def test_parts_together_are_the_whole(command: Command, tmp_path: Path) -> None:
    assert command(out="whole") == 0
    for number in (1, 2, 3):
        assert command("--shard", f"{number}/3") == 0
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole") and len(hashes(tmp_path / "out")) == 5
    inputs = [
        [case.input for case in read_record(PredictionSummary, tmp_path / "out" / f"summary_{n}_of_3.json").cases]
        for n in (1, 2, 3)
    ]
    assert inputs == [["p0/cine.nii.gz", "p3/cine.nii.gz"], ["p1/cine.nii.gz", "p4/cine.nii.gz"], ["p2/cine.nii.gz"]]
    assert command("--shard", "7/9") == 0  # more machines than images: nothing to do there


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mhd"])
def test_frames_that_are_asked_for_are_those_of_the_whole_cine(untrained: Path, tmp_path: Path, ending: str) -> None:
    image = cine(tmp_path / "in" / f"a{ending}", frames=5)
    given = ["-i", str(image), "--model", str(untrained), "--device", "cpu", "--quiet"]
    assert main([*given, "-o", str(tmp_path / "all")]) == 0
    assert main([*given, "-o", str(tmp_path / "some"), "--frames", "5,2-3", "--save-probabilities"]) == 0
    assert main([*given, "-o", str(tmp_path / "one"), "--frames", "4"]) == 0
    whole = read_labels(tmp_path / "all" / f"a{ending}")
    assert whole.array.shape == (5, *_SHAPE) and len(np.unique(whole.array)) > 1
    some, one = (read_labels(tmp_path / place / f"a{ending}") for place in ("some", "one"))
    np.testing.assert_array_equal(some.array, whole.array[[1, 2, 4]])
    np.testing.assert_array_equal(one.array, whole.array[3])
    assert some.geometry == whole.geometry and some.frame_time_ms == whole.frame_time_ms == 40.0
    (case,) = read_record(PredictionSummary, tmp_path / "some" / "summary.json").cases
    assert (case.frames, case.frame_numbers) == (3, (2, 3, 5))
    with np.load(tmp_path / "some" / "a.npz") as stored:
        assert stored["probabilities"].shape == (3, 4, *_SHAPE)
    if ending.startswith(".nii"):  # a cine of one frame is a cine, with its time step and units
        stored = nibabel.load(tmp_path / "one" / f"a{ending}")
        assert stored.shape == (*_SHAPE[::-1], 1) and stored.header.get_xyzt_units() == ("mm", "sec")
        assert stored.header["pixdim"][4] == np.float32(0.04)


def test_a_frame_that_a_cine_lacks_is_told_and_stops_no_other(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cine(tmp_path / "in" / "long.nii.gz", frames=4)
    cine(tmp_path / "in" / "short.nii.gz", frames=2)
    given = ["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", str(untrained), "--device", "cpu"]
    assert main([*given, "--frames", "1,4"]) == 1
    assert "short.nii.gz: failed frame 4 was asked for, it has 2." in capsys.readouterr().err
    assert hashes(tmp_path / "out").keys() == {"long.nii.gz"}
    for wrong in ("0", "3-1", "a", "1-"):
        with pytest.raises(SystemExit) as stop:
            main([*given, "--frames", wrong])
        assert stop.value.code == 2
    for wrong in ("0/3", "4/3", "1", "a/b"):
        with pytest.raises(SystemExit) as stop:
            main([*given, "--shard", wrong])
        assert stop.value.code == 2


def test_one_truncated_cine_among_five(
    command: Command, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = source / "p2" / "cine.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-9000])
    assert command() == 1
    said = capsys.readouterr().err
    assert "1 of 5 inputs failed: p2/cine.nii.gz." in said and "Traceback" not in said
    assert hashes(tmp_path / "out").keys() == {f"p{n}/cine.nii.gz" for n in (0, 1, 3, 4)}
    assert half_written(tmp_path / "out") == []
    before = times(tmp_path / "out")
    cine(cut, seed=2)
    assert command() == 0  # what failed is tried again, the others are not
    assert len(hashes(tmp_path / "out")) == 5 and before.items() <= times(tmp_path / "out").items()


def test_a_cine_that_fails_at_its_third_frame_leaves_nothing(untrained: Path, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(100, 30, (4, *_SHAPE)).astype(np.float32)
    array[2] = 7.0  # constant
    geometry = Geometry.from_spacing((12.0, 2.6, 2.6), _SHAPE)
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.nii.gz", Volume(array=array, geometry=geometry))
    cine(tmp_path / "in" / "b.nii.gz")
    out = tmp_path / "out"
    given = ["-i", str(tmp_path / "in"), "-o", str(out), "--model", str(untrained), "--device", "cpu", "--quiet"]
    assert main(given) == 1
    first, second = read_record(PredictionSummary, out / "summary.json").cases
    assert first.status == "failed" and "frame 3 of 4" in first.message
    assert second.status in ("done", "empty")
    assert hashes(out).keys() == {"b.nii.gz"} and half_written(out) == []


def test_the_command_says_what_the_predictor_says(untrained: Path, tmp_path: Path) -> None:
    image = cine(tmp_path / "in" / "a.nii.gz")
    out = tmp_path / "out"
    given = [
        "-i",
        str(image),
        "-o",
        str(out),
        "--model",
        str(untrained),
        "--device",
        "cpu",
        "--workers",
        "1",
        "--quiet",
    ]
    assert main([*given, "--save-probabilities"]) == 0
    predictor = Predictor.load(untrained)
    stored = nibabel.load(image)
    found = predictor.predict(np.asarray(stored.dataobj), affine=stored.affine, probabilities=True)
    codes = np.array([0, 3, 2, 1], np.uint8)  # background, then the structures' codes
    np.testing.assert_array_equal(np.asarray(nibabel.load(out / "a.nii.gz").dataobj), codes[found.labels])
    assert len(np.unique(found.labels)) > 1
    by_file = predictor.predict_file(image, probabilities=True)
    with np.load(out / "a.npz") as written:
        np.testing.assert_array_equal(written["probabilities"], by_file.probabilities)


def test_memory_does_not_grow_with_the_frames(untrained: Path, tmp_path: Path) -> None:
    shape = (3, 128, 128)
    array = np.random.default_rng(0).normal(100, 30, (50, *shape)).astype(np.float32)
    geometry = Geometry.from_spacing((10.0, 0.7, 0.7), shape)
    (tmp_path / "in").mkdir()
    for frames in (10, 50):
        write_image(
            tmp_path / "in" / f"{frames}.nii.gz", Volume(array=array[:frames], geometry=geometry), dtype="int16"
        )
    del array

    def peak_bytes(frames: int) -> int:
        given = ["-i", str(tmp_path / "in" / f"{frames}.nii.gz"), "-o", str(tmp_path / "out"), "--overwrite", "-f", "0"]
        tracemalloc.start()
        assert main([*given, "--model", str(untrained), "--device", "cpu", "--save-probabilities", "--quiet"]) == 0
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)  # what is made once and kept
    few, many = peak_bytes(10), peak_bytes(50)
    # 40 more frames are 8 MB as float32, 4 MB as stored, 2 MB of labels, 16 MB of probabilities; what is said of a frame is not
    assert many < few + 0.5e6, (few, many)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_gpu_that_is_not_there_is_one_sentence_and_status_2(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--device", "cuda", "--quiet") == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "error: device 'cuda' was asked for, but this PyTorch sees no CUDA GPU.",
        "  what to do: Use --device cpu, or install a CUDA build of PyTorch.",
    ]
    assert not (tmp_path / "out").exists()


def test_reading_network_and_writing_go_on_at_once(
    untrained: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the network is at a frame, the next one is read and the one before it is written."""
    events: list[str] = []
    busy = threading.Event()
    read, predict, write = ImageFile.each, Predictor.predict, LabelFile.add

    def each(self: ImageFile, numbers: Sequence[int] | None = None) -> Iterator[NDArray[np.float32]]:
        for frame in read(self, numbers):
            time.sleep(0.02)  # reading takes its time: the network is at another frame by then
            events.append("read while busy" if busy.is_set() else "read")
            yield frame

    def predicted(self: Predictor, *given: Any, **more: Any) -> Prediction:
        busy.set()
        time.sleep(0.05)
        found = predict(self, *given, **more)
        busy.clear()
        return found

    def add(self: LabelFile, labels: NDArray[np.uint8]) -> None:
        time.sleep(0.02)
        events.append("written while busy" if busy.is_set() else "written")
        write(self, labels)

    monkeypatch.setattr(ImageFile, "each", each)
    monkeypatch.setattr(Predictor, "predict", predicted)
    monkeypatch.setattr(LabelFile, "add", add)
    given = ["-i", str(source), "-o", str(tmp_path / "out"), "--model", str(untrained), "--device", "cpu", "--quiet"]
    assert main(given) == 0
    assert len(events) == 2 * 15
    assert events.count("read while busy") >= 8  # of 15 frames; the first ones are read before there is work
    assert events.count("written while busy") >= 8
