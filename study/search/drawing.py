"""Drawing proposals in a process beside the driver, where trials end faster than one process can do all about them.

It knows each family's trials as the driver's own history does: with each order comes what has become of them since the
last one.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from study.execution.processes import start_process
from study.interrupts import FOR_THE_DRIVER
from study.records.settings import SamplerName
from study.search.draft import Drawn, drawn
from study.search.history import History
from study.search.samplers import make_given_sampler, make_sampler
from study.search.storage import quiet_experimental
from study.space.parameters import Scalar, SearchSpace


@dataclass(frozen=True)
class Change:
    """What has become of the trial with this number in memory. Its parameters come once, and not at all where it was
    drawn here, as `draw`."""

    number: int
    state: TrialState
    value: float | None
    reports: Mapping[int, float]
    draw: int | None = None
    parameters: Mapping[str, Any] | None = None
    distributions: Mapping[str, BaseDistribution] | None = None


@dataclass(frozen=True)
class Wish:
    """A proposal to be drawn: what it keeps of one of the best trials, and nothing where the sampler draws all."""

    draw: int
    kept: Mapping[str, Scalar]


@dataclass(frozen=True)
class Order:
    """What has become of a family's trials, and what is to be drawn then."""

    family: str
    changes: tuple[Change, ...]
    wishes: tuple[Wish, ...]


@dataclass(frozen=True)
class Terms:
    """What all proposals of a search have in common."""

    seed: int
    sampler: SamplerName
    window: int | None
    spaces: Mapping[str, SearchSpace]


class Drawing:
    """All families' proposals."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._families = {name: _Family(space) for name, space in terms.spaces.items()}

    def fill(self, order: Order) -> list[Drawn]:
        """What was ordered: everything that the sampler draws alone, at once from what is known now."""
        family, terms = self._families[order.family], self._terms
        for change in order.changes:
            family.note(change)
        family.history.update(family.study, len(family.trials))
        family.history.plan_ahead(sum(1 for wish in order.wishes if not wish.kept))
        with quiet_experimental():
            return [self._drawn(family, order.family, wish, terms) for wish in order.wishes]

    @staticmethod
    def _drawn(family: _Family, name: str, wish: Wish, terms: Terms) -> Drawn:
        if wish.kept:
            sampler = make_given_sampler(terms.seed, name, wish.draw)
        else:
            sampler = make_sampler(terms.sampler, terms.seed, name, wish.draw, family.history, terms.window)
        one = drawn(wish.draw, family.space, family.study, sampler, wish.kept)
        family.keep(one)
        return one


class _Family:
    def __init__(self, space: SearchSpace) -> None:
        storage = _Trials()
        self.space = space
        self.trials = storage.trials
        self.study = optuna.create_study(storage=storage, direction="maximize")
        self.history = History()
        self._drawn: dict[int, tuple[Drawn, Mapping[str, Any]]] = {}  # with what was drawn jointly for it

    def keep(self, one: Drawn) -> None:
        """Until the trial of this draw begins."""
        self._drawn[one.draw] = one, self.history.joint.pop(len(self.trials), {})

    def note(self, change: Change) -> None:
        parameters, distributions = change.parameters, change.distributions
        if change.draw is not None:
            one, self.history.joint[change.number] = self._drawn.pop(change.draw)
            parameters, distributions = one.parameters, one.distributions
        elif parameters is None:
            before = self.trials[change.number]
            parameters, distributions = before.params, before.distributions
        now = FrozenTrial(
            number=change.number,
            trial_id=change.number,
            state=change.state,
            value=change.value,
            datetime_start=datetime.min,
            datetime_complete=None,
            params=dict(parameters),
            distributions=dict(distributions or {}),
            user_attrs={},
            system_attrs={},
            intermediate_values=dict(change.reports),
        )
        self.trials[change.number : change.number + 1] = [now]


class _Trials(InMemoryStorage):
    """A study's trials, which are put there from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.trials: list[FrozenTrial] = []

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        return [trial for trial in self.trials if states is None or trial.state in states]


# --- the process -----------------------------------------------------------------------------------------------------


def start_drawing(terms: Terms) -> Connection:
    """Begin to draw in a process of its own. Send it lists of orders, one at a time; it answers each with a list of
    lists, and ends when this end is closed."""
    ours, theirs = multiprocessing.Pipe()
    start_process(_process, (theirs, terms), "drawing")
    theirs.close()
    return ours


def _process(connection: Connection, terms: Terms) -> None:
    for ignored in FOR_THE_DRIVER:
        signal.signal(ignored, signal.SIG_IGN)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawing = Drawing(terms)
    try:
        while True:
            connection.send_bytes(answer(drawing, connection.recv_bytes()))
    except (EOFError, OSError):  # the driver has ended, or needs it no more
        return


def answer(drawing: Drawing, orders: bytes) -> bytes:
    """The answer to a message."""
    wanted: Sequence[Order] = pickle.loads(orders)
    return pickle.dumps([drawing.fill(order) for order in wanted])
