"""What a family's next trial is: given, near one of the best, foretold by what was seen, or drawn by the sampler."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.samplers import BaseSampler

from study.records.settings import N_STARTUP_TRIALS, StudySettings
from study.search.draft import Drawn, drawn
from study.search.family import FamilySearch, Proposal
from study.search.samplers import make_given_sampler, make_sampler
from study.search.storage import quiet_experimental
from study.search.surrogate import Surrogate
from study.seeds import derive_seed
from study.space.parameters import Scalar


class Chooser:
    """For all families of a study."""

    def __init__(self, settings: StudySettings) -> None:
        self._settings = settings
        self._surrogates: dict[str, Surrogate] = {}

    def choose(self, family: FamilySearch, proposal: Proposal, draw: int, *, in_haste: bool) -> Drawn:
        """What is proposed and, for the rest, what the sampler draws. Where it draws of a small space what was tried
        before, the nearest configuration that was not takes its place. `in_haste` nothing is foretold."""
        given: Mapping[str, Scalar] = proposal.parameters
        if family.is_given:
            return self._completed(family, draw, given)
        if self._settings.sampler == "grid" and not given:
            given = family.tried.next(family.in_flight)
        if given:
            return self._drawn(family, draw, given)
        kept = self.neighbour(family, draw) if in_haste else self._foretold(family, draw)
        one = self._completed(family, draw, kept) if kept else self._drawn(family, draw, {})
        if family.tried.n_points is None or family.tried.is_left(one.config, family.in_flight):
            return one
        return self._drawn(family, draw, family.tried.next(family.in_flight, like=one.parameters))

    def neighbour(self, family: FamilySearch, draw: int) -> Mapping[str, Scalar]:
        """What every other proposal keeps of one of the best trials, once the first ones were drawn at random."""
        return self._beside(family, draw) if self._settings.neighbours and draw % 2 else {}

    def _foretold(self, family: FamilySearch, draw: int) -> Mapping[str, Scalar]:
        """The same where every other proposal is the surrogate's: then every fourth is near one of the best."""
        if not self._settings.surrogate:
            return self.neighbour(family, draw)
        if draw % 2 == 0:
            return self._beside(family, draw) if self._settings.neighbours and draw % 4 else {}
        if family.counted < N_STARTUP_TRIALS:
            return {}
        if family.name not in self._surrogates:
            self._surrogates[family.name] = Surrogate(family.space, len(family.settings.ladder.examples))
        flying = [flight.proposal.parameters for flight in family.flights.values() if flight.ended is None]
        seed = derive_seed(self._settings.seed, family.name, draw, "surrogate")
        return self._surrogates[family.name].proposal(family.records, flying, seed)

    def _beside(self, family: FamilySearch, draw: int) -> Mapping[str, Scalar]:
        if family.counted < N_STARTUP_TRIALS:
            return {}
        seed = derive_seed(self._settings.seed, family.name, draw, "neighbour")
        return family.leaders.neighbour(seed, len(family.flights))

    def _completed(self, family: FamilySearch, draw: int, kept: Mapping[str, Scalar]) -> Drawn:
        """What is left open is drawn at random, whatever the search does."""
        sampler = make_given_sampler(self._settings.seed, family.name, draw)
        return drawn(draw, family.space, family.study, sampler, kept)

    def _drawn(self, family: FamilySearch, draw: int, kept: Mapping[str, Scalar]) -> Drawn:
        return drawn(draw, family.space, family.study, self._sampler(family, draw), kept)

    def _sampler(self, family: FamilySearch, draw: int) -> BaseSampler:
        settings = self._settings
        with quiet_experimental():
            return make_sampler(
                settings.sampler, settings.seed, family.name, draw, family.history, settings.sampler_window
            )
