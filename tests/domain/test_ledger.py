"""The ledger of a group: places and budgets, whatever brokers say and in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.governing import (
    Budget,
    Exchange,
    Kind,
    Lease,
    Reply,
    RunAsks,
    RunEnds,
    Spent,
    UsageQuota,
    Want,
)
from xworkflow.domain.ledger import BROKER_SILENCE_MS, PLACES_SILENCE_MS, Ledger

MINUTE = Budget(limit=100, window_secs=60)


class Talk:
    """A ledger, and brokers that speak to it."""

    def __init__(self, quota: UsageQuota) -> None:
        self.quota = quota
        self.ledger = Ledger.new(quota)
        self.now = 0
        self._seqs: dict[str, int] = {}

    def say(self, broker: str = "b", **parts: object) -> Reply:
        self._seqs[broker] = self._seqs.get(broker, 0) + 1
        given = {"broker": broker, "seq": self._seqs[broker], "quota": self.quota, **parts}
        return self.ledger.exchange(Exchange.model_validate(given), self.now)

    def ask(self, run: str, turn: int = 0) -> str:
        asks = (RunAsks(run=run, turn=turn),)
        return self.say(asks=asks).verdicts[0].answer

    def end(self, run: str, turn: int | None = None) -> None:
        self.say(ends=(RunEnds(run=run, turn=turn),))
        self.ledger.grants(self.now)

    def want(self, need: int, more: int = 0, broker: str = "b", **parts: object) -> Lease:
        wants = {Kind.HTTP_CALLS: Want(need=need, more=more)}
        return self.say(broker, wants=wants, **parts).leases[Kind.HTTP_CALLS]

    def spoken_late(self) -> tuple[int, int]:
        """What is used and leased after one that leased 50, was silent, had used 20 and gives 10
        back."""
        self.want(50, broker="slow")
        self.now += BROKER_SILENCE_MS + 1
        self.say("other")
        usage = self.ledger.usage(self.now).budgets[Kind.HTTP_CALLS]
        assert (usage.used, usage.leased) == (50, 0)
        self.say("slow", spent={Kind.HTTP_CALLS: (Spent(window=0, used=20, returned=10),)})
        usage = self.ledger.usage(self.now).budgets[Kind.HTTP_CALLS]
        return usage.used, usage.leased


def test_a_repeated_exchange_is_taken_once() -> None:
    talk = Talk(UsageQuota(concurrent_runs=1, http_calls=MINUTE))
    given = Exchange(
        broker="b", seq=1, quota=talk.quota, wants={Kind.HTTP_CALLS: Want(need=10, more=10)}
    )
    first = talk.ledger.exchange(given, 0)
    assert talk.ledger.exchange(given, 5) == first
    assert talk.ledger.usage(5).budgets[Kind.HTTP_CALLS].leased == 20


def test_waiting_runs_start_when_a_window_of_starts_has_ended() -> None:
    quota = UsageQuota(runs=Budget(limit=1, window_secs=60), when_full="wait")
    talk = Talk(quota)
    talk.now = 59_000
    assert [talk.ask("a"), talk.ask("b")] == ["granted", "queued"]
    assert talk.ledger.next_window(talk.now) == 60_000
    assert [ask.run for ask in talk.ledger.grants(60_000)] == ["b"]


def test_leases_shrink_towards_the_end_of_a_budget_and_never_exceed_it() -> None:
    talk = Talk(UsageQuota(http_calls=MINUTE))
    granted = [talk.want(1, 1000).amount for _ in range(20)]
    assert granted == sorted(granted, reverse=True)
    assert (granted[0], sum(granted)) == (50, 100)


def test_who_finds_a_budget_in_other_hands_asks_again_and_who_finds_it_used_up_is_refused() -> None:
    talk = Talk(UsageQuota(http_calls=MINUTE))
    assert talk.want(100, broker="one").amount == 100
    assert talk.want(1, broker="other").answer == "busy"
    used = {Kind.HTTP_CALLS: (Spent(window=0, used=100),)}
    talk.say("one", spent=used)
    assert talk.want(1, broker="other").answer == "spent"
    talk.now = 60_000
    assert talk.want(1, broker="other").answer == "granted"


def test_what_a_silent_broker_has_leased_counts_as_used_until_the_window_ends() -> None:
    talk = Talk(UsageQuota(http_calls=Budget(limit=100, window_secs=3600)))
    talk.want(60, broker="dead")
    talk.now = BROKER_SILENCE_MS + 1
    assert talk.want(50).amount == 40
    usage = talk.ledger.usage(talk.now).budgets[Kind.HTTP_CALLS]
    assert (usage.used, usage.leased) == (60, 40)


def test_a_broker_that_speaks_again_says_itself_what_it_used_and_goes_on_with_its_lease() -> None:
    talk = Talk(UsageQuota(http_calls=Budget(limit=100, window_secs=3600)))
    assert talk.spoken_late() == (20, 20)


def test_a_history_that_began_without_corrections_has_them_from_the_next_one_on() -> None:
    talk = Talk(UsageQuota(http_calls=Budget(limit=100, window_secs=3600)))
    talk.ledger = Ledger(quota=talk.quota)
    assert talk.spoken_late() == (50 + 20, 0)
    talk = Talk(talk.quota)
    talk.ledger = Ledger(quota=talk.quota).renewed()
    assert talk.spoken_late() == (20, 20)


def test_places_are_leased_only_while_half_of_them_are_free() -> None:
    talk = Talk(UsageQuota(concurrent_runs=10))
    assert talk.say("one", wants_places=True).places == 5
    assert talk.say("other", wants_places=True).places == 0
    assert talk.say("one", places=5, wants_places=True).places == 0
    answers = [talk.ask(f"run-{i}") for i in range(6)]
    assert answers == ["granted"] * 5 + ["busy"]  # "one" may yet give its places back
    told = tuple(RunAsks(run=f"own-{i}", leased=True) for i in range(2))
    reply = talk.say("one", places=3, asks=told)
    assert not reply.roomy
    talk.say("one", places=0)
    assert (talk.ask("run-5"), len(talk.ledger.holders)) == ("granted", 8)


def test_the_places_of_a_dead_broker_stay_taken_until_it_is_known_who_has_them() -> None:
    talk = Talk(UsageQuota(concurrent_runs=4))
    assert talk.say("dead", wants_places=True).places == 2
    assert talk.ledger.next_doubt() == PLACES_SILENCE_MS
    talk.now = PLACES_SILENCE_MS
    assert [talk.ask(run) for run in "abc"] == ["granted", "granted", "busy"]
    (doubt,) = talk.ledger.doubts(talk.now)
    assert (doubt.broker, doubt.known) == ("dead", ("a", "b"))
    talk.ledger.resolve(doubt, ("x",), talk.now)
    assert list(talk.ledger.holders) == ["a", "b", "x"]
    assert [talk.ask("c"), talk.ask("d")] == ["granted", "refused"]


def test_a_broker_that_speaks_again_is_in_doubt_no_more() -> None:
    talk = Talk(UsageQuota(concurrent_runs=4))
    talk.say(wants_places=True)
    talk.now = PLACES_SILENCE_MS
    (doubt,) = talk.ledger.doubts(talk.now)
    talk.say(places=2)
    talk.ledger.resolve(doubt, (), talk.now)
    assert talk.ledger.usage(talk.now).leased == 2


RUNS = st.sampled_from([f"run-{i}" for i in range(8)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), RUNS, st.integers(0, 2)),
        st.tuples(st.just("end"), RUNS, st.one_of(st.none(), st.integers(0, 2))),
        st.tuples(st.just("move"), RUNS, st.integers(1, 3)),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from(["refuse", "wait"]))
def test_never_more_runs_than_the_quota_and_none_waits_beside_a_free_place(
    steps: list[tuple[str, str, int | None]], when_full: str
) -> None:
    quota = UsageQuota.model_validate({"concurrent_runs": 3, "when_full": when_full})
    talk = Talk(quota)
    for step, run, turn in steps:
        if step == "ask":
            talk.ask(run, turn or 0)
        elif step == "end":
            talk.end(run, turn)
        else:  # from one history to the next
            talk.ledger = Ledger.model_validate_json(talk.ledger.model_dump_json())
        assert len(talk.ledger.holders) <= 3
        assert not talk.ledger.waiting or len(talk.ledger.holders) == 3
        assert not set(talk.ledger.waiting) & set(talk.ledger.holders)
    assert talk.ledger.most_running <= 3


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.integers(0, 60)), max_size=60)
)
def test_leases_and_what_was_used_never_exceed_a_budget_unless_a_call_used_more_than_it_said(
    calls: list[tuple[str, int, int]],
) -> None:
    talk = Talk(UsageQuota(http_calls=Budget(limit=300, window_secs=60)))
    for broker, need, more in calls:
        lease = talk.want(need, more, broker=broker)
        usage = talk.ledger.usage(0).budgets[Kind.HTTP_CALLS]
        assert usage.used + usage.leased <= 300
        assert lease.answer != "granted" or lease.amount > 0
        if lease.answer == "granted" and more % 2:
            used = min(need, lease.amount)
            spent = Spent(window=0, used=used, returned=lease.amount - used)
            talk.say(broker, spent={Kind.HTTP_CALLS: (spent,)})
