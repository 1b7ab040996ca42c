"""The house rules that a program can check: floors, sizes, names, sentences."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "mim").rglob("*.py"))
SETTINGS = sorted((ROOT / "mim").glob("*/settings.py"))


def test_imports_go_down_the_floors() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small_and_well_named(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for function in functions(ast.parse(text)):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < 80, function.name
    assert path.stem not in {"utils", "util", "core", "common", "helpers", "misc", "base"}
    assert len(path.relative_to(ROOT).parts) <= 3, "mim/room/module.py, never deeper"
    if path.name == "__init__.py" and path.parent.name != "mim":
        assert not text.strip()


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.parent.name)
def test_settings_import_nothing_heavy(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert all(name.name.split(".")[0] in sys.stdlib_module_names for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            light = node.module == "mim.vocab" or node.module.endswith(".settings")
            assert light or node.module.split(".")[0] in sys.stdlib_module_names
