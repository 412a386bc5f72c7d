"""Which families a command means: the two defaults, what --space adds, what --families selects, what the study has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from study.errors import ResumeError, UsageError
from study.records.settings import FamilySettings, StudySettings
from study.space.bundled import bundled_spaces
from study.space.grammar import parse_space
from study.space.parameters import SearchSpace
from study.space.plugins import plugins, require_installed
from study.space.sampling import installed_space, load_space

DEFAULT_FAMILIES = ("mlp", "cnn")
_SEARCHING = frozenset({"run", "search"})


def choose_families(
    given: Sequence[Path],
    selected: Sequence[str] | None,
    stored: StudySettings | None,
    source: StudySettings | None = None,
) -> dict[str, SearchSpace]:
    """The families that a study has from this command on, by name, those it has already first.

    `given` are the files of --space, `selected` the names of --families, `stored` the settings of a study that exists,
    `source` those of the study of --from. UsageError for a selection that cannot be meant, SpaceError for a file that
    cannot be read, ResumeError for one that changes what the study was created with, ConfigError for a family whose
    package is not installed or at fault.
    """
    has = _stored_spaces(stored.families) if stored else {}
    added = _read(given)
    for family in has.keys() & added.keys():
        _check_same(added[family], has[family])
    base = has or (_stored_spaces(source.families) if source else {})
    names = list(dict.fromkeys([*has, *(selected or [*(base or DEFAULT_FAMILIES), *added])]))
    _check_selection(selected, has, added)
    known: dict[str, SearchSpace | Path] = {**bundled_spaces(), **base, **added, **has}
    known |= _installed(name for name in names if name not in known)
    _check_known(names, known)
    for settings in filter(None, (source, stored)):
        _check_installed(settings, names)
    return {name: _loaded(known[name]) for name in names}


def _stored_spaces(families: Mapping[str, FamilySettings]) -> dict[str, SearchSpace]:
    return {name: parse_space(family.space, family.space_file) for name, family in families.items()}


def _read(paths: Sequence[Path]) -> dict[str, SearchSpace]:
    spaces: dict[str, SearchSpace] = {}
    for path in paths:
        space = load_space(path)
        if space.family in spaces:
            raise UsageError(f"--space {path}: family '{space.family}' was given twice; expected one file per family")
        spaces[space.family] = space
    return spaces


def _check_same(space: SearchSpace, stored: SearchSpace) -> None:
    if space != stored:
        raise ResumeError(
            f"{space.source}: the space of family '{space.family}' differs from the one this study was created with "
            f"({stored.source}); use that one, or start a new study with --name NEW --from this one"
        )


def _check_selection(
    selected: Sequence[str] | None, has: Mapping[str, SearchSpace], added: Mapping[str, SearchSpace]
) -> None:
    """UsageError for --families that leaves out what --space gives, ResumeError for what the study has."""
    if selected is None:
        return
    unused = [family for family in added if family not in selected]
    if unused:
        raise UsageError(
            f"--space {added[unused[0]].source} is of family '{unused[0]}', which --families {','.join(selected)} "
            "leaves out: name it there, or leave the file out"
        )
    if any(family not in selected for family in has):
        every = ",".join(dict.fromkeys([*has, *selected]))
        raise ResumeError(
            f"this study has the families {', '.join(has)}, seen --families {','.join(selected)}: a study keeps its "
            f"families; continue it with --families {every}, or start another with --name"
        )


def _installed(names: Iterable[str]) -> dict[str, SearchSpace]:
    spaces = {name: installed_space(name) for name in names}
    return {name: space for name, space in spaces.items() if space is not None}


def _check_installed(settings: StudySettings, names: Iterable[str]) -> None:
    for name in names:
        if (family := settings.families.get(name)) is not None:
            require_installed(name, family.package, family.package_version)


def _check_known(asked: Iterable[str], known: Mapping[str, object]) -> None:
    for name in asked:
        if name not in known:
            names = sorted({*known, *(plugin.family for plugin in plugins())})
            raise UsageError(
                f"--families: {name!a} is unknown: expected some of {', '.join(names)}, or a file of that "
                "family with --space"
            )


def _loaded(space: SearchSpace | Path) -> SearchSpace:
    return load_space(space) if isinstance(space, Path) else space


def check_comparison(families: Iterable[str], name: str, verb: str) -> None:
    """UsageError where `verb` would open the test split for a study of one family."""
    only, *others = families
    if others:
        return
    another = next(family for family in DEFAULT_FAMILIES if family != only)
    both = f"--families {only},{another}"
    ways = f"{both}, keep it sealed with --no-evaluate" if verb == "run" else f"`study run --name {name} {both}`"
    raise UsageError(
        f"study '{name}' has one family, {only}: nothing is compared, yet the test split would be opened; add another "
        f"family with {ways}, or say with --single-family that it is meant so"
    )


def check_searched(families: Iterable[str], stored: StudySettings, verb: str) -> None:
    """UsageError for a family that is new to the study and that `verb` cannot search."""
    new = [family for family in families if family not in stored.families]
    if new and verb not in _SEARCHING:
        raise UsageError(
            f"study '{stored.name}' has no family '{new[0]}' yet, and `study {verb}` searches none: expected some of "
            f"{', '.join(stored.families)}; add it with `study run` or `study search`"
        )
