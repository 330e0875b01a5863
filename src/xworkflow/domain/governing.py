"""What a governor holds a group to, and what its brokers and its ledger say to one another.

All amounts are whole numbers, so that sums are exact: money in millionths of the currency, sandbox
time in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from math import ceil
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from xworkflow.domain.quota import ResourceQuota

GOVERNOR_WORKFLOW: Final = "GovernorWorkflow"
SWEEP_ACTIVITY: Final = "governor_sweep"
DOUBT_ACTIVITY: Final = "governor_doubt"
EXCHANGE_UPDATE: Final = "exchange"
YIELD_SIGNAL: Final = "yield_slot"
USAGE_QUERY: Final = "usage"
YIELDS_WORKFLOW: Final = "GovernorYieldsWorkflow"
YIELDED_ACTIVITY: Final = "governor_yielded"

_MINUTE, _DAY = 60, 86_400
_MILLIONTHS: Final = 1_000_000


def governor_id(group_id: str) -> str:
    """The workflow id of a group's ledger."""
    return f"xworkflow-governor/{group_id}"


def yields_id(group_id: str) -> str:
    """The workflow id of who hears of places given back, where the ledger is no workflow."""
    return f"{governor_id(group_id)}/yields"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Kind(StrEnum):
    """What is counted in windows."""

    RUNS = "runs"
    HTTP_CALLS = "http_calls"
    LLM_REQUESTS = "llm_requests"
    LLM_TOKENS = "llm_tokens"
    LLM_MONEY = "llm_money"
    SANDBOX_MS = "sandbox_ms"


class Budget(_Frozen):
    """So much in each window. Windows follow the clock (UTC): one of a day ends at midnight."""

    limit: int = Field(ge=0)
    window_secs: PositiveInt = _DAY


class Price(_Frozen):
    """What a model costs, in the currency, for a million tokens."""

    prompt: float = Field(default=0.0, ge=0)
    completion: float = Field(default=0.0, ge=0)

    def millionths(self, prompt_tokens: int, completion_tokens: int) -> int:
        return ceil(prompt_tokens * self.prompt + completion_tokens * self.completion)


class UsageQuota(_Frozen):
    """What a group may use over all its worker processes; None is unlimited, and costs nothing.

    ``when_full`` says what a run gets that may not start, and ``when_spent`` what a call gets whose
    budget is used up: an error that names the quota, or a wait. ``fair_by`` shares the places of
    waiting runs between apps or users; else they come in the order of their start. With
    ``count_waiting=False`` a run gives its place back while it only waits for people.

    ``prices`` are by model name or pattern (``gpt-4o*``), the first that fits; a model without one
    is free. A call whose node sets no ``max_tokens`` reserves ``assumed_output_tokens``; one that
    sets more than ``max_tokens_per_request`` is refused.
    """

    concurrent_runs: PositiveInt | None = None
    runs: Budget | None = None
    http_calls: Budget | None = None
    llm_requests: Budget | None = None
    llm_tokens: Budget | None = None
    llm_money: Budget | None = None
    sandbox_ms: Budget | None = None
    when_full: Literal["refuse", "wait"] = "refuse"
    when_spent: Literal["refuse", "wait"] = "refuse"
    count_waiting: bool = True
    fair_by: Literal["none", "app", "user"] = "none"
    max_waiting: PositiveInt = 5_000
    assumed_output_tokens: PositiveInt = 4_096
    max_tokens_per_request: PositiveInt | None = None
    prices: dict[str, Price] = Field(default_factory=dict[str, Price])

    @classmethod
    def of(cls, quota: ResourceQuota) -> Self:
        """The limits that the reference names (spec/runtime.md 6.5), exact over all processes."""
        return cls(
            concurrent_runs=quota.max_concurrent_workflows,
            http_calls=Budget(limit=quota.http_rate_limit_per_minute, window_secs=_MINUTE),
            llm_requests=Budget(limit=quota.llm_rate_limit_per_minute, window_secs=_MINUTE),
            llm_tokens=Budget(limit=quota.llm_daily_token_budget, window_secs=_DAY),
            assumed_output_tokens=quota.llm_max_tokens_per_request,
            max_tokens_per_request=quota.llm_max_tokens_per_request,
        )

    def budget(self, kind: Kind) -> Budget | None:
        return getattr(self, kind.value)

    @property
    def admits(self) -> bool:
        """Whether runs have to ask before they start."""
        return self.concurrent_runs is not None or self.runs is not None

    @property
    def yields(self) -> bool:
        """Whether runs give their place back while they wait for people."""
        return self.concurrent_runs is not None and not self.count_waiting

    def price(self, model: str) -> Price | None:
        for pattern, price in self.prices.items():
            if fnmatchcase(model, pattern):
                return price
        return None


