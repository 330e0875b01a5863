"""The verbs, one file each.

These files hold arguments and help texts. What does the work is imported when a verb runs: the
Temporal SDK alone takes longer to load than ``--help`` and ``validate`` may take.
"""

from __future__ import annotations

import typer

from xworkflow.cli import codec_server, config, debug, dev, new, run, runs, test, validate, worker
from xworkflow.cli import compile as compile_

_done: set[int] = set()


def register(app: typer.Typer) -> None:
    """Add every verb to the app, once."""
    if id(app) in _done:
        return
    _done.add(id(app))
    new.register(app)
    run.register(app)
    debug.register(app)
    compile_.register(app)
    validate.register(app)
    test.register(app)
    runs.register(app)
    worker.register(app)
    dev.register(app)
    config.register(app)
    codec_server.register(app)
