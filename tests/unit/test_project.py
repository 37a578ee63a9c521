"""The project's own files agree with one another."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import autolv

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~\[ ;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert version("autolv") == autolv.__version__


def test_every_dependency_has_a_lower_bound_and_an_exact_pin() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {name_of(line): line for line in lines}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(text for extra in extras.values() for text in extra)]
    assert set(extras["tensorboard"]) <= set(extras["dev"])
    assert len(wanted) > 15
    assert [text for text in wanted if ">=" not in text or name_of(text) not in pins] == []
    assert pins["torch"] == "torch==2.13.0"


def test_the_contributing_page_shows_the_layers_that_are_enforced() -> None:
    (contract,) = [c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = page.split("```text\n")[1].split("```")[0].splitlines()
    assert [re.split(r"\s{2,}", line)[0] for line in shown] == contract["layers"]
    assert contract["exhaustive"] is True


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/benchmarks.md"])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    places = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in places if not ((ROOT / page).parent / link).exists()] == []


def test_importing_autolv_is_light() -> None:
    code = (
        "import sys, autolv; print([m for m in ('torch', 'numpy', 'pydantic', 'matplotlib') if m in sys.modules]);"
        "assert 'train' in dir(autolv)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("127.0.0.1", 9)])
def test_no_test_can_reach_a_network(address: tuple[str, int]) -> None:
    import socket

    with socket.socket() as sock, pytest.raises(RuntimeError, match="never uses the network"):
        sock.connect(address)
    with pytest.raises(RuntimeError, match="never uses the network"):
        socket.create_connection(address)
    code = f"import socket; socket.socket().connect({address!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "never uses the network" in done.stderr
