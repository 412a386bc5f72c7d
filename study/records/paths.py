"""Where everything of a study lives: its folder, its files, its name."""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from study.errors import ResultsError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REPEAT = re.compile(r".+-repeat-(\d+)")
RESERVED_NAMES = frozenset({"reference"})
EXPORT, EARLIER_EXPORT = (
    "model.onnx",
    "model-earlier.onnx",
)  # in model/: of its network, and of one that was there before
CARD = "MODEL_CARD.md"  # in model/, too


def check_study_name(name: str) -> str:
    """Return `name`, or raise UsageError: it becomes a folder, a URL and an Optuna study name."""
    if not _NAME.fullmatch(name):
        shown = ascii(name if len(name) <= 70 else name[:67] + "...")
        raise UsageError(
            f"study name {shown} is not usable: expected 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit; choose another with --name"
        )
    if name in RESERVED_NAMES:
        raise UsageError(f"study name '{name}' is reserved for the committed sample; choose another with --name")
    return name


@dataclass(frozen=True)
class StudyFiles:
    """The paths of one study, `results/<name>/`."""

    root: Path

    @property
    def name(self) -> str:
        """The study's name: its folder's; a repeat has that of the folder of the study whose search it is."""
        study, number = self.repeat_of, _REPEAT.fullmatch(self._folder.name)
        return f"{study}-repeat-{number[1]}" if study and number else self._folder.name

    @property
    def repeat_of(self) -> str | None:
        """The study of which this folder holds a further search, by its place; None for a study."""
        study = StudyFiles(self._folder.parent.parent)
        is_repeat = self._folder.parent.name == "repeats" and _REPEAT.fullmatch(self._folder.name)
        known = study.exists() or self._folder.name.startswith(f"{study.root.name}-repeat-")
        return study.root.name if is_repeat and known else None

    @property
    def _folder(self) -> Path:
        """The root with the folders above it; `.` and `..` have no name of their own."""
        return self.root.absolute() if self.root.name not in ("", "..") else self.root.resolve()

    @property
    def settings(self) -> Path:
        return self.root / "study.toml"

    @property
    def database(self) -> Path:
        return self.root / "study.db"

    @property
    def trials_jsonl(self) -> Path:
        return self.root / "trials.jsonl"

    @property
    def trials_csv(self) -> Path:
        return self.root / "trials.csv"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.json"

    @property
    def samples(self) -> Path:
        return self.root / "samples.npz"

    @property
    def finalists(self) -> Path:
        return self.root / "finalists.json"

    @property
    def pictures(self) -> Path:
        """The study's own copy of a folder of pictures, as IDX files."""
        return self.root / "pictures"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def test(self) -> Path:
        return self.root / "test"

    @property
    def proposed(self) -> Path:
        """Configurations that were proposed to the search."""
        return self.root / "proposed"

    @property
    def seal(self) -> Path:
        return self.test / "seal.json"

    @property
    def predictions(self) -> Path:
        return self.test / "predictions.npz"

    @property
    def candidate_predictions(self) -> Path:
        return self.test / "candidates.npz"

    @property
    def shipped_predictions(self) -> Path:
        """Of the shipped model, where it reads otherwise than the run of which it is made."""
        return self.test / "shipped.npz"

    @property
    def duplicates(self) -> Path:
        return self.test / "duplicates.json"

    @property
    def last_stage(self) -> Path:
        return self.root / "last_stage.json"

    @property
    def ablation(self) -> Path:
        return self.root / "ablation.json"

    @property
    def audit(self) -> Path:
        return self.root / "audit.json"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def artifacts(self) -> Path:
        """Pictures of runs for the dashboard, as Optuna's file store keeps them."""
        return self.root / "artifacts"

    @property
    def model_card(self) -> Path:
        return self.model / CARD

    @property
    def whole(self) -> StudyFiles:
        """The study whose search this is, which has the report and the model; itself for a study."""
        return StudyFiles(self._folder.parent.parent) if self.repeat_of else self

    def repeat(self, number: int) -> StudyFiles:
        """The folder of the study's search `number`, from 2 on: a study of its own; the first search is in this one.

        A study that was copied or renamed has its searches in folders of the name that it had.
        """
        here = self.root / "repeats" / f"{self.name}-repeat-{number}"
        if here.exists():
            return StudyFiles(here)
        before = sorted(self.root.glob(f"repeats/*-repeat-{number}/study.toml"))
        return StudyFiles(before[0].parent if before else here)

    def repeats(self, n_searches: int) -> list[StudyFiles]:
        """The folders of all searches but the first, whether they have begun or not."""
        return [self.repeat(number) for number in range(2, n_searches + 1)]

    @property
    def study_name(self) -> str:
        """The name that commands take: for a repeat that of the study whose search it is."""
        return self.repeat_of or self.name

    @property
    def named(self) -> str:
        """The flags with which a command means this study, or the one whose search this is."""
        root = self.root.parent.parent if self.repeat_of else self.root
        results = [] if root.parent == Path("results") else ["--results", str(root.parent)]
        return shlex.join(["--name", self.study_name, *results])

    def run(self, name: str) -> RunFiles:
        return RunFiles(self.runs / name)

    def trained(self, name: str) -> RunFiles:
        """The folder of a training without a search."""
        return RunFiles(self.root / "trained" / name)

    def exists(self) -> bool:
        return self.settings.is_file()


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, `runs/<run>/`; the run counts only once DONE is there."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def history(self) -> Path:
        return self.root / "history.csv"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def validation(self) -> Path:
        return self.root / "validation.npz"

    @property
    def weights(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def state(self) -> Path:
        """Names the states from which a run that was cut short goes on."""
        return self.root / "state.json"

    @property
    def done(self) -> Path:
        return self.root / "DONE"

    def is_done(self) -> bool:
        return self.done.is_file()


def prepare_results_folder(root: Path) -> None:
    """Create a study's folder and prove that it can be written, before any work is spent."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise ResultsError(
            f"results folder {root} cannot be written ({error.strerror}); expected a writable folder: "
            "choose another with --results"
        ) from None


def done_runs(files: StudyFiles) -> list[str]:
    """Names of the finished runs of a study, sorted."""
    if not files.runs.is_dir():
        return []
    return sorted(path.parent.name for path in files.runs.glob("*/DONE") if path.parent.name != "old")
