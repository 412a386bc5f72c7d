"""What a study is to reach, what it has reached and what it has spent: `ledger.json`, read in the forms of every
version and written whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.records.paths import StudyFiles
from study.records.settings import Frozen, RetrainSettings, explain

DEFAULT_BUDGET = 300.0  # seconds of a study for which neither a budget nor a number of trials was asked
Reached = Literal["search", "retrain", "evaluate", "examine"]  # the stages that note for which goal they are done
_OF_ALL_SEARCHES = frozenset({"evaluate", "examine"})


class Part(Frozen):
    """A part of the ledger; what a later version says in it besides is kept."""

    model_config = ConfigDict(extra="allow")


class Goal(Frozen):
    """What a study is to reach. `budget` is seconds of the whole study, which its searches share evenly; `n_trials` are
    trials of each family in each search. None is without that limit."""

    budget: float | None = None
    n_trials: int | None = None
    families: tuple[str, ...] = ()
    n_searches: int = Field(default=1, ge=1)

    @property
    def share(self) -> float | None:
        """Seconds of each search."""
        return None if self.budget is None else self.budget / self.n_searches

    def among(self, n_searches: int) -> Goal:
        """As much for each of so many searches."""
        if n_searches == self.n_searches:
            return self
        budget = None if self.share is None else self.share * n_searches
        return self.model_copy(update={"budget": budget, "n_searches": n_searches})

    def of_each_search(self) -> Goal:
        """What one search is to reach, to the millisecond: two divisions of one budget may differ in the last bit."""
        share = None if self.share is None else round(self.share, 3)
        return Goal(budget=share, n_trials=self.n_trials, families=self.families)


class NodeSeen(Part):
    """A machine that gave workers to a command, by its host name: its processor, the models of the GPUs that they used,
    when it came, and for one that was lost when and why. `offered` are the worker-seconds of the search for which its
    workers were there, busy or not. One that the command began with has no time of coming."""

    name: str
    workers: int
    cpu: str | None = None
    gpus: tuple[str, ...] = ()
    joined: str | None = None
    left: str | None = None
    lost: str | None = None
    offered: float = 0.0

    @property
    def kind(self) -> str:
        """What decides how fast its workers train: the models of its GPUs or else the processor."""
        return kind_of(self.cpu, self.gpus)


def kind_of(cpu: str | None, gpus: Sequence[str]) -> str:
    """A machine as far as it decides how fast one of its workers trains, in words."""
    return " and ".join(sorted(set(gpus))) or cpu or "an unknown processor"


class Command(Part):
    """A command that worked on the study; `seconds` is what it took from the budget, `nodes` are the machines of its
    workers."""

    command: str
    start: str | None = None
    seconds: float = 0.0
    versions: dict[str, str] = Field(default_factory=dict)
    nodes: tuple[NodeSeen, ...] = ()


class Machine(Part):
    """Processor, cores and, where the study ran on one, the GPU."""

    cpu: str | None = None
    cores: int | None = None
    gpu: str | None = None

    def known(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class FamilySpent(Part):
    """What a family's trials took, in seconds; `searched_whole` is how many configurations a space has of which none is
    left. Where given trials are kept apart, they are charged here as `given_seconds` alone, without imported ones."""

    held_seconds: float
    training_seconds: float | None = None
    searched_whole: int | None = None
    given_seconds: float | None = None


class PlannedRuns(Frozen):
    """A family's candidates by trial number, and how many examples a run of each sees."""

    trials: tuple[int, ...]
    examples: tuple[int, ...]


class RetrainPlan(Part):
    """The plan of a retraining for a goal and these trials (their digest), so that one that was cut short goes on with
    it. `seconds` is the wall-clock of all runs; older studies noted neither trials nor numbers of seeds."""

    goal: Goal
    runs: dict[str, PlannedRuns]
    seconds: float | None = None
    trials: str | None = None
    retrain: RetrainSettings | None = None


