"""API keys: who may call a service, and for what.

`KeyStore` makes and revokes keys; `KeyRing` is what a running service reads, and follows the file.
Only hashes are kept. A token has 256 random bits, so a plain SHA-256 of it can be neither guessed
nor reversed, and looking it up by its hash tells a caller's clock nothing of any other token.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
import secrets
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from agora.stores.durable import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)
TOKEN_PREFIX = "agora_"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
DAYS = 90
GRACE_HOURS = 24.0
# Keys that ended are listed for so long, then forgotten.
KEPT_DAYS = 90
POLL_SECONDS = 0.5
# A key that is not known may have been made this moment; a flood of wrong ones reads no file.
MISS_SECONDS = 0.05


class Role(msgspec.Struct, frozen=True):
    """What a key of this role may do, and how many requests a second it may send.

    Attributes:
        rights: Names of rights; each page of a service asks for one.
        rate: Requests a second; a key can have its own.
        summary: The same in words.
    """

    rights: frozenset[str]
    rate: int
    summary: str


# One worker answers some 2,000 scores a second: the default stops a caller that runs wild on a
# service of several workers; who shares a service gets a rate of its own.
ROLES: Mapping[str, Role] = {
    "score": Role(frozenset({"score"}), 5_000, "ask the service"),
    "app": Role(frozenset({"score", "outcomes"}), 5_000, "ask it, report clicks"),
    "analyst": Role(frozenset({"score", "outcomes"}), 500, "ask it, report verdicts"),
    "operator": Role(frozenset({"metrics", "model"}), 50, "GET /metrics, GET /model"),
    "deployment": Role(frozenset({"score", "model"}), 500, "ask it, GET /model: smoke tests"),
}


class KeyStoreError(ValueError):
    """A key cannot be made, revoked or rotated, and why."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One token of a caller; a rotated key has two for a while.

    Attributes:
        name: Who calls; the prediction log names it.
        role: Name of a role.
        digest: SHA-256 of the token, hexadecimal.
        created_at: When it was made.
        expires_at: From when on it is refused; None for never.
        revoked_at: When it was revoked.
        rate: Requests a second, instead of the role's.
    """

    name: str
    role: str
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rate: int | None = None

    def fault(self, now: datetime) -> str:
        """`revoked`, `expired`, or empty while it is valid."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else ""


class KeyStore:
    """Makes, lists and revokes keys; safe for several processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Key]:
        """All keys, oldest first, those that ended lately too."""
        return _read(self._path)

    def create(
        self, name: str, role: str, *, lifetime: timedelta | None = None, rate: int | None = None
    ) -> str:
        """Make a key; returns its token, which is kept nowhere.

        Args:
            name: Who will call; not in use by a valid key.
            role: Name of a role.
            lifetime: How long it is valid; None for ever.
            rate: Requests a second, instead of the role's.
        """
        if not NAME.fullmatch(name):
            raise KeyStoreError("name: use small letters, digits, - and _, at most 63")
        if role not in ROLES:
            raise KeyStoreError(f"role: {role!r} is unknown; choose one of {', '.join(ROLES)}")
        if rate is not None and rate < 1:
            raise KeyStoreError("rate: allow at least one request a second")
        now = datetime.now(UTC)
        with self._changing() as keys:
            if any(key.name == name and not key.fault(now) for key in keys):
                raise KeyStoreError(f"key {name!r} exists; rotate it, or revoke it first")
            token, digest = _token()
            until = now + lifetime if lifetime is not None else None
            keys.append(
                Key(
                    name=name, role=role, digest=digest, created_at=now, expires_at=until, rate=rate
                )
            )
        return token

    def rotate(self, name: str, *, grace: timedelta = timedelta(hours=GRACE_HOURS)) -> str:
        """Give a key a new token of the same lifetime; the old one is valid for `grace` more."""
        now = datetime.now(UTC)
        with self._changing() as keys:
            valid = [n for n, key in enumerate(keys) if key.name == name and not key.fault(now)]
            if not valid:
                raise KeyStoreError(f"key {name!r} is not valid; make it with `agora keys create`")
            newest = keys[valid[-1]]
            lifetime = newest.expires_at - newest.created_at if newest.expires_at else None
            for n in valid:
                ends = min(filter(None, (keys[n].expires_at, now + grace)))
                keys[n] = msgspec.structs.replace(keys[n], expires_at=ends)
            token, digest = _token()
            until = now + lifetime if lifetime is not None else None
            keys.append(
                msgspec.structs.replace(newest, digest=digest, created_at=now, expires_at=until)
            )
        return token

    def revoke(self, name: str) -> int:
        """End all tokens of a key at once; returns how many were valid."""
        now = datetime.now(UTC)
        with self._changing() as keys:
            valid = [n for n, key in enumerate(keys) if key.name == name and not key.fault(now)]
            if not valid:
                raise KeyStoreError(f"key {name!r} is not valid; `agora keys list` shows all")
            for n in valid:
                keys[n] = msgspec.structs.replace(keys[n], revoked_at=now)
        return len(valid)

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys under a lock; written back whole when the block ends without an error."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._path.parent / ".changing").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            keys = _read(self._path)
            yield keys
            oldest = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
            kept = [key for key in keys if (ended := _ended(key)) is None or ended > oldest]
            write_whole(self._path, msgspec.json.format(msgspec.json.encode(kept)), 0o600)


class KeyRing:
    """The keys as a running service knows them; a change is seen within a second.

    When the file cannot be read, the keys known before go on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[bytes, Key] = {}
        self._mark: tuple[int, int, int] | None = None
        self._look_at = 0.0

    def find(self, token: bytes) -> Key | None:
        """The key of a token, valid or not; None when it is nobody's."""
        now = time.monotonic()
        if now >= self._look_at:
            self._follow(now)
        key = self._keys.get(digest := hashlib.sha256(token).digest())
        if key is None and now >= self._look_at - POLL_SECONDS + MISS_SECONDS:
            self._follow(now)
            key = self._keys.get(digest)
        return key

    def is_empty(self) -> bool:
        """Whether no key was ever made."""
        self._follow(time.monotonic())
        return not self._keys

    def _follow(self, now: float) -> None:
        self._look_at = now + POLL_SECONDS
        try:
            found = self._path.stat()
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
            if mark == self._mark:
                return
            keys = _read(self._path)
            self._keys, self._mark = {bytes.fromhex(key.digest): key for key in keys}, mark
        except FileNotFoundError:
            self._keys, self._mark = {}, None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            logger.error("API keys: %s; those known before go on", type(error).__name__)


def _read(path: Path) -> list[Key]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Key])
    except FileNotFoundError:
        return []


def _token() -> tuple[str, str]:
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def _ended(key: Key) -> datetime | None:
    return min(filter(None, (key.revoked_at, key.expires_at)), default=None)
