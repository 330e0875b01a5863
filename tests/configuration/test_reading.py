"""What ``xworkflow.toml`` says, and what is said about one that says what cannot be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from xworkflow.configuration import parse_settings, read_settings
from xworkflow.domain.governing import Budget
from xworkflow.domain.network_policy import NetworkMode
from xworkflow.domain.quota import SecurityLevel, SecurityPolicy
from xworkflow.errors import ConfigurationError


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(text)
    return tuple(
        problem.removeprefix("xworkflow.toml").lstrip(": ") for problem in caught.value.problems
    )


def test_an_empty_file_has_the_default_group() -> None:
    settings = parse_settings("")
    assert list(settings.groups) == ["default"]
    assert settings.providers is None


def test_defaults_without_groups_are_the_default_groups() -> None:
    settings = parse_settings('defaults.level = "strict"')
    assert settings.groups["default"].level is SecurityLevel.STRICT


def test_defaults_lie_under_every_group_key_by_key() -> None:
    settings = parse_settings("""
        [defaults]
        level = "strict"
        network = { allowed_domains = ["a.example"], max_redirects = 2 }
        [groups.plain]
        [groups.own]
        level = "standard"
        network.max_redirects = 1
    """)
    plain, own = settings.groups["plain"], settings.groups["own"]
    assert (plain.level, own.level) == (SecurityLevel.STRICT, SecurityLevel.STANDARD)
    assert own.network is not None
    assert (own.network.allowed_domains, own.network.max_redirects) == (("a.example",), 1)


def test_a_group_changes_single_rules_of_its_level() -> None:
    group = parse_settings("""
        [groups.g]
        level = "strict"
        network.allowed_domains = ["a.example"]
        limits.code.max_execution_time = 5
        limits.llm.max_output_bytes = 100
        limits.tool.max_execution_time = 1
        templates.max_loop_iterations = 7
        dsl.max_nodes = 3
    """).groups["g"]
    policy, strict = group.policy(None), SecurityPolicy.strict()
    assert policy is not None
    assert policy.network is not None
    assert policy.network.mode is NetworkMode.ALLOW_LIST
    assert policy.network.allowed_domains == ("a.example",)
    assert policy.node_limits["code"].max_execution_time == 5
    assert policy.node_limits["code"].max_memory_bytes == 16 * 1024 * 1024
    assert policy.node_limits["llm"].max_output_bytes == 100
    assert policy.node_limits["llm"].max_execution_time == 60
    assert policy.node_limits["tool"].max_execution_time == 1
    assert policy.template is not None
    assert strict.template is not None
    assert policy.template == strict.template.model_copy(update={"max_loop_iterations": 7})
    assert policy.dsl_validation is not None
    assert (policy.dsl_validation.max_nodes, policy.dsl_validation.max_edges) == (3, 200)


def test_a_group_without_a_level_has_that_of_its_worker() -> None:
    group = parse_settings("groups.g = {}").groups["g"]
    assert group.policy(None) is None
    assert group.policy(SecurityLevel.STANDARD) == SecurityPolicy.standard()


def test_rules_without_a_level_limit_nothing_else() -> None:
    group = parse_settings("groups.g.templates.max_output_length = 10").groups["g"]
    policy = group.policy(None)
    assert policy is not None
    assert policy.template is not None
    assert policy.template.max_output_length == 10
    assert (policy.level, policy.network) == (SecurityLevel.PERMISSIVE, None)


def test_the_references_counted_limits_hold_over_all_workers_where_they_are_written() -> None:
    group = parse_settings("""
        [groups.g.quota]
        max_concurrent_workflows = 5
        http_rate_limit_per_minute = 30
        max_steps = 9
        [groups.g.usage]
        concurrent_runs = 4
        when_full = "wait"
    """).groups["g"]
    usage = group.usage_quota()
    assert usage is not None
    assert (usage.concurrent_runs, usage.when_full) == (4, "wait")
    assert usage.http_calls == Budget(limit=30, window_secs=60)
    assert usage.llm_tokens is None


def test_a_quota_that_counts_nothing_needs_no_governor() -> None:
    group = parse_settings("groups.g.quota.max_steps = 9").groups["g"]
    assert group.usage_quota() is None


def test_relative_paths_start_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "xworkflow.toml"
    file.write_text(
        'groups.g = { file_directory = "files", audit = { to = "file", path = "/var/a.jsonl" } }'
    )
    group = read_settings(file).groups["g"]
    assert group.file_directory == tmp_path / "files"
    assert group.audit is not None
    assert group.audit.path == Path("/var/a.jsonl")


PROBLEMS = r"""
[workers]
=> 1: workers: there is no such key; did you mean 'worker'?


