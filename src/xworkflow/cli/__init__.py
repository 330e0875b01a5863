"""The ``xworkflow`` command."""

from xworkflow.cli.app import main

__all__ = ["main"]
