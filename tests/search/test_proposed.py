"""`study propose FILE`: taken before the next trial of a search that runs, trained beside it, never found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Bench, Settings, Stop, interrupting, outcome
from tiny_spaces import TINY_SPACES

from study.command.cli import main
from study.errors import ResultsError
from study.records.files import write_json
from study.records.ledger import Goal, Ledger, write_ledger
from study.records.paths import StudyFiles
from study.records.proposed import read_proposals
from study.records.settings import save_settings
from study.records.trial import TrialRecord, Trials
from study.search.driver import Search
from study.search.proposed import Proposals
from study.search.turns import Limits

INSIDE = 'family = "cnn"\nwidth = 6\nlearning_rate = 2e-2\n'
OUTSIDE = 'width = 12\nlearning_rate = 2e-2\nactivation = "gelu"\nfamily = "cnn"\n'
KILLED = """
import os, signal, sys
from pathlib import Path
from bench import Bench, work
from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.search.turns import Limits

def until_proposed(job, on_rung):
    if job.config["activation"] == "gelu":
        on_rung(100, __import__("bench").metrics(0.5))
        os.kill(os.getpid(), signal.SIGKILL)
    return work(job, on_rung)

files = StudyFiles(Path(sys.argv[1]))
Bench(files, load_settings(files.settings)).search(Limits(n_trials=1), until_proposed)
"""


@pytest.fixture
def bench(files: StudyFiles, make_settings: Settings) -> Iterator[Bench]:
    bench = Bench(files, make_settings({"cnn": TINY_SPACES["cnn"]}, given="apart", sampler="tpe"))
    save_settings(bench.settings, files.settings)
    yield bench
    bench.close()


Propose = Callable[..., int]


@pytest.fixture
def propose(bench: Bench, tmp_path: Path) -> Propose:
    def write(text: str, *words: str) -> int:
        (tmp_path / "mine.toml").write_text(text)
        where = ["--name", bench.files.name, "--results", str(bench.files.root.parent)]
        return main(["propose", str(tmp_path / "mine.toml"), *where, *words])

    return write


def found(bench: Bench) -> list[object]:
    return [outcome(trial) for trial in bench.counted.found]


def test_what_is_proposed_while_a_search_runs_is_its_next_trial_and_changes_nothing_that_is_found(
    bench: Bench, propose: Propose, files: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def observe(search: Search, record: TrialRecord | None) -> None:
        if record is not None:
            seen.append(record.role)
            if len(seen) == 3:  # two warm starts, one drawn
                assert propose(INSIDE, "--family", "cnn") == propose(OUTSIDE) == 0

    bench.search(Limits(n_trials=5), observe=observe)
    bench.check()
    # One drawn trial was asked for before the two files were there.
    assert seen == ["warm_start"] * 2 + ["sampled"] * 2 + ["proposed"] * 2 + ["sampled"] * 3
    proposed = [trial for trial in bench.records if trial.role == "proposed"]
    assert [(trial.config["width"], trial.state, trial.origin) for trial in proposed] == [
        (6, "COMPLETE", "given"),
        (12, "COMPLETE", "given"),
    ]
    assert [bool(trial.parameters) for trial in proposed] == [True, False]
    assert main(["status", "--name", files.name, "--results", str(files.root.parent)]) == 0
    assert "4 trials were given" in capsys.readouterr().out
    alone = Bench(StudyFiles(files.root.parent / "alone" / files.name), bench.settings)
    alone.files.root.mkdir(parents=True)
    alone.search(Limits(n_trials=5))
    alone.close()
    assert found(alone) == found(bench)


def test_it_waits_for_the_next_search_is_tried_once_and_survives_kills_of_either_side(
    bench: Bench, propose: Propose, files: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(OUTSIDE, "--format", "json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["family"], said["at_work"], Path(said["file"]).parent) == ("cnn", False, files.proposed)
    (files.proposed / ".1-2.json.3.part").write_text('{"file')  # a proposal whose command was killed
    assert main(["status", "--name", files.name, "--results", str(files.root.parent)]) == 0
    assert "cnn: proposed, and waiting for a search: 1" in capsys.readouterr().out
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(files.root)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for _ in range(9):
        try:
            bench.search(Limits(n_trials=2), observe=interrupting(3))
            break
        except Stop:
            bench.check()
    bench.search(Limits(n_trials=3))
    bench.check()
    assert Counter(trial.role for trial in bench.counted) == {"warm_start": 2, "proposed": 1, "sampled": 3}
    assert propose(OUTSIDE) == 2
    assert "was given to study" in capsys.readouterr().err
    done = Goal(n_trials=3, families=("cnn",))
    write_ledger(files.ledger, Ledger(goal=done, reached={"search": done}))
    assert propose(INSIDE) == 0
    assert "its search is done, and one with a larger --budget or --n-trials tries it" in capsys.readouterr().out


def test_many_proposals_leave_the_search_its_time(bench: Bench, propose: Propose) -> None:
    for width in range(4, 9):
        propose(INSIDE.replace("6", str(width)))
    one_trial = 0.001  # worker-seconds: the first one takes more
    bench.search(Limits(n_trials=2, proposed=one_trial))
    assert Counter(trial.role for trial in bench.counted)["sampled"] == 2
    assert 1 <= Counter(trial.role for trial in bench.counted)["proposed"] < 5


@pytest.mark.parametrize(
    ("text", "words", "status", "said"),
    [
        (INSIDE, ["--family", "rnn"], 2, "--family: 'rnn' is unknown, expected one of this study: cnn"),
        (INSIDE.replace("cnn", "mlp"), [], 1, "mine.toml: key 'family': seen 'mlp', expected one of this study: cnn"),
        (INSIDE + "colour = 3", [], 1, "mine.toml: key 'colour': unknown to family 'cnn': expected one of "),
        (INSIDE.replace("= 6", '= "6"'), [], 1, "mine.toml: key 'width': "),
        ("width = ", [], 1, "mine.toml: not TOML: "),
    ],
)
def test_what_is_wrong_names_file_value_and_what_was_expected(
    bench: Bench,
    propose: Propose,
    capsys: pytest.CaptureFixture[str],
    text: str,
    words: list[str],
    status: int,
    said: str,
) -> None:
    assert propose(text, *words) == status
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not bench.files.proposed.exists()


def test_none_is_taken_once_the_test_split_was_opened(
    bench: Bench, propose: Propose, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(INSIDE) == 0
    write_json(bench.files.seal, {"openings": []})
    assert propose(OUTSIDE) == 1
    assert "has opened the test split" in capsys.readouterr().err
    bench.search(Limits(n_trials=1))
    assert {trial.role for trial in bench.records} == {"warm_start", "sampled"}


def test_a_damaged_file_is_named_and_ends_no_search(bench: Bench, propose: Propose) -> None:
    write_json(bench.files.proposed / "1-2.json", {"family": "cnn"})
    proposals = Proposals(bench.files, bench.settings, Trials())
    with pytest.raises(ResultsError):
        proposals.new()
    assert proposals.new() == {}  # it is read once
    bench.search(Limits(n_trials=1))
    with pytest.raises(ResultsError, match=r"1-2\.json: no proposed configuration"):
        read_proposals(bench.files)
    assert propose(INSIDE) == 1
