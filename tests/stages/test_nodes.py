from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trials import trial

from study.execution.nodes import Node
from study.records.ledger import Command, Ledger, NodeSeen, read_ledger
from study.records.open_ledger import OpenLedger
from study.stages.nodes import NodeLog
from study.stages.search import utilisation

FIRST = Node("c1", "10.0.0.1", (0, 1), "AMD EPYC")
SECOND = Node("c2", "10.0.0.2", (2,), "AMD EPYC", ("H100", "H100"))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_machines_that_come_and_go_are_in_the_ledger_with_what_they_offered_to_the_search(tmp_path: Path) -> None:
    ledger, clock = OpenLedger.open(tmp_path / "ledger.json", "study run", 0.0, {}), Clock()
    log = NodeLog(ledger, clock)
    for at, nodes, in_search in (
        (100.0, [FIRST], True),
        (103.0, [FIRST], True),  # two workers for three seconds
        (104.0, [FIRST, SECOND], True),
        (110.0, [FIRST, replace(SECOND, lost="no answer")], True),
        (150.0, [FIRST, replace(SECOND, lost="no answer")], False),  # retraining
        (160.0, [FIRST, replace(SECOND, lost="no answer")], True),  # another search's turn was between
        (161.0, [FIRST, replace(SECOND, lost="no answer")], True),
    ):
        clock.now = at
        log.look(nodes, in_search=in_search)
    ledger.save()
    first, second = read_ledger(tmp_path / "ledger.json").nodes
    assert (first.name, first.workers, first.kind, first.offered) == ("c1", 2, "AMD EPYC", 2 * 11.0)
    assert (first.joined, first.left, first.lost) == (None, None, None)
    assert (second.kind, second.offered, second.lost) == ("H100", 6.0, "no answer")
    assert second.joined
    assert second.left


def test_of_a_study_whose_first_command_noted_no_machine_the_utilisation_is_that_of_the_others() -> None:
    seen = [NodeSeen(name="c1", workers=2, offered=20.0), NodeSeen(name="c2", workers=1, offered=5.0)]
    ledger = Ledger(stages={"search": 100.0}, commands=[Command(command="study run")])
    records = [trial(number, held_seconds=40.0) for number in range(3)]
    assert utilisation(ledger, records, 2) == 0.6
    ledger.commands.append(Command(command="study run --cluster auto", nodes=tuple(seen)))
    records += [trial(3, held_seconds=10.0, node="c1"), trial(4, held_seconds=5.0, node="c2")]
    assert utilisation(ledger, records, 3) == 0.6
