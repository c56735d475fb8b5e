"""tests/STATEMENTS.md is the table of Weir's behaviours on the wire: each number has its tests, or says why there is none.
    python3 tests/e2e/test_statements.py     writes tests that carry a number in their names into its row"""

import ast
import collections
import pathlib
import re

TESTS = pathlib.Path(__file__).resolve().parent.parent
TABLE = TESTS / "STATEMENTS.md"
RANGES = [(1, 13), (20, 38), (40, 76), (80, 94), (100, 116)]
NUMBERS = [f"W{n:02}" for first, last in RANGES for n in range(first, last + 1)]
ROW = re.compile(r"\| (W\d+) \| (.+?) \| (.+?) \|")
WHY_NOT = re.compile(r"(Does not apply|Not built): .{10,}")


def numbers_in(name):
    """The statements that the name of a test speaks of: w20_w24, or w80_to_w85."""
    found = {int(n) for n in re.findall(r"(?<![a-z0-9])w(\d{2,3})(?![a-z0-9])", name.replace("_", " "))}
    for first, last in re.findall(r"w(\d{2,3})_to_w(\d{2,3})", name):
        found |= set(range(int(first), int(last) + 1))
    return {f"W{n:02}" for n in found}


def all_tests():
    """Names of all tests; those of unit tests as file.c:name."""
    names = []
    for path in sorted((TESTS / "e2e").glob("test_*.py")):
        names += [node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                  if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    for path in sorted((TESTS / "unit").glob("*.c")):
        names += [f"{path.name}:{name}" for name in re.findall(r"START_TEST\((\w+)\)", path.read_text(encoding="utf-8"))]
    return names


def by_number():
    found = collections.defaultdict(list)
    for name in dict.fromkeys(all_tests()):
        for number in numbers_in(name):
            found[number].append(name)
    return found


def rows():
    return [ROW.fullmatch(line).groups() for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| W")]


def test_every_statement_is_there():
    assert [number for number, _, _ in rows()] == NUMBERS


def test_every_statement_has_tests_or_a_reason():
    known = set(all_tests())
    for number, _, tests in rows():
        names = re.findall(r"`([^`]+)`", tests)
        assert (names and re.fullmatch(r"`[^`]+`(, `[^`]+`)*", tests)) or WHY_NOT.fullmatch(tests), (number, tests)
        assert set(names) <= known, (number, set(names) - known)


def test_every_test_with_a_number_is_listed():
    listed = {number: re.findall(r"`([^`]+)`", tests) for number, _, tests in rows()}
    for number, names in by_number().items():
        assert number in listed, names
        missing = [name for name in names if name not in listed[number]]
        assert not missing, f"{number}: {missing}; python3 tests/e2e/test_statements.py puts them in"


def fill():
    known, carried, lines = set(all_tests()), by_number(), []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        row = ROW.fullmatch(line)
        if row:
            number, statement, tests = row.groups()
            names = [name for name in re.findall(r"`([^`]+)`", tests) if name in known]
            names += [name for name in carried[number] if name not in names]
            tests = ", ".join(f"`{name}`" for name in names) or tests
            line = f"| {number} | {statement} | {tests} |"
        lines.append(line)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    fill()
