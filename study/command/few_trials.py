"""The trials of a study as the dashboard reads them: from the tables at once, and no more than a page can show."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from study.search.tables import stored_trials

# Of ten thousand trials Optuna's own reading took 19 s of a core and their page was 92 MB; these take 3 and 14 MB.
MOST_BEST, MOST_OTHERS = 500, 1_000


class FewTrials(_CachedStorage):
    """Optuna's cache over a database, filled faster. Of a study with many trials whose name it `thins` it shows the
    best, those that failed and some of the others, evenly; all that come after it was first read are shown."""

    def __init__(self, backend: RDBStorage, thins: Callable[[str], bool] = lambda _: True) -> None:
        super().__init__(backend)
        self._thins = thins
        self._left_out: dict[int, frozenset[int]] = {}  # numbers of trials, by study

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if study_id not in self._left_out:
            self._left_out[study_id] = self._read(study_id)
        trials = super().get_all_trials(study_id, deepcopy, states)
        left_out = self._left_out[study_id]
        return [trial for trial in trials if trial.number not in left_out] if left_out else trials

    def _read(self, study_id: int) -> frozenset[int]:
        directions = self._backend.get_study_directions(study_id)
        if len(directions) > 1:  # somebody else's: one value of a trial is read here
            return frozenset()
        trials = stored_trials(self._backend, study_id)
        with self._lock:
            study = self._studies.setdefault(study_id, _StudyInfo())
            self._add_trials_to_cache(study_id, trials)
            study.unfinished_trial_ids |= {trial._trial_id for trial in trials if not trial.state.is_finished()}
            study.last_finished_trial_id = max(
                (trial._trial_id for trial in trials if trial.state.is_finished()), default=-1
            )
        if not trials or not self._thins(self._backend.get_study_name_from_id(study_id)):
            return frozenset()
        return not_shown(trials, directions)

    def remark(self, study_id: int) -> str:
        """What is not shown, as a paragraph; empty where all is."""
        n = len(self._left_out.get(study_id, ()))
        if not n:
            return ""
        return (
            f"{n:,} trials are not shown here, nor in its CSV: of those beyond the best {MOST_BEST} an even part is. "
            "`trials.csv` has all.\n\n"
        )


def not_shown(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> frozenset[int]:
    """Numbers of the trials that are left out: all but the best ones, those that failed, an even part of the others,
    and those that have not ended."""
    sign = -1.0 if directions[0] == StudyDirection.MAXIMIZE else 1.0
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: sign * (trial.value or 0.0))[:MOST_BEST]
    kept = {trial.number for trial in best}
    told = (TrialState.COMPLETE, TrialState.PRUNED)
    others = [trial.number for trial in trials if trial.number not in kept and trial.state in told]
    step = -(-len(others) // MOST_OTHERS)
    return frozenset(others) - frozenset(others[::step]) if step > 1 else frozenset()
