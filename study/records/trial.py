"""How a trial ended: a value of its own, beside Optuna's state and the sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

# complete: reached the top rung; pruned: by the pruner; budget: stopped at a rung, because the search ended; failed: by
# its own cause; interrupted: its command or its worker ended; withdrawn: the search ended before it began.
Ending = Literal["complete", "pruned", "budget", "failed", "interrupted", "withdrawn"]


def ending_of(record: Mapping[str, Any]) -> Ending:
    """The ending of a line of trials.jsonl. Lines written before there was one tell it by how their reason begins."""
    if record.get("ending") is not None:
        ending: Ending = record["ending"]
        return ending
    reason = str(record["reason"])
    if record["state"] == "COMPLETE":
        return "complete"
    if record["state"] == "PRUNED":
        return "pruned" if reason.startswith("pruned") else "budget"
    if record["counted"]:
        return "failed"
    return "withdrawn" if reason.startswith("withdrawn") else "interrupted"
