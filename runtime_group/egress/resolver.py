"""From a name to its addresses, once for each connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol, cast


class Resolver(Protocol):
    """Finds the addresses of a name, IPv4 and IPv6, in the order in which to try them."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Raises OSError or UnicodeError when there are none."""
        ...


class SystemResolver:
    """The machine's own: its hosts file, its name servers."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(cast("str", entry[4][0]) for entry in found))
