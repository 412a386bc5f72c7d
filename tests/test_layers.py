"""Holds the import rows of the design: a module imports from rows above its own, or from its own room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "study"
sys.path.append(str(PACKAGE.parent / "benchmarks"))  # as for one of its scripts

import house  # noqa: E402

# Rooms are the folders of the package and the modules at its root; a row of them imports from the rows above it.
ROWS: list[tuple[str, ...]] = [
    ("errors",),
    ("seeds", "interrupts", "streams", "statistics"),
    ("records",),
    ("space",),
    ("data", "models"),
    ("training",),
    ("execution",),
    ("evaluation", "inference", "retraining", "search"),
    ("report",),
    ("dashboard",),
    ("stages",),
    ("command",),
    ("api",),
    ("__init__", "__main__"),
]
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(("study", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def is_module(name: str) -> bool:
    base = PACKAGE.parent.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of everything that a module imports, at its top or inside a function; imports for the type
    checker alone are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield (
                    (name if str(node.module).startswith("study") and is_module(name) else str(node.module)),
                    (node.lineno),
                )


def room(name: str) -> str:
    """The room of a module of the package by its dotted name."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def all_imports() -> Iterator[tuple[Path, str, int]]:
    for path in modules():
        for name, line in imports(path):
            yield path, name, line


def users(*packages: str) -> dict[str, str]:
    """Modules that import one of the packages, with the place."""
    return {
        dotted(path): f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}"
        for path, name, line in all_imports()
        if any(name == package or name.startswith(package + ".") for package in packages)
    }


def test_every_module_has_its_room() -> None:
    strangers = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()} - ROW_OF.keys()
    assert not strangers, f"name the rows of {sorted(strangers)} in this test and in the design"


def test_modules_import_only_from_rows_above_or_from_their_own_room() -> None:
    wrong = []
    for path, name, line in all_imports():
        if name.split(".")[0] != "study":
            continue
        mine, theirs = room(dotted(path)), room(name)
        if mine != theirs and ROW_OF[theirs] >= ROW_OF[mine]:
            wrong.append(f"{path.relative_to(PACKAGE.parent)}:{line} ({mine}) imports {name} ({theirs})")
    assert not wrong, "\n".join(wrong)


def test_optuna_stays_in_search_what_calls_it_and_the_report_s_history() -> None:
    allowed = {"study.report.history"}
    wrong = {
        module: where
        for module, where in users("optuna", "optuna_dashboard").items()
        if module not in allowed and room(module) not in {"search", "dashboard", "stages", "command"}
    }
    assert not wrong


def test_records_arithmetic_spaces_and_the_report_never_import_torch() -> None:
    without = {"errors", "seeds", "interrupts", "streams", "statistics", "records", "space", "report"}
    wrong = {m: w for m, w in users("torch", "torchvision").items() if room(m) in without}
    assert not wrong


def test_the_report_reads_files_and_no_database() -> None:
    wrong = {
        m: w
        for m, w in users("sqlalchemy", "sqlite3", "psycopg", "optuna.storages", "study.search").items()
        if room(m) == "report"
    }
    assert not wrong


def test_the_report_uses_nothing_of_evaluation_but_the_temperature() -> None:
    # An older study did not record how far its families' numbers go: the configurations are asked, when needed.
    asked = ("study.report.bounds", "study.training.config")
    wrong = [
        f"{dotted(path)}:{line} imports {name}"
        for path, name, line in all_imports()
        if room(dotted(path)) == "report" and name.startswith(("study.evaluation", "study.training"))
        if name != "study.evaluation.temperature" and (dotted(path), name) != asked
    ]
    assert not wrong


def test_the_test_split_is_opened_by_evaluation_alone() -> None:
    wrong = []
    for path in modules():
        if path.parent.name == "evaluation" or path == PACKAGE / "data" / "datasets.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            names += [node.attr] if isinstance(node, ast.Attribute) else []
            names += [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
            if "load_test" in names:
                wrong.append(f"{path.relative_to(PACKAGE.parent)}:{getattr(node, 'lineno', '?')}")
    assert not wrong


def loaded_by(code: str, *packages: str) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nprint(*(p for p in {packages!r} if p in sys.modules), file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return ended.stderr.split()


HELP = """
import contextlib
import study.command.cli
with contextlib.suppress(SystemExit):
    study.command.cli.main(["--help"])
"""


@pytest.mark.parametrize("code", ["import study", HELP])
def test_help_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code, "torch", "optuna", "pandas", "numpy", "sklearn", "plotly", "sqlalchemy") == []


def test_arithmetic_and_records_need_no_torch() -> None:
    ours = [dotted(path) for path in modules() if room(dotted(path)) in {"statistics", "records"}]
    assert loaded_by("\n".join(f"import {name}" for name in ours), "torch", "optuna") == []


def test_the_fork_server_starts_before_torch_is_there() -> None:
    assert loaded_by("import study.stages.cluster, study.execution.processes", "torch", "numpy", "optuna") == []
    assert loaded_by("import study.execution.host", "torch") == []  # on another machine


def test_the_report_loads_no_torch() -> None:
    assert loaded_by("import study.report.page", "torch") == []


@pytest.mark.parametrize("kind", house.KINDS)
def test_no_record_is_read_by_string_key_outside_the_room_that_knows_its_forms(kind: str) -> None:
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{read.line} reads {read.receiver}[{read.key!r}]"
        for path in modules()
        if room(dotted(path)) != "records"
        for read in house.Module(path, PACKAGE).indexes(kind)
    ]
    assert not found, "\n".join(found)


def test_text_is_utf_8_whatever_the_locale() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and uses_the_locale(node)
    ]
    assert not wrong, f"an encoding is missing in {', '.join(wrong)}"


def uses_the_locale(call: ast.Call) -> bool:
    """Whether a call reads or writes text, as far as its words tell, without naming the encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if any(word.arg == "encoding" for word in call.keywords):
        return False
    if name == "open":
        mode = [word.value for word in call.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        return (not call.args and not call.keywords) or (bool(mode) and "b" not in str(mode[-1]))
    return name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("open(path, 'w')", True),
        ("path.open('rb')", False),
        ("path.open(encoding='utf-8')", False),
        ("read_text(path)", False),
        ("Image.open(source)", False),
    ],
)
def test_this_test_sees_text_without_an_encoding(call: str, wrong: bool) -> None:
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    assert uses_the_locale(node) == wrong


def test_this_test_sees_imports_inside_functions(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("def f():\n    from study.command import verbs\n    import torch.nn\n")
    assert list(imports(path)) == [("study.command.verbs", 2), ("torch.nn", 3)]


@pytest.mark.parametrize("path", sorted((PACKAGE.parent / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_take_public_names_of_the_package_that_are_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "study":
            for alias in node.names:
                assert not alias.name.startswith("_"), f"{path.name}:{node.lineno} imports {alias.name}"
                assert is_module(f"{node.module}.{alias.name}") or hasattr(import_module(str(node.module)), alias.name)
