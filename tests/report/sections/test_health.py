from __future__ import annotations

import json
from pathlib import Path

import pytest
from ended import trial
from made import build
from synthetic import Wanted, write_study

from study.command.status import study_status
from study.records.examined import Audit
from study.records.files import append_jsonl, read_jsonl
from study.records.trial import Trials
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
