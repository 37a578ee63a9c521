"""What must not stand in the sources, found by reading them."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

import autolv

PACKAGE = Path(autolv.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NETWORK = {
    "socket",
    "ssl",
    "http",
    "urllib",
    "ftplib",
    "smtplib",
    "requests",
    "httpx",
    "aiohttp",
    "urllib3",
    "telnetlib",
}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "managers"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@lru_cache(maxsize=1)
def every_node() -> list[tuple[Path, ast.AST]]:
    return [(path, node) for path in MODULES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


def nodes(kind: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    return ((path, node) for path, node in every_node() if isinstance(node, kind))


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression, and an empty text for others."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def found(pairs: Iterator[tuple[Path, ast.AST]]) -> list[str]:
    return [f"{name(path)}:{node.lineno}: {ast.unparse(node)[:80]}" for path, node in pairs]


def imported() -> Iterator[tuple[Path, ast.AST, str]]:
    for path, node in nodes(ast.Import):
        for alias in node.names:
            yield path, node, alias.name
    for path, node in nodes(ast.ImportFrom):
        yield path, node, node.module or ""
        for alias in node.names:
            yield path, node, f"{node.module}.{alias.name}"


def test_the_scan_sees_the_package() -> None:
    assert len(MODULES) > 80
    assert any(True for _ in nodes(ast.Call))


def test_nothing_is_unpickled() -> None:
    assert [f"{name(p)}: {module}" for p, _, module in imported() if module.split(".")[0] in UNSAFE] == []


def test_nothing_reaches_for_a_network() -> None:
    assert [f"{name(p)}: {module}" for p, _, module in imported() if module.split(".")[0] in NETWORK] == []


def test_torch_loads_weights_only_and_numpy_no_objects() -> None:
    loads, bad = 0, []
    for path, call in nodes(ast.Call):
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if dotted(call.func) == "torch.load":
            loads += 1
            if keywords.get("weights_only") != "True":
                bad.append(f"{name(path)}:{call.lineno}")
        if keywords.get("allow_pickle", "False") != "False" or keywords.get("weights_only", "True") != "True":
            bad.append(f"{name(path)}:{call.lineno}")
    assert bad == []
    assert loads >= 1  # else the rule was not tried


def test_no_code_is_made_from_text_and_no_shell_is_asked() -> None:
    def forbidden(call: ast.Call) -> bool:
        shell = any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)
        return dotted(call.func) in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"} or shell

    assert found((p, n) for p, n in nodes(ast.Call) if forbidden(n)) == []


def test_validation_raises_and_does_not_assert() -> None:
    assert found(nodes(ast.Assert)) == []


def test_no_random_numbers_come_from_a_global_generator() -> None:
    hidden = re.compile(
        r"(np|numpy)\.random\.(?!default_rng|Generator|SeedSequence|PCG64|Philox)\w+|random\.(seed|random|randint|choice|shuffle)"
    )
    calls = [(p, n) for p, n in nodes(ast.Call) if hidden.fullmatch(dotted(n.func))]
    assert found(iter(calls)) == []


def test_only_the_commands_print_and_read_the_environment() -> None:
    outside = [(p, n) for p, n in nodes(ast.Call) if "cli" not in p.parts and dotted(n.func) == "print"]
    outside += [
        (p, n)
        for p, n in nodes(ast.Attribute)
        if "cli" not in p.parts
        and dotted(n) in {"os.environ", "os.getenv", "os.putenv"}
        and name(p) != "autolv/runtime/determinism.py"  # cuBLAS takes its setting from the environment alone
    ]
    assert found(iter(outside)) == []


def test_only_the_commands_exit() -> None:
    exits = {"sys.exit", "exit", "quit", "os._exit"}
    assert found((p, n) for p, n in nodes(ast.Call) if "cli" not in p.parts and dotted(n.func) in exits) == []


def test_no_module_is_vague_long_or_a_script() -> None:
    assert [name(p) for p in MODULES if p.stem in VAGUE or p.parent.name in VAGUE] == []
    assert [name(p) for p in MODULES if len(p.read_text(encoding="utf-8").splitlines()) > 300] == []
    assert [name(p) for p in MODULES if "__name__ ==" in p.read_text(encoding="utf-8")] == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert [name(p) for p in MODULES if later.search(p.read_text(encoding="utf-8"))] == []


def test_every_package_says_what_it_is() -> None:
    packages = [path for path in MODULES if path.name == "__init__.py"]
    assert len(packages) > 15
    assert [name(p) for p in packages if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))] == []


def test_only_imageio_meets_file_formats() -> None:
    formats = {"SimpleITK", "nibabel", "pydicom"}
    outside = {name(p) for p, _, module in imported() if module.split(".")[0] in formats and "imageio" not in p.parts}
    assert outside == set()


def project_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("the sources are not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = [".".join(parts) for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("download", "pytorch", "org"), ("conda", "anaconda", "org"),
        ("registry", "npmjs", "org"), ("deb", "debian", "org"), ("huggingface", "co"),
    )]  # fmt: skip
    texts = {path: path.read_bytes() for path in project_files()}
    assert len(texts) > 100
    assert [name(path) for path, text in texts.items() for host in hosts if host.encode() in text] == []


def test_no_large_file_and_no_image_is_committed() -> None:
    images = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".dcm", ".safetensors", ".pt", ".npz", ".npy")
    files = project_files()
    assert [name(path) for path in files if path.stat().st_size > 512_000] == []
    assert [name(path) for path in files if path.name.lower().endswith(images)] == []
