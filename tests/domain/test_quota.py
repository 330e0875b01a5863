"""The policies of the security levels have the values of spec/runtime.md 6."""

from __future__ import annotations

import pytest

from xworkflow.domain.network_policy import NetworkMode, NetworkPolicy
from xworkflow.domain.quota import DslLimits, SecurityLevel, SecurityPolicy
from xworkflow.domain.security_limits import (
    NodeLimits,
    OutputTooLargeError,
    SecurityLimits,
    SelectorValidation,
    TemplateSafetyConfig,
)

KIB, MIB = 1024, 1024 * 1024


def test_permissive_limits_nothing() -> None:
    policy = SecurityPolicy.permissive()
    assert (policy.network, policy.template, policy.dsl_validation) == (None, None, None)
    assert policy.limits == SecurityLimits()
    assert policy.network_hash() == ""


def test_standard_is_the_default() -> None:
    policy = SecurityPolicy.standard()
    assert policy == SecurityPolicy()
    assert policy.network == NetworkPolicy()
    assert policy.template == TemplateSafetyConfig()
    assert policy.dsl_validation == DslLimits()
    assert policy.node_limits == {
        "code": limits(30, MIB, 32 * MIB),
        "http-request": limits(30, 10 * MIB),
        "llm": limits(120, MIB),
        "template-transform": limits(5, 512 * KIB),
    }


def test_strict_is_tighter_everywhere() -> None:
    policy = SecurityPolicy.strict()
    network = policy.network
    assert network is not None
    assert (network.mode, network.allowed_domains) == (NetworkMode.ALLOW_LIST, ())
    assert (network.allowed_ports, network.max_redirects) == ((443,), 0)
    assert policy.template == TemplateSafetyConfig(
        max_template_length=5000,
        max_output_length=50_000,
        max_recursion_depth=3,
        max_loop_iterations=100,
        disabled_filters=("debug",),
        disabled_functions=("range",),
    )
    assert policy.dsl_validation == DslLimits(
        max_nodes=100, max_edges=200, max_node_config_bytes=16_384, max_nesting_depth=5
    )
    assert policy.node_limits == {
        "code": limits(10, 256 * KIB, 16 * MIB),
        "http-request": limits(10, MIB),
        "llm": limits(60, 256 * KIB),
        "template-transform": limits(2, 128 * KIB),
    }


def limits(seconds: float, output: int, memory: int | None = None) -> NodeLimits:
    return NodeLimits(max_execution_time=seconds, max_output_bytes=output, max_memory_bytes=memory)


@pytest.mark.parametrize("level", list(SecurityLevel))
def test_a_level_names_its_policy(level: SecurityLevel) -> None:
    assert SecurityPolicy.of_level(level).level is level


def test_the_network_hash_names_the_policy() -> None:
    standard = SecurityPolicy.standard()
    assert standard.network_hash() == SecurityPolicy().network_hash()
    assert standard.network_hash() != SecurityPolicy.strict().network_hash()


@pytest.mark.parametrize("text", ["10.0.0.0/33", "example.com", "", "10.0.0.0-10.0.0.9"])
def test_an_address_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"denied_addresses"):
        NetworkPolicy(denied_addresses=(text,))


def test_the_limits_travel_as_json() -> None:
    policy = SecurityPolicy(dsl_validation=DslLimits(selector_validation=SelectorValidation()))
    travelled = SecurityLimits.model_validate_json(policy.limits.model_dump_json())
    assert travelled == policy.limits
    assert travelled.selectors == SelectorValidation()


def test_outputs_count_together_and_in_bytes() -> None:
    bounded = SecurityLimits(node_limits={"code": NodeLimits(max_output_bytes=10)})
    bounded.check_outputs("n", "code", {"a": "ab", "b": "éé"})
    bounded.check_outputs("n", "llm", {"a": "x" * 100})
    with pytest.raises(OutputTooLargeError):
        bounded.check_outputs("n", "code", {"a": "ab", "b": "ééé"})


@pytest.mark.parametrize(
    ("drawn", "limit", "seconds"), [(None, None, None), (5, None, 5), (None, 3, 3), (5, 3, 3)]
)
def test_the_shorter_time_limit_counts(
    drawn: float | None, limit: float | None, seconds: float | None
) -> None:
    bounded = SecurityLimits(node_limits={"code": NodeLimits(max_execution_time=limit)})
    assert bounded.seconds("code", drawn) == seconds
    assert bounded.seconds("llm", drawn) == drawn
