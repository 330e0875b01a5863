"""One page per node type, generated from its data model: ``python docs/nodes/generate.py``.

A test holds the pages against the models, so they cannot rot.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, cast

from xworkflow.nodes.base import AnyNodeType
from xworkflow.nodes.registry import NodeRegistry

FOLDER = Path(__file__).parent
COMMON = """\
Every node also has `title`, `error_strategy` (`none`, `fail-branch`, `default-value`),
`retry_config` (`max_retries`, `retry_interval` in ms, `backoff_strategy`, …) and `timeout_secs`
(per attempt).
"""


def pages() -> dict[str, str]:
    """File name → text, for every built-in type and the index."""
    types = NodeRegistry.builtin().all()
    made = {f"{each.type}.md": page(each) for each in types}
    lines = [f"- [{each.type}]({each.type}.md)" for each in types]
    made["README.md"] = "\n".join(
        ["# Node types", "", "Generated from the data models by `generate.py`.", "", *lines, ""]
    )
    return made


def page(node_type: AnyNodeType) -> str:
    """The page of one type: what it does, where it runs, its fields."""
    about = inspect.cleandoc(type(node_type).__doc__ or "")
    parts = [f"# {node_type.type}", "", about, "", f"Runs: **{node_type.placement.value}**."]
    if node_type.aliases:
        parts += [
            "",
            "Also called: " + ", ".join(f"`{alias}`" for alias in node_type.aliases) + ".",
        ]
    schema = node_type.data_model.model_json_schema()
    parts += ["", "## Fields", "", *_table(schema), "", COMMON]
    for name, part in sorted(cast("dict[str, Any]", schema.get("$defs", {})).items()):
        if "properties" in part:
            parts += [f"## {name}", "", *_table(part), ""]
    return "\n".join(parts).rstrip() + "\n"


def _table(schema: dict[str, Any]) -> list[str]:
    required = set(schema.get("required", ()))
    rows = [
        f"| `{name}` | {_type(field)} | {_default(name, field, required)} |"
        for name, field in schema.get("properties", {}).items()
    ]
    return ["| field | type | default |", "|---|---|---|", *rows]


def _default(name: str, field: dict[str, Any], required: set[str]) -> str:
    if name in required:
        return "**required**"
    default = field.get("default")
    return "" if default is None else f"`{default}`"


def _type(field: dict[str, Any]) -> str:
    """The type in words; a part of the model by its name."""
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[1]
    if "enum" in field:
        return " / ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for key in ("anyOf", "oneOf"):
        if key in field:
            kinds = dict.fromkeys(_type(part) for part in field[key])
            return " or ".join(kind for kind in kinds if kind != "null")
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))


def main() -> None:
    """Write the pages, and remove those of types that are gone."""
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, "utf-8")
    sys.stdout.write(f"{len(made)} pages in {FOLDER}\n")


if __name__ == "__main__":
    main()
