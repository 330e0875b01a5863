"""TypeScript to JavaScript by leaving its types out: spaces take their place, so that what is left
stands in the line and column where it stood, as Node does it.

The parser is tree-sitter's (the extra ``typescript``); which of its nodes mean nothing at run time
is said here. What would have to be compiled is refused: enums, namespaces, parameter properties,
decorators, casts in angle brackets, ``import x = …`` and ``export = …``.

Spaces alone would not always do. A line that begins with a parenthesis would go on with the cast
before it, and a member of a class with the one before: a semicolon takes the first place of what is
left out there. And no line may end before an arrow, or after ``async``: a parenthesis moves to the
other end of the types that hold the line end. Where the language ends a type with its line and the
parser does not, the script is refused, and asked for the semicolon.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

_LEFT_OUT = frozenset(
    {
        "asserts_annotation",
        "implements_clause",
        "type_annotation",
        "type_arguments",
        "type_parameters",
        "type_predicate_annotation",
    }
)
_STATEMENTS_LEFT_OUT = frozenset(
    {
        "abstract_method_signature",
        "ambient_declaration",
        "function_signature",
        "index_signature",
        "interface_declaration",
        "method_signature",
        "type_alias_declaration",
    }
)
_REFUSED = {
    "decorator": "a decorator",
    "enum_declaration": "an enum",
    "import_alias": "'import … ='",
    "import_require_clause": "'import … = require'",
    "internal_module": "a namespace",
    "module": "a module",
    "type_assertion": "a cast in angle brackets ('as' does the same)",
}
_BEGUN_BY_A_WORD = frozenset(
    {"abstract_method_signature", "ambient_declaration", "type_alias_declaration"}
)
_MODIFIERS = frozenset({"accessibility_modifier", "override_modifier", "readonly"})
_CASTS = frozenset({"as_expression", "satisfies_expression"})
_LINE_ENDS = "\n\r\u2028\u2029"
_BEYOND_UTF16_UNIT = 0xFFFF


class TypeScriptError(ValueError):
    """The code is no TypeScript, or has what cannot be left out; the text tells where."""

    def __init__(self, text: str, node: Node) -> None:
        row, column = node.start_point
        super().__init__(f"{text} (line {row + 1}, column {column + 1})")


class TypeScript:
    """The parser; it keeps nothing from one script to the next."""

    def __init__(self) -> None:
        self._parser = Parser(Language(tree_sitter_typescript.language_typescript()))

    def javascript(self, code: str) -> str:
        """The same script without its types. Raises TypeScriptError."""
        source = code.encode("utf-8", "replace")
        root = self._parser.parse(source).root_node
        stripped = _Stripped(source)
        for node, is_left_out in _nodes(root):
            if is_left_out:
                stripped.check_left_out(node)
            else:
                stripped.take(node)
        if root.has_error:
            raise TypeScriptError("SyntaxError: this cannot be read as TypeScript", _fault(root))
        return stripped.text()


def _nodes(root: Node) -> Iterator[tuple[Node, bool]]:
    """All nodes in their order, and whether they lie in what is left out.

    Without recursion: scripts may nest as deeply as they like.
    """
    todo = [(root, False)]
    while todo:
        node, is_left_out = todo.pop()
        yield node, is_left_out
        is_left_out |= node.type in _LEFT_OUT or node.type in _STATEMENTS_LEFT_OUT
        in_cast = 1 if node.type in _CASTS else len(node.children)
        inner = [(child, is_left_out or at >= in_cast) for at, child in enumerate(node.children)]
        todo += reversed(inner)


def _fault(root: Node) -> Node:
    """The innermost fault that the parser met first."""
    node = root
    while inner := next((child for child in node.children if child.has_error), None):
        node = inner
    return next((child for child in node.children if child.is_missing), node)


class _Stripped:
    """A script of which parts are left out."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._gaps: list[tuple[int, int]] = []
        self._marks: dict[int, str] = {}

    def text(self) -> str:
        parts: list[str] = []
        done = 0
        for start, end in sorted(self._gaps):
            if end <= done:
                continue
            parts += self._kept(done, max(start, done)), self._blank(max(start, done), end)
            done = end
        return "".join((*parts, self._kept(done, len(self._source))))

    def take(self, node: Node) -> None:
        """Note what of a node is left out. Raises TypeScriptError."""
        if node.type in _REFUSED:
            raise _refused(_REFUSED[node.type], node)
        if node.type in _LEFT_OUT:
            self._leave_out(node)
        elif node.type in _STATEMENTS_LEFT_OUT:
            self._take_statement(node)
        else:
            self._take_part_of(node)

    def _take_part_of(self, node: Node) -> None:
        match node.type:
            case "export_statement" | "import_statement":
                self._take_module_statement(node)
            case "method_definition" | "public_field_definition":
                self._take_member(node)
            case "required_parameter" | "optional_parameter":
                self._take_parameter(node)
            case "as_expression" | "satisfies_expression":
                self._take_cast(node)
            case "arrow_function":
                self._take_arrow(node)
            case "abstract_class_declaration":
                self._leave_out_tokens(node, "abstract")
            case "non_null_expression" | "variable_declarator":
                self._leave_out_tokens(node, "!")
            case _:
                pass

    def _take_statement(self, node: Node) -> None:
        if node.type in _BEGUN_BY_A_WORD:
            self._refuse_line_end(node.children[0], node.children[1])
        self._leave_out_statement(node)

    def check_left_out(self, node: Node) -> None:
        """The parser goes on with a type in the next line where the language does not."""
        if node.type in ("array_type", "lookup_type", "generic_type"):
            self._refuse_line_end(node.children[0], node.children[1])

    def _refuse_line_end(self, before: Node, after: Node) -> None:
        if self._has_line_end(before.end_byte, after.start_byte):
            text = f"SyntaxError: a semicolon is wanted before this '{after.type}'"
            raise TypeScriptError(text, after)

    def _take_module_statement(self, node: Node) -> None:
        """Of types alone; any other stays, and is V8's to refuse."""
        kinds = {child.type for child in node.children}
        if node.type == "export_statement" and "=" in kinds:
            raise _refused("'export ='", node)
        if "type" in kinds or (kinds & _STATEMENTS_LEFT_OUT):
            self._leave_out_statement(node)

    def _take_member(self, node: Node) -> None:
        children = node.children
        if any(child.type in ("abstract", "declare") for child in children):
            self._refuse_line_end(children[0], children[1])
            self._leave_out_statement(node)
            return
        for child, after in pairwise(children):
            if child.type in _MODIFIERS:
                self._refuse_line_end(child, after)
                self._leave_out(child)
                if child.start_byte == node.start_byte and not _is_in_object(node):
                    self._marks[child.start_byte] = ";"
        self._leave_out_tokens(node, "?", "!")
        annotation = node.child_by_field_name("type")
        if annotation is not None and node.child_by_field_name("value") is None:
            self._marks[annotation.start_byte] = ";"

    def _take_parameter(self, node: Node) -> None:
        for child in node.children:
            if child.type in _MODIFIERS:
                raise _refused("a parameter property", child)
        self._leave_out_tokens(node, "?")
        if node.children[0].type == "this":
            after = node.next_sibling
            self._leave_out(node, to=after.end_byte if after and after.type == "," else None)

    def _take_cast(self, node: Node) -> None:
        operator = node.children[1]
        self._gaps.append((operator.start_byte, node.end_byte))
        call = node.parent
        if call is not None and call.type == "call_expression":
            self._marks[operator.start_byte] = ";"  # a type cannot be called: the line ended here

    def _take_arrow(self, node: Node) -> None:
        types = node.child_by_field_name("type_parameters")
        parameters = node.child_by_field_name("parameters")
        result = node.child_by_field_name("return_type")
        if parameters is None:
            return
        if types is not None and self._has_line_end(types.start_byte, parameters.start_byte):
            self._marks[types.start_byte] = "("
            self._gaps.append((parameters.start_byte, parameters.start_byte + 1))
        if result is not None and self._has_line_end(parameters.end_byte, result.end_byte):
            self._gaps.append((parameters.end_byte - 1, parameters.end_byte))
            self._marks[result.end_byte - 1] = ")"

    def _has_line_end(self, start: int, end: int) -> bool:
        text = self._source[start:end].decode()
        return any(line_end in text for line_end in _LINE_ENDS)

    def _leave_out(self, node: Node, *, to: int | None = None) -> None:
        self._gaps.append((node.start_byte, node.end_byte if to is None else to))

    def _leave_out_statement(self, node: Node) -> None:
        self._leave_out(node)
        self._marks.setdefault(node.start_byte, ";")

    def _leave_out_tokens(self, node: Node, *kinds: str) -> None:
        for child in node.children:
            if child.type in kinds:
                self._leave_out(child)

    def _kept(self, start: int, end: int) -> str:
        return self._source[start:end].decode()

    def _blank(self, start: int, end: int) -> str:
        """Spaces, as many as there were UTF-16 units, and the ends of lines."""
        marks = sorted(at for at in self._marks if start <= at < end)
        parts: list[str] = []
        for at in marks:
            parts += _spaces(self._kept(start, at)), self._marks[at]
            start = at + 1
        return "".join((*parts, _spaces(self._kept(start, end))))


def _refused(what: str, node: Node) -> TypeScriptError:
    return TypeScriptError(f"SyntaxError: {what} means something at run time", node)


def _is_in_object(node: Node) -> bool:
    return node.parent is not None and node.parent.type == "object"


def _spaces(text: str) -> str:
    return "".join(
        each if each in _LINE_ENDS else "  " if ord(each) > _BEYOND_UTF16_UNIT else " "
        for each in text
    )
