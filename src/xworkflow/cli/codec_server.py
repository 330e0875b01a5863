"""``xworkflow codec-server``: lets the Temporal Web UI show runs that are encrypted."""

from __future__ import annotations

from typing import Annotated

import typer

from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note, print_text

EXAMPLES = """
Decrypt for the Temporal Web UI what its users look at, until it is stopped by Ctrl-C or SIGTERM.

The keys come from `XWORKFLOW_CODEC_KEYS` or `XWORKFLOW_CODEC_KEYS_FILE`, as for workers. Put the
printed address into the Web UI's settings (the glasses in its upper right corner), or give it to
`temporal --codec-endpoint`.

**Examples**

    xworkflow codec-server --new-key 2026-11
    xworkflow codec-server --ui-origin http://localhost:8233

Whoever knows the token reads every run: serve it to your own machine, or behind TLS. It is made
anew at each start unless `XWORKFLOW_CODEC_TOKEN` names one.
"""


def register(app: typer.Typer) -> None:
    @app.command("codec-server", help=EXAMPLES)
    def command(
        host: Annotated[str, typer.Option(metavar="HOST", help="Where to listen.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 8234,
        ui_origin: Annotated[
            str, typer.Option(metavar="URL", help="Where the Web UI's pages come from.")
        ] = "http://localhost:8233",
        token: Annotated[
            str | None,
            typer.Option(envvar="XWORKFLOW_CODEC_TOKEN", help="What a caller must know."),
        ] = None,
        new_key: Annotated[
            str | None, typer.Option(metavar="ID", help="Print a fresh key, and end.")
        ] = None,
    ) -> int:
        if new_key is not None:
            from xworkflow.client.encryption import new_key as made

            print_text(f"{new_key}:{made()}")
            return ExitCode.OK
        return serve(host, port, ui_origin.rstrip("/"), token)


def serve(host: str, port: int, origin: str, token: str | None) -> int:
    """Serve until a stop is asked for. Raises InfrastructureError without keys or a free port."""
    import asyncio
    import os
    import secrets
    import threading

    from xworkflow.cli.stopping import stop_requested
    from xworkflow.client.codec_endpoint import CodecServer, Endpoint
    from xworkflow.client.encryption import KEYS_VARIABLE, EncryptionCodec, keys_of
    from xworkflow.errors import InfrastructureError

    ring = keys_of(os.environ)
    if ring is None:
        raise InfrastructureError(f"there are no codec keys: set {KEYS_VARIABLE}")
    given = token or secrets.token_urlsafe(24)
    try:
        server = CodecServer((host, port), Endpoint(EncryptionCodec(ring), origin, given))
    except OSError as error:
        text = f"cannot listen at {host}:{port}: {error.strerror}"
        raise InfrastructureError(text) from None

    async def until_stopped() -> None:
        await stop_requested().wait()

    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    shown = given if token is None else "$XWORKFLOW_CODEC_TOKEN"
    print_note(f"decrypting for {origin}; the codec endpoint is")
    print_text(f"{server.url}/{shown}", flush=True)
    try:
        asyncio.run(until_stopped())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    return ExitCode.OK
