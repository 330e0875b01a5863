"""The error of a request that the rules refuse."""

from __future__ import annotations

from xworkflow.errors import NodeError, NodeFailure


class EgressRefused(NodeError):  # noqa: N818 - a verdict, not a fault of ours
    """Nothing was sent. Never retried: it is the input's fault (spec/runtime.md 4.2).

    ``rule`` names what refused it, as the policy spells it; ``host`` is all of the URL that may be
    told, as path and query can hold secrets.
    """

    def __init__(self, reason: str, *, rule: str, host: str = "") -> None:
        failure = NodeFailure.of_kind("input_validation_error", f"{reason} (rule {rule})")
        super().__init__(failure.model_copy(update={"metadata": {"rule": rule, "host": host}}))
        self.reason = reason
        self.rule = rule
        self.host = host

    def of_redirect(self) -> EgressRefused:
        """The same verdict on a hop that a server sent the client to."""
        return EgressRefused(f"Redirect blocked: {self.reason}", rule=self.rule, host=self.host)


def invalid_url(problem: str) -> EgressRefused:
    """A URL that cannot be read, or that two readers would read in two ways."""
    return EgressRefused(f"Invalid URL: {problem}", rule="valid_url")
