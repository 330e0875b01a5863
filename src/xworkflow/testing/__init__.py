"""Public helpers for tests of workflows: cases in folders, and mock servers."""
