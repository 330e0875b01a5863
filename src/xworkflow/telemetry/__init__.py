"""Traces and logs: what an operator sees of runs outside Temporal. Off until it is asked for."""

from xworkflow.telemetry.plugin import flush, plugins

__all__ = ["flush", "plugins"]
