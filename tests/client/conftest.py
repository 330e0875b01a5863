"""The bench and the recording of the workflow tests, for a reader to be held against."""

from tests.workflows.conftest import bench, idle_bench
from tests.workflows.recording import recording

__all__ = ["bench", "idle_bench", "recording"]