[groups.a]
levle = "x"
=> 3: groups.a.levle: there is no such key; did you mean 'level'?

groups.a.level = "hard"
=> 1: groups.a.level: should be 'permissive', 'standard' or 'strict', not 'hard'

[groups."a.b"]
quota = { max_steps = "many" }
=> 2: groups."a.b".quota.max_steps: should be a valid integer, not 'many'

groups.a.usage.llm_tokens = { limt = 1, limit = 2 }
=> 1: groups.a.usage.llm_tokens.limt: there is no such key; did you mean 'limit'?

[groups.a.usage]
concurrent_runs = 0
=> 2: groups.a.usage.concurrent_runs: should be greater than 0, not 0

groups.a.limits.code = 3
=> 1: groups.a.limits.code: should be a table, not 3

groups.a.slots.pollers = true
=> 1: groups.a.slots.pollers: should be a valid integer, not true

groups.a.network.denied_addresses = ["10.300"]
=> 1: groups.a.network.denied_addresses.0: '10.300' does not appear to be an IPv4 or IPv6 network

groups.a.network.block_metadata_endpoints = false
=> 1: groups.a.network.block_metadata_endpoints: should be true, not false

groups.a.credentials.sources = [{ kind = "valt" }]
=> 1: groups.a.credentials.sources.0: there is no kind 'valt': environment, file or vault

groups.a.credentials.sources = [{}]
=> 1: groups.a.credentials.sources.0: is missing its kind: environment, file or vault

groups.a.credentials.sources = [{ kind = "file" }]
=> 1: groups.a.credentials.sources.0.path: is missing

groups.a.credentials.sources = []
=> 1: groups.a.credentials.sources: the list should have at least 1 item, not []

groups.a.audit.to = "file"
=> 1: groups.a.audit: a path belongs to to = "file", and to it alone

groups.a.pools.python_packages = "/x"
=> 1: groups.a.pools: python_packages are for python_tier2 = true

providers.x.api_key = {}
=> 1: providers.x.api_key: name a variable ({ env = "NAME" }) or a file ({ file = "PATH" })

groups.a.providers = ["opnai"]
[providers.openai]
=> 1: groups.a.providers: there is no [providers.opnai]; did you mean 'openai'?

groups.a.providers = ["openai"]
=> 1: groups.a.providers: there is no [providers.openai]

groups.default.usage.concurrent_runs = 3
=> 1: groups.default.usage: counts over all workers; only named groups do

groups.default.quota.llm_daily_token_budget = 3
=> 1: groups.default.quota.llm_daily_token_budget: counts over all workers; only named groups do

groups."a b" = {}
=> 1: groups."a b": the name of a group has no spaces and no slashes

groups = {}
=> 1: groups: the table should have at least 1 item

