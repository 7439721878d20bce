"""A small load generator: some keep-alive connections, each sending its next request on an answer.

Each request has an id of its own, in place of `ID` in its body: a repeat would be answered from a
cache.
Run as a process of its own, so that it shares neither core nor interpreter lock with the service:
`python -m benchmarks.performance.http_load PORT CONNECTIONS REQUESTS TOKEN PATH < bodies.jsonl`.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length:"
ID = "p-0000000000000000"


@dataclass
class Connection:
    """One connection and the answer that it waits for."""

    socket: socket.socket
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes) -> None:
        """Send the next request."""
        self.received.clear()
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def status(self) -> int | None:
        """Read what is there; the status once the answer is whole."""
        self.received += self.socket.recv(65_536)
        head = self.received.find(END_OF_HEADERS)
        if head < 0:
            return None
        headers = bytes(self.received[:head]).lower()
        length = int(headers.partition(LENGTH)[2].partition(b"\r\n")[0])
        whole = len(self.received) >= head + len(END_OF_HEADERS) + length
        return int(headers.split(b" ", 2)[1]) if whole else None


def drive(
    port: int, connections: int, requests: int, token: str, path: str, bodies: list[bytes]
) -> dict[str, list]:
    """Latencies in milliseconds and the number of answers by status."""
    sent = [_request(port, token, path, body) for body in bodies]
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    # Microseconds: no run goes on where another one was.
    started, first = 0, time.time_ns() // 1_000
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            opened = socket.create_connection(("127.0.0.1", port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(opened)
            selector.register(opened, selectors.EVENT_READ, connection)
            connection.send(_own(sent[started % len(sent)], first + started))
            started += 1
        while len(latencies) < requests:
            for key, _ in selector.select(timeout=10):
                connection = key.data
                if (status := connection.status()) is None:
                    continue
                latencies.append(1_000 * (time.perf_counter() - connection.sent_at))
                statuses[status] = statuses.get(status, 0) + 1
                if started < requests:
                    connection.send(_own(sent[started % len(sent)], first + started))
                    started += 1
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return {"latencies": latencies, "statuses": sorted(statuses.items())}


def _request(port: int, token: str, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _own(request: bytes, number: int) -> bytes:
    return request.replace(ID.encode(), b"p-%016d" % number)


if __name__ == "__main__":
    bodies = [line.encode() for line in sys.stdin.read().splitlines()]
    print(json.dumps(drive(*map(int, sys.argv[1:4]), *sys.argv[4:6], bodies)))
