"""A real Slurm whose nodes are pretended: each has processes, a network address and a host name of its own, on this
machine. All of it ends with one process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 120.0  # seconds until Slurm is up
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "unshare", "nsenter", "ip")
_CONFIGURATION = """
ClusterName=pretended
SlurmctldHost=control(10.77.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=10
MailProg=/bin/true
OverTimeLimit=0
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=NO State=UP
"""
# In namespaces of their own for processes, network, host names and mounts; {root} is a folder that all nodes see.
_CONTROL = """
set -e
hostname control
mount --bind {root}/hosts /etc/hosts
ip link set lo up
ip link add bridge type bridge
ip address add 10.77.0.254/24 dev bridge
ip link set bridge up
head -c 1024 /dev/urandom >{root}/munge.key
chmod 400 {root}/munge.key
munged --force --key-file={root}/munge.key --socket={root}/munge.socket --pid-file={root}/munge.pid \\
    --log-file={root}/munge.log --seed-file={root}/munge.seed
slurmctld
for number in {numbers}; do
    unshare --net --uts --pid --mount --fork --mount-proc sh {root}/node.sh $number &
    node=$!
    sleep 0.2
    ip link add port$number type veth peer name eth0 netns /proc/$node/ns/net
    ip link set port$number master bridge up
    echo >{root}/plugged-$number
done
wait
"""
_NODE = """
hostname n$1
while [ ! -e {root}/plugged-$1 ]; do sleep 0.1; done
ip link set lo up
ip address add 10.77.0.$1/24 dev eth0
ip link set eth0 up
[ ! -e {root}/cpuinfo-n$1 ] || mount --bind {root}/cpuinfo-n$1 /proc/cpuinfo
mkdir -p {root}/spool-n$1 /mnt
mount --bind {shared} /mnt
mount -t tmpfs none /tmp
mkdir -p {shared}
mount --bind /mnt {shared}
exec slurmd -D -N n$1
"""


def lacking() -> str | None:
    """Why there can be no such Slurm here; None if there can."""
    if os.geteuid() != 0:
        return "a Slurm of pretended nodes needs root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: apt-get install slurm-wlm munge iproute2" if absent else None


class Slurm:
    """`root` is its folder; commands run as on its control machine."""

    def __init__(self, root: Path, process: int) -> None:
        self.root = root
        self._process = process

    def run(self, *words: str | Path, cwd: Path | None = None) -> str:
        """What a command prints; CalledProcessError if it fails."""
        inside = [
            "nsenter",
            f"--target={self._process}",
            "--net",
            "--uts",
            "--pid",
            "--mount",
            f"--wd={cwd or self.root}",
        ]
        environment = os.environ | {"SLURM_CONF": str(self.root / "slurm.conf")}
        done = subprocess.run(
            [*inside, *map(str, words)], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return done.stdout

    def wait_for(self, job: str, seconds: float) -> str:
        """The state of a job that has ended."""
        last = time.monotonic() + seconds
        while True:
            shown = self.run("scontrol", "--oneliner", "show", "job", job)
            state = shown.partition("JobState=")[2].split()[0]
            if state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"):
                return state
            assert time.monotonic() < last, f"job {job} is {state} after {seconds} s:\n{shown}"
            time.sleep(0.5)


@contextlib.contextmanager
def slurm_of(n_nodes: int, cpus: int, root: Path, shared: Path, processors: Mapping[str, str]) -> Iterator[Slurm]:
    """A Slurm of so many nodes, n1 and on, with so many cores each, that see the folder `shared`, in which `root` is.
    Some of them say that they have other `processors`."""
    numbers = range(1, n_nodes + 1)
    (root / "state").mkdir(parents=True)
    nodes = "\n".join(f"NodeName=n{k} NodeAddr=10.77.0.{k} CPUs={cpus}" for k in numbers)
    hosts = ["127.0.0.1 localhost", "10.77.0.254 control", *(f"10.77.0.{k} n{k}" for k in numbers)]
    (root / "hosts").write_text("\n".join(hosts) + "\n")
    (root / "slurm.conf").write_text(_CONFIGURATION.format(root=root, nodes=nodes))
    for node, model in processors.items():
        told = re.sub(r"(model name\s*: ).*", rf"\1{model}", Path("/proc/cpuinfo").read_text())
        (root / f"cpuinfo-{node}").write_text(told)
    (root / "node.sh").write_text(_NODE.format(root=root, shared=shared))
    (root / "control.sh").write_text(_CONTROL.format(root=root, numbers=" ".join(map(str, numbers))))
    words = ["unshare", "--net", "--uts", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    environment = os.environ | {"SLURM_CONF": str(root / "slurm.conf")}
    quiet = subprocess.DEVNULL  # what the daemons say is in their logs
    with subprocess.Popen([*words, "sh", root / "control.sh"], env=environment, stdout=quiet, stderr=quiet) as outer:
        try:
            slurm = Slurm(root, _child_of(outer.pid))
            _wait_until_idle(slurm, n_nodes)
            yield slurm
        finally:
            outer.kill()  # and with it the first process of the namespace, and so all of them


def _child_of(process: int) -> int:
    last = time.monotonic() + PATIENCE
    while not (found := Path(f"/proc/{process}/task/{process}/children").read_text().split()):
        assert time.monotonic() < last
        time.sleep(0.05)
    return int(found[0])


def _wait_until_idle(slurm: Slurm, n_nodes: int) -> None:
    last = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            states: Sequence[str] = slurm.run("sinfo", "--noheader", "--Node", "--format=%t").split()
            if states == ["idle"] * n_nodes:
                return
        assert time.monotonic() < last, "Slurm does not come up"
        time.sleep(0.5)
