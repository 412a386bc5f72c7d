"""What a command asks for, and what is wrong with it that can be told before torch is loaded."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from study.errors import UsageError
from study.records.naming import default_study_name, find_study
from study.records.paths import StudyFiles, check_study_name
from study.records.settings import PrunerName, SamplerName, StudySettings, load_settings
from study.space.parameters import SearchSpace
from study.stages.families import check_comparison, check_searched, choose_families


def check_port(port: int) -> None:
    """UsageError for a port of this machine that a dashboard could not have: one that is in use, or the system's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"http://127.0.0.1:{port} cannot be served ({error.strerror}); choose another --port"
            ) from None


def _check_text(path: Path) -> None:
    """UsageError for a path that no text file can hold, such as study.toml: one with bytes of another encoding."""
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError as error:
        odd = next(part for part in reversed(path.resolve().parts) if error.object[error.start] in part)
        raise UsageError(
            f"{str(path)!a}: the name {odd!a} is no UTF-8 text, which a study's files could not hold; rename it"
        ) from None


@dataclass(frozen=True)
class Request:
    """What the command line asks for; None means not given, so that a flag's default never hides a stored value."""

    command: str
    started: float
    name: str | None = None
    results: Path = Path("results")
    dataset: str | None = None
    data_dir: Path | None = None
    spaces: tuple[Path, ...] = ()
    families: tuple[str, ...] | None = None
    single_family: bool = False
    budget: float | None = None
    n_trials: int | None = None
    seed: int | None = None
    split_seed: int | None = None
    sampler: SamplerName | None = None
    pruner: PrunerName | None = None
    warm_start: bool = True
    given: tuple[Path, ...] = ()
    imported_from: str | None = None
    workers: int | None = None
    device: str = "auto"
    cluster: str | None = None
    cluster_patience: float = 300.0
    cluster_machines: tuple[str, ...] = ()
    storage: str | None = None
    repeats: int | None = None
    opens_test: bool = False  # whether this command is to read the test split
    goes_without_test: bool = False  # whether it leaves that out where pictures have none
    last_stage: bool = True  # whether a new study's shipped network has one
    counted: bool = True  # whether an opening is added to the user's count

    @property
    def files(self) -> StudyFiles:
        name = self.name if self.name is not None else default_study_name(self.dataset, self.data_dir)
        return StudyFiles(self.results / check_study_name(name))

    def chosen_families(self, stored: StudySettings | None) -> dict[str, SearchSpace]:
        """The families that the study has from this command on; `stored` are its settings if it exists."""
        source = None
        if stored is None and self.imported_from is not None:
            source = load_settings(find_study(self.imported_from, self.results).settings)
        return choose_families(self.spaces, self.families, stored, source)

    def check(self, verb: str) -> None:
        """UsageError, SpaceError or ResumeError for what is wrong with name or families, within milliseconds.

        A study of one family whose test split would be opened must have been asked for.
        """
        for path in (self.results, self.data_dir or Path(), *self.spaces, *self.given):
            _check_text(path)
        files = self.files
        stored = load_settings(files.settings) if files.exists() else None
        families = self.chosen_families(stored)
        if stored is not None:
            check_searched(families, stored, verb)
        asked_for = self.single_family or (stored is not None and stored.single_family) or files.seal.exists()
        if self.opens_test and not asked_for:
            check_comparison(families, files.name, verb)
