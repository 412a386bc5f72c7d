"""Proposals that a process beside the driver has drawn ahead, where the driver is what its workers wait for."""

from __future__ import annotations

import contextlib
import pickle
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from optuna.trial import FrozenTrial

from study.records.settings import StudySettings
from study.search.draft import Drawn
from study.search.drawing import Change, Order, Terms, Wish
from study.search.family import FamilySearch
from study.space.parameters import Scalar

_IN_STOCK = 4  # one proposal for so many trials in flight
_FEWEST = 4
_BUSY_SECONDS = 3.0
_WAITED = 0.3  # of the time: whoever waits less is busy

Keep = Callable[[FamilySearch, int], Mapping[str, Scalar]]


class Pace:
    """Whether the driver has hardly waited of late."""

    def __init__(self, now: float) -> None:
        self._since, self._waited = now, 0.0
        self.was_busy = False  # in the last seconds that were looked at

    def is_busy(self, now: float, waited: float) -> bool:
        """Take note of `waited` seconds more; whether the last seconds were busy ones, where enough have gone by."""
        self._waited += waited
        if now - self._since < _BUSY_SECONDS:
            return False
        self.was_busy = self._waited < _WAITED * (now - self._since)
        self._since, self._waited = now, 0.0
        return self.was_busy


@dataclass
class _Stock:
    """A family's proposals at hand, and what the other side knows of its trials."""

    drawn: deque[Drawn] = field(default_factory=deque)
    n_known: int = 0
    unfinished: set[int] = field(default_factory=set)  # numbers of the known trials that had not ended
    begun: dict[int, int] = field(default_factory=dict)  # draws of proposals that were taken, by the trial's number


class Ahead:
    """What is ordered is drawn of what is known then: a proposal misses at most a quarter as many trials as are in
    flight, whose ends it misses anyway. `keep` is asked what a draw keeps of one of the best trials."""

    def __init__(self, connection: Connection, keep: Keep) -> None:
        self._is_there = True
        self._connection = connection
        self._keep = keep
        self._stocks: dict[str, _Stock] = {}
        self._ordered: list[str] = []  # families of the orders that are not answered

    @staticmethod
    def terms(settings: StudySettings, families: Mapping[str, FamilySearch]) -> Terms:
        """What the other side is to know from the beginning."""
        spaces = {name: family.space for name, family in families.items()}
        return Terms(settings.seed, settings.sampler, settings.sampler_window, spaces)

    def take(self, family: FamilySearch) -> Drawn | None:
        """The family's next proposal, if there is one, for the trial that begins now."""
        stock = self._stock(family)
        if not stock.drawn:
            return None
        one = stock.drawn.popleft()
        stock.begun[len(family.study.get_trials(deepcopy=False))] = one.draw
        return one

    def look(self, families: Mapping[str, FamilySearch]) -> None:
        """Take what was drawn, and order more of what runs short. Where the process has ended nothing comes any more:
        the driver draws by itself again."""
        if not self._is_there:
            return
        try:
            if self._ordered and not self._connection.poll():
                return
            if self._ordered:
                for name, drawn in zip(self._ordered, pickle.loads(self._connection.recv_bytes()), strict=True):
                    self._stocks[name].drawn.extend(drawn)
            orders = [order for family in families.values() if (order := self._order(family)) is not None]
            self._ordered = [order.family for order in orders]
            if orders:
                self._connection.send_bytes(pickle.dumps(orders))
        except (EOFError, OSError):
            self.close()

    def _stock(self, family: FamilySearch) -> _Stock:
        return self._stocks.setdefault(family.name, _Stock())

    def _order(self, family: FamilySearch) -> Order | None:
        stock, wanted = self._stock(family), max(_FEWEST, len(family.flights) // _IN_STOCK)
        if not family.may_be_drawn_ahead or len(stock.drawn) > wanted // 2:
            return None
        first = family.next_draw
        family.next_draw += wanted - len(stock.drawn)
        wishes = (Wish(draw, self._keep(family, draw)) for draw in range(first, family.next_draw))
        return Order(family.name, self._changes(family, stock), tuple(wishes))

    @staticmethod
    def _changes(family: FamilySearch, stock: _Stock) -> tuple[Change, ...]:
        """What has become of its trials since the last order."""
        trials = family.study.get_trials(deepcopy=False)
        old = [_ended(trials[number]) for number in stock.unfinished if trials[number].state.is_finished()]
        new = [_begun(trial, stock.begun.pop(trial.number, None)) for trial in trials[stock.n_known :]]
        stock.n_known = len(trials)
        stock.unfinished -= {change.number for change in old}
        stock.unfinished |= {change.number for change in new if not change.state.is_finished()}
        return (*old, *new)

    def close(self) -> None:
        """Let the process end."""
        self._is_there = False
        with contextlib.suppress(OSError):
            self._connection.close()


def _ended(trial: FrozenTrial) -> Change:
    return Change(trial.number, trial.state, trial.value, trial.intermediate_values)


def _begun(trial: FrozenTrial, draw: int | None) -> Change:
    """Its parameters are known on the other side, if they were drawn there."""
    of_its_own = (None, None) if draw is not None else (trial.params, trial.distributions)
    return Change(trial.number, trial.state, trial.value, trial.intermediate_values, draw, *of_its_own)
