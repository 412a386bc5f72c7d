"""What trains on a machine: the code, the packages it computes with, and the precision of its processor or GPUs."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING

from study.records.run import Precision

if TYPE_CHECKING:
    import torch

_PACKAGES = ("digit-study", "torch", "torchvision", "numpy")


@dataclass(frozen=True, slots=True)
class Installation:
    """Versions by name, those of packages with families among them; the beginning of the sha256 of this package's own
    code, since an edited checkout has the same version."""

    versions: Mapping[str, str]
    code: str
    precision: Precision

    @classmethod
    def here(cls, device: torch.device) -> Installation:
        from study.training.loop import choose_precision  # loads torch

        families = {point.dist for point in entry_points(group="digit_study.families") if point.dist is not None}
        versions = {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
        return cls(versions | {dist.name: dist.version for dist in families}, _code(), choose_precision(device))

    def difference(self, other: Installation) -> str | None:
        """What keeps another machine's trainings from being equal to this one's; None if nothing does. A lower
        precision is computed everywhere."""
        names = sorted(self.versions.keys() | other.versions.keys())
        pairs = [(name, self.versions.get(name), other.versions.get(name)) for name in names]
        pairs += [("this package's code", self.code, other.code)]
        if self.precision != "fp32":
            pairs += [("precision", self.precision, other.precision)]
        return ", ".join(f"{name} {theirs} (here {ours})" for name, ours, theirs in pairs if ours != theirs) or None


def _code() -> str:
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
