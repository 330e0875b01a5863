"""The JSON Schema of the file, for editors."""

from __future__ import annotations

from typing import Any, cast

from xworkflow.configuration.settings import Settings


def json_schema() -> dict[str, Any]:
    """As strict as the reading of the file: a table has no other keys than these."""
    schema = Settings.model_json_schema()
    definitions = cast("dict[str, dict[str, Any]]", schema.get("$defs", {}))
    for table in (schema, *definitions.values()):
        if "properties" in table:
            table["additionalProperties"] = False
    return schema
