"""The documentation of the nodes says what their models say."""

from __future__ import annotations

from docs.nodes.generate import FOLDER, pages


def test_every_node_has_its_page_as_its_model_is() -> None:
    written = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    assert written == pages(), "run: python docs/nodes/generate.py"
