"""Encryption of everything that a Temporal server keeps of a run: AES-GCM, with keys by id.

Payloads are encrypted with the first key and decrypted with whichever theirs names, so a key is
rotated by putting a new one before it, and taken out once no history needs it. Payloads that were
written before there was a key are read as they are. Workflow ids, types, task queues and search
attributes stay readable: the server works with them.

Needs the ``cryptography`` package (the extra ``encryption``).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from xworkflow.errors import InfrastructureError

KEYS_VARIABLE: Final = "XWORKFLOW_CODEC_KEYS"
FILE_VARIABLE: Final = "XWORKFLOW_CODEC_KEYS_FILE"

ENCODING: Final = b"binary/encrypted"
CIPHER: Final = b"AES-256-GCM"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = (16, 24, 32)
_HINT: Final = "keys are written as ID:BASE64, the current one first, separated by commas or lines"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id; the first one encrypts."""

    keys: Mapping[str, bytes] = field(repr=False)

    @property
    def current(self) -> str:
        return next(iter(self.keys))

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read ``ID:BASE64`` entries; lines that start with ``#`` are comments.

        Raises InfrastructureError, which quotes no key.
        """
        keys: dict[str, bytes] = {}
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        entries = [entry.strip() for line in lines for entry in line.split(",")]
        for number, entry in enumerate(filter(None, entries), 1):
            key_id, separator, coded = entry.partition(":")
            if not separator or not key_id or key_id in keys:
                raise InfrastructureError(f"codec key {number} has no id of its own: {_HINT}")
            keys[key_id] = _key(key_id, coded)
        if not keys:
            raise InfrastructureError(f"there is no codec key: {_HINT}")
        return cls(keys)


def _key(key_id: str, coded: str) -> bytes:
    try:
        key = base64.b64decode(coded.strip(), validate=True)
    except binascii.Error:
        raise InfrastructureError(f"the codec key '{key_id}' is no Base64: {_HINT}") from None
    if len(key) not in _KEY_BYTES:
        text = f"the codec key '{key_id}' has {len(key)} bytes; it must have 32 (or 16, 24)"
        raise InfrastructureError(text)
    return key


def keys_of(environment: Mapping[str, str]) -> KeyRing | None:
    """The keys that the environment names, or None: then nothing is encrypted."""
    given, file = environment.get(KEYS_VARIABLE), environment.get(FILE_VARIABLE)
    if given:
        return KeyRing.parse(given)
    if file:
        from xworkflow.private_files import read_private

        return KeyRing.parse(read_private(Path(file)))
    return None


class EncryptionCodec(PayloadCodec):
    """A Temporal codec, for clients and workers alike. Stateless; safe in every thread."""

    def __init__(self, ring: KeyRing) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise InfrastructureError(
                "encryption needs the cryptography package: pip install 'xworkflow[encryption]'"
            ) from None
        self._current = ring.current
        self._ciphers = {key_id: AESGCM(key) for key_id, key in ring.keys.items()}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises InfrastructureError for a key that is not there, or a payload that was changed."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        key_id = self._current.encode()
        # the key's id is bound to the text: one cannot be put under another's name
        sealed = self._ciphers[self._current].encrypt(nonce, payload.SerializeToString(), key_id)
        return Payload(
            metadata={
                "encoding": ENCODING,
                "encryption-cipher": CIPHER,
                "encryption-key-id": key_id,
            },
            data=nonce + sealed,
        )

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get("encryption-key-id", b"")
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            name = key_id.decode(errors="replace")
            known = ", ".join(self._ciphers)
            raise InfrastructureError(f"there is no codec key '{name}'; there are: {known}")
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        from cryptography.exceptions import InvalidTag

        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, key_id))
        except (InvalidTag, ValueError):
            text = "a payload cannot be decrypted: it was changed, or its key is another one"
            raise InfrastructureError(text) from None


def new_key() -> str:
    """A fresh key of 32 bytes, in Base64."""
    return base64.b64encode(os.urandom(32)).decode()


def data_converter(environment: Mapping[str, str]) -> DataConverter:
    """How clients and workers write what they hand to Temporal: as JSON, encrypted with a key.

    With keys the texts of failures are encrypted as well; the server shows "Encoded failure".
    """
    ring = keys_of(environment)
    if ring is None:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(ring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
