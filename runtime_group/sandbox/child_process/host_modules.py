"""Modules that monty lacks and workflows use, lent from this process's own library.

Only pure functions, of plain data: their arguments come from a script. ``uuid4`` and its kin return
text, as objects of the library cannot cross: ``str(uuid.uuid4())`` is right, ``.hex`` an error.
"""

import hashlib
import hmac
import html
import statistics
import string
import textwrap
import uuid
from types import ModuleType
from typing import Any
from urllib import parse

from pydantic_monty import ClassInstance, ExternalModule

_SPLIT_PARTS = ("scheme", "netloc", "path", "query", "fragment", "hostname", "port", "username")


def host_modules() -> dict[str, ExternalModule]:
    return {
        "hmac": ExternalModule({"new": _new_hmac, "compare_digest": _same_digest}),
        "html": _of(html, "escape", "unescape"),
        "statistics": _of(
            statistics,
            *("fmean", "geometric_mean", "harmonic_mean", "mean", "median", "median_high"),
            *("median_low", "mode", "multimode", "pstdev", "pvariance", "quantiles", "stdev"),
            "variance",
        ),
        "string": _of(
            string,
            *("ascii_letters", "ascii_lowercase", "ascii_uppercase", "capwords", "digits"),
            *("hexdigits", "octdigits", "printable", "punctuation", "whitespace"),
        ),
        "textwrap": _of(textwrap, "dedent", "fill", "indent", "shorten", "wrap"),
        "urllib": ExternalModule({"parse": _urllib_parse()}),
        "uuid": ExternalModule(
            {
                "uuid1": lambda: str(uuid.uuid1()),
                "uuid4": lambda: str(uuid.uuid4()),
                "uuid3": _uuid3,
                "uuid5": _uuid5,
                "NAMESPACE_DNS": str(uuid.NAMESPACE_DNS),
                "NAMESPACE_URL": str(uuid.NAMESPACE_URL),
            }
        ),
    }


def _uuid3(namespace: str, name: str) -> str:
    return str(uuid.uuid3(uuid.UUID(namespace), name))


def _uuid5(namespace: str, name: str) -> str:
    return str(uuid.uuid5(uuid.UUID(namespace), name))


def _of(module: ModuleType, *names: str) -> ExternalModule:
    return ExternalModule({name: getattr(module, name) for name in names})


def _urllib_parse() -> ExternalModule:
    names = (
        *("parse_qs", "parse_qsl", "quote", "quote_plus", "unquote", "unquote_plus", "urlencode"),
        "urljoin",
    )
    functions = {name: getattr(parse, name) for name in names}
    return ExternalModule({**functions, "urlparse": _split(parse.urlparse), "urlsplit": _split()})


def _split(function: Any = parse.urlsplit) -> Any:  # noqa: ANN401 - two overloaded functions
    def split(url: str) -> ClassInstance:
        return ClassInstance(_Parts(function(url)), eager_attrs=_SPLIT_PARTS)

    return split


class _Parts:
    """The parts of a URL as attributes of their own: properties do not cross."""

    def __init__(self, parts: Any) -> None:  # noqa: ANN401
        for name in _SPLIT_PARTS:
            setattr(self, name, getattr(parts, name))


def _new_hmac(key: bytes, msg: bytes | None = None, digestmod: object = "") -> ClassInstance:
    """``digestmod`` by its name, as ``"sha256"``: functions of a script do not cross."""
    if not isinstance(digestmod, str) or digestmod not in hashlib.algorithms_guaranteed:
        raise TypeError("digestmod must be the name of an algorithm, such as 'sha256'")
    code = hmac.new(key, msg, digestmod)
    return ClassInstance(code, allowed_methods=("digest", "hexdigest"))


def _same_digest(one: str | bytes, other: str | bytes) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return hmac.compare_digest(one, other)
    if isinstance(one, bytes) and isinstance(other, bytes):
        return hmac.compare_digest(one, other)
    raise TypeError("both must be text, or both bytes")
