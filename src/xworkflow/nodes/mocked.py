"""A node that a test gives its answer to, instead of letting it work (``mock_nodes``)."""

from __future__ import annotations

from collections.abc import Iterator

from xworkflow.domain.repeats import ITEM_INDEX
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.streams import CHUNKS
from xworkflow.domain.wire import MockNode
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values


class MockedNode(InlineNode[NodeData]):
    """Stands in for any type: gives the outputs, handle or error that it was made with."""

    type = "mocked"
    data_model = NodeData

    def __init__(self, mock: MockNode, *, is_output: bool) -> None:
        self._mock = mock
        self.is_output = is_output

    def hidden_reads(self, node: Node[NodeData]) -> Iterator[Selector]:
        del node
        if self._mock.by_index:
            yield ITEM_INDEX

    def streams(self, node: Node[NodeData]) -> bool:
        """A mock may say in which pieces its text came."""
        del node
        return CHUNKS in self._mock.outputs

    def run(self, node: Node[NodeData], values: Values) -> NodeRunResult:
        del node
        mock = self._mock
        if mock.error is not None:
            raise NodeError(NodeFailure(code=mock.error_type, text=mock.error))
        outputs = mock.outputs
        index = values.get(ITEM_INDEX) if mock.by_index else None
        if isinstance(index, int):
            outputs = mock.by_index[min(index, len(mock.by_index) - 1)]
        return NodeRunResult(outputs=outputs, edge_source_handle=mock.handle)
