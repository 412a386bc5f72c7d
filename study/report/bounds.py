"""How far a family's numbers can go at all, whatever a search space asks for: advice must not send a search beyond."""

from __future__ import annotations

from collections.abc import Mapping

from study.records.settings import FamilySettings, Limit


def limits_of(family: str, settings: FamilySettings) -> Mapping[str, Limit]:
    """The limits that the study recorded of a family, by key; of an older study, which recorded none, those of the
    family as it is here today, and none of a family that is not here. Only that loads torch."""
    if settings.limits:
        return settings.limits
    from study.models import FAMILIES
    from study.training import config

    return config.limits_of(family) if family in FAMILIES else {}


def limit_of(parameter: str, limits: Mapping[str, Limit]) -> Limit:
    """Of an Optuna name, which may have a branch in brackets and a place in a list behind the configuration's key."""
    return limits.get(parameter.partition("[")[0].partition(".")[0], Limit())
