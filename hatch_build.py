"""Give the rooms at the root of the repository their import names.

``workflows/``, ``activities/`` and ``runtime_group/`` are real folders at the top level, and
``worker.py`` is a real file there; they are imported as ``xworkflow.workflows`` and so on. A wheel
gets them by ``force_include``; an editable install gets git-ignored links below ``src/xworkflow``,
which checkers, pytest and Temporal's workflow sandbox follow like plain folders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "xworkflow"
ROOMS = ("workflows", "activities", "runtime_group", "worker.py")


def link(target: Path, name: Path) -> None:
    """Make ``name`` point at ``target``, replacing a link that is already there."""
    if name.is_symlink() or (os.name == "nt" and name.is_file()):
        name.unlink()
    if name.exists():
        return
    if os.name == "nt":  # links need a privilege there; junctions and hard links do not
        import _winapi

        if target.is_dir():
            _winapi.CreateJunction(str(target), str(name))
        else:
            os.link(target, name)
    else:
        name.symlink_to(os.path.relpath(target, name.parent))


class RoomsHook(BuildHookInterface[Any]):
    """Maps the root's rooms into the package, for wheels and for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for room in ROOMS:
            if version == "editable":
                link(Path(self.root, room), Path(self.root, "src", PACKAGE, room))
            else:
                build_data["force_include"][str(Path(self.root, room))] = f"{PACKAGE}/{room}"
