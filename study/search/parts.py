"""The families' searches as a study's records leave them, and beside each what is given to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optuna.storages import RDBStorage

from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Trials
from study.search.agreement import is_given, reconcile
from study.search.family import FamilySearch, Kind, Proposal, owed
from study.search.given import given_to
from study.search.identity import owner_of
from study.search.mirror import Mirror
from study.search.pruners import make_pruner
from study.search.storage import open_study, sweep
from study.search.tables import stored_trials
from study.search.tried import Tried
from study.seeds import derive_seed
from study.space.grammar import parse_space
from study.space.parameters import SearchSpace


def open_parts(
    files: StudyFiles, settings: StudySettings, storage: RDBStorage, mirror: Mirror, records: Trials
) -> list[FamilySearch]:
    """Each family's search with what is owed to it, and where the study keeps these apart, what was given to it and
    what was proposed to it."""
    spaces = {name: parse_space(family.space, family.space_file) for name, family in settings.families.items()}
    # The same number for every family: the one whose space offers fewest decides.
    n_warm = min([settings.warm_starts, *(len(space.warm_starts) for space in spaces.values())])
    opening = _Opening(files, settings, storage, mirror, records, n_warm)
    return [part for name, space in spaces.items() for part in opening.parts(name, space)]


@dataclass(frozen=True)
class _Opening:
    files: StudyFiles
    settings: StudySettings
    storage: RDBStorage
    mirror: Mirror
    records: Trials
    n_warm: int

    def parts(self, name: str, space: SearchSpace) -> Iterator[FamilySearch]:
        settings, family, apart = self.settings, self.settings.families[name], self.settings.given == "apart"
        stored = open_study(self.storage, f"{settings.name}/{name}", "accuracy", "maximize", owner_of(settings))
        sweep(self.storage, stored)
        trials = stored_trials(self.storage, stored._study_id)
        ours = reconcile(trials, name, self.records, self.files, settings.format_version)
        hidden = {trial.number for trial in trials if is_given(trial)} if apart else set()
        study = self.mirror.open(stored, trials, hidden)
        study.pruner = make_pruner(settings.pruner, family.ladder)
        own = ours.found if apart else ours
        tried = Tried(space, derive_seed(settings.seed, name, 0, "grid"), own)
        search = FamilySearch(name, space, family, study, stored, list(own), tried)
        # What is given is trained once per study, not in each of its searches.
        given = [] if settings.repeat_of else given_to(settings, space, self.n_warm)
        search.proposals.extend(owed(own, [] if apart else given))
        yield search
        if not apart:
            return
        beside = self.mirror.open_beside(study)
        proposed = Trials(trial for trial in ours.given if trial.role == "proposed")
        before = Trials(trial for trial in ours.given if trial.role != "proposed")
        parts: list[tuple[Kind, Trials, list[Proposal]]] = [("given", before, given), ("proposed", proposed, [])]
        for kind, known, due in parts:
            tried = Tried(space, 0, known)
            part = FamilySearch(name, space, family, beside, stored, list(known), tried, kind=kind)
            part.proposals.extend(owed(known, due))
            yield part
