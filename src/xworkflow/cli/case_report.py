"""What ``xworkflow test`` shows: how far it is, a line for each failing case, the closing line."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from xworkflow.cli.printing import output, plain

if TYPE_CHECKING:
    from xworkflow.testing.cases import Verdict


class CaseReport:
    """Prints on stdout; the bar shows on a terminal only, and goes when the cases are over."""

    def __init__(self, total: int) -> None:
        self._console = output()
        self._failed = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("cases", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def take(self, verdict: Verdict) -> None:
        """One more case is over."""
        if verdict.outcome == "failed":
            self._failed += 1
            self._print(f"[red]FAILED[/] {plain(verdict.name)}", verdict)
        text = f"cases, [red]{self._failed} failed[/]" if self._failed else "cases"
        self._bar.update(self._task, advance=1, description=text)

    def close(self, verdicts: Sequence[Verdict]) -> None:
        """The skipped cases with their reasons, and the closing line."""
        for verdict in verdicts:
            if verdict.outcome == "skipped":
                self._print(f"[yellow]skipped[/] {plain(verdict.name)}", verdict)
        counts = {o: sum(v.outcome == o for v in verdicts) for o in ("passed", "failed", "skipped")}
        self._console.print(", ".join(f"{count} {word}" for word, count in counts.items()))

    def _print(self, title: str, verdict: Verdict) -> None:
        problems = "; ".join(verdict.problems).replace("\n", "\\n")
        self._console.print(f"{title}: {plain(problems)}")
