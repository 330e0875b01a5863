"""Search attributes are set where the server knows them, and left out elsewhere."""

from __future__ import annotations

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    ListSearchAttributesRequest,
    ListSearchAttributesResponse,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from tests.workflows.bench import Bench
from tests.workflows.drawing import chain, end, start
from xworkflow.client.search_attributes import attributes_of, search_attributes
from xworkflow.client.status import Completed
from xworkflow.domain.wire import SEARCH_ATTRIBUTES, RunInput

PLAIN = chain("Orders", start("n"), end(n="start.n"))
RUN = RunInput(schema_text=PLAIN.text, app_name="Orders", group_id="tenant-1")
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
ALL: dict[str, IndexedValueType.ValueType] = dict.fromkeys(SEARCH_ATTRIBUTES, KEYWORD)


def told(made: TypedSearchAttributes) -> dict[str, str]:
    """Our attributes that are set, by name."""
    keys = [SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES]
    return {key.name: made[key] for key in keys if key in made}


class Operator:
    """An operator service that knows some attributes, or refuses to say; counts the questions."""

    def __init__(self, known: dict[str, IndexedValueType.ValueType] | None) -> None:
        self.known = known
        self.asked = 0

    async def list_search_attributes(
        self, request: ListSearchAttributesRequest
    ) -> ListSearchAttributesResponse:
        assert request.namespace == "orders"
        self.asked += 1
        if self.known is None:
            raise RPCError("not for you", RPCStatusCode.PERMISSION_DENIED, b"")
        return ListSearchAttributesResponse(custom_attributes=self.known)


class FakeClient(Client):
    """A client of a server that has this operator service, and nothing else."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    @property
    def namespace(self) -> str:
        return "orders"

    @property
    def operator_service(self) -> Operator:  # type: ignore[override] - the one call that is made
        return self._operator


@pytest.mark.parametrize(
    "known",
    [
        None,
        {},
        {"XworkflowApp": KEYWORD},
        {**ALL, "XworkflowApp": IndexedValueType.INDEXED_VALUE_TYPE_TEXT},
    ],
    ids=["refused", "none", "one of three", "another type"],
)
async def test_a_server_that_does_not_know_them_is_asked_once_and_gets_none(
    known: dict[str, IndexedValueType.ValueType] | None,
) -> None:
    operator = Operator(known)
    client = FakeClient(operator)
    for _ in range(2):
        assert told(await search_attributes(client, RUN)) == {}
    assert operator.asked == 1


async def test_a_server_that_knows_them_gets_app_group_and_version() -> None:
    made = await search_attributes(FakeClient(Operator(ALL)), RUN)
    assert told(made) == {
        "XworkflowApp": "Orders",
        "XworkflowGroup": "tenant-1",
        "XworkflowSchemaHash": PLAIN.hash,
    }


def test_a_run_without_names_has_the_default_group_and_no_app() -> None:
    made = attributes_of(RunInput(schema_text=PLAIN.text))
    assert told(made) == {"XworkflowGroup": "default", "XworkflowSchemaHash": PLAIN.hash}


def test_a_name_longer_than_a_keyword_is_cut() -> None:
    made = attributes_of(RUN.model_copy(update={"app_name": "x" * 1000}))
    assert told(made)["XworkflowApp"] == "x" * 255


@pytest.mark.temporal
async def test_a_run_on_the_embedded_server_has_them_also_with_a_very_long_name(
    bench: Bench,
) -> None:
    handle = await bench.start(PLAIN.model_copy(update={"name": "ö" * 300}), {"n": 1})
    assert await handle.wait() == Completed({"n": 1})
    described = await bench.client.get_workflow_handle(handle.execution_id).describe()
    made = told(described.typed_search_attributes)
    assert (made["XworkflowApp"], made["XworkflowGroup"]) == ("ö" * 255, "default")
