"""The screen of templates: may this one be rendered on the workflow thread? (design.md 6)

Fuel counts instructions, yet one instruction may double a text. So a template renders inline only
if its tokens show that it cannot spend more than a small multiple of what it is given. What passes
has outputs, ``if``, ``for``, names, paths, literals, comparisons and a short list of filters. The
bound, with T for the template and V for the size of its variables:

1. No value outlives its tag (no ``set``, macro, block or call), and no operator makes a larger
   value out of smaller ones (no ``+ * ~``, no list, tuple or map literals). Printing makes at most
   311 characters of a number, six of a character of a text (``tojson``, ``escape``), three where
   its case changes. Only ``_GROWING`` filters could do so again and again, or put a separator (of
   at most 16 characters) between all characters (``join``): one tag holds at most one of them. So
   no value is larger than V by more than a constant.
2. Outside loops at most 100 operations (filters, comparisons, subscripts) and 1,000 tokens run
   once, each in time linear in one value.
3. The body of a loop sees the targets of its own ``for`` and ``loop``'s counters, nothing from
   outside it: neither other variables nor an outer loop's. The items of a list are disjoint parts
   of it, and so are the items of an item, so one operation over all rounds of a loop, however
   deeply nested, reads V once: again at most 100 times V.
4. What is paid per round, and for each byte that is printed, is an instruction or a 64th of one:
   fuel, which ``jinja.render`` gives out sparingly, and its cap on printed values end both.

Names that the engine itself defines (``range``, ``namespace``, ``self`` …) are no variables here.
The screen errs on the safe side: what it does not know, it refuses; a refused template renders all
the same, in a sandbox process. It never raises, and is linear in the template, of which it reads
20,000 bytes at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from xworkflow.domain.template_tokens import Tag, Text, Token, UnreadableTemplate, scan

MAX_TEMPLATE_BYTES: Final = 20_000
_MAX_TOKENS: Final = 1_000
_MAX_OPERATIONS: Final = 100
_MAX_LITERAL: Final = 18
"""Characters of the separator of a ``join``, quotes included, and of a number."""

_GROWING: Final = frozenset({"join", "tojson", "escape", "e"})
_FILTERS: Final = _GROWING | {
    "abs", "bool", "capitalize", "count", "d", "default", "first", "float", "int", "items", "last",
    "length", "lower", "round", "safe", "string", "title", "trim", "upper",
}  # fmt: skip
_TESTS: Final = frozenset({
    "boolean", "defined", "even", "false", "float", "integer", "iterable", "mapping", "none",
    "number", "odd", "sequence", "string", "true", "undefined",
})  # fmt: skip
_COMPARISONS: Final = frozenset({"==", "!=", "<", ">", "<=", ">="})
_WORDS: Final = frozenset({"and", "or", "not", "in", "is", "if", "else"})
_CONSTANTS: Final = frozenset({"true", "false", "none", "True", "False", "None"})
_ENGINE_NAMES: Final = frozenset({
    "caller", "cycler", "debug", "dict", "joiner", "kwargs", "loop", "namespace", "range", "self",
    "super", "varargs",
})  # fmt: skip
_LOOP_COUNTERS: Final = frozenset(
    {"index", "index0", "first", "last", "length", "revindex", "revindex0"}
)


class _Refused(Exception):  # noqa: N818 - a verdict, and it never leaves this file
    pass


def is_bounded(template: str) -> bool:
    """Whether rendering takes time and memory linear in the variables, by a small factor."""
    if len(template) > MAX_TEMPLATE_BYTES:
        return False
    if len(template.encode(errors="surrogatepass")) > MAX_TEMPLATE_BYTES:
        return False
    try:
        screening = _Screening()
        for part in scan(template):
            screening.take(part)
    except (UnreadableTemplate, _Refused):
        return False
    return not screening.scopes


def _refuse_unless(condition: bool) -> None:
    if not condition:
        raise _Refused


@dataclass(slots=True)
class _Screening:
    """What is known after the parts read so far.

    ``scopes`` holds the names of the targets of each open ``for``, and None for each open ``if``.
    """

    scopes: list[frozenset[str] | None] = field(default_factory=list[frozenset[str] | None])
    tokens: int = 0
    operations: int = 0

    @property
    def loop_names(self) -> frozenset[str] | None:
        """The names that are in reach inside the innermost loop; None outside of all loops."""
        return next((names for names in reversed(self.scopes) if names is not None), None)

    def take(self, part: Text | Tag) -> None:
        if isinstance(part, Text):
            _refuse_unless(not part.raw)
            return
        self.tokens += len(part.tokens)
        _refuse_unless(self.tokens <= _MAX_TOKENS and bool(part.tokens))
        if part.kind == "output":
            self._expression(part.tokens)
        else:
            self._statement(part.keyword, part.tokens[1:])

    def _statement(self, keyword: str, rest: tuple[Token, ...]) -> None:
        match keyword:
            case "if":
                self._expression(rest)
                self.scopes.append(None)
            case "elif":
                self._expression(rest)
            case "else":
                _refuse_unless(not rest)
            case "for":
                targets, source = _split_for(rest)
                self._expression(source)
                self.scopes.append(targets)
            case "endif" | "endfor":
                _refuse_unless(not rest and bool(self.scopes))
                _refuse_unless((self.scopes.pop() is None) == (keyword == "endif"))
            case _:
                raise _Refused

    def _expression(self, tokens: tuple[Token, ...]) -> None:
        reader = _Expression(tokens, self.loop_names)
        reader.read()
        self.operations += reader.operations
        _refuse_unless(self.operations <= _MAX_OPERATIONS)


def _split_for(tokens: tuple[Token, ...]) -> tuple[frozenset[str], tuple[Token, ...]]:
    """``a in e`` or ``a, b in e``: the targets, and the tokens of e."""
    at = next((i for i, token in enumerate(tokens) if token.text == "in"), 0)
    names, commas = tokens[:at:2], tokens[1:at:2]
    _refuse_unless(at % 2 == 1 and all(comma.text == "," for comma in commas))
    _refuse_unless(all(_is_variable(token) for token in names))
    source = tokens[at + 1 :]
    # `if` would filter the items in a scope of its own; `recursive` is a call
    _refuse_unless(not any(token.text in ("if", "recursive") for token in source))
    return frozenset(token.text for token in names), source


def _is_variable(token: Token) -> bool:
    reserved = _WORDS | _CONSTANTS | _ENGINE_NAMES
    return token.kind == "name" and token.text.isascii() and token.text not in reserved


class _Expression:
    """Reads the tokens of one expression, and refuses what is not on the list.

    It need not know the grammar: what minijinja cannot parse costs nothing. It has to see each
    token in its role: after an operand (``_operand`` is true) a bracket subscripts, else it groups.
    """

    def __init__(self, tokens: tuple[Token, ...], loop_names: frozenset[str] | None) -> None:
        self._tokens = tokens
        self._loop_names = loop_names
        self._at = 0
        self._operand = False
        self._grown = False
        self._depth = 0
        self.operations = 0

    def read(self) -> None:
        _refuse_unless(bool(self._tokens))
        while self._at < len(self._tokens):
            self._one(self._next())
        _refuse_unless(self._depth == 0)

    def _next(self) -> Token:
        _refuse_unless(self._at < len(self._tokens))
        self._at += 1
        return self._tokens[self._at - 1]

    def _follows(self, text: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at].text == text

    def _one(self, token: Token) -> None:
        match token.text:
            case "." | "|" | "is":
                _refuse_unless(self._operand)
                {".": self._attribute, "|": self._filter, "is": self._test}[token.text]()
            case "(" | "[":
                # `(` behind an operand is a call, `[` behind none is a list
                _refuse_unless(self._operand == (token.text == "["))
                self._bracket(1)
            case ")" | "]":
                self._bracket(-1)
            case text if text in _COMPARISONS or text == "in":
                self.operations += 1
                self._operand = False
            case text if text in _WORDS:
                self._operand = False
            case "-":
                _refuse_unless(not self._operand)
                self._literal_number(self._next())
            case _:
                self._primary(token)

    def _bracket(self, step: int) -> None:
        self.operations += step > 0
        self._depth += step
        _refuse_unless(self._depth >= 0)
        self._operand = step < 0

    def _primary(self, token: Token) -> None:
        _refuse_unless(not self._operand)
        if token.kind == "number":
            self._literal_number(token)
        elif token.text == "loop" and self._loop_names is not None:
            _refuse_unless(self._next().text == "." and self._next().text in _LOOP_COUNTERS)
        elif token.kind == "name" and token.text not in _CONSTANTS:
            in_reach = self._loop_names is None or token.text in self._loop_names
            _refuse_unless(_is_variable(token) and in_reach)
        else:
            _refuse_unless(token.kind in ("string", "name"))
        self._operand = True

    def _literal_number(self, token: Token) -> None:
        digits = token.text.replace(".", "", 1)
        _refuse_unless(len(digits) <= _MAX_LITERAL and digits.isascii() and digits.isdigit())
        self._operand = True

    def _attribute(self) -> None:
        _refuse_unless(self._next().kind in ("name", "number"))

    def _test(self) -> None:
        self._at += self._follows("not")
        _refuse_unless(self._next().text in _TESTS)

    def _filter(self) -> None:
        name = self._next().text
        self.operations += 1
        _refuse_unless(name in _FILTERS and not (name in _GROWING and self._grown))
        self._grown |= name in _GROWING
        if self._follows("("):
            self._at += 1
            self._arguments(name, self._next())

    def _arguments(self, name: str, first: Token) -> None:
        """``default(e, true)``, ``join('x')`` and ``round(2)``; other filters take none here."""
        match name:
            case "default" | "d":
                self._operand = False
                self._primary(first)
                if self._follows(","):
                    self._at += 1
                    _refuse_unless(self._next().text in _CONSTANTS)
            case "join":
                _refuse_unless(first.kind == "string" and len(first.text) <= _MAX_LITERAL)
            case "round":
                self._literal_number(first)
            case _:
                raise _Refused
        _refuse_unless(self._next().text == ")")
