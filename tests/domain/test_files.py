"""File values: Dify's objects normalised, MIME types, and what servers say about waiting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.mime_types import extension_for, extension_of, mime_type_of
from xworkflow.domain.pool import file_attribute
from xworkflow.domain.retry_after import retry_after_secs
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import is_file, to_file
from xworkflow.domain.wire import Variables
from xworkflow.engine.start import initial_pool


def file_of(**given: Any) -> dict[str, Any]:
    file = to_file(given)
    assert is_file(file)
    return file  # pyright: ignore[reportReturnType]


def test_a_remote_file_of_difys_api_gets_its_name_and_type_from_its_url() -> None:
    url = "https://h/a%20b.PNG?sig=1#x"
    file = file_of(type="image", transfer_method="remote_url", url=url, upload_file_id="")
    assert (file["name"], file["mime_type"], file["extension"]) == ("a b.PNG", "image/png", ".PNG")
    assert (file["url"], file_attribute(file, "type")) == (url, "image")


def test_an_uploaded_file_of_difys_api_is_known_by_its_id() -> None:
    file = file_of(type="document", transfer_method="local_file", upload_file_id="u1", url="")
    assert (file["id"], file["transfer_method"]) == ("u1", "local_file")
    assert file_attribute(file, "related_id") == "u1"


def test_the_given_category_wins_over_the_one_of_the_mime_type() -> None:
    assert file_attribute(file_of(type="custom", mime_type="image/png"), "type") == "custom"
    assert file_attribute(file_of(mime_type="image/png"), "type") == "image"
    assert file_attribute(file_of(type="folder", mime_type="image/png"), "type") == "image"


def test_our_own_form_is_left_as_it_is() -> None:
    file = file_of(url="https://h/a.png")
    assert (file["name"], file["mime_type"]) == ("", "application/octet-stream")


@pytest.mark.parametrize("given", [{"type": "image", "url": 5}, {"type": "image", "size": "1"}])
def test_what_does_not_fit_is_no_file(given: Any) -> None:
    assert to_file(given) is None


described = st.dictionaries(
    st.sampled_from(["type", "url", "name", "upload_file_id", "id", "transfer_method", "size"]),
    st.sampled_from(["image", "document", "http://h/a.b", "remote_url", "local_file", "", 3, None]),
)


@given(described)
def test_normalising_a_file_again_changes_nothing(given: dict[str, Any]) -> None:
    once = to_file(given)
    assert once is None or to_file(once) == once


def test_difys_files_of_a_message_become_file_values() -> None:
    files = [{"type": "image", "transfer_method": "remote_url", "url": "http://h/a.png"}]
    schema = WorkflowSchema(dialect="dify")
    pool = initial_pool(schema, Variables(system={"files": files, "query": "q"}))
    (file,) = pool.get(("sys", "files"))
    assert is_file(file)
    assert pool.get(("sys", "query")) == "q"
    native = initial_pool(WorkflowSchema(), Variables(system={"files": files}))
    assert native.get(("sys", "files")) == files


@pytest.mark.parametrize(
    ("name", "extension", "mime_type"),
    [
        ("a.PNG", ".png", "image/png"),
        ("a.tar.gz", ".gz", "application/octet-stream"),
        (".profile", "", "application/octet-stream"),
        ("a.", "", "application/octet-stream"),
        ("a.b/c", "", "application/octet-stream"),
        ("", "", "application/octet-stream"),
    ],
)
def test_a_name_tells_a_type(name: str, extension: str, mime_type: str) -> None:
    assert (extension_of(name), mime_type_of(name)) == (extension, mime_type)


def test_a_type_has_one_extension() -> None:
    assert [extension_for(t) for t in ("image/jpeg", "text/html", "no/such")] == [
        ".jpg", ".html", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "secs"),
    [
        ("7", 7.0), (" 0 ", 0.0), ("", None), ("-1", None), ("1.5", None), ("9" * 400, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("\u0667", None),
    ],
)  # fmt: skip
def test_a_wait_is_a_number_of_seconds(value: str, secs: float | None) -> None:
    assert retry_after_secs((("retry-after", value),)) == secs
    assert retry_after_secs(()) is None
