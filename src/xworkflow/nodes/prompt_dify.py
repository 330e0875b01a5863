"""The prompt of Dify's llm node (spec/dify.md E2).

The drawn messages, then the conversation so far, then what the user asks now; images go to the last
message of the user, and what has become empty is left out.
"""

from __future__ import annotations

from typing import Any, Final, cast

from xworkflow.domain import jinja
from xworkflow.domain.chat import Message, Part, Role, TextPart, parse_role
from xworkflow.domain.placeholders import TextBudget, render
from xworkflow.domain.screen import is_bounded
from xworkflow.domain.selectors import SCOPE, Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import Node, Values
from xworkflow.nodes.bindings import bound
from xworkflow.nodes.chat_history import history
from xworkflow.nodes.images import File, files_in, image_parts
from xworkflow.nodes.llm_data import Context, LlmData, PromptMessage
from xworkflow.ports import Ports

QUERY: Final[Selector] = ("sys", "query")

_CONTEXT: Final[Selector] = (SCOPE, "context")
_HISTORIES: Final[Selector] = (SCOPE, "histories")
_QUERY_WORD: Final[Selector] = (SCOPE, "query")
_SPEAKERS: Final[dict[str, str]] = {"user": "Human", "assistant": "Assistant"}


async def dify_prompt(node: Node[LlmData], values: Values, ports: Ports) -> tuple[Message, ...]:
    """The messages of one call. Raises NodeError."""
    return await _DifyPrompt(node, values, ports).messages()


class _DifyPrompt:
    """Makes the prompt of one execution."""

    def __init__(self, node: Node[LlmData], values: Values, ports: Ports) -> None:
        self._node = node
        self._data = node.data
        self._values = values
        self._ports = ports
        self._history = history(node.data.memory, values)
        self._history_is_told = False
        self._files: list[File] = []
        self._budget = TextBudget()

    async def messages(self) -> tuple[Message, ...]:
        drawn = [m for d in self._data.prompt_template for m in await self._drawn(d)]
        told = [] if self._history_is_told else self._history
        asked = await self._asked()
        messages = await self._with_images([*drawn, *told, *asked])
        kept = tuple(message for message in messages if message.content)
        if not kept:
            raise NodeError(
                NodeFailure(
                    code="NoPromptFoundError", text="No prompt found in the LLM configuration"
                )
            )
        return kept

    async def _drawn(self, drawn: PromptMessage) -> list[Message]:
        try:
            role = parse_role(drawn.role)
        except ValueError as error:
            raise NodeError.of_kind("config_error", str(error)) from None
        if drawn.template is not None:
            return [Message(role, self._budget.take(await self._jinja(drawn.template)))]
        return await self._filled(role, drawn.text)

    async def _jinja(self, template: str) -> str:
        """Rendered here where the template's cost is bounded beforehand, else in a sandbox."""
        config = self._data.prompt_config
        variables = bound(config.jinja2_variables if config else (), self._values)
        limits = self._ports.sandbox_limits
        if is_bounded(template):
            cap = limits.max_output_bytes
            return jinja.render(
                template, variables, "dify", max_output_bytes=cap, safety=limits.template
            )
        async with self._ports.sandbox.template_vm() as vm:
            return await vm.render(template, variables, "dify", limits)

    async def _filled(self, role: Role, text: str) -> list[Message]:
        """A text with its references replaced; files print nothing, their images follow."""
        self._files = []
        strict = self._ports.strict_template
        filled = render(text, self._value, "dify", strict=strict, budget=self._budget)
        vision = self._data.vision
        if vision is None or not vision.enabled or not self._files:
            return [Message(role, filled)]
        images = await image_parts(self._files, vision.detail, self._node.id, self._ports)
        return [Message(role, filled), Message("user", tuple(images))]

    def _value(self, selector: Selector) -> JsonValue:
        """What a reference stands for; ``{{#context#}}`` and the like are no variables."""
        if selector == _CONTEXT:
            return context_text(self._data.context, self._values)
        if selector == _HISTORIES:
            self._history_is_told = True
            return "\n".join(map(_line, self._history))
        value = self._values.get(QUERY if selector == _QUERY_WORD else selector)
        files = files_in(value)
        if not files:
            return value
        self._files += files
        return ""

    async def _asked(self) -> list[Message]:
        """A node with memory is told what the user asks; the others say it where they want it."""
        memory = self._data.memory
        if memory is None:
            return []
        return await self._filled("user", memory.query_prompt_template or "{{#sys.query#}}")

    async def _with_images(self, messages: list[Message]) -> list[Message]:
        vision = self._data.vision
        if vision is None or not vision.enabled or vision.variable_selector is None:
            return messages
        files = files_in(self._values.get(vision.variable_selector))
        images = tuple(await image_parts(files, vision.detail, self._node.id, self._ports))
        if not images:
            return messages
        last = messages[-1] if messages else None
        if last is None or last.role != "user":
            return [*messages, Message("user", images)]
        return [*messages[:-1], Message("user", (*images, *_parts(last)))]


def context_text(context: Context | None, values: Values) -> str:
    """The context: a text, or the contents of what a knowledge base found, a line each."""
    if context is None or not context.enabled or context.variable_selector is None:
        return ""
    value: JsonValue = values.get(context.variable_selector)
    if isinstance(value, list):
        return "\n".join(map(_content, cast("list[Any]", value))).strip()
    return value if isinstance(value, str) else ""


def _content(item: JsonValue) -> str:
    if isinstance(item, str):
        return item
    content = cast("dict[str, Any]", item).get("content") if isinstance(item, dict) else None
    if not isinstance(content, str):
        text = "an item of the context is neither a text nor an object with a content"
        raise NodeError(NodeFailure(code="InvalidContextStructureError", text=text))
    return content


def _line(message: Message) -> str:
    return f"{_SPEAKERS.get(message.role, message.role.capitalize())}: {message.content}"


def _parts(message: Message) -> tuple[Part, ...]:
    content = message.content
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    return content
