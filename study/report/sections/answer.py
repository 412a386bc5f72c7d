"""The answer in brief: verdict, fate of the best trial, caveats. A validation number is never called an accuracy of a
finalist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from study.records.trial import Role
from study.report import added, budget, first_screen, repeated, shipped
from study.report.added import Added
from study.report.best import TrialSummary, summary
from study.report.charts import Chart
from study.report.first_screen import FirstScreen
from study.report.judged import Turned, of_sides, verdict
from study.report.reading import Stage, StudyRecords
from study.report.section import Report
from study.report.sections import header, leaderboard, pairwise, searches
from study.report.sections.leaderboard import Finalist
from study.report.sections.pairwise import FinalistPair
from study.report.wording import count, interval, listing, percent, points
from study.statistics.logits import accuracy
from study.statistics.result import OPTIONAL, PAGE_ONLY, Result


@dataclass(frozen=True, slots=True)
class BestTrial(Result):
    """The trial that led the search over all families, and what became of it: the mean of its fresh seeds, and its
    family's finalist. `images` is from how many of the training part it learned, None of all."""

    number: int
    family: str
    accuracy: float
    role: Role
    fresh_accuracy: float | None
    fresh_seeds: int
    finalist: int | None
    finalist_accuracy: float | None
    best_sampled: TrialSummary | None
    images: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class Answer(Result):
    """`winner` is what validation chose, with its row if it was read on the test split; `runner_up` the best other one
    there, and `pair` the two: of several searches these are the first one's. `contradicted` where another one than
    validation chose, of several searches another family, has the highest mean there. `seconds` are wall-clock."""

    stage: Stage
    opened: int
    winner: str | None
    winner_row: Finalist | None
    runner_up: Finalist | None
    pair: Turned[FinalistPair] | None
    contradicted: bool
    best_trial: BestTrial | None
    seconds: float | None
    search_seconds: float
    trials: int
    best_trial_sentence: str | None
    shipped_sentence: str | None
    caveats: tuple[str, ...]
    first: FirstScreen
    added: tuple[Added, ...]
    added_in_brief: str | None = field(metadata=PAGE_ONLY)
    added_note: str | None = field(metadata=PAGE_ONLY)


def numbers(study: StudyRecords, before: Report) -> Answer:
    winner, tested = study.finalists.winner, before[leaderboard].tested
    mine = next((row for row in tested if row.family == winner), None)
    second = next((row for row in tested if row.family != winner), None) if mine else None
    pair = of_sides(before[pairwise].pairs, mine.family, second.family) if mine and second else None
    behind = (mine, second) if mine and second and _mean(second) > _mean(mine) else None
    led, several = _best_trial(study), before[searches]
    return Answer(
        stage=study.stage,
        opened=len(study.openings),
        winner=winner,
        winner_row=mine,
        runner_up=second,
        pair=pair,
        contradicted=bool(behind if several is None else several.contradicted),
        best_trial=led,
        seconds=study.active_seconds,
        search_seconds=study.settings.of_search(study.records).held_seconds,
        trials=len(study.counted),
        best_trial_sentence=fate(led, study.stage, "search 1" if study.n_searches > 1 else "the search")
        if led
        else None,
        shipped_sentence=_shipped(study, before),
        # Of several searches the finding itself says so, of the families.
        caveats=tuple(_caveats(before, behind if several is None else None)),
        first=before[first_screen],
        added=before[added],
        added_in_brief=added.in_brief(before[added]),
        added_note=added.note(before[added], None if study.groups is None else len(study.groups)),
    )


