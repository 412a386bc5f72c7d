from __future__ import annotations

import pytest

from study.execution.nodes import Node, node_of, unlike
from study.execution.ray_address import Cluster

ONE, SAME = Node("c1", "10.0.0.1", (0, 1), "AMD EPYC"), Node("c2", "10.0.0.2", (2,), "AMD EPYC")
OTHER = Node("g1", "10.0.0.3", (3,), "AMD EPYC", ("H100", "H100"))


def test_machines_of_two_kinds_are_named_with_what_to_do() -> None:
    assert unlike([ONE, SAME]) is None
    said = unlike([OTHER, ONE, SAME])
    assert said is not None
    assert said.startswith("its machines are of 2 kinds (H100: g1; AMD EPYC: c1, c2), so that equal seconds")
    assert "--cluster-machines c1,c2, or set --n-trials" in said


def test_a_worker_lives_on_one_machine() -> None:
    assert [node_of(worker, [ONE, SAME]) for worker in (0, 1, 2, 3)] == ["c1", "c1", "c2", None]


@pytest.mark.parametrize(
    ("patterns", "names"), [((), {"c1", "c2", "g1"}), (("c*",), {"c1", "c2"}), (("g1", "c2"), {"c2", "g1"})]
)
def test_machines_are_chosen_by_their_names(patterns: tuple[str, ...], names: set[str]) -> None:
    cluster = Cluster("10.0.0.1:6379", 60.0, lambda text: None, "", patterns)
    assert {name for name in ("c1", "c2", "g1") if cluster.is_chosen(name)} == names
    assert ("that --cluster-machines c* names" in cluster.why_no_room(0, "CPU")) == (patterns == ("c*",))
