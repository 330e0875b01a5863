"""Search attributes of runs: lists of the Web UI and of any client can be narrowed by them.

They are set where the server knows all of them, and left out elsewhere: a server refuses a start
with an unknown one. The embedded server registers them; for others see docs/temporal.md. The status
of a run needs none, as it is Temporal's own ``ExecutionStatus``.
"""

from __future__ import annotations

import logging
from typing import Final
from weakref import WeakKeyDictionary

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from xworkflow.domain.schema import schema_hash
from xworkflow.domain.wire import (
    APP_ATTRIBUTE,
    DEFAULT_GROUP,
    GROUP_ATTRIBUTE,
    SCHEMA_HASH_ATTRIBUTE,
    SEARCH_ATTRIBUTES,
    RunInput,
)

_LONGEST: Final = 255
"""Characters that a keyword holds on servers with an SQL visibility store."""

_log = logging.getLogger("xworkflow.client")
_known: WeakKeyDictionary[Client, bool] = WeakKeyDictionary()


async def search_attributes(client: Client, run: RunInput) -> TypedSearchAttributes:
    """The attributes to start a run with; none where the server does not know them.

    A client's server is asked once. Never raises: a run starts without attributes, too.
    """
    if client not in _known:
        _known[client] = await _knows_them(client)
    return attributes_of(run) if _known[client] else TypedSearchAttributes.empty


def attributes_of(run: RunInput) -> TypedSearchAttributes:
    """App (where it has a name), group and schema hash."""
    values = {
        APP_ATTRIBUTE: run.app_name,
        GROUP_ATTRIBUTE: run.group_id or DEFAULT_GROUP,
        SCHEMA_HASH_ATTRIBUTE: schema_hash(run.schema_text),
    }
    return TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), value[:_LONGEST])
            for name, value in values.items()
            if value
        ]
    )


async def _knows_them(client: Client) -> bool:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        answer = await client.operator_service.list_search_attributes(request)
    except RPCError as error:  # a server may keep its operator service to itself
        _log.info("no search attributes: %s", error.message)
        return False
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    return all(answer.custom_attributes.get(name) == keyword for name in SEARCH_ATTRIBUTES)