def _shipped(study: StudyRecords, before: Report) -> str | None:
    """Which network `study predict` uses, and what it reads, where that is none of those that are compared or reads in
    another way."""
    source, ships = study.shipping
    read, where = before[leaderboard].shipped, before.section("leaderboard")
    staged = _after_last_stage(before[leaderboard].stage, read, where)
    if ships is None or not ships.choice.given:
        return staged or _with_shifts(read, where)
    chosen = ships.choice
    result = source.finalists.of(chosen.family)
    candidate = result.candidate(chosen.trial)
    assert candidate is not None  # validation chose it
    title = f"{chosen.family} #{chosen.trial}{study.of_search(source)}"
    text = f"{title}, which was given to the study: {percent(candidate.mean_accuracy)} on validation"
    logits = (source.candidate_logits | source.test_logits).get(chosen.run)
    if logits is not None and study.test_labels is not None:
        text += f", {percent(accuracy(logits, study.test_labels))} on the test split"
    best = _best_found(study)
    text += f"; the best that a search found has {percent(best)} on validation." if best else "."
    return f"{text} The shipped network is {staged}" if staged else text


def _after_last_stage(stage: shipped.Stage | None, read: shipped.Shipped | None, where: str) -> str | None:
    if stage is None or not stage.ships or stage.judged is None:
        return None
    text = f"{stage.name} on pictures by other hands, too. It reads "
    if read is not None:
        text += f"{_right(read)} of the test images right and "
    text += f"{percent(stage.judged.corrupted_after, 0)} of corrupted validation images, "
    text += f"{percent(stage.judged.corrupted_before, 0)} before"
    if stage.difference is None:
        return f"{text}."
    return f"{text}; on the test split that makes {points(stage.difference.mean, signed=True)} ({where})."


def _with_shifts(read: shipped.Shipped | None, where: str) -> str | None:
    if read is None or read.difference is None:
        return None
    made = f"{points(read.difference.mean, signed=True)}, {read.passes:.1f} passes an image; {where}"
    return f"{read.run}, which reads {_right(read)} of the test images right, unsure ones with shifts ({made})."


def _right(read: shipped.Shipped) -> str:
    return f"{percent(read.accuracy)} (95 % interval {interval(read.interval95)})"


def _best_found(study: StudyRecords) -> float | None:
    """The highest validation mean of a finalist."""
    finalists = (result.chosen for one in study.searches.values() for result in one.finalists.families.values())
    return max((one.mean_accuracy for one in finalists if one is not None and not one.given), default=None)


def _mean(row: Finalist) -> float:
    return row.test_mean or 0.0


def _best_trial(study: StudyRecords) -> BestTrial | None:
    top = study.counted.best
    if top is None:
        return None
    result = study.finalists.of(top.family)
    row, chosen = result.candidate(top.number), result.chosen
    return BestTrial(
        number=top.number,
        family=top.family,
        accuracy=top.last.accuracy,
        role=top.role,
        fresh_accuracy=row.mean_accuracy if row else None,
        fresh_seeds=len(row.runs) if row else 0,
        finalist=result.finalist,
        finalist_accuracy=chosen.mean_accuracy if chosen else None,
        best_sampled=summary(study.counted.found.best),
        images=study.settings.families[top.family].ladder.images,
    )


_GIVEN: Mapping[Role, str] = {
    "warm_start": "; it is a warm start",
    "given_file": "; it was given by a file",
    "imported": "; it comes from another study",
    "proposed": "; it was proposed while the search ran",
}


def fate(led: BestTrial, stage: Stage, search: str = "the search") -> str:
    """What became of the trial that led a search, in a study that got so far."""
    lead = f"Trial #{led.number} of {led.family} had the best score of {search}, {percent(led.accuracy)} on validation"
    lead += "" if led.images is None else f" after learning from {led.images:,} images"
    lead += _GIVEN.get(led.role, "")
    if led.fresh_accuracy is None:
        return f"{lead}. {_not_again(led, stage)}{_best_sampled(led)}"
    seeds = f"a fresh seed{'' if led.fresh_seeds == 1 else ' each time'}"
    on_all = "" if led.images is None else "on all images and "
    fresh = f"{lead}. Trained again {on_all}with {seeds} it reached {percent(led.fresh_accuracy)}"
    if led.finalist == led.number:
        return f"{fresh} and became its family's finalist.{_best_sampled(led)}"
    better = f"#{led.finalist} did better ({percent(led.finalist_accuracy)}) and became the finalist"
    return f"{fresh}; {better}.{_best_sampled(led)}"


