"""Where binaries are kept between checkouts and installs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_dir(environ: Mapping[str, str]) -> Path:
    """``XWORKFLOW_CACHE`` itself, else ``xworkflow`` in the XDG cache home. May not exist yet."""
    own = environ.get("XWORKFLOW_CACHE")
    if own:
        return Path(own)
    shared = environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "xworkflow"


def binary_dir(environ: Mapping[str, str]) -> Path:
    """The folder of cached executables."""
    return cache_dir(environ) / "bin"
