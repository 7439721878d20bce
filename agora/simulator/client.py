"""An HTTP client of one service, over one connection that is opened again when it breaks."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

SECONDS = 10.0
SHOWN = 200


class TrafficError(RuntimeError):
    """A service cannot be reached or refused a request; the text says which and why."""


class Client:
    """Posts JSON.

    Args:
        url: Base, as `http://localhost:3000`.
        token: API key; None sends none.

    Raises:
        TrafficError: It is no http address.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TrafficError(f"{url!r} is no address: write it as http://localhost:3000")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._url = url
        self._prefix = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=SECONDS)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def reach(self) -> None:
        """Open the connection if it is not.

        Raises:
            TrafficError: Nobody listens there.
        """
        if self._connection.sock is not None:
            return
        try:
            self._connection.connect()
        except OSError as error:
            raise TrafficError(
                f"{self._url} cannot be reached ({error}); is `agora serve` running?"
            ) from error

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a POST.

        Raises:
            TrafficError: It was refused, or no answer came.
        """
        try:
            self._connection.request("POST", self._prefix + path, json.dumps(body), self._headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise TrafficError(f"no answer: {type(error).__name__}") from error
        if response.status >= http.client.BAD_REQUEST:
            raise TrafficError(f"{response.status}: {text[:SHOWN].decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(text)
        return answer
