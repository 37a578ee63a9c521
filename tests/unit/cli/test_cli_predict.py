"""``autolv_predict``: flags that contradict each other are refused, and the command it names next can be pasted."""

import importlib
import shlex
from pathlib import Path

import pytest

from autolv.cli import predict as command
from autolv.cli.evaluate import build_parser as evaluate_parser
from autolv.pipeline.report_options import ReportOptions

recipe = importlib.import_module("autolv.pipeline.predict")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the recipe is called with; it does nothing."""
    found: list[dict[str, object]] = []
    monkeypatch.setattr(recipe, "predict", lambda *_args, **kwargs: found.append(kwargs))
    return found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--model M -d D", "--model names the model: leave out -d"),
        ("--model M --run long", "--model names the model: leave out --run"),
        ("--model M --run default", "--model names the model: leave out --run"),  # given is given
        ("-d D -f 0", "-f needs -c or --model"),
        ("", "give -d DATASET or --model FOLDER"),
        ("-d D --pdf", "--pdf needs --report"),
        ("-d D -r REF --png --density 1.05", "--reference, --density, --png need --report"),  # a default too is given
    ],
)
def test_what_would_be_ignored_is_refused(
    calls: list[dict[str, object]], capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["-i", "IN", "-o", "OUT", *line.split()])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--model M", {"model": Path("M"), "dataset": None, "run": "default", "configuration": None, "folds": None}),
        ("--model M -f 1", {"model": Path("M"), "configuration": None, "folds": (1,)}),
        ("--model M -c 2d_unet -f 0,1", {"model": Path("M"), "configuration": "2d_unet", "folds": (0, 1)}),
        ("-d D", {"dataset": "D", "model": None, "run": "default"}),
        ("-d D --run long -c 2d_unet", {"dataset": "D", "run": "long", "configuration": "2d_unet"}),
        ("-d D", {"report": False}),
        ("-d D --report", {"report": ReportOptions()}),
        ("-d D --report --pdf --bsa haycock", {"report": ReportOptions(pdf=True, bsa_formula="haycock")}),
    ],
)
def test_what_is_given_reaches_the_recipe(
    calls: list[dict[str, object]], line: str, expected: dict[str, object]
) -> None:
    assert command.main(["-i", "IN", "-o", "OUT", "--quiet", *line.split()]) == 0
    (call,) = calls
    assert {name: call[name] for name in expected} == expected


def test_options_of_a_report_that_contradict_each_other_are_one_sentence_and_status_2(
    calls: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-i", "IN", "-o", "OUT", "-d", "D", "--report", "--basal-rule", "valve_plane", "--quiet"]
    assert command.main(words) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "error: the basal rule valve_plane and a table of valve planes go together."
    assert (len(told), calls) == (2, [])  # the second line is what to do


@pytest.mark.parametrize("run", [[], ["--run", "long"]], ids=["default", "long"])
@pytest.mark.parametrize("known", [True, False], ids=["labels beside", "no labels"])
def test_the_next_command_is_one_that_autolv_evaluate_takes(
    calls: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str], run: list[str], known: bool
) -> None:
    root, images, output = tmp_path / "my root", tmp_path / "my root" / "imagesTs", tmp_path / "my results"
    images.mkdir(parents=True)
    if known:
        (root / "labelsTs").mkdir()
    arguments = ["-i", str(images), "-o", str(output), "-d", "D", "--root", str(root), *run]
    assert command.main(arguments) == 0
    (told,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("next: ")]
    name, *words = shlex.split(told.removeprefix("next: "))
    assert name == "autolv_evaluate"
    args = evaluate_parser().parse_args(words)
    assert args.reference == (str(root / "labelsTs") if known else "REFERENCE")
    assert (args.prediction, args.root) == (str(output), str(root))


def test_the_help_says_that_workers_are_threads() -> None:
    (workers,) = [action for action in command.build_parser()._actions if action.dest == "workers"]
    assert workers.help is not None and workers.help.startswith("CPU threads")
