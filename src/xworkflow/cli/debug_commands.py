"""What is typed at the debugger's prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from xworkflow.cli.files import value_of
from xworkflow.domain.values import JsonValue
from xworkflow.errors import InputError

Verb = Literal[
    "step", "continue", "break", "delete", "print", "set", "list", "where", "abort", "help"
]

HELP: Final = """\
s             step: to the next stop before or after a node
c             continue: to the next breakpoint, or the end
b [NODE]      set a breakpoint; without a node, show them
d [NODE]      delete a breakpoint; without a node, all
p [NODE[.VAR]]  print variables: of all, of one node, one
set NODE.VAR=VALUE  write a variable (JSON, or text); the run stays where it is
l             list the nodes with their states
w             where: the node at which the run stands
q             quit: abort the run
h             this help
A node goes by its id, its title, or a part of either. Ctrl-C leaves, and the run waits for you."""

_VERBS: Final[Mapping[str, Verb]] = {
    "s": "step",
    "step": "step",
    "n": "step",
    "next": "step",
    "c": "continue",
    "continue": "continue",
    "b": "break",
    "break": "break",
    "d": "delete",
    "delete": "delete",
    "p": "print",
    "print": "print",
    "set": "set",
    "l": "list",
    "list": "list",
    "w": "where",
    "where": "where",
    "q": "abort",
    "quit": "abort",
    "abort": "abort",
    "h": "help",
    "help": "help",
    "?": "help",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """One command; ``rest`` is what stands behind its verb."""

    verb: Verb
    rest: str = ""


def parse(line: str) -> Typed | None:
    """The command of a line; None for an empty one, or a comment. Raises InputError."""
    word, _, rest = line.strip().partition(" ")
    if not word or word.startswith("#"):
        return None
    verb = _VERBS.get(word.lower())
    if verb is None:
        raise InputError((f"'{word}' is no command; h shows them",))
    return Typed(verb, rest.strip())


def assignment(rest: str) -> tuple[str, JsonValue]:
    """The name and value of ``node.var=value``. Raises InputError."""
    name, equals, text = rest.partition("=")
    if not equals or "." not in name.strip():
        raise InputError(("write: set node.var=value",))
    return name.strip(), value_of(text.strip())


class NodeNames:
    """Nodes by their ids and titles, or a part of one that no other node has."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles

    def find(self, text: str) -> str:
        """The id of the node that is meant. Raises InputError."""
        if text in self._titles:
            return text
        wanted = text.casefold()
        same = [id_ for id_, title in self._titles.items() if title.casefold() == wanted]
        near = same or [
            id_ for id_, title in self._titles.items() if wanted in f"{id_}\n{title}".casefold()
        ]
        if len(near) == 1:
            return near[0]
        if near:
            raise InputError((f"'{text}' may be {', '.join(map(self._shown, near))}",))
        known = {name.casefold(): id_ for id_, t in self._titles.items() for name in (id_, t)}
        close = dict.fromkeys(known[name] for name in get_close_matches(wanted, known, n=2))
        hint = f"; is it {' or '.join(map(self._shown, close))}?" if close else ""
        raise InputError((f"there is no node '{text}'{hint}",))

    def title(self, node_id: str) -> str:
        """What people call a node."""
        return self._titles.get(node_id) or node_id

    def variable(self, text: str) -> tuple[str, str]:
        """The namespace and the variable, or nothing, of ``node``, ``node.var`` or
        ``node.var.key``. Namespaces that are no nodes go by their names alone."""
        names = [text[:at] for at in range(len(text), 0, -1) if at == len(text) or text[at] == "."]
        for name in names:
            if name in self._titles:
                return name, text[len(name) + 1 :]
            same = [i for i, t in self._titles.items() if t.casefold() == name.casefold()]
            if len(same) == 1:
                return same[0], text[len(name) + 1 :]
        space, _, variable = text.partition(".")
        return space, variable

    def _shown(self, node_id: str) -> str:
        title = self._titles[node_id]
        return node_id if title in ("", node_id) else f"{title} ({node_id})"