class Ledger(BaseModel):
    """`ledger.json` of one search; that of a study's first search is the study's own. All times are seconds.

    `stages` has the wall-clock of every stage, `commands` what each command took from the budget, `reached` for which
    goal a stage is done. `allowance` is what a worker may hold trials of each family, `speeds` examples a second of a
    family, as measured for its ladder, `lent` what further searches leave to the first one for what was given. What a
    later version adds is kept.
    """

    model_config = ConfigDict(extra="allow")

    stages: dict[str, float] = Field(default_factory=dict)
    commands: list[Command] = Field(default_factory=list)
    spent: dict[str, FamilySpent] = Field(default_factory=dict)
    device: str | None = None
    precision: str | None = None
    workers: int | None = None
    machine: Machine | None = None
    goal: Goal | None = None
    n_searches: int = Field(default=1, ge=1)
    reached: dict[Reached, Goal] = Field(default_factory=dict)
    imported: tuple[str, ...] = ()
    speeds: dict[str, float] = Field(default_factory=dict)
    allowance: float | None = None
    lent: float = 0.0
    n_records: int | None = None
    utilisation: float | None = None
    plan: RetrainPlan | None = None
    failed_runs: dict[str, str] = Field(default_factory=dict)

    @property
    def budget(self) -> float | None:
        """Seconds of the whole study."""
        return None if self.goal is None else self.goal.budget

    @property
    def n_trials(self) -> int | None:
        """Trials asked of each family in each search."""
        return None if self.goal is None else self.goal.n_trials

    @property
    def used(self) -> float:
        """Seconds that all commands took from the budget."""
        return float(sum(command.seconds for command in self.commands))

    @property
    def nodes(self) -> Sequence[NodeSeen]:
        """Every machine of every command, in the order in which they came."""
        return [node for command in self.commands for node in command.nodes]

    @property
    def has_several_nodes(self) -> bool:
        return len({node.name for node in self.nodes}) > 1

    def stage_seconds(self, name: str) -> float:
        return self.stages.get(name, 0.0)

    def stage_seconds_now(self, name: str) -> float:
        """Those of the stage that is running included, which its total does not hold yet."""
        return self.stage_seconds(name)

    def searched_whole(self, family: str) -> int | None:
        """How many configurations a family's space has, if none of them is left."""
        return self.spent[family].searched_whole if family in self.spent else None

    def further_searches(self, files: StudyFiles) -> list[StudyFiles]:
        """Where the searches after the first are."""
        return files.repeats(self.n_searches)

    def has_reached(self, stage: Reached, goal: Goal | None) -> bool:
        """Whether a stage is done for this goal. Searching and retraining ask for what each search is to reach, the
        stages that read all searches also how many there are."""
        reached = self.reached.get(stage)
        if reached is None or goal is None:
            return False
        same_number = reached.n_searches == goal.n_searches or stage not in _OF_ALL_SEARCHES
        return same_number and reached.of_each_search() == goal.of_each_search()

    @model_validator(mode="before")
    @classmethod
    def _read_form_1(cls, data: Any) -> Any:
        return _from_form_1(data) if isinstance(data, Mapping) else data


def read_ledger(path: Path) -> Ledger:
    """The ledger of a study; an empty one where there is no file. ResultsError for one that is damaged."""
    if not path.is_file():
        return Ledger()
    return parse_ledger(read_json(path), path, "move it away, and `study doctor --repair` makes it again")


def parse_ledger(data: Any, path: Path, advice: str) -> Ledger:
    """A ledger of any form. ResultsError with the advice if it is none; `path` is the file that it is from."""
    try:
        return Ledger.model_validate(data)
    except ValidationError as error:
        cause = explain(error)
    except (KeyError, AttributeError, TypeError) as error:  # from a form 1 that is damaged
        cause = f"{type(error).__name__}: {error}"
    raise ResultsError(f"{path} holds a ledger of an unknown form: {cause}; {advice}")


def write_ledger(path: Path, ledger: Ledger) -> None:
    write_json(path, ledger.model_dump(mode="json"))


# --- form 1 --------------------------------------------------------------------------------------------------------

_RENAMED = {"repeats": "n_searches", "done": "reached", "families": "spent", "allowance_s": "allowance"}


def _from_form_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Today's form of a ledger in which a goal's `budget_s` was of one search and that beside it of the whole study."""
    found = {_RENAMED.get(key, key): value for key, value in data.items()}
    n, total, n_trials = found.get("n_searches", 1), found.pop("budget_s", None), found.pop("n_trials", None)
    if "goal" in found:
        found["goal"] = _whole(found["goal"], n)
    elif total is not None or n_trials is not None:
        found["goal"] = {"budget": total, "n_trials": n_trials, "n_searches": n}
    # A stage that reads all searches says how many there were, but for one.
    found["reached"] = {
        stage: _whole(goal, 1 if stage in _OF_ALL_SEARCHES else n) for stage, goal in found.get("reached", {}).items()
    }
    found["spent"] = {family: _spent(row) for family, row in found.get("spent", {}).items()}
    plan = found.get("plan")
    if isinstance(plan, Mapping):
        # The first versions had one length for all runs of a family: a plan to go on with, and nothing else needs it.
        is_whole = all("examples" in runs for runs in plan["runs"].values())
        found["plan"] = {**plan, "goal": _whole(plan["goal"], n)} if is_whole else None
    return found


def _whole(goal: Any, n_searches: int) -> Any:
    """A goal of one search as the goal of the study that has it in each of its searches."""
    if not isinstance(goal, Mapping) or "budget_s" not in goal:
        return goal
    share, n = goal["budget_s"], goal.get("repeats", n_searches)
    about = {key: goal.get(key) for key in ("n_trials", "families")}
    return {**about, "budget": None if share is None else share * n, "n_searches": n}


def _spent(row: Any) -> Any:
    if not isinstance(row, Mapping) or "spent_s" not in row:
        return row
    return {
        "held_seconds": row["spent_s"],
        "training_seconds": row.get("training_s"),
        "searched_whole": row.get("searched_whole"),
    }
