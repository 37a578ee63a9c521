"""``autolv_predict``: flags that contradict each other are refused, and the command it names next can be pasted."""

import importlib
import shlex
from pathlib import Path

import pytest

from autolv.cli import predict as command
from autolv.cli.evaluate import build_parser as evaluate_parser

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
    ],
)
def test_what_is_given_reaches_the_recipe(
    calls: list[dict[str, object]], line: str, expected: dict[str, object]
) -> None:
    assert command.main(["-i", "IN", "-o", "OUT", "--quiet", *line.split()]) == 0
    (call,) = calls
    assert {name: call[name] for name in expected} == expected


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
