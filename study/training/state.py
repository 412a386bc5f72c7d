"""What a run needs to go on as if it had never stopped: weights, optimizer state and random streams, kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from study.records.files import write_json, write_with
from study.records.paths import RunFiles
from study.records.run import HistoryRow, parse_history_row
from study.training.images import Batches


@dataclass(frozen=True)
class TrainingState:
    """A run after `step` optimizer steps and `seconds` of training; `tensors` by name, random states among them."""

    step: int
    seconds: float
    tensors: dict[str, Tensor]


def capture(
    step: int,
    seconds: float,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    batches: Batches,
) -> TrainingState:
    """A copy of everything that the next step depends on."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors |= {f"random.{name}": state for name, state in _random_states(generator).items()}
    tensors |= {f"images.{name}": state for name, state in batches.state().items()}
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }
    return TrainingState(step, seconds, copies)


def restore(
    state: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    batches: Batches,
) -> None:
    """Bring a fresh model, optimizer, generator and batches of the same run to where `capture` found them."""
    model.load_state_dict(_under("model.", state.tensors))
    content = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    content["state"] = {
        index: {name: _laid_out_like(parameter, value) for name, value in found.items()}
        for index, parameter in enumerate(parameters)
        if (found := _under(f"optimizer.{index}.", state.tensors))
    }
    optimizer.load_state_dict(content)
    batches.restore(_under("images.", state.tensors))
    generator.set_state(state.tensors["random.generator"])
    torch.set_rng_state(state.tensors["random.cpu"])
    if "random.cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["random.cuda"], generator.device)


def _random_states(generator: torch.Generator) -> dict[str, Tensor]:
    """Augmentation draws from the run's generator, dropout from torch's global one."""
    states = {"generator": generator.get_state(), "cpu": torch.get_rng_state()}
    if generator.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(generator.device)
    return states


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    # Fused optimizers walk through memory: a moment must lie there as its parameter does.
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


class StateFiles:
    """The last two states of a run in its folder: `state.json` names them with their sha256, newest first.

    A state is written whole beside its place and renamed; the one before it stays until the next is named.
    """

    def __init__(self, files: RunFiles, digest: str) -> None:
        self._files = files
        self._digest = digest
        self._entries: list[dict[str, Any]] = []

    def load(self) -> tuple[TrainingState, list[HistoryRow]] | None:
        """The newest state that is whole, with the history up to it; None if this very run left none."""
        try:
            named = json.loads(self._files.state.read_text(encoding="utf-8"))
            entries = [dict(entry) for entry in named["states"]] if named["hash"] == self._digest else []
            for position, entry in enumerate(entries):
                path = self._files.root / str(entry["file"])
                if path.is_file() and _sha256(path) == entry["sha256"]:
                    self._entries = entries[position:]
                    state = TrainingState(int(entry["step"]), float(entry["seconds"]), load_file(path))
                    return state, [parse_history_row(row) for row in entry["history"]]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        return None

    def save(self, state: TrainingState, history: Sequence[HistoryRow]) -> None:
        taken = {entry["file"] for entry in self._entries[:1]}
        name = next(name for name in ("state-0.safetensors", "state-1.safetensors") if name not in taken)
        path = self._files.root / name
        write_with(path, lambda part: save_file(state.tensors, part))
        entry = {"file": name, "sha256": _sha256(path), "step": state.step, "seconds": state.seconds}
        self._entries = [entry | {"history": [asdict(row) for row in history]}, *self._entries[:1]]
        write_json(self._files.state, {"hash": self._digest, "states": self._entries})

    def remove(self) -> None:
        """For a run that is done."""
        self._files.state.unlink(missing_ok=True)
        for path in self._files.root.glob("state-*.safetensors"):
            path.unlink()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
