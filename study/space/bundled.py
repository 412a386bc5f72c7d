"""The search spaces that come with the program."""

from __future__ import annotations

from pathlib import Path


def bundled_spaces() -> dict[str, Path]:
    """Search spaces that come with the program, by name: beside the package's modules in a wheel, else the checkout's
    folder."""
    package = Path(__file__).parent.parent
    for folder in (package / "search_spaces", package.parent / "search_spaces"):
        files = sorted(folder.glob("*.toml"))
        if files:
            return {file.stem: file for file in files}
    return {}
