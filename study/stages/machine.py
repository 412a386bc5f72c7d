"""What this machine has: processor, cores, a GPU, and how many workers they feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch

from study.errors import UsageError
from study.execution.gpus import gpus_of, models_of, room_on
from study.execution.nodes import cpu_name
from study.records.ledger import Machine
from study.stages.cores import available_cores


def describe_machine(device: torch.device) -> Machine:
    """Processor and cores, and the GPUs that `device` means."""
    return machine_with(models_of(device))


def machine_with(gpus: Iterable[str]) -> Machine:
    """This machine's processor and cores, and GPUs by their models."""
    counted = [name if n == 1 else f"{n} × {name}" for name, n in Counter(gpus).items()]
    return Machine(cpu=cpu_name(), cores=available_cores(), gpu=", ".join(counted) or None)


def choose_device(name: str) -> torch.device:
    """`auto` is all GPUs if there are any, as `cuda` is. UsageError for a device that torch does not know, that this
    machine lacks, or that does not serve this process."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    one: torch.device | None = None
    try:
        device = torch.device("cuda" if name == "auto" else name)
        for one in gpus_of(device) or [device]:
            torch.zeros(1, device=one)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if name == "auto" or (name == "cuda" and torch.cuda.is_available()):
            raise UsageError(_does_not_serve(one, str(error).strip().partition("\n")[0])) from None
        there = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        raise UsageError(f"--device {name!r} is not there: expected auto or one of {', '.join(there)}") from None
    return device


def _does_not_serve(gpu: torch.device | None, cause: str) -> str:
    others = [f"cuda:{index}" for index in range(torch.cuda.device_count()) if torch.device("cuda", index) != gpu]
    which = str(gpu) if others else "the GPU"
    return f"{which} does not serve this command ({cause}): free it, or use --device {' or '.join([*others, 'cpu'])}"


def fitting_workers(device: torch.device) -> int:
    """One worker a core; on GPUs, over which they are spread, no more than fit into their free memory and the
    machine's. More workers than cores trained less there, too: 32 on 16 cores 0.8 to 0.9 times as much as 16."""
    if device.type != "cuda":
        return available_cores()
    return max(1, min(available_cores(), room_on(device)))


def too_many(workers: int, fitting: int) -> list[str]:
    """What is to be said of more workers than this machine feeds; nothing of fewer."""
    if workers <= fitting:
        return []
    return [
        f"--workers {workers} is more than the {fitting} that this machine feeds: they share its cores, each trains "
        f"slower, and fewer trials fit the same time; without --workers there are {fitting}"
    ]


def limit_threads() -> None:
    """No more threads of torch in this process than the cores' time that it has: torch counts the cores themselves, and
    threads that wait for each other under a quota are slower than few."""
    if torch.get_num_threads() > (cores := available_cores()):
        torch.set_num_threads(cores)
