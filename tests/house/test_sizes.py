"""Small enough to be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.tree import complain, parsed, python_files, read

MODULE_LINES = 250
TEST_LINES = 350  # cases stand side by side: one more does not make the others harder to read
FUNCTION_LINES = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: str) -> Iterator[Function]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def own_lines(function: Function) -> int:
    """Without those of functions defined in it, which are counted by themselves: routes live in their router's."""
    inner = [node for node in ast.walk(function) if isinstance(node, Function) and node is not function]
    lines = set(range(function.lineno, (function.end_lineno or function.lineno) + 1))
    for node in inner:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines -= set(range(first, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def limit(path: str) -> int:
    return TEST_LINES if path.startswith("tests/") else MODULE_LINES


def test_modules_are_short() -> None:
    lengths = {path: len(read(path).splitlines()) for path in python_files()}
    found = [f"{path}: {lines}" for path, lines in lengths.items() if lines > limit(path)]
    complain(f"a module has at most {MODULE_LINES} lines, one of tests {TEST_LINES}:", found)


def test_functions_are_short() -> None:
    found = [
        f"{path}:{function.lineno} {function.name}: {own_lines(function)}"
        for path in python_files()
        for function in functions(path)
        if own_lines(function) > FUNCTION_LINES
    ]
    complain(f"a function has at most {FUNCTION_LINES} lines:", found)


def test_lines_of_nested_functions_are_their_own() -> None:
    outer = ast.parse("def outer():\n    a = 1\n    @wrap\n    def inner():\n        return a\n    return inner\n")
    (function,) = [node for node in ast.walk(outer) if isinstance(node, Function) and node.name == "outer"]
    assert own_lines(function) == 3
