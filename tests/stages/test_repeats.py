"""`study run --repeats`: several searches under one name, on a small slice of real digits."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_spaces import TINY_SPACES

from study.command import verbs as commands
from study.command.cli import main
from study.data.datasets import load_train, split_as_before, split_sha256
from study.data.source import Source
from study.records.files import read_json
from study.records.finalists import READING_NOISE, Candidate, Finalists, read_finalists
from study.records.locking import StudyLock
from study.records.paths import RunFiles, StudyFiles
from study.records.predictions import read_validation
from study.records.settings import load_settings, read_settings
from study.records.trial import TrialRecord, read_trials
from study.seeds import derive_seed

Words = Callable[..., list[str]]
PATIENCE = 300.0  # seconds until something that must come is given up


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path], Path]) -> Words:
    """The words of a command on a study of two tiny families."""
    root = tmp_path_factory.mktemp("repeats")
    flags = ["--results", root / "results", "--data-dir", write_idx(root / "digits"), "--workers", "2"]
    for family, text in TINY_SPACES.items():
        (root / f"{family}.toml").write_text(text)
        flags += ["--space", root / f"{family}.toml"]

    def make(verb: str, name: str, *more: str) -> list[str]:
        return [verb, *map(str, flags), "--name", name, "--quiet", *more]

    make.results = root / "results"  # type: ignore[attr-defined]
    return make


def folder(words: Words, name: str) -> StudyFiles:
    results: Path = words.results  # type: ignore[attr-defined]
    return StudyFiles(results / name)


@pytest.fixture(scope="module")
def pair(words: Words) -> StudyFiles:
    """A finished study of one search, sealed, to which a second search was added before the test split was opened."""
    assert main(words("run", "pair", "--n-trials", "1", "--no-evaluate")) == 0
    before = folder(words, "pair").trials_jsonl.read_bytes()
    assert main(words("run", "pair", "--n-trials", "1", "--repeats", "2")) == 0
    assert folder(words, "pair").trials_jsonl.read_bytes() == before
    return folder(words, "pair")


def test_a_name_that_leaves_no_room_for_the_searches_of_the_budget_is_refused_before_the_first(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "n" * 56
    assert main(words("run", name, "--budget", "900s", "--no-evaluate", "--dry-run")) == 2
    assert "expected 1 to 64 letters" in capsys.readouterr().err
    assert main(words("run", name, "--budget", "900s", "--repeats", "1", "--no-evaluate", "--dry-run")) == 0


def test_a_repeat_is_the_same_search_under_another_seed(pair: StudyFiles) -> None:
    first, second = load_settings(pair.settings), load_settings(pair.repeat(2).settings)
    assert (second.name, second.repeat_of, second.seed) == ("pair-repeat-2", "pair", derive_seed(0, "", 2, "repeat"))
    differ = {"id", "name", "folder", "repeat_of", "seed", "created", "dataset"}
    assert second.model_dump(exclude=differ) == first.model_dump(exclude=differ)
    assert second.id not in (None, first.id)
    of_part = {"sixth", "split_sha256", "mean", "std", "validation_in_train"}
    assert second.dataset.model_dump(exclude=of_part) == first.dataset.model_dump(exclude=of_part)
    assert (first.dataset.sixth, second.dataset.sixth) == (0, 1)
    train = load_train(Source.recorded(first.dataset))
    for files, settings in ((pair, first), (pair.repeat(2), second)):
        _, held_out = split_as_before(train, 0, settings.dataset.split_sha256, settings.dataset.sixth)
        assert settings.dataset.split_sha256 == split_sha256(held_out) == read_finalists(files.finalists).validation
        for run in files.runs.glob("*-t*-seed0"):
            read = read_validation(RunFiles(run))
            assert read is not None
            assert read[1].tolist() == train.labels[held_out].tolist()
    seeds = [{record.seed for record in read_trials(files.trials_jsonl)} for files in (pair, pair.repeat(2))]
    assert seeds[0].isdisjoint(seeds[1])


def test_the_test_split_is_opened_once_for_all(pair: StudyFiles) -> None:
    (opening,) = read_json(pair.seal)["openings"]
    assert not pair.repeat(2).seal.exists()
    finals = [f"{family}-final-seed{seed}" for family in TINY_SPACES for seed in range(3)]
    assert {run for run in opening["hashes"] if "final" in run} == {*finals, *(f"pair-repeat-2/{r}" for r in finals)}
    for files in (pair, pair.repeat(2)):
        with np.load(files.predictions) as predictions:
            assert set(predictions.files) == {"labels", *finals}


def chosen_of(found: Finalists, family: str) -> Candidate:
    chosen = found.of(family).chosen
    assert chosen is not None
    assert not chosen.given
    return chosen


def test_the_winner_over_both_searches_is_shipped_or_what_was_given_if_it_is_better_by_more_than_noise(
    pair: StudyFiles,
) -> None:
    searches = (pair, pair.repeat(2))
    found = [read_finalists(files.finalists) for files in searches]
    means = {family: [chosen_of(one, family).mean_accuracy for one in found] for family in TINY_SPACES}
    winner = max(means, key=lambda family: sum(means[family]))
    (opening,) = read_json(pair.seal)["openings"]
    assert opening["winner"] == winner
    given = {family: [one for one in found[0].of(family).candidates if one.given] for family in TINY_SPACES}
    assert [len(ones) for ones in given.values()] == [1, 1]  # of two warm starts each
    assert not any(one.given for family in TINY_SPACES for one in found[1].of(family).candidates)
    claims = [
        *((mean, winner, files, f"{winner}-final-seed0") for mean, files in zip(means[winner], searches, strict=True)),
        *((one.mean_accuracy - READING_NOISE, family, pair, one.runs[0]) for family, (one,) in given.items()),
    ]
    _, family, source, run = max(claims, key=lambda claim: claim[0])
    shipped = read_json(pair.model / "model.json")
    assert (shipped["family"], shipped["study"], shipped["run"]) == (family, source.name, run)
    of_search = load_settings(source.settings).dataset
    assert (shipped["dataset"]["sixth"], shipped["dataset"]["split_sha256"]) == (
        of_search.sixth,
        of_search.split_sha256,
    )
    assert (pair.model / "model.safetensors").read_bytes() == source.run(shipped["run"]).weights.read_bytes()
    assert opening["shipped_run"].rpartition("/")[2] == shipped["run"]


def test_the_report_has_both_searches(pair: StudyFiles) -> None:
    report = read_json(pair.report_json)
    assert [(row["search"], row["family"]) for row in report["searches"]["rows"]] == [
        (search, family) for search in (1, 2) for family in TINY_SPACES
    ]
    assert report["searches"]["tested"] == 2
    assert "fewer than the 3 that a verdict needs" in report["findings"]["answer"]
    assert not report["header"]["exploratory"]
    assert 'id="searches"' in pair.report_html.read_text()


def test_the_same_command_again_and_one_without_repeats_say_complete(
    words: Words, pair: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (pair.seal, pair.trials_jsonl, pair.repeat(2).trials_jsonl, pair.repeat(2).ledger, pair.report_json)
    before = [path.read_bytes() for path in kept]
    for flags in (["--n-trials", "1", "--repeats", "2"], ["--repeats", "1"], []):
        assert main([word for word in words("run", "pair", *flags) if word != "--quiet"]) == 0
        assert "this study is complete" in capsys.readouterr().err
    assert [path.read_bytes() for path in kept] == before


def test_status_shows_every_search(words: Words, pair: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["status", "--results", str(pair.root.parent), "--name", "pair"]
    assert main([*flags, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (repeat,) = found["repeats"]
    assert (found["searches"], repeat["name"], repeat["runs_done"]) == (2, "pair-repeat-2", 2 * (1 + 3))
    assert found["used_s"] >= repeat["used_s"] > 0
    assert main(flags) == 0
    out = capsys.readouterr().out
    assert "pair-repeat-2" in out
    assert "2 searches: 2 begun, 2 with finalists" in out
    assert "at work" not in out
    rows = [one["families"]["mlp"] for one in (found, repeat)]
    best = max((0, 1), key=lambda search: rows[search]["best"])
    totals = f"2 complete, 0 pruned, 0 failed; best {rows[best]['best_percent']}, trial #0 of search {best + 1}"
    assert f"mlp in all searches: {totals}" in found["lines"]
    with StudyLock(pair), StudyLock(pair.repeat(2)):
        assert main([*flags, "--format", "json"]) == 0
    assert "2 searches: 2 begun, 2 with finalists; search 2 is at work" in json.loads(capsys.readouterr().out)["lines"]


@pytest.fixture
def copy(pair: StudyFiles, tmp_path: Path) -> StudyFiles:
    """The finished study once more, to be damaged."""
    return StudyFiles(shutil.copytree(pair.root, tmp_path / "pair"))


def doctor(files: StudyFiles, *more: str) -> int:
    return main(["doctor", "--results", str(files.root.parent), "--name", files.name, "--format", "json", *more])


def unsound(printed: str) -> list[tuple[str, str]]:
    return [(row["what"], row["found"]) for row in json.loads(printed) if not row["sound"]]


def test_doctor_checks_every_search(pair: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(pair) == 0
    *_, last = json.loads(capsys.readouterr().out)
    found = "pair-repeat-2: 2 trials, every checksum holds; 2 finished trials agree with trials.jsonl; "
    assert last["what"] == "search 2"
    assert last["sound"]
    assert last["found"] == f"{found}8 finished runs, all can be rebuilt"


def test_doctor_finds_all_that_is_wrong_with_a_repeat_and_repairs_its_database(
    copy: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, run = copy.database.read_bytes(), min(copy.repeat(2).runs.glob("*/model.safetensors"))
    weights = run.read_bytes()
    run.write_bytes(weights[:-1])
    with contextlib.closing(sqlite3.connect(copy.repeat(2).database)) as connection, connection:
        connection.execute("UPDATE trial_values SET value = 0.125")
    assert doctor(copy) == 1
    ((what, found),) = unsound(capsys.readouterr().out)
    assert what == "search 2"
    assert "the database is damaged" in found
    assert f"`study doctor {copy.named} --repair`" in found
    assert str(run) in found
    run.write_bytes(weights)
    assert doctor(copy, "--repair") == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"nothing to repair in {copy.root}: 6 finished trials")  # 4 of them given
    assert second.startswith(f"{copy.repeat(2).database} was rebuilt from 2 trials")
    assert copy.database.read_bytes() == sound


def test_doctor_tells_a_search_to_come_from_one_that_is_lost(
    copy: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy.repeat(2).root)
    assert doctor(copy) == 1
    ((what, found),) = unsound(capsys.readouterr().out)
    assert (what, found.partition(":")[0]) == (
        "search 2",
        f"{copy.repeat(2).root} is missing, though the test split was opened for its runs",
    )
    ledger = read_json(copy.ledger)
    del ledger["reached"]["evaluate"]
    copy.ledger.write_text(json.dumps(ledger))
    assert doctor(copy, "--repair") == 0
    *_, last = json.loads(capsys.readouterr().out)
    assert (last["what"], last["sound"], last["found"]) == ("search 2", True, "not begun yet")


def in_order(files: StudyFiles) -> list[TrialRecord]:
    """The trials, whichever ended first."""
    return sorted(read_trials(files.trials_jsonl), key=lambda trial: (trial.family, trial.number))


@pytest.mark.parametrize("lost", ["trials.jsonl", "ledger.json", "runs/mlp-final-seed0", "test/predictions.npz"])
def test_what_a_repeat_has_lost_is_made_again_by_the_command_that_doctor_names(
    lost: str, copy: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    repeat, seal = copy.repeat(2), read_json(copy.seal)["openings"]
    records = in_order(repeat)
    path = repeat.root / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert doctor(copy) == 1
    ((what, found),) = unsound(capsys.readouterr().out)
    assert what == "search 2"
    assert str(path) in found
    assert main(shlex.split(found.split("`study ")[1].split("`")[0])) == 0
    assert in_order(repeat) == records
    capsys.readouterr()
    assert doctor(copy) == 0, capsys.readouterr().out
    openings = read_json(copy.seal)["openings"]
    assert [opening["hashes"] for opening in openings] == [opening["hashes"] for opening in seal]


def test_doctor_finds_a_damaged_ledger(copy: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    copy.ledger.write_bytes(copy.ledger.read_bytes()[:-9])
    assert doctor(copy) == 1
    ((what, found),) = unsound(capsys.readouterr().out)
    assert (what, found.partition(" (")[0]) == ("study files", f"{copy.ledger} is not JSON")


def test_a_repeat_is_not_driven_by_itself(words: Words, pair: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    repeats = str(pair.repeat(2).root.parent)
    for verb in ("evaluate", "report"):
        assert main([verb, "--results", repeats, "--name", "pair-repeat-2"]) == 1
        assert "is a repeat of study 'pair'" in capsys.readouterr().err
    assert not pair.repeat(2).seal.exists()


def origins(files: StudyFiles) -> Counter[str]:
    return Counter(record.origin for record in read_trials(files.trials_jsonl))


def below(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_copy_under_another_name_has_all_its_searches_and_goes_on_with_them(
    words: Words, pair: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    before = below(pair.root)
    twin = StudyFiles(shutil.copytree(pair.root, pair.root.with_name("twin")))
    copied = below(twin.root)
    where = ["--results", str(twin.root.parent), "--name", "twin"]
    assert main(["status", *where, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], [one["name"] for one in found["repeats"]]) == ("twin", ["twin-repeat-2"])
    assert main(["doctor", *where]) == 0
    changed = {path for path, content in below(twin.root).items() if copied.get(path) != content}
    assert {path.name for path in changed} <= {".lock"}
    assert main(["report", *where]) == 0
    report = read_json(twin.report_json)
    assert (report["header"]["name"], report["searches"]["tested"]) == ("twin", 2)
    assert not report["header"]["openings_elsewhere"]
    assert main(words("run", "twin", "--n-trials", "1")) == 0  # complete: nothing was to be done
    assert read_json(twin.seal) == read_json(pair.seal)
    assert main(words("evaluate", "twin")) == 0
    assert "already evaluated" in capsys.readouterr().out
    assert read_json(twin.seal) == read_json(pair.seal)
    assert main(words("search", "twin", "--n-trials", "2")) == 0
    assert main(words("retrain", "twin")) == 0
    assert "winner by validation" in capsys.readouterr().out
    settings = [read_settings(one.settings) for one in (pair, pair.repeat(2), twin, twin.repeat(2))]
    assert len({one.id for one in settings}) == 4
    assert [one.name for one in settings[2:]] == ["twin", "twin-repeat-2"]
    assert settings[3].repeat_of == "twin"
    assert [origins(one) for one in (twin, twin.repeat(2))] == [{"found": 4, "given": 4}, {"found": 4}]
    with contextlib.closing(sqlite3.connect(twin.repeat(2).database)) as connection:
        stored = {name for (name,) in connection.execute("SELECT study_name FROM studies")}
    assert stored == {f"twin-repeat-2/{part}" for part in ("mlp", "cnn", "retrain", "final")}
    assert below(pair.root) == before


def test_a_copy_is_a_study_of_its_own_before_the_dashboard_is_started_on_it(
    words: Words, pair: StudyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = StudyFiles(shutil.copytree(pair.root, pair.root.with_name("shown")))
    seen: list[str | None] = []

    def along(*_: object) -> contextlib.AbstractContextManager[None]:
        seen.append(read_settings(twin.settings).id)
        return contextlib.nullcontext()

    monkeypatch.setattr(commands, "_dashboard_along", along)
    assert main(words("run", "shown", "--n-trials", "1", "--dashboard")) == 0
    assert seen == [read_settings(twin.settings).id] != [read_settings(pair.settings).id]


@pytest.mark.parametrize(
    ("reached", "flags", "said"),
    [
        ({"budget": 200.0}, ["--repeats", "3", "--budget", "2m"], "into 40 s a search, but study 'copy'"),
        ({"budget": 200.0}, ["--repeats", "3", "--budget", "2m"], "expected --budget 300s or more"),
        ({"n_trials": 9}, ["--repeats", "3", "--n-trials", "8"], "has a search of 9 trials a family"),
    ],
)
def test_a_further_search_gets_no_less_than_the_others(
    reached: dict[str, float],
    flags: list[str],
    said: str,
    words: Words,
    pair: StudyFiles,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = StudyFiles(shutil.copytree(pair.root, tmp_path / "results" / "copy"))
    files.settings.write_text(files.settings.read_text().replace('"pair"', '"copy"'))
    ledger = read_json(files.ledger)
    files.ledger.write_text(json.dumps(ledger | {"goal": ledger["goal"] | reached}))
    data = words("run", "copy")[words("run", "copy").index("--data-dir") + 1]
    assert main(["run", "--results", str(tmp_path / "results"), "--name", "copy", "--data-dir", data, *flags]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert read_json(files.ledger)["n_searches"] == 2
    assert not files.repeat(3).exists()


def test_searches_that_begin_with_the_same_trials_are_refused(
    words: Words, pair: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("run", "heirs", "--repeats", "2", "--from", "pair")) == 2
    assert "--repeats 2 with trials imported from 'pair'" in capsys.readouterr().err
    assert not folder(words, "heirs").root.exists()


def test_a_study_begins_with_the_trials_of_any_folder_and_outlives_it(
    words: Words, pair: StudyFiles, tmp_path: Path
) -> None:
    source = str(shutil.copytree(pair.root, tmp_path / "renamed"))
    heir = folder(words, "heir")
    assert main(words("search", "heir", "--from", source, "--n-trials", "1")) == 0
    assert read_settings(heir.settings).imported_from == source
    imported = len(read_trials(pair.trials_jsonl).of("mlp"))
    roles = Counter((record.family, record.role) for record in read_trials(heir.trials_jsonl))
    assert roles == {(f, role): n for f in TINY_SPACES for role, n in (("imported", imported), ("sampled", 1))}
    shutil.rmtree(source)
    assert main(words("search", "heir", "--from", source, "--n-trials", "2")) == 0
    assert Counter(record.family for record in read_trials(heir.trials_jsonl).found) == {"mlp": 2, "cnn": 2}


def test_trials_none_of_which_fits_are_an_error_before_anything_is_written(
    words: Words, pair: StudyFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = words("search", "barren", "--from", "pair", "--families", "cnn", "--n-trials", "1")
    narrow = tmp_path / "narrow.toml"
    narrow.write_text(
        TINY_SPACES["cnn"].split("[[warm_start]]")[0].replace("low = 1e-3, high = 5e-2", "low = 1, high = 2")
    )
    while "--space" in line:
        del line[line.index("--space") : line.index("--space") + 2]
    assert main([*line, "--space", str(narrow)]) == 1
    said = capsys.readouterr().err
    assert "none of its 6 trials can begin this study: cnn: 3 outside its space by learning_rate" in said
    assert not folder(words, "barren").root.exists()


@pytest.mark.parametrize("repeats", ["0", "-1", "two"])
def test_a_number_of_repeats_that_is_none_is_wrong_usage(
    words: Words, repeats: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("run", "none", f"--repeats={repeats}")) == 2
    assert f"{repeats!r} is not usable: expected a whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("moment", ["repeats/killed-repeat-2/trials.jsonl", "repeats/killed-repeat-2/finalists.json"])
def test_a_command_killed_in_a_repeat_goes_on_there_and_the_totals_are_exact(words: Words, moment: str) -> None:
    name = "killed"
    files = folder(words, name)
    shutil.rmtree(files.root, ignore_errors=True)
    line = words("run", name, "--n-trials", "2", "--repeats", "2")
    process = subprocess.Popen([sys.executable, "-m", "study", *line], stderr=subprocess.PIPE)
    with process:
        deadline = time.monotonic() + PATIENCE
        while not (files.root / moment).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert not files.predictions.exists()
    first = files.trials_jsonl.read_bytes(), files.finalists.read_bytes()
    done = {record.number for record in read_trials(files.repeat(2).trials_jsonl)}
    assert main(words("run", name)) == 0  # the ledger knows how many searches were asked for
    assert (files.trials_jsonl.read_bytes(), files.finalists.read_bytes()) == first
    for one, n_given in ((files, 2), (files.repeat(2), 0)):  # what is given is trained once per study
        counted = read_trials(one.trials_jsonl).counted
        assert Counter(record.family for record in counted.found) == {"mlp": 2, "cnn": 2}
        assert [len(counted.given.of(family)) for family in TINY_SPACES] == [n_given, n_given]
        assert len({(record.family, record.origin, record.draw) for record in counted}) == 4 + 2 * n_given
    assert done <= {record.number for record in read_trials(files.repeat(2).trials_jsonl)}
    assert len(read_json(files.seal)["openings"]) == 1
    assert read_json(files.report_json)["searches"]["tested"] == 2


def test_a_budget_is_divided_among_the_searches(words: Words) -> None:
    assert main(words("run", "timed", "--budget", "30s", "--repeats", "2")) == 0
    files = folder(words, "timed")
    ledgers = [read_json(one.ledger) for one in (files, files.repeat(2))]
    assert [ledger["goal"]["budget"] for ledger in ledgers] == [30.0, 15.0]  # a repeat is a study of one search
    allowances = [ledger["allowance"] for ledger in ledgers]
    assert allowances[1] <= allowances[0]
    assert ledgers[1]["plan"]["seconds"] <= ledgers[0]["plan"]["seconds"]
    ladders = [load_settings(one.settings).families["cnn"].ladder for one in (files, files.repeat(2))]
    assert ladders[0] == ladders[1]
