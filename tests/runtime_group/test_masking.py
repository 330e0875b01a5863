"""Secrets are found in what a node gives back, in the forms in which requests carry them."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.results import NodeRunResult
from xworkflow.errors import NodeFailure
from xworkflow.runtime_group.masking import MASK, SHORTEST, Masker

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=12, max_size=40).filter(
    lambda text: MASK not in text and len(set(text)) > 6
)


def masker(*secrets: str) -> Masker:
    made = Masker()
    for secret in secrets:
        made.add(secret)
    return made


@given(SECRETS, st.text("ab ", max_size=7))
def test_no_form_of_a_secret_is_left(secret: str, user: str) -> None:
    for text in (
        secret,
        f"{user}{secret}{user}",
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        urlencode({"key": secret}),
        json.dumps({"key": secret}),
        json.dumps({"key": secret}, ensure_ascii=False),
    ):
        assert MASK in masker(secret).text(text)


@given(SECRETS, st.text("abc", max_size=7))
def test_a_secret_in_base64_is_found_wherever_it_stands(secret: str, user: str) -> None:
    for encode in (b64encode, urlsafe_b64encode):
        coded = encode(f"{user}:{secret}".encode()).decode()
        masked = masker(secret).text(f"Basic {coded}")
        assert MASK in masked
        assert coded not in masked
        # at most a few bits at each end are left of it
        assert len(masked.replace(MASK, "")) <= len("Basic ") + 4 * (len(user) + 1) // 3 + 9


def test_values_of_every_depth_are_masked_keys_included() -> None:
    value = {"s3cret": ["a s3cret b", {"x": ("s3cret",)}], "n": 5, "none": None, "t": True}
    assert masker("s3cret").json(value) == {
        "***": ["a *** b", {"x": ["***"]}],
        "n": 5,
        "none": None,
        "t": True,
    }


def test_models_keep_their_type() -> None:
    result = NodeRunResult(outputs={"body": "s3cret!"}, metadata={"a": ["s3cret"]})
    masked = masker("s3cret").model(result)
    assert masked == NodeRunResult(outputs={"body": "***!"}, metadata={"a": ["***"]})
    failure = NodeFailure(code="x", text="s3cret", metadata={"m": "s3cret"}, http_status=500)
    assert masker("s3cret").model(failure).text == "***"
    assert Masker().model(result) is result


def test_the_longer_of_two_secrets_leaves_no_rest() -> None:
    assert masker("secret", "secret-and-more").text("secret-and-more") == "***"


@pytest.mark.parametrize("secret", ["", "a", "a" * (SHORTEST - 1)])
def test_what_is_too_short_to_be_a_secret_spoils_no_text(secret: str) -> None:
    assert masker(secret).text("banana aaa") == "banana aaa"
    assert not masker(secret)


@given(SECRETS.filter(lambda text: not set("?#%.") & set(text)))
def test_a_secret_is_found_as_a_client_writes_it_into_a_url(secret: str) -> None:
    """Which signs it leaves as they are depends on the place."""
    plain = "".join(sign for sign in secret if sign.isprintable())
    if len(plain) < SHORTEST:
        return
    for text in (f"http://h/p/x{plain}/y", f"http://h/?key={plain}&z=1"):
        assert MASK in masker(plain).text(str(httpx.URL(text))), text


@pytest.mark.parametrize("secret", ["hunt3", "pass-1", "hunter22"])
def test_a_short_password_is_found_in_basic_credentials(secret: str) -> None:
    for user in ("", "u", "ab", "abc"):
        coded = b64encode(f"{user}:{secret}".encode()).decode()
        assert coded not in masker(secret).text(f"Authorization: Basic {coded}")
