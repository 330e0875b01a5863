"""Names are looked up without holding up who waits for something else."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from xworkflow.runtime_group.egress.resolver import SystemResolver

MANY = 40
"""More than the event loop has threads for everybody."""


async def test_an_address_is_its_own() -> None:
    assert await SystemResolver().resolve("192.0.2.7", 80) == ["192.0.2.7"]
    assert await SystemResolver().resolve("2001:db8::7", 80) == ["2001:db8::7"]


async def test_a_name_of_this_machine_is_found() -> None:
    assert {"127.0.0.1", "::1"} & {*await SystemResolver().resolve("localhost", 80)}


async def test_a_name_that_is_none_is_an_error() -> None:
    with pytest.raises((OSError, UnicodeError)):
        await SystemResolver().resolve("a" * 64 + ".example", 80)


async def test_names_that_nobody_answers_for_hold_up_neither_another_group_nor_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered, look_up = threading.Event(), socket.getaddrinfo

    def slow(host: str, *given: Any, **named: Any) -> Any:
        if host == "slow.example":
            answered.wait(30)
            host = "127.0.0.1"
        return look_up(host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    noisy = SystemResolver()
    waiting = [asyncio.create_task(noisy.resolve("slow.example", 80)) for _ in range(MANY)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            assert await SystemResolver().resolve("localhost", 80)
            assert await asyncio.to_thread(int, "7") == 7
        assert not any(task.done() for task in waiting)
    finally:
        answered.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * MANY