x =
=> is no TOML: Invalid value (at end of document)
"""
"""A file, and after it what is said of it."""


def cases() -> Iterator[tuple[str, str]]:
    for block in PROBLEMS.strip().split("\n\n"):
        text, _, problem = block.partition("\n=> ")
        yield text, problem


@pytest.mark.parametrize(("text", "problem"), tuple(cases()))
def test_each_problem_is_one_sentence_with_its_place(text: str, problem: str) -> None:
    assert problems(text) == (problem,)


def test_a_secret_in_the_file_is_refused_and_not_repeated() -> None:
    (problem,) = problems('[providers.openai]\napi_key = "sk-123"')
    assert problem.startswith(
        "2: providers.openai.api_key: a secret does not belong into this file"
    )
    assert "sk-123" not in problem


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems('[worker]\nprocesses = 0\n[groups.a]\nx = 1\nlevel = "y"\n[groups.b]\nz = 1')
    assert [problem.split(":")[0] for problem in found] == ["2", "4", "5", "7"]


def test_what_is_wrong_with_the_defaults_is_told_once() -> None:
    assert problems('defaults.level = "x"\ngroups = { a = {}, b = {} }') == (
        "1: defaults.level: should be 'permissive', 'standard' or 'strict', not 'x'",
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file") as caught:
        read_settings(tmp_path / "none.toml")
    assert "none.toml" in str(caught.value)


NESTED = "tables and lists lie in one another, more than 50 deep"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "[" * 20_000 + "]" * 20_000, NESTED),
        ("a = " + "{a=" * 5_000 + "1" + "}" * 5_000, NESTED),
        ("\n" + ".".join(["a"] * 5_000) + " = 1", f"2: a: {NESTED}"),
        ("[" + ".".join(["groups"] * 300) + "]", f"1: groups: {NESTED}"),
        ("[worker]\nprocesses = " + "9" * 5_000, "is no TOML: Exceeds the limit"),
        ("[worker]\0", "is no TOML: "),
        ("[groups.g.limits.code]\nmax_execution_time = nan", "should be a finite number"),
        ("[groups.g.limits.code]\nmax_execution_time = -1", "should be greater than 0"),
        ("[groups.g.limits.code]\nmax_output_bytes = -1", "greater than or equal to 0"),
        ("[groups.g.network]\nallowed_ports = [0]", "should be greater than 0"),
        ("[groups.g.network]\nallowed_ports = [65536]", "should be less than 65536"),
        ("[groups.g.network]\nmax_redirects = -1", "greater than or equal to 0"),
        ("[groups.g.network]\ndenied_domains = ['*']", "'*' is no name of a host"),
        ("[groups.g.network]\ndenied_domains = ['http://x.y']", "is no name of a host"),
        ("[groups.g.network]\ndenied_domains = ['x.y:80']", "is no name of a host"),
        ("[groups.g.http]\ntcp_keepalive = 99999999999", "less than or equal to 32767"),
        ('[groups.g]\nfile_directory = "a\\u0000b"', "there is no such path"),
        ('[groups.g]\nfile_directory = "~nobody-of-that-name/x"', "there is no such user"),
    ],
    ids=range(18),
)
def test_a_hostile_file_is_one_sentence_and_no_traceback(text: str, problem: str) -> None:
    (told,) = problems(text)
    assert problem in told


@pytest.mark.parametrize(
    "text",
    [
        "[providers.o]\nbase_url = 'ftp://u:s3cret@h'",
        "[providers.o]\napi_key = { env = ['s3cret'] }",
        "[providers.o]\napi_key = ['s3cret']",
        "[providers.o]\napi_key = { value = 's3cret' }",
        "[worker]\nprocesses = 'redis://:s3cret@h'",
    ],
)
def test_no_problem_repeats_what_may_be_a_secret(text: str) -> None:
    assert "s3cret" not in " ".join(problems(text))


@pytest.mark.parametrize(
    "text",
    [
        'x = """\n' + "a" * 60 + '\n"""\n',
        'x = """\n' + "a." * 5_000 + '!\n"""\n',
        'x = """\n[' + "]" * 50_000 + 'x\n"""\n',
        'x = """\n' + " " * 20_000 + 'x\n"""\n',
        "".join(f"[groups.g{number}]\nlevel = 'x'\n" for number in range(1_000)),
        "".join(f"k{number} = 1\n" for number in range(3_000)),
    ],
    ids=["word", "dots", "brackets", "spaces", "groups", "keys"],
)
def test_lines_are_found_in_time_that_is_linear_in_the_file(text: str) -> None:
    began = time.process_time()
    assert problems(text)
    assert time.process_time() - began < 5


def test_a_file_may_begin_with_the_sign_of_its_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "xworkflow.toml"
    path.write_bytes(b"\xef\xbb\xbf[worker]\r\nprocesses = 2\r\n")
    assert read_settings(path).worker.processes == 2
