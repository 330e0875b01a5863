"""Broken exports, as a user meets them: exact words for each, and never a traceback."""
# ruff: noqa: E501 - a diagnostic is one line

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli import broken_exports, flows
from tests.cli.command import Command

EXPECTED: dict[str, list[str]] = {
    "root is a list": ["E001 -:- the file must be an object, not array"],
    "root is a text": ["E001 -:- the file must be an object, not string"],
    "app is a list": ["E001 -:1 app must be an object, not array"],
    "workflow is a text": ["E001 -:1 workflow must be an object, not string"],
    "graph is a number": ["E001 -:1 workflow.graph must be an object, not number"],
    "nodes is an object": ["E001 -:1 nodes must be an array, not object"],
    "edges is a text": ["E001 -:1 edges must be an array, not string"],
    "a node is a number": ["E001 -:- nodes[7] must be an object, not number"],
    "node data is a list": ["E001 code:70 nodes[2].data must be an object, not array"],
    "node id is an object": ["E001 -:70 nodes[2].id must be a string, not object"],
    "node type is a number": ["E001 code:70 nodes[2].type must be a string, not number"],
    "an edge is null": ["E001 -:- edges[6] must be an object, not null"],
    "edge target is a list": [
        "E001 -:170 edges[0].target must be a string, not array",
        "E103 -:- no end or answer node can be reached from the start node",
    ],
    "cases is a text": ["E217 choose:42 cases: Input should be a valid tuple"],
    "outputs of code are a list": ["E217 code:70 outputs: Input should be a valid dictionary"],
    "code is a number": ["E217 code:70 code: Input should be a valid string"],
    "template is an object": ["E217 shape:98 template: Input should be a valid string"],
    "url is a list": ["E217 get:120 url: Input should be a valid string"],
    "a selector is a number": [
        "E217 choose:42 cases[0].conditions[0].variable_selector: a selector is a list of texts or a dotted text, not 5"
    ],
    "a selector has one part": [
        "W401 choose:42 'start' starts at '__scope__', which is no node and no namespace"
    ],
    "retries are a text": [
        "E217 get:123 retry_config.max_retries: Input should be a valid integer"
    ],
    "environment is an object": [
        "E001 -:8 workflow.environment_variables must be an array, not object"
    ],
    "an environment number is a word": [
        "W012 -:10 variable 'LIMIT': 'five' is no number; it stays a text"
    ],
    "no graph": ["E001 -:1 workflow.graph is missing"],
    "no nodes": ["E001 -:1 nodes is missing"],
    "no edges": ["E103 -:- no end or answer node can be reached from the start node"],
    "a node without an id": ["E001 -:70 nodes[2].id is missing"],
    "a node without data": ["E001 -:70 nodes[2].data is missing"],
    "a node without a type": ["E001 code:70 nodes[2].data.type is missing"],
    "an edge without a source": ["E001 -:178 edges[1].source is missing"],
    "a condition without an operator": [
        "E217 choose:42 cases[0].conditions[0].comparison_operator: Field required"
    ],
    "code without code": ["E207 code:70 the code is empty"],
    "a request without a url": ["E209 get:120 the url is empty"],
    "no start": ["E004 -:- the workflow has no start node"],
    "no end": ["E006 -:- the workflow has neither an end nor an answer node"],
    "a cycle": ["E101 code:70 cycle: code -> shape -> get -> code"],
    "an edge to itself": ["E012 code-code:218 edge 'code-code' leads from 'code' to itself"],
    "two nodes of one id": [
        "E007 code:168 2 nodes have the id 'code'",
        "E207 code:168 the code is empty",
    ],
    "two edges of one id": [
        "E013 start-choose:218 'start' and 'choose' are joined twice by the same handle"
    ],
    "two starts": ["E005 -:- the workflow has 2 start nodes"],
    "an edge from nowhere": [
        "W102 ghost-end:218 edge 'ghost-end' starts at the unknown node 'ghost'"
    ],
    "an edge of no case": ["E304 choose:218 edge 'choose-end' has the unknown handle 'maybe'"],
    "a branch without an edge": [
        "W103 code:70 unreachable node, it will not run",
        "W103 shape:98 unreachable node, it will not run",
        "W103 get:120 unreachable node, it will not run",
        "W103 end:134 unreachable node, it will not run",
    ],
    "a node that nothing reaches": ["W103 lonely:168 unreachable node, it will not run"],
    "a selector of a later node": [
        "W401 code:70 'get.body' reads the node 'get', which does not run before 'code'"
    ],
    "a selector of no node": [
        "W401 code:70 'ghost.x' starts at 'ghost', which is no node and no namespace"
    ],
    "two cases of one id": ["E206 choose:42 case id 'yes' is used twice"],
    "an unknown type": ["E009 code:70 unknown node type 'teleport'"],
    "a type that is not there yet": [
        "E050 code:70 node type 'trigger-plugin' is not supported here; what would provide it: a service outside of the run that starts it; draw a start node instead"
    ],
    "an unknown operator": [
        "E217 choose:42 cases[0].conditions[0].comparison_operator: unknown comparison operator 'resembles'"
    ],
    "an unknown language": [
        "E208 code:70 unknown language 'cobol'; there are javascript, wasm, python3"
    ],
    "a template that does not end": [
        "E501 shape:98 syntax error: unexpected end of input, expected end of block (in template:1) (line 1 of the template)"
    ],
    "an unknown method": [
        "E217 get:120 method: Input should be 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD' or 'OPTIONS'"
    ],
    "a blank id": ["E008  :70 a node has a blank id"],
    "a version that is no version": [
        "W010 -:1 version new of the export is unknown; the newest known one is 0.6.0"
    ],
    "a version to come": [
        "W010 -:1 version 9.0.0 of the export is unknown; the newest known one is 0.6.0"
    ],
    "a start field of no type": ["E201 start:24 variable 'q' has the unknown type 'hologram'"],
    "empty": ["E001 -:- the text is empty"],
    "not text": ["E001 -:- the text is not UTF-8"],
    "half an object": ["E001 -:2 while parsing a flow node, did not find expected node content"],
    "a tab for a space": [
        "E001 -:2 while scanning for the next token, found character that cannot start any token"
    ],
    "a key that stands twice": ["E001 -:2 the key 'kind' stands twice in one object"],
    "two documents": ["E001 -:2 the text holds more than one YAML document"],
    "an alias to nothing": ["E001 -:1 the alias *b has no anchor before it"],
    "a merge key": ["E001 -:3 merge keys (<<) are not supported"],
    "a python object": [
        "E001 -:1 the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed"
    ],
    "a key that is a list": ["E001 -:1 a key must be a text"],
    "a list in itself": ["E001 -:1 the alias *a has no anchor before it"],
    "a billion laughs": ["E001 -:- the text holds more than 500000 values"],
    "very deep": ["E001 -:1 the text is nested deeper than 100 levels"],
    "very deep and closed": ["E001 -:186 the text is nested deeper than 100 levels"],
    "very deep yaml": ["E001 -:101 the text is nested deeper than 100 levels"],
    "too large": ["E001 -:- the text is larger than 10 MB"],
    "very many values": ["E001 -:- the text holds more than 500000 values"],
    "half a surrogate pair": [
        "E001 -:1 while parsing a quoted scalar, found invalid Unicode character escape code"
    ],
    "a null byte": ["E001 -:- unacceptable character #x0000: control characters are not allowed"],
}
"""``CODE place:line problem``: the errors of a refused file, the warnings of a tolerated one."""
TOLERATED = {kind for kind, found in EXPECTED.items() if found[0].startswith("W")}


