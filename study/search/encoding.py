"""A space's configurations as rows of numbers, all at once: for changing many of them, and for what a kernel compares.

A row has a number from 0 to 1 for every parameter, and for each repeat of a repeated one, whether the configuration
has it or not; those that it has not are of no account.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from study.space.parameters import Parameter, Scalar, SearchSpace, is_in

Rows: TypeAlias = NDArray[np.float64]  # [configurations, slots]
Active: TypeAlias = NDArray[np.bool_]  # [configurations, slots]

_SHIFTS = (0.1, 0.3, math.inf)  # of its range, by which a number is moved; or it is drawn anew


class _Slot(NamedTuple):
    parameter: Parameter
    name: str  # Optuna's
    repeat: int


class Encoding:
    """Between parameters by Optuna's names and rows of one space."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._by_key: dict[str, list[Parameter]] = {}
        for one in space.parameters:
            self._by_key.setdefault(one.key, []).append(one)
        self._slots = [
            _Slot(one, f"{one.name}.{place}" if one.repeat else one.name, place)
            for one in space.parameters
            for place in range(self._most_repeats(one))
        ]
        self._at = {slot.name: place for place, slot in enumerate(self._slots)}
        self._of = {
            one.name: [place for place, slot in enumerate(self._slots) if slot.parameter is one]
            for one in space.parameters
        }
        self._n_choices = np.array([len(slot.parameter.choices) for slot in self._slots])  # 0 of a number

    def _most_repeats(self, one: Parameter) -> int:
        if one.repeat is None:
            return 1
        most = [parent.high for parent in self._by_key.get(one.repeat, [])]
        return int(max(most, default=self._space.fixed.get(one.repeat, 0)))

    @property
    def n_slots(self) -> int:
        return len(self._slots)

    def rows(self, parameters: Sequence[Mapping[str, Scalar]], rng: np.random.Generator) -> Rows:
        """A row of each; what it does not have is drawn."""
        rows = rng.random((len(parameters), self.n_slots))
        for row, values in zip(rows, parameters, strict=True):
            for name, value in values.items():
                if name in self._at:
                    row[self._at[name]] = _place(self._slots[self._at[name]].parameter, value)
        return rows

    def parameters(self, row: NDArray[np.float64]) -> dict[str, Scalar]:
        """What a row's configuration has, by Optuna's names."""
        has = self.active(row[None])[0]
        return {slot.name: self._value(row, place) for place, slot in enumerate(self._slots) if has[place]}

    def _value(self, row: NDArray[np.float64], place: int) -> Scalar:
        one = self._slots[place].parameter
        if one.kind == "categorical":
            chosen: Scalar = one.choices[self._choices(row[None], place)[0]]
            return chosen
        value = self._values(row[None], place)[0]
        return int(value) if one.kind == "int" else float(value)

    def active(self, rows: Rows) -> Active:
        """Which slots each configuration has."""
        found = np.zeros(rows.shape, bool)
        for one in self._space.parameters:
            has = np.ones(len(rows), bool)
            for key, values in one.when:
                has &= self._has_one_of(rows, found, key, values)
            count = self._numbers(rows, found, one.repeat) if one.repeat else np.ones(len(rows))
            for place in self._of[one.name]:
                found[:, place] = has & (self._slots[place].repeat < count)
        return found

    def _has_one_of(self, rows: Rows, active: Active, key: str, values: tuple[Scalar, ...]) -> NDArray[np.bool_]:
        has = np.full(len(rows), is_in(self._space.fixed.get(key), values))
        for parent in self._by_key.get(key, []):
            place = self._of[parent.name][0]
            if parent.kind == "categorical":
                fits = np.array([is_in(choice, values) for choice in parent.choices])
                has |= active[:, place] & fits[self._choices(rows, place)]
            else:
                numbers = [value for value in values if type(value) in (int, float)]
                has |= active[:, place] & np.isin(self._values(rows, place), numbers)
        return has

    def _numbers(self, rows: Rows, active: Active, key: str) -> NDArray[np.float64]:
        """What each configuration has under a key, as a number."""
        found = np.full(len(rows), float(self._space.fixed.get(key, 0)))
        for parent in self._by_key.get(key, []):
            place = self._of[parent.name][0]
            found = np.where(active[:, place], self._values(rows, place), found)
        return found

    def _values(self, rows: Rows, place: int) -> NDArray[np.float64]:
        """What the places of a slot in its range stand for."""
        one = self._slots[place].parameter
        low, high = _ends(one)
        at = low + rows[:, place] * (high - low)
        at = np.exp(at) if one.log else at
        if one.step is not None:
            at = one.low + one.step * np.round((at - one.low) / one.step)
        return np.clip(np.round(at) if one.kind == "int" else at, one.low, one.high)

    def _choices(self, rows: Rows, place: int) -> NDArray[np.int64]:
        n = self._n_choices[place]
        chosen: NDArray[np.int64] = np.minimum((rows[:, place] * n).astype(np.int64), n - 1)
        return chosen

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """[columns] of which key each column of `seen` is."""
        return self._seen(np.full((1, self.n_slots), 0.5))[1]

    def seen(self, rows: Rows) -> NDArray[np.float64]:
        """[configurations, columns] whose squared differences, added up by key, are how far two configurations lie
        apart: 1 where their choices differ, that of two numbers in their ranges, whichever range they are from, half or
        a quarter and more where only one has a choice or a number. Of a repeated number the first, the last and the
        mean are seen, of a repeated choice how often it is taken."""
        return self._seen(rows)[0]

    def _seen(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        active = self.active(rows)
        columns: list[NDArray[np.float64]] = []
        groups: list[int] = []
        for group, ones in enumerate(self._by_key.values()):
            numbers: dict[int, list[NDArray[np.float64]]] = {}  # no configuration has two ranges of one key
            for one in ones:
                places = self._of[one.name]
                if one.kind == "categorical":
                    choices = self._choices_seen(rows, active, places)
                    columns += choices
                    groups += [group] * len(choices)
                    continue
                if one.repeat:
                    mine = _repeats_seen(rows[:, places], active[:, places])
                else:
                    has = active[:, places[0]].astype(np.float64)
                    mine = [has * (rows[:, places[0]] - 0.5), 0.5 * has]
                known = numbers.get(len(mine), [np.zeros(len(rows)) for _ in mine])
                numbers[len(mine)] = [column + more for column, more in zip(known, mine, strict=True)]
            for found in numbers.values():
                columns += found
                groups += [group] * len(found)
        return np.stack(columns, axis=1), np.array(groups)

    def _choices_seen(self, rows: Rows, active: Active, places: list[int]) -> list[NDArray[np.float64]]:
        """How large a share of the repeats has each choice."""
        has, chosen = active[:, places], np.stack([self._choices(rows, place) for place in places], axis=1)
        scale = math.sqrt(0.5) / np.maximum(has.sum(axis=1), 1)
        return [scale * (has & (chosen == n)).sum(axis=1) for n in range(self._n_choices[places[0]])]

    def changed(self, rows: Rows, counts: NDArray[np.int64], rng: np.random.Generator) -> Rows:
        """The rows with so many slots of each changed, of those that its configuration has: a choice is another one, a
        number is moved or drawn anew."""
        active = self.active(rows)
        rank = np.where(active, rng.random(rows.shape), 2.0).argsort(axis=1).argsort(axis=1)
        is_hit = active & (rank < counts[:, None])
        fresh, shift = rng.random(rows.shape), rng.choice(_SHIFTS, len(rows))[:, None]
        near = np.where(np.isinf(shift), 0.0, shift) * rng.standard_normal(rows.shape)
        moved = np.where(np.isinf(shift), fresh, np.clip(rows + near, 0.0, 1.0))
        n = np.maximum(self._n_choices, 1)
        now = np.minimum((rows * n).astype(int), n - 1)
        other = (now + 1 + (fresh * (n - 1)).astype(int)) % n
        return np.where(is_hit, np.where(self._n_choices > 0, (other + 0.5) / n, moved), rows)


def _repeats_seen(rows: Rows, active: Active) -> list[NDArray[np.float64]]:
    count = active.sum(axis=1)
    has, last = (count > 0).astype(np.float64), np.maximum(count - 1, 0)
    three = rows[:, 0], rows[np.arange(len(rows)), last], (rows * active).sum(axis=1) / np.maximum(count, 1)
    return [*(has * (one - 0.5) / math.sqrt(3) for one in three), 0.5 * has]


def _ends(one: Parameter) -> tuple[float, float]:
    low, high = float(one.low), float(one.high)
    return (math.log(low), math.log(high)) if one.log else (low, high)


def _place(one: Parameter, value: Scalar) -> float:
    """Where a value lies in its range; in the middle of its share, if it is a choice."""
    if one.kind == "categorical":
        chosen = next(n for n, choice in enumerate(one.choices) if is_in(value, (choice,)))
        return (chosen + 0.5) / len(one.choices)
    low, high = _ends(one)
    at = math.log(float(value)) if one.log else float(value)
    return (at - low) / (high - low) if high > low else 0.5
