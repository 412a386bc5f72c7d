from __future__ import annotations

import json
from pathlib import Path

import pytest
from ended import trial
from made import build, page_of
from synthetic import Wanted, write_study

from study.command.status import study_status
from study.records.examined import Audit
from study.records.files import append_jsonl, read_jsonl
from study.records.ledger import Command, NodeSeen, read_ledger, write_ledger
from study.records.paths import StudyFiles
from study.records.trial import Trials
from study.report.nodes import UNKNOWN
from study.report.sections.health import audit_sentence, epochs, timeline

AUDIT = Audit(pruned=31, drawn=20, judged=20, beaten=0, bound95=0.139, rows=())


@pytest.mark.parametrize(
    ("pruned", "since"),
    [(31, ""), (32, " Since then 1 trial more was pruned."), (40, " Since then 9 trials more were pruned.")],
)
def test_an_audit_of_a_search_that_has_gone_on_says_so(pruned: int, since: str) -> None:
    assert audit_sentence(AUDIT, pruned).endswith(f"would.{since}")


def test_pruning_saves_the_examples_up_to_the_top_rung() -> None:
    assert epochs(Trials([trial(0), trial(1, 0.9)]), {"cnn": 200}, 50) == (6.0, 2.0)


def test_the_timeline_is_capped_and_starts_at_zero() -> None:
    bars = timeline(Trials(trial(k, 0.9, worker=k % 2) for k in range(90)), limit=50)
    assert bars[0].start == 0.0
    assert len(bars) <= 50


def test_what_was_given_counts_and_what_another_study_trained_does_not(tmp_path: Path) -> None:
    files = write_study(tmp_path / "given", Wanted(apart=True, warm_starts=2, trials=6))
    lines = read_jsonl(files.trials_jsonl)
    files.trials_jsonl.unlink()
    for line in lines:
        imported = line["role"] == "warm_start" and line["number"] == 0
        append_jsonl(
            files.trials_jsonl, line | ({"role": "imported", "end": "2025-01-01T00:00:00+00:00"} if imported else {})
        )
    found = build(files)["health"]
    assert [sum(states.values()) for states in found["states"].values()] == [5, 5]
    assert (found["timeline_total"], len(found["timeline"]), found["uncounted"]) == (10, 10, 0)
    assert found["held_seconds"] == 10 * 4.0
    assert max(bar["start"] for bar in found["timeline"]) < 60


def test_why_runs_of_the_retraining_failed_is_kept_and_shown(tmp_path: Path) -> None:
    files = write_study(tmp_path / "study", Wanted())
    ledger = json.loads(files.ledger.read_text())
    files.ledger.write_text(json.dumps(ledger | {"failed_runs": {"cnn-t7-seed0": "out of memory"}}))
    assert build(files)["health"]["failed_runs"] == [{"run": "cnn-t7-seed0", "reason": "out of memory"}]
    assert "cnn-t7-seed0 failed: out of memory" in study_status(files)["lines"]


def on_machines(files: StudyFiles, *machines: NodeSeen) -> None:
    """Let the last command have had these, the trials worked on them in turn."""
    lines = read_jsonl(files.trials_jsonl)
    files.trials_jsonl.unlink()
    append_jsonl(
        files.trials_jsonl, *(line | {"node": machines[k % len(machines)].name} for k, line in enumerate(lines))
    )
    ledger = read_ledger(files.ledger)
    write_ledger(files.ledger, ledger.model_copy(update={"commands": [Command(command="run", nodes=machines)]}))


def test_a_study_of_several_machines_tells_what_each_did(tmp_path: Path) -> None:
    files = write_study(tmp_path / "study", Wanted(trials=6, warm_starts=0))
    one = NodeSeen(name="c1", workers=2, cpu="AMD EPYC", offered=32.0)
    on_machines(files, one)
    assert "nodes" not in build(files)["health"]
    assert not [line for line in study_status(files)["lines"] if "nodes" in line]
    other = NodeSeen(name="c2", workers=1, cpu="AMD EPYC", joined="12:00", left="12:05", lost="no answer", offered=24.0)
    on_machines(files, one, other)
    found = build(files)["health"]
    assert {bar["node"] for bar in found["timeline"]} == {"c1", "c2"}
    rows = {row["node"]: row for row in found["nodes"]["rows"]}
    assert rows.keys() == {"c1", "c2", UNKNOWN}  # the runs were trained before machines were recorded
    assert (rows["c1"]["trials"], rows["c1"]["trial_seconds"], rows["c1"]["utilisation"]) == (6, 24.0, 0.75)
    assert (rows["c2"]["utilisation"], rows["c2"]["lost"], rows["c2"]["joined"]) == (1.0, True, True)
    assert (rows[UNKNOWN]["trials"], rows[UNKNOWN]["runs"] > 0) == (0, True)
    assert found["nodes"]["seconds_by_kind"]["AMD EPYC"] == 48.0
    page = page_of(files)
    assert "The machines are of one kind" in page
    assert "c2 (joined later, lost)" in page
    assert "1 on c2" in page
    lines = study_status(files)["lines"]
    assert "nodes of the last command: c1 2 workers" in lines
    assert "lost at 12:05: c2, 1 worker (no answer)" in lines


@pytest.mark.parametrize(("budget", "said"), [(300.0, "one kind after the other"), (None, "equal numbers of trials")])
def test_machines_of_two_kinds_are_named_with_what_was_done(tmp_path: Path, budget: float | None, said: str) -> None:
    files = write_study(tmp_path / "study", Wanted(trials=6, budget_s=budget, n_trials=None if budget else 6))
    on_machines(files, NodeSeen(name="c1", workers=2, cpu="A"), NodeSeen(name="g", workers=1, cpu="A", gpus=("H100",)))
    page = page_of(files)
    assert "The machines are of 2 kinds, A and H100" in page
    assert said in page
