"""From a name to its addresses, once for each connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol, cast

from xworkflow.domain.network_policy import is_address

_AT_ONCE: Final = 8


class Resolver(Protocol):
    """Finds the addresses of a name, IPv4 and IPv6, in the order in which to try them."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Raises OSError or UnicodeError when there are none."""
        ...


class SystemResolver:
    """The machine's own: its hosts file, its name servers.

    With threads of its own, at most ``_AT_ONCE``: a name server that does not answer holds a thread
    for seconds, and must not hold those that other groups and the process wait for. They end when
    the resolver is let go.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="xworkflow-names")

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        if is_address(host) and "%" not in host:
            return [host]
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(cast("str", entry[4][0]) for entry in found))
