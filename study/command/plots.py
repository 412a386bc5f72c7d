"""The dashboard's plots of every parameter against every other, kept to a number that can be drawn and looked at.

Optuna draws a panel for each pair: 24 parameters make 576, for which the server computes for over a minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from study.command.guard import Application, Start

MOST = 5  # parameters: 25 panels, a second
_SQUARE = re.compile(r"/api/studies/(\d+)/plot/(contour|rank)")


def with_few_panels(app: Application, storage: BaseStorage) -> Application:
    """`app`, whose contour and rank plots show the parameters that most trials have and vary most, at most `MOST`."""

    def answered(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        asked = _SQUARE.fullmatch(environ["PATH_INFO"])
        known = [] if asked is None else _parameters(storage, int(asked[1]))
        if asked is None or len(known) <= MOST:
            return app(environ, start_response)
        body = _drawn(storage, int(asked[1]), asked[2], known).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answered


def _parameters(storage: BaseStorage, study_id: int) -> list[str]:
    """Of the completed trials, those that most of them have first, then those with the most values."""
    try:
        trials = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
    except KeyError:  # no such study
        return []
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    values = {name: [trial.params[name] for trial in trials if name in trial.params] for name in names}
    return sorted(names, key=lambda name: (-len(values[name]), -len(set(values[name])), name))


def _drawn(storage: BaseStorage, study_id: int, kind: str, known: list[str]) -> str:
    study = optuna.load_study(study_name=storage.get_study_name_from_id(study_id), storage=storage)
    draw = optuna.visualization.plot_contour if kind == "contour" else optuna.visualization.plot_rank
    figure = draw(study, params=known[:MOST], target_name="Objective Value")
    figure.update_layout(title=f"{MOST} of {len(known)} parameters: those that most trials have, and that vary most")
    return str(figure.to_json())
