"""What a user proposes while a search runs: taken before the next trial, trained beside the search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from study.errors import ResultsError, UsageError
from study.records.paths import StudyFiles
from study.records.proposed import read_proposals, write_proposal
from study.records.settings import GivenConfiguration, StudySettings, load_settings
from study.records.trial import Trials
from study.search.given import read_given
from study.space.grammar import parse_space
from study.space.points import identity

# What proposed trials of a family may take, as a share of what its search may: however many there are, the search goes
# on. With more budget they may take more.
SHARE = 0.25
Key = tuple[str, str]  # family, identity of the configuration


class Proposals:
    """Those of a study that its search has not taken yet. `begun` are the trials that there are of earlier ones."""

    def __init__(self, files: StudyFiles, settings: StudySettings, begun: Trials) -> None:
        # They are trained once per study, in its first search, and only apart from what that finds.
        self._is_open = settings.given == "apart" and settings.repeat_of is None
        self._files = files
        self._seen: set[str] = set()  # names of files: a search asks with every event, and reads them once
        self._taken = {_key(trial.family, trial.config) for trial in begun if trial.role == "proposed"}

    def new(self) -> Mapping[str, list[GivenConfiguration]]:
        """By family, each configuration once. None once the test split was opened. ResultsError for a damaged file."""
        found: dict[str, list[GivenConfiguration]] = defaultdict(list)
        there = {path.name for path in self._files.proposed.glob("*.json")} if self._is_open else set()
        if there == self._seen or self._files.seal.exists():
            return found
        self._seen = there
        for one in read_proposals(self._files):
            if (key := _key(one.family, one.config)) not in self._taken:
                self._taken.add(key)
                found[one.family].append(one)
        return found


def propose(files: StudyFiles, path: Path, family: str | None, trials: Trials) -> tuple[GivenConfiguration, Path]:
    """Write what the search is to take: the configuration in `path` of that family, or of the one that it names.

    SpaceError for what is wrong with the file, UsageError for a family that it does not mean or a configuration that
    the study was given before, ResultsError for a study that takes none.
    """
    settings = load_settings(files.settings)
    _check_open(files, settings)
    spaces = {name: parse_space(one.space, one.space_file) for name, one in settings.families.items()}
    if family is not None and family not in spaces:
        raise UsageError(f"--family: {family!r} is unknown, expected one of this study: {', '.join(sorted(spaces))}")
    if family is not None:
        spaces = {family: spaces[family]}
    found = read_given(path, spaces, flag="")
    key = _key(found.family, found.config)
    known = [_key(one.family, one.config) for one in read_proposals(files)] if files.proposed.is_dir() else []
    known += [_key(trial.family, trial.config) for trial in trials.given]
    if key in known:
        raise UsageError(f"{path}: this configuration of {found.family} was given to study '{settings.name}' before")
    return found, write_proposal(files, found)


def _check_open(files: StudyFiles, settings: StudySettings) -> None:
    if files.seal.exists():
        raise ResultsError(
            f"study '{settings.name}' has opened the test split ({files.seal}): expected a study whose test split is "
            "sealed, since what is proposed now might know of it; start another study with --given"
        )
    if settings.given != "apart":
        raise ResultsError(
            f"study '{settings.name}' is of an earlier version, which counts what is given as found: expected a study "
            "that keeps it apart; start another study with --given"
        )
    if settings.repeat_of is not None:
        raise ResultsError(
            f"{files.root} is a search of study '{settings.repeat_of}': propose it to that study, with --name "
            f"{settings.repeat_of}"
        )


def _key(family: str, config: Mapping[str, object]) -> Key:
    return family, identity(dict(config))
