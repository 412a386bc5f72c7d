"""How many cores, and how much of their time, the processes of a command may use."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: those it may run on, and no more than a container's quota of their time, rounded
    up. `root` is where /proc and /sys are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *(max(1, math.ceil(quota)) for quota in _quotas(root))])


def core_share(root: Path = Path("/")) -> float:
    """How much of one core's time a process of this command has, above 0: 1 unless a container's quota is less."""
    return min([1.0, *(quota for quota in _quotas(root) if quota > 0)])


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that each control group of this process may use, in version 2 and version 1 of the system.

    A container sees its own group as the topmost one, though it may be told the path that it has outside.
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        groups = [PurePath(path), *PurePath(path).parents]
        if controllers == "":
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                yield from _each(root / mount, groups, _quota_v2)
        elif "cpu" in controllers.split(","):
            for mount in (f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu"):
                yield from _each(root / mount, groups, _quota_v1)


def _each(mount: Path, groups: list[PurePath], read: Callable[[Path], float | None]) -> Iterator[float]:
    for group in groups:
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            if (quota := read(mount / group.relative_to("/"))) is not None:
                yield quota


def _quota_v2(group: Path) -> float | None:
    most, period = (group / "cpu.max").read_text(encoding="ascii").split()
    return None if most == "max" else int(most) / int(period)


def _quota_v1(group: Path) -> float | None:
    most, period = (int((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii")) for name in ("quota", "period"))
    return None if most <= 0 else most / period


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
