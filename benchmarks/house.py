"""How a tree of the package is built, counted from its source: rooms and arrows, and how much of it is untyped.

    python benchmarks/house.py [TREE ...]

prints one column a tree (default: this repository), so that two checkouts can be compared. Pure `ast`: nothing of the
trees is imported. Some counts go by names and are therefore estimates, the same for every tree:

A module *indexes* a kind of record where it reads, by a string, a key that only such records have, or any key of a
variable that is called as such records are. A report section is *spread* over the files of `study/report` that define
something named after it, read it by its name as a string, or show it in a template.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean

HERE = Path(__file__).resolve().parents[1]
SECTIONS = frozenset(
    "answer protocol families leaderboard fair pairwise seeds cost classes hardest calibration robustness curves "  # noqa: SIM905
    "mattered health reproduce searches limits conclusion".split()
)


@dataclass(frozen=True)
class Kind:
    """How a record of one kind is told: what its variables are called, and keys that no other record has."""

    variables: frozenset[str]
    keys: frozenset[str]


KINDS = {
    "trial": Kind(
        frozenset({"trial", "record", "trials", "records"}),
        frozenset({"rungs", "counted", "draw", "attempt", "distributions", "further_seed_of"}),
    ),
    "run": Kind(frozenset({"about"}), frozenset({"seed_index", "data_part"})),
    "finalists": Kind(
        frozenset({"finalists", "chosen", "candidate", "candidates"}),
        frozenset({"final_runs", "mean_accuracy"}),
    ),
    "ledger": Kind(frozenset({"ledger"}), frozenset({"allowance_s", "training_s", "commands"})),
}


_OPTUNA = frozenset({"user_attrs", "system_attrs"})  # what Optuna keeps of a trial under keys like a record's


@dataclass(frozen=True)
class Read:
    """A value that is read by a string key: `receiver` is the last name of what holds it."""

    receiver: str
    key: str
    line: int


class Module:
    """One file of the package."""

    def __init__(self, path: Path, package: Path) -> None:
        self.path = path
        self.parts = path.relative_to(package).with_suffix("").parts
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    @property
    def name(self) -> str:
        return "/".join(self.parts)

    @cached_property
    def reads(self) -> list[Read]:
        return list(reads(self.tree))

    @cached_property
    def code_lines(self) -> int:
        """Lines that hold code: neither blank nor comments nor docstrings alone."""
        skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        lines = {n for t in tokens if t.type not in skip for n in range(t.start[0], t.end[0] + 1)}
        return len(lines - set(_docstring_lines(self.tree)))

    def indexes(self, kind: str) -> list[Read]:
        wanted = KINDS[kind]
        return [
            read
            for read in self.reads
            if read.receiver in wanted.variables or (read.key in wanted.keys and read.receiver not in _OPTUNA)
        ]


def reads(tree: ast.AST) -> Iterator[Read]:
    """Every value that is read by a string key: `x["key"]`, `x.get("key")`. `Literal["key"]` is a type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key, holder = _text(node.slice), node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            key, holder = _text(node.args[0]) if node.args else None, node.func.value
        else:
            continue
        if key is not None and (receiver := _last_name(holder)) != "Literal":
            yield Read(receiver, key, node.lineno)


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return _last_name(node.value) if node.attr == "data" else node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _docstring_lines(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


# --- rooms ---------------------------------------------------------------------------------------------------------


def rooms_of(modules: list[Module]) -> dict[str, set[str]]:
    """What each room imports of the others: rooms are the package's folders and the modules loose at its root."""
    known = {module.parts[0] for module in modules}
    found: dict[str, set[str]] = {room: set() for room in known}
    for module in modules:
        for name in _imported(module.tree):
            target = name.split(".")[1] if name.count(".") else "__init__"
            if target in known and target != module.parts[0]:
                found[module.parts[0]].add(target)
    return found


def _imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of the package's modules that are imported, for the type checker or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "study":
            yield from (f"study.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("study."):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "study")


def floors(arrows: Mapping[str, set[str]]) -> int:
    """Rooms on the longest way down through the arrows; rooms that import each other are one."""
    reached = {room: _reachable(room, arrows) for room in arrows}
    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            together = {other for other in reached[room] if room in reached[other]} | {room}
            below = {target for member in together for target in arrows[member]} - together
            heights[room] = 1 + max(map(height, below), default=0)
        return heights[room]

    return max(map(height, arrows), default=0)


def _reachable(room: str, arrows: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [room]
    while waiting:
        new = arrows[waiting.pop()] - found
        found |= new
        waiting += new
    return found


# --- types ---------------------------------------------------------------------------------------------------------


def annotations(modules: list[Module]) -> tuple[int, int]:
    """(all annotations, those that say a dictionary of anything, or a name that stands for it)."""
    aliases = {name for module in modules for name in _aliases(module.tree)}
    texts = [ast.unparse(node) for module in modules for node in _annotations(module.tree)]
    return len(texts), sum(_is_untyped(text, aliases) for text in texts)


_ANYTHING = re.compile(r"\b(dict|Mapping|MutableMapping)\[str, (Any|object)\]")


def _is_untyped(text: str, aliases: set[str]) -> bool:
    return bool(_ANYTHING.search(text)) or bool(aliases & set(re.findall(r"\w+", text)))


def _aliases(tree: ast.Module) -> Iterator[str]:
    """Names at a module's top that stand for a dictionary of anything."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and _ANYTHING.search(ast.unparse(node.value)):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) or (isinstance(node, ast.arg) and node.annotation is not None):
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node.returns


# --- the report's sections -----------------------------------------------------------------------------------------


def spread(package: Path) -> dict[str, int]:
    """Over how many files of the report each section is spread."""
    files = [path for path in sorted((package / "report").rglob("*")) if path.suffix in (".py", ".j2")]
    files = [path for path in files if "comparison" not in path.parts and path.name != "page.py"]
    named: dict[str, set[Path]] = defaultdict(set)
    for path in files:
        for section in _sections_in(path):
            named[section].add(path)
    return {section: len(paths) for section, paths in named.items()}


def _sections_in(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    words = {path.name.partition(".")[0]}
    if path.suffix == ".j2":
        words |= set(re.findall(r"\b(?:report|findings|sections)\.(\w+)", text))
        words |= {word for name in re.findall(r"macro (\w+)", text) for word in name.split("_")}
    else:
        tree = ast.parse(text)
        words |= {read.key for read in reads(tree)}
        defined = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
        words |= {word for name in defined for word in name.lower().split("_")}
    return words & SECTIONS


# --- the table -----------------------------------------------------------------------------------------------------


def count(tree: Path) -> dict[str, str]:
    """The rows of the table by name."""
    package = tree / "study"
    modules = [Module(path, package) for path in sorted(package.rglob("*.py"))]
    arrows = rooms_of(modules)
    loose = [module for module in modules if len(module.parts) == 1]
    n_reads = sum(len(module.reads) for module in modules)
    code = sum(module.code_lines for module in modules)
    total, untyped = annotations(modules)
    sections = spread(package)
    return {
        "modules": f"{len(modules):,}",
        "lines": f"{sum(module.text.count(chr(10)) for module in modules):,}",
        "modules loose at the root": f"{len(loose)} ({sum(module.text.count(chr(10)) for module in loose):,} lines)",
        "floors of the import graph": str(floors(arrows)),
        "rooms; arrows between them": f"{len(arrows)}; {sum(map(len, arrows.values()))}",
        **{
            f"modules that index a {kind} record" if kind != "finalists" else "modules that index finalists": str(
                sum(bool(module.indexes(kind)) for module in modules)
            )
            for kind in KINDS
        },
        "string-key reads": f"{n_reads:,} ({1000 * n_reads / max(1, code):.0f} a 1,000 lines of code)",
        "dictionaries of anything among annotations": f"{100 * untyped / max(1, total):.1f} % of {total:,}",
        "files that a report section is spread over": (
            f"{min(sections.values())} to {max(sections.values())}, {mean(sections.values()):.1f} in the mean"
        ),
        "longest module": "{:,} lines, {}".format(*max((m.text.count("\n"), m.name) for m in modules)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, default=[HERE], metavar="TREE", help="default: this repository")
    trees: list[Path] = parser.parse_args().trees
    tables = [count(tree) for tree in trees]
    print(f"| | {' | '.join(str(tree) for tree in trees)} |")
    print(f"|---|{'---|' * len(trees)}")
    for row in tables[0]:
        print(f"| {row} | {' | '.join(table[row] for table in tables)} |")


if __name__ == "__main__":
    main()
