"""Families of other installed packages, the only plug-ins that there are: entry points of one group.

    [project.entry-points."digit_study.families"]
    tower = "digit_tower:Tower"

names a network class like those of `study.models`; its search space is `tower.toml` beside the module. Nothing of a
package is imported before its family is built.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from study.errors import ConfigError

GROUP = "digit_study.families"


@dataclass(frozen=True)
class Plugin:
    """A family that a package offers; as text, what an error needs to name it."""

    entry: EntryPoint
    package: str
    version: str

    @property
    def family(self) -> str:
        return self.entry.name

    def __str__(self) -> str:
        return f"package {self.package} {self.version}, entry point {self.family} = {self.entry.value}"

    def space_file(self) -> Path | None:
        """`<family>.toml` beside the module; None where there is none."""
        folder = _folder(self.entry.value.partition(":")[0].strip())
        file = None if folder is None else folder / f"{self.family}.toml"
        return file if file is not None and file.is_file() else None

    def load(self) -> Any:
        """What the entry point names. ConfigError for whatever its import raises."""
        try:
            return self.entry.load()
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise self.wrong(f"cannot be loaded ({type(error).__name__}: {said})") from None

    def wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self}: {what}; mend the package or uninstall it")


def _folder(module: str) -> Path | None:
    """Where a module lies. Its packages are not imported for that, which importlib's own `find_spec` would do."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    for part in below:
        inside = None if spec is None else spec.submodule_search_locations
        spec = None if spec is None or inside is None else PathFinder.find_spec(f"{spec.name}.{part}", inside)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return None if spec.origin is None else Path(spec.origin).parent


def plugins() -> list[Plugin]:
    """All that is offered, by family."""
    found = [Plugin(e, e.dist.name, e.dist.version) for e in entry_points(group=GROUP) if e.dist is not None]
    return sorted(found, key=lambda plugin: (plugin.family, plugin.package))


def plugin_of(family: str) -> Plugin | None:
    """The package's offer of a family, None if there is none; ConfigError if two packages have one."""
    found = [plugin for plugin in plugins() if plugin.family == family]
    if len(found) > 1:
        raise ConfigError(f"family '{family}' is offered twice, by {found[0]} and {found[1]}: uninstall one of them")
    return found[0] if found else None


def require_installed(family: str, package: str | None, recorded: str | None) -> None:
    """ConfigError unless the package from which a study or a model has a family, if any, is here; another version
    than `recorded` will do."""
    if package is None:
        return
    found = plugin_of(family)
    if found is None or _normal(found.package) != _normal(package):
        raise ConfigError(f"family '{family}' is of package {package} {recorded}, {_absence(package, recorded)}")


def _absence(package: str, recorded: str | None) -> str:
    try:
        now = version(package)
    except PackageNotFoundError:
        return f"which is not installed: pip install {package}"
    return f"and its version {now}, which is installed, does not offer it: pip install {package}=={recorded}"


def _normal(package: str) -> str:
    """A package's name as installers compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()