def name_of(kind: str) -> str:
    return f"{kind.replace(' ', '_')}.yml"


def told(diagnostic: dict[str, Any]) -> str:
    where = diagnostic.get("node_id") or diagnostic.get("edge_id") or "-"
    line = diagnostic.get("line") or "-"
    return f"{diagnostic['code']} {where}:{line} {diagnostic['message']}"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of them in one command: what one file does to it must not harm the next."""
    command = Command(tmp_path_factory.mktemp("broken"))
    for kind, content in broken_exports.ALL.items():
        flows.write(command.folder, name_of(kind), content)
    flows.write(command.folder, "sound.yml", json.dumps(broken_exports.SOUND))
    ended = command("validate", "--json", *map(name_of, broken_exports.ALL), "sound.yml")
    assert (ended.code, ended.err) == (2, "")
    return ended.object


def test_there_are_more_than_thirty_kinds_and_each_has_its_words() -> None:
    assert EXPECTED.keys() == broken_exports.ALL.keys()
    assert len(EXPECTED.keys() - TOLERATED) > 60


def test_what_is_broken_in_them_is_the_one_thing_that_their_names_say(
    reports: dict[str, Any],
) -> None:
    assert reports["sound.yml"] == {"is_valid": True, "diagnostics": []}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_broken_export_gives_exact_diagnostics(kind: str, reports: dict[str, Any]) -> None:
    report = reports[name_of(kind)]
    assert report["is_valid"] == (kind in TOLERATED)
    wanted = "warning" if kind in TOLERATED else "error"
    found = [told(d) for d in report["diagnostics"] if d["level"] == wanted]
    assert found == EXPECTED[kind]


@pytest.mark.parametrize("kind", ["a cycle", "a billion laughs", "not text"])
def test_a_broken_export_is_a_table_for_people(command: Command, kind: str) -> None:
    flows.write(command.folder, "app.yml", broken_exports.ALL[kind])
    ended = command("validate", "app.yml")
    assert (ended.code, ended.err) == (2, "")
    *rows, verdict = ended.out.splitlines()
    assert verdict == "not valid app.yml"
    assert len(rows) == 1 + len(EXPECTED[kind])
    assert EXPECTED[kind][0].split()[0] in rows[1]
