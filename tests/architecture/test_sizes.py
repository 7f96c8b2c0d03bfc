"""Functions and files stay small enough to be read at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES_IN_FILE = 399
MOST_LINES_IN_FUNCTION = 39
FILES = sorted(path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py"))
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def n_code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, *, with_signature: bool) -> int:
    """Lines of a function without its docstring, which may say as much as it needs."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    begin = node.lineno if with_signature else first.lineno
    return node.end_lineno - begin + 1 - docstring


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_file_and_its_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES_IN_FILE
    # The signature of a command is its list of options with their help: data, not code.
    with_signature = path.parent.name != "cli"
    lines = {node.name: n_code_lines(node, with_signature=with_signature) for node in functions(ast.parse(text))}
    assert not {name: n_lines for name, n_lines in lines.items() if n_lines > MOST_LINES_IN_FUNCTION}


def test_no_file_has_a_name_that_says_nothing():
    assert not [path for path in FILES if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES]
