"""The gateway: who calls, whether the caller may, and how often.

Refusals are `Refusal`s: they name the fix, and their reasons come from a closed list, for metrics
and logs.
"""

from __future__ import annotations

import ipaddress
import random
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerMinute

from agora.serving.limits import Limit
from agora.serving.requests import RequestError
from agora.stores import embedded
from agora.stores.keys import ROLES, TOKEN_PREFIX, KeyRing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.settings import Settings

# Wrong keys of one peer: more than a person mistypes, too few to try many.
WRONG_KEYS = RateLimitItemPerMinute(30)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
ANYBODY = "anybody"
"""The caller's name while keys are not asked for."""
HOW = "Send the header Authorization: Bearer TOKEN, with a key of `agora keys create`."


class Refusal(RequestError):
    """A request that is refused before or instead of an answer.

    Attributes:
        reason: One of a closed list: for metrics and logs.
        headers: Headers of the response that go with it.
    """

    def __init__(
        self, status: int, reason: str, message: str, fix: str, *, field: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(field, message, fix, status)
        self.reason = reason
        self.headers = headers


class Gateway:
    """Authenticates callers and counts their requests."""

    def __init__(self, settings: Settings) -> None:
        self._auth = settings.auth
        self._ring = KeyRing(settings.keys)
        self._limit: Limit | None = None
        self._settings = settings
        self._failures = Limit()

    def open(self) -> None:
        """Prepare the counting; the store that all workers share is connected when it is used."""
        chosen = self._settings.rate_limits
        if chosen == "shared":
            home = self._settings.home / "online"
            self._limit = Limit(self._settings.online_url or embedded.start(home))
        elif chosen == "memory":
            self._limit = Limit()

    def admit(self, headers: Mapping[bytes, bytes], peer: Any, right: str) -> str:
        """Name of the caller.

        Args:
            headers: The request's.
            peer: Its address, as ASGI has it.
            right: What the page asks for.

        Raises:
            Refusal: The caller has no valid key (401), not the right (403), or too many requests
                (429).
        """
        if not self._auth:
            return ANYBODY
        token = _token(headers)
        key = self._ring.find(token) if token else None
        fault = "" if key is None else key.fault(datetime.now(UTC))
        if key is None or fault:
            raise self._unauthorized(token, fault, peer)
        role = ROLES.get(key.role)
        if role is None or right not in role.rights:
            able = " or ".join(name for name, each in ROLES.items() if right in each.rights)
            fix = f"Use a key of the role {able}."
            raise Refusal(403, "role", f"the role {key.role} may not do this", fix)
        if self._limit is not None:
            rate = key.rate or role.rate
            wait = self._limit.exceeded(key.name, rate)
            if wait is not None:
                fix = "Wait as long as Retry-After says, or ask for a higher rate."
                raise _too_many("rate", f"this key may send {rate} requests a second", fix, wait)
        return key.name

    def _unauthorized(self, token: bytes, fault: str, peer: Any) -> Refusal:
        wait = self._failures.take(WRONG_KEYS, _network(peer)) if token else None
        if wait is not None:
            fix = "Use a valid key; wait as long as Retry-After says."
            return _too_many("attempts", "too many wrong keys came from this address", fix, wait)
        reason, message = (
            (f"{fault}_key", f"the API key is {fault}") if fault
            else ("unknown_key", "the API key is not known") if token
            else ("no_key", "there is no API key")
        )  # fmt: skip
        header = ((b"www-authenticate", b'Bearer realm="agora"'),)
        return Refusal(401, reason, message, HOW, headers=header)


def request_id_of(sent: bytes | None) -> str:
    """The caller's own id of the request if it can be logged, else a new one.

    What is all digits may be a card's or a telephone number, and what holds a token is one.
    """
    if sent is not None:
        text = sent.decode("latin-1")
        plain = text.replace("-", "").replace("_", "").replace(".", "")
        if REQUEST_ID.fullmatch(text) and not plain.isdigit() and TOKEN_PREFIX not in text:
            return text
    return f"{random.getrandbits(64):016x}"


def _token(headers: Mapping[bytes, bytes]) -> bytes:
    sent = headers.get(b"authorization")
    if sent is None:
        return headers.get(b"x-api-key", b"")
    scheme, _, token = sent.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _network(peer: Any) -> str:
    """Whom wrong keys are counted for: an IPv4 address, or the /64 that one IPv6 host may roam."""
    try:
        address = ipaddress.ip_address(peer[0])
    except (TypeError, IndexError, ValueError):
        return "unknown"
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), False))


def _too_many(reason: str, message: str, fix: str, wait: float) -> Refusal:
    # Whole seconds, and never none: a caller that waits for so long gets through.
    header = (b"retry-after", b"%d" % max(1, -int(-wait // 1)))
    return Refusal(429, reason, message, fix, headers=(header,))