def _not_again(led: BestTrial, stage: Stage) -> str:
    if led.finalist is not None:
        return f"Another one, #{led.finalist}, was trained again and became its family's finalist."
    return f"It has not been trained again{' yet' if stage == 'searching' else ''}."


def _best_sampled(led: BestTrial) -> str:
    best = led.best_sampled
    if led.role == "sampled" or best is None:
        return ""
    return f" The best sampled configuration is #{best.number} of {best.family} ({percent(best.value)})."


def _caveats(report: Report, contradicted: tuple[Finalist, Finalist] | None) -> list[str]:
    """What a reader of the answer must know at once; `contradicted` are the winner and the one that is ahead of it."""
    why, copies, given = report[header].why_exploratory, report[repeated], report[budget]
    found = [why] if why else []
    if copies.serious:
        found.append(copies.texts[repeated.OF_TEST])
    if contradicted:
        winner, second = contradicted
        found.append(
            f"Validation chose {winner.title} before the test split was opened; on the test split "
            f"{second.title} has the higher mean ({percent(_mean(second))} against {percent(_mean(winner))})."
        )
    if given.unequal:
        found.append(f"The search was not equal: {given.imbalance}")
    if report.study.broken_runs:
        found.append(f"Left out for non-finite outputs: {listing(report.study.broken_runs)}.")
    return found


def finding(found: Answer, before: Report) -> str:
    """The headline, called exploratory from the second opening of the test split on. Of several searches it is what
    they say of the families, with the first one's finalists where they are too few for that."""
    text, several = _of_one_search(found, before.study.settings.dataset.lacks_test), before[searches]
    if several is not None:
        alone = f" In search 1, {text[:1].lower()}{text[1:]}" if several.tested < several.needed else ""
        text = searches.told(several) + alone
    exploratory = found.stage == "evaluated" and before[header].exploratory
    return f"Exploratory: {text[:1].lower()}{text[1:]}" if exploratory else text


def _of_one_search(found: Answer, lacks_test: bool) -> str:
    """What was found, or how far the study is."""
    if found.stage == "retrained" and lacks_test:
        return (
            "The finalists are trained, and the data set has no test part, so there is no verdict; add one, and "
            "`study run` opens it."
        )
    if found.stage != "evaluated":
        return _not_evaluated(found)
    if found.winner_row is None:
        return f"The winner {found.winner} has no usable predictions on the test split, so there is no verdict."
    if found.pair is None:
        return _alone(found.winner_row)
    return verdict(found.pair.pair, found.winner_row.family)


def _not_evaluated(found: Answer) -> str:
    if found.stage == "empty":
        return "Nothing has been searched yet, so there is no answer; start with `study run`."
    if found.stage == "searching":
        if found.best_trial is None:
            return "No trial has completed, so there is no finalist and no answer."
        return "The search has not handed over finalists yet, so there is no answer."
    if found.opened:
        return (
            "The finalists were trained after the test split was opened for others, so there is no verdict on them; "
            "`study evaluate` opens it again, which makes the report exploratory."
        )
    return (
        "The finalists are trained and the test split is still sealed, so there is no verdict; "
        "`study evaluate` opens it."
    )


def _alone(row: Finalist) -> str:
    assert row.test is not None  # it was read on the test split
    accuracy = row.test.accuracy
    return (
        f"There is one finalist to read, so nothing is compared: {row.title} reaches {percent(accuracy.mean)} "
        f"on the test split (95 % interval {interval(accuracy.interval95)}, {count(accuracy.seeds, 'seed')})."
    )


def charts(found: Answer) -> list[Chart]:
    """Everybody on one scale."""
    return first_screen.charts(found.first)
