"""What is shipped is what is in the tree: the wheel made from the source archive loses no file.

Once, variants of the packaging dropped the rooms or ``py.typed`` without a word.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("workflows", "activities", "runtime_group", "worker.py")


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build with the installed backend, as pip does: in a process of its own, without a network."""
    script = f"from hatchling.build import build_{kind} as build; print(build({str(out)!r}))"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tree, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return out / result.stdout.split()[-1]


def files_below(folder: Path, name: str) -> set[str]:
    """The files of a folder or the file itself, by the name that it has in the package."""
    return {
        str(Path(name, path.relative_to(folder)))
        for path in ([folder] if folder.is_file() else folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def the_tree() -> set[str]:
    """All files of the package as the tree has them, rooms under their import names."""
    package = ROOT / "src" / "xworkflow"
    parts = [part for part in package.iterdir() if part.name not in ROOMS]  # those are links
    inside = (files_below(part, f"xworkflow/{part.name}") for part in parts)
    rooms = (files_below(ROOT / room, f"xworkflow/{room}") for room in ROOMS)
    return set[str]().union(*inside, *rooms)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made the long way: tree → source archive → wheel."""
    folder = tmp_path_factory.mktemp("dist")
    archive = build("sdist", ROOT, folder)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return build("wheel", folder / archive.name.removesuffix(".tar.gz"), folder)


def shipped(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as packed:
        return {name for name in packed.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: Path) -> None:
    assert shipped(wheel) == the_tree()


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "worker.py",
        "workflows/__init__.py",
        "runtime_group/group.py",
        "embedded/server.py",
    ],
)
def test_the_wheel_holds_what_was_lost_once(wheel: Path, name: str) -> None:
    assert f"xworkflow/{name}" in shipped(wheel)


def test_the_wheel_from_the_tree_is_the_same(wheel: Path, tmp_path: Path) -> None:
    assert shipped(build("wheel", ROOT, tmp_path)) == shipped(wheel)