def in_millionths(money: float) -> int:
    """Money as the ledger counts it, rounded up."""
    return ceil(money * _MILLIONTHS)


class WorkerSlots(_Frozen):
    """What one worker process does for a group at once, and how many requests for more it keeps
    open for each kind of task. Each group has its own, so that none takes those of another."""

    workflow_tasks: PositiveInt = 100
    activities: PositiveInt = 100
    local_activities: PositiveInt = 100
    pollers: PositiveInt = 5


# ---- runs


class RunAsks(_Frozen):
    """A run asks for a place. ``turn`` counts how often it has: 0 at its start, then once after
    each wait in which it gave its place back. Asking again is harmless.

    ``leased`` tells of a run that has its place already, out of its broker's lease.
    """

    run: str
    turn: int = 0
    fair_key: str = ""
    leased: bool = False


class RunEnds(_Frozen):
    """A run needs its place no more. With a ``turn``: not before it asks again."""

    run: str
    turn: int | None = None


class Verdict(_Frozen):
    """What became of a run's asking. Who is queued hears of its place by a signal; ``busy`` is an
    answer to brokers alone: other brokers hold free places, ask again.

    ``details`` of a refusal say which quota it was: ``quota_type``, ``limit``, ``current``.

    ``lease`` is the broker out of whose lease a place came. It stands in the run's history, where
    it is found when the broker dies before it has told the ledger.
    """

    answer: Literal["granted", "queued", "refused", "busy"] = "granted"
    reason: str | None = None
    lease: str | None = None
    details: Mapping[str, str | int] = Field(default_factory=dict[str, str | int])


# ---- budgets: brokers lease blocks, so that a call costs no round trip


class Want(_Frozen):
    """A broker needs so much for the next call, and could use ``more``."""

    need: int
    more: int = 0


class Spent(_Frozen):
    """What was used of the leases of one window, and what is given back unused."""

    window: int
    used: int = 0
    returned: int = 0


class Lease(_Frozen):
    """The answer to a want.

    ``granted``: ``amount`` may be spent until the window ends, in ``secs_left``. It is less than
    the need for the last call of a budget. ``busy``: others hold the rest, ask again soon.
    ``spent``: nothing is left before the window ends. ``tight`` asks to give unused parts back
    soon.
    """

    answer: Literal["granted", "busy", "spent"]
    amount: int = 0
    window: int = 0
    secs_left: float = 0.0
    used: int = 0
    tight: bool = False


class Exchange(_Frozen):
    """Everything that one broker has to say at once; a repetition of the same ``seq`` is the same
    exchange. At most some hundred runs in each.

    ``places`` is how many free places of its lease the broker has now, ``wants_places`` whether it
    could use some, and ``queue`` where its runs are.
    """

    broker: str
    seq: int
    quota: UsageQuota
    queue: str = ""
    places: int = 0
    wants_places: bool = False
    asks: tuple[RunAsks, ...] = ()
    ends: tuple[RunEnds, ...] = ()
    spent: Mapping[Kind, tuple[Spent, ...]] = Field(default_factory=dict[Kind, tuple[Spent, ...]])
    wants: Mapping[Kind, Want] = Field(default_factory=dict[Kind, Want])


class Reply(_Frozen):
    """Verdicts in the order of the asks. ``roomy`` says that nobody waits for a place, and few are
    taken: then there is no hurry to give one back. ``places`` are added to the broker's lease."""

    verdicts: tuple[Verdict, ...] = ()
    roomy: bool = False
    places: int = 0
    leases: Mapping[Kind, Lease] = Field(default_factory=dict[Kind, Lease])


class BudgetUsage(_Frozen):
    """How much of a budget is used in this window; ``leased`` is in the hands of brokers."""

    used: int
    leased: int
    limit: int


class GroupUsage(_Frozen):
    """What a group uses right now."""

    running: tuple[str, ...] = ()
    leased: int = 0
    """Places in the hands of brokers: free, or of runs that the ledger will hear of in a second."""
    waiting: int = 0
    most_running: int = 0
    """The most places that were taken at once, ever."""
    budgets: Mapping[Kind, BudgetUsage] = Field(default_factory=dict[Kind, BudgetUsage])


class Doubt(_Frozen):
    """A broker of which nobody hears any more, and that had a lease of places: which runs have one
    of them? ``known`` are the runs whose places the ledger knows."""

    broker: str
    queue: str
    known: tuple[str, ...] = ()


class Swept(_Frozen):
    """What a sweep found: the runs that are over."""

    over: tuple[str, ...] = ()


class Resolved(_Frozen):
    """The runs that have a place out of a dead broker's lease."""

    holders: tuple[str, ...] = ()
