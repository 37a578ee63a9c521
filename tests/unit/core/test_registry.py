"""Registries: filled by one package's files; duplicates, unknown names and broken files are loud."""

import sys
from pathlib import Path

import pytest

from autolv.core.registry import Registry, RegistryError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package ``parts_for_test`` with a registry and no component yet."""
    folder = tmp_path / "parts_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from autolv.core.registry import Registry\nPARTS = Registry('part', 'parts_for_test')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("parts_for_test")]:
        del sys.modules[name]


def registry() -> Registry[object]:
    import parts_for_test

    return parts_for_test.PARTS


def add(package: Path, file: str, name: str) -> None:
    text = f"from parts_for_test import PARTS\n@PARTS.register({name!r})\ndef part():\n    return {name!r}\n"
    (package / f"{file}.py").write_text(text)


def test_one_file_and_one_line_add_a_part(package: Path) -> None:
    add(package, "square", "square")
    add(package, "round_one", "round")
    add(package, "_private", "private")
    parts = registry()
    assert list(parts) == ["round", "square"]
    assert len(parts) == 2
    assert "private" not in parts
    assert parts.get("round")() == "round"


def test_an_unknown_name_lists_the_known_and_the_close(package: Path) -> None:
    add(package, "square", "square")
    add(package, "round_one", "round")
    with pytest.raises(RegistryError, match="no part 'sqare'") as caught:
        registry().get("sqare")
    assert caught.value.remedy == "Did you mean 'square'? Known: round, square."


def test_two_parts_of_one_name_are_refused(package: Path) -> None:
    add(package, "first", "square")
    add(package, "second", "square")
    with pytest.raises(RegistryError, match="two components are registered as part 'square'"):
        list(registry())


def test_a_broken_file_is_not_passed_over(package: Path) -> None:
    (package / "broken.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        registry().get("square")


def test_an_empty_registry_says_so(package: Path) -> None:
    assert len(registry()) == 0
    with pytest.raises(RegistryError):
        registry().get("square")


def test_the_registries_of_autolv_hold_what_the_plan_names() -> None:
    from autolv.datasets import CONVERTERS
    from autolv.losses import LOSSES
    from autolv.networks import NETWORKS
    from autolv.postprocessing import POSTPROCESSING

    assert {"unet", "attention_unet", "vnet"} <= set(NETWORKS)
    assert "dice_ce" in LOSSES
    assert {"acdc", "nnunet", "folder", "phantom"} <= set(CONVERTERS)
    assert len(POSTPROCESSING) >= 2
