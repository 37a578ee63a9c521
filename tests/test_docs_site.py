"""The site's pages: commands that parse, an API reference that is whole, and a build without a warning."""

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import autolv

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOW_TOS = sorted((DOCS / "howto").glob("*.md"))
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# what a browser fetches by itself: not the links that a reader may follow
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc=["'](?:https?:)?//[^"']*"""
    r"""|<link\b(?![^>]*rel=["'](?:canonical|next|prev|index|search|author)["'])[^>]*href=["'](?:https?:)?//[^"']*"""
    r"""|@import[^;]*//|url\(["']?(?:https?:)?//[^)]*"""
)


def commands(text: str) -> list[str]:
    joined = "".join(BLOCK.findall(text)).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in joined.splitlines()]


def test_every_how_to_is_there_and_on_the_first_page() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [path.stem for path in HOW_TOS] == [
        "convert", "fine-tune", "install", "predict", "readers", "report", "train",
    ]  # fmt: skip
    assert [path.stem for path in HOW_TOS if f"howto/{path.stem}" not in index] == []


def test_every_command_of_the_how_tos_parses() -> None:
    lines = [line for path in HOW_TOS for line in commands(path.read_text(encoding="utf-8"))]
    assert len(lines) > 15
    for line in lines:
        name, *arguments = shlex.split(line)
        parser = importlib.import_module(SCRIPTS[name].partition(":")[0]).build_parser()
        parser.parse_args(arguments)  # exits, and so fails, for a flag that is not there


def test_a_command_over_several_lines_is_read_as_one() -> None:
    assert commands("```console\n$ a -b \\\n    c\n$ d\n```\n") == ["a -b      c", "d"]


def test_the_reference_has_every_public_name() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r":: autolv\.(\w+)$", page, re.MULTILINE))
    assert shown == set(autolv.__all__) - {"__version__"}


@pytest.mark.parametrize(
    ("html", "fetched"),
    [
        ('<script src="https://example.org/x.js">', True),
        ('<link rel="stylesheet" href="//example.org/x.css">', True),
        ("@import '//example.org/x.css';", True),
        ("src: url(https://example.org/font.woff2)", True),
        ('<a href="https://example.org">', False),
        ('<script src="_static/x.js">', False),
        ('<img src="data:image/png;base64,//8A">', False),
    ],
)
def test_what_a_browser_would_fetch_is_seen(html: str, fetched: bool) -> None:
    assert bool(FETCHED.search(html)) is fetched


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-D", "nb_execution_mode=off", "-d",
         str(tmp_path / "doctrees"), "-b", "html", str(DOCS), str(site)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    assert len(pages) > 30
    assert (site / "tutorials" / "train_and_read_out.html").is_file()
    fetched = {path.name: FETCHED.findall(path.read_text(encoding="utf-8")) for path in pages}
    assert {name: found for name, found in fetched.items() if found} == {}
