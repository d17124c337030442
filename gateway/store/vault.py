"""Secrets at rest: MultiFernet, the newest key encrypts, every listed key decrypts.

Fernet has no associated data, so the owner is part of the plaintext: a token moved to another connector or another
name does not open there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.errors import GatewayError


class SecretUnreadable(GatewayError):
    """A stored secret that our keys do not open, or that belongs to something else."""


class Vault:
    """`keys`: one Fernet key, or several separated by commas, newest first."""

    def __init__(self, keys: bytes) -> None:
        parts = [part.strip() for part in keys.split(b",") if part.strip()]
        try:
            self._fernet = MultiFernet([Fernet(part) for part in parts])
        except ValueError:
            raise GatewayError(
                "GATEWAY_SECRET_KEY must be Fernet keys: 32 random bytes in URL-safe base64, comma separated"
            ) from None
        self._opened = lru_cache(maxsize=256)(self._open)

    def seal(self, owner: int, name: str, value: str) -> bytes:
        return self._fernet.encrypt(msgspec.json.encode((owner, name, value)))

    def unseal(self, owner: int, name: str, token: bytes) -> str:
        """Raises SecretUnreadable. A token always opens to the same, so those in use are opened once."""
        try:
            plain = self._opened(token)
        except (InvalidToken, msgspec.DecodeError):
            raise SecretUnreadable("a stored secret cannot be decrypted: was GATEWAY_SECRET_KEY changed?") from None
        if plain[:2] != (owner, name):
            raise SecretUnreadable("a stored secret belongs to another connector")
        return plain[2]

    def _open(self, token: bytes) -> tuple[int, str, str]:
        return msgspec.json.decode(self._fernet.decrypt(token), type=tuple[int, str, str])

    def rotate(self, token: bytes) -> bytes:
        """The same secret under the newest key."""
        return self._fernet.rotate(token)


def load_or_create_key(path: Path) -> bytes:
    """The key in the file; made with mode 0600 when there is none. Safe when two processes start at once."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()
    return path.read_bytes().strip()
