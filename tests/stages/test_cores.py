from __future__ import annotations

import os
from pathlib import Path

import pytest

from study.stages.cores import available_cores, core_share

OWN = "0::/user.slice/job\n"
QUOTAS = [
    ({}, None),
    ({"proc/self/cgroup": OWN}, None),
    ({"proc/self/cgroup": OWN, "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n"}, None),
    ({"proc/self/cgroup": OWN, "sys/fs/cgroup/user.slice/job/cpu.max": "200000 100000\n"}, 2),
    ({"proc/self/cgroup": OWN, "sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n"}, 2),  # a parent's, rounded up
    (
        {"proc/self/cgroup": OWN, "sys/fs/cgroup/cpu.max": "10000 100000\n"},
        1,
    ),  # a container's own, as it is seen inside
    (
        {
            "proc/self/cgroup": OWN,
            "sys/fs/cgroup/user.slice/job/cpu.max": "500000 100000\n",
            "sys/fs/cgroup/user.slice/cpu.max": "300000 100000\n",
        },
        3,
    ),
    (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/1\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        4,
    ),
    (
        {
            "proc/self/cgroup": "1:cpu:/job\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    ({"proc/self/cgroup": OWN, "sys/fs/cgroup/cpu.max": "who knows\n"}, None),
]


def test_less_than_a_core_is_known(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(OWN)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for text, share in (("max 100000", 1.0), ("300000 100000", 1.0), ("50000 100000", 0.5)):
        (tmp_path / "sys/fs/cgroup/cpu.max").write_text(text)
        assert core_share(tmp_path) == share


@pytest.mark.parametrize(("files", "quota"), QUOTAS)
def test_a_container_s_share_of_the_cores_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], quota: int | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == (quota or 16)
