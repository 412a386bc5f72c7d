"""What a command asks for, and what is wrong with it that can be told before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from study.config import PrunerName, SamplerName
from study.results import StudyFiles, check_study_name
from study.space import load_space


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
    budget: float | None = None
    n_trials: int | None = None
    seed: int | None = None
    split_seed: int | None = None
    sampler: SamplerName | None = None
    pruner: PrunerName | None = None
    warm_start: bool = True
    imported_from: str | None = None
    workers: int | None = None
    device: str = "auto"
    storage: str | None = None
    repeats: int | None = None

    @property
    def files(self) -> StudyFiles:
        name = self.name or self.dataset or ("mnist" if self.data_dir is None else self.data_dir.name)
        return StudyFiles(self.results / check_study_name(name))

    def check(self) -> None:
        """UsageError or SpaceError for a name or a search space that cannot be read, within milliseconds."""
        _ = self.files
        for path in self.spaces:
            load_space(path)
