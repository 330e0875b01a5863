"""What is stored is what was shown: over random Dify graphs and every order of completions."""

from __future__ import annotations

from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.properties.answer_graphs import Drawer
from tests.properties.answer_shell import AnswerShell, fork_of, run_of
from tests.properties.graphs import LAWS
from tests.properties.nested_shell import ROOT
from xworkflow.errors import ValidationFailed

SEEDS = st.integers(0, 10**6)
LIVE = st.sampled_from([0.0, 0.5])
AT_ONCE = st.sampled_from([0, 0, 1, 2])


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - orders, not secrets


def shell(  # noqa: PLR0913 - what chance decides
    seed: int,
    order: int,
    *,
    containers: bool = True,
    at_once: int = 0,
    live: float = 0.0,
    drains: float = 0.0,
) -> AnswerShell:
    drawer = Drawer(chance(seed), containers=containers)
    run = run_of(drawer.draw(), drawer.mocks, at_once=at_once)
    return AnswerShell(run, drawer.models, chance(order), live=live, drains=drains)


def check(run: AnswerShell) -> None:
    assert run.finish().status == "completed"
    assert run.shown == run.stored


@LAWS
@given(seed=SEEDS, order=SEEDS, live=LIVE, at_once=AT_ONCE)
def test_the_stored_answer_is_the_text_that_was_shown(
    seed: int, order: int, live: float, at_once: int
) -> None:
    check(shell(seed, order, containers=False, live=live, at_once=at_once))


@LAWS
@given(seed=SEEDS, order=SEEDS, live=LIVE, at_once=AT_ONCE)
def test_so_it_is_with_answers_inside_of_containers(
    seed: int, order: int, live: float, at_once: int
) -> None:
    check(shell(seed, order, live=live, at_once=at_once))


@LAWS
@given(seed=SEEDS, order=SEEDS, live=LIVE)
def test_so_it_is_in_runs_that_continue_as_new(seed: int, order: int, live: float) -> None:
    check(shell(seed, order, live=live, drains=0.2))


@LAWS
@given(seed=SEEDS, order=SEEDS, steps=st.integers(0, 30), forks=st.integers(1, 3))
def test_so_it_is_in_forks_of_forks(seed: int, order: int, steps: int, forks: int) -> None:
    run = shell(seed, order)
    for _ in range(forks):
        for _ in range(steps):
            if run.root.result is None:
                run.step()
        run = fork_somewhere(run)
    check(run)


def fork_somewhere(run: AnswerShell) -> AnswerShell:
    """A fork of the run from any of its nodes, or from where it stands."""
    began = [e.data["node_id"] for of, e in run.log if of == ROOT and e.type == "node_run_started"]
    return forked(run, run.order.choice([*began, None]))


def forked(run: AnswerShell, from_node: str | None) -> AnswerShell:
    try:
        cut = run.cut(from_node)
    except ValidationFailed:  # nothing is left to do, or an impatient gather would be undone
        cut = None
    assume(cut is not None)
    assert cut is not None
    return AnswerShell(fork_of(run.root.run, cut.state), run.models, run.order)


@LAWS
@given(seed=SEEDS, order=SEEDS, steps=st.integers(0, 30))
def test_responses_of_a_run_that_goes_on_as_a_fork_keep_their_order(
    seed: int, order: int, steps: int
) -> None:
    run = shell(seed, order)
    for _ in range(steps):
        if run.root.result is None:
            run.step()
    before, after = run.said(), forked(run, None).said()
    assert [name for name in before if name in after] == after
