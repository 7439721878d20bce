"""The online store on Valkey or Redis: one packed value per entity and feature set.

`agora.stores.packing` says what a value is; the server itself compares the times of old and new.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agora.stores import embedded
from agora.stores.online import OnlineRows, RequestRows, check_rows
from agora.stores.packing import Layout, layout_of, pack, unpack, unpack_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from agora.features import FeatureSet
    from agora.settings import Settings

# One call writes a block: long enough to spread its cost, short enough not to hold up readers.
BLOCK = 256
BLOCKS_IN_FLIGHT = 16
# No row can have this key: a None id is asked for under it, which keeps the answers aligned.
NOTHING = "agora"

# KEYS: the rows' keys. ARGV: the length of a value, then all values end to end.
WRITE = """
local size, block, written = tonumber(ARGV[1]), ARGV[2], 0
for i, key in ipairs(KEYS) do
  local new = string.sub(block, (i - 1) * size + 1, i * size)
  local old = redis.call('GET', key)
  local newer = true
  if old and #old == size and string.sub(old, 1, 8) == string.sub(new, 1, 8) then
    local a, b, c, d = struct.unpack('>I4I4I4I4', old, 9)
    local e, f, g, h = struct.unpack('>I4I4I4I4', new, 9)
    if a ~= e then newer = e > a
    elseif b ~= f then newer = f > b
    elseif c ~= g then newer = g > c
    else newer = h > d end
  end
  if newer then
    redis.call('SET', key, new)
    written = written + 1
  end
end
return written
"""
WRITE_SHA = hashlib.sha1(WRITE.encode(), usedforsecurity=False).hexdigest()


class ValkeyOnlineStore:
    """The online store on a Valkey or Redis server.

    Args:
        url: redis://, rediss:// or unix://.
        timeout: Seconds after which a connection or an answer is given up.
    """

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._pool = self._pool_of(url)
        # Connections that nobody uses now. redis-py's way through its pool costs more than the
        # round trip itself.
        self._idle: list[Any] = []
        self._process = os.getpid()
        # What the last request read, so that names are made once.
        self._request: tuple[Sequence[FeatureSet], tuple[Layout, ...]] = ((), ())

    def write(
        self,
        feature_set: FeatureSet,
        ids: Sequence[str],
        feature_at: np.ndarray[Any, Any],
        arrived_at: np.ndarray[Any, Any],
        values: np.ndarray[Any, Any],
    ) -> int:
        """Keep each row that is newer, by (feature_at, arrived_at), than the one held."""
        check_rows(feature_set, ids, feature_at, arrived_at, values)
        layout = layout_of(feature_set)
        packed = pack(layout, feature_at, arrived_at, values)
        keys = [layout.prefix + entity_id for entity_id in ids]
        step = BLOCK * BLOCKS_IN_FLIGHT
        return sum(
            self._write_blocks(
                keys[at : at + step],
                packed[at * layout.size : (at + step) * layout.size],
                layout.size,
            )
            for at in range(0, len(keys), step)
        )

    def read(self, wanted: Sequence[tuple[FeatureSet, Sequence[str | None]]]) -> list[OnlineRows]:
        """Rows of several feature sets in one round trip; a None id has no row."""
        layouts = [layout_of(feature_set) for feature_set, _ in wanted]
        keys = [
            layout.prefix + entity_id if entity_id else NOTHING
            for layout, (_, ids) in zip(layouts, wanted, strict=True)
            for entity_id in ids
        ]
        found = self._ask([("MGET", *keys)])[0] if keys else []
        answer, at = [], 0
        for layout, (_, ids) in zip(layouts, wanted, strict=True):
            answer.append(unpack(layout, found[at : at + len(ids)]))
            at += len(ids)
        return answer

    def read_request(
        self,
        feature_sets: Sequence[FeatureSet],
        ids: Sequence[str | None],
        key: str | None = None,
    ) -> RequestRows:
        """One row by set: values are joined once and not looked into."""
        known, layouts = self._request
        if known is not feature_sets:
            layouts = tuple(map(layout_of, feature_sets))
            self._request = feature_sets, layouts
        keys = [
            layout.prefix + entity_id if entity_id else NOTHING
            for layout, entity_id in zip(layouts, ids, strict=True)
        ]
        if key is not None:
            keys.append(key)
        found = self._ask([("MGET", *keys)])[0] if keys else []
        kept = found.pop() if key is not None else None
        return unpack_request(layouts, found, kept)

    def keep(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep small values for some seconds, all in one round trip."""
        milliseconds = max(1, round(1_000 * seconds))
        commands = [("SET", key, value, "PX", milliseconds) for key, value in values.items()]
        if commands:
            self._ask(commands)

    def ping(self) -> bool:
        """Whether the server answers in time."""
        try:
            return bool(self._ask([("PING",)]))
        except OSError:
            return False

    def move(self, url: str) -> None:
        """Use the server at another address from now on."""
        self._pool = self._pool_of(url)
        self._idle = []

    def close(self) -> None:
        """Give connections back."""
        while self._idle:
            self._idle.pop().disconnect()

    def _pool_of(self, url: str) -> redis.ConnectionPool:
        return redis.ConnectionPool.from_url(
            url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            # Nothing is tried again in silence: the caller has a budget and a fallback.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def _write_blocks(self, keys: list[str], packed: bytes, size: int) -> int:
        """Write some blocks in one round trip; doing it twice changes nothing."""
        commands = []
        for at in range(0, len(keys), BLOCK):
            block = keys[at : at + BLOCK]
            values = packed[at * size : (at + len(block)) * size]
            commands.append(("EVALSHA", WRITE_SHA, len(block), *block, size, values))
        try:
            return sum(self._ask(commands))
        except redis.exceptions.NoScriptError:
            # The first write to this server since it started.
            self._ask([("SCRIPT", "LOAD", WRITE)])
            return sum(self._ask(commands))

    def _ask(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Answers to some commands, in one round trip."""
        if self._process != os.getpid():
            # A forked child would talk over its parent's connections.
            self._idle, self._process = [], os.getpid()
        connection = self._idle.pop() if self._idle else self._pool.make_connection()
        used = connection.is_connected
        try:
            try:
                answers = _exchange(connection, commands)
            except redis.ConnectionError:
                # The server may have restarted since this connection was last used.
                if not used:
                    raise
                answers = _exchange(connection, commands)
        except redis.TimeoutError as error:
            raise TimeoutError(str(error)) from error
        except redis.ConnectionError as error:
            raise ConnectionError(str(error)) from error
        self._idle.append(connection)
        return answers


def open_online(settings: Settings, timeout: float = 5.0) -> ValkeyOnlineStore:
    """The online store of the settings: a Redis or Valkey by URL, or an embedded Valkey.

    The embedded one is started when it does not run yet, outlives this process and is shared by all
    processes of the same home; `stop_online` ends it.

    Args:
        settings: Where it is.
        timeout: Seconds after which a connection or an answer is given up. A service passes its
            budget.

    Raises:
        ConnectionError: The embedded server does not start.
    """
    url = settings.online_url or embedded.start(settings.home / "online")
    return ValkeyOnlineStore(url, timeout=timeout)


def revive_online(settings: Settings, store: ValkeyOnlineStore) -> None:
    """Start the embedded Valkey again if it was killed; another server has its own keeper."""
    if not settings.online_url and (url := embedded.revive(settings.home / "online")):
        store.move(url)


def stop_online(settings: Settings) -> None:
    """Stop the embedded Valkey of this home, if one runs; what it holds stays on disk."""
    embedded.stop(settings.home / "online")


def _exchange(connection: Any, commands: list[tuple[Any, ...]]) -> list[Any]:
    try:
        # redis-py's own packing looks at each argument first, and takes five times as long.
        packed = b"".join([hiredis.pack_command(command) for command in commands])
        connection.send_packed_command([packed])
        return [connection.read_response() for _ in commands]
    except BaseException:
        # Answers that were not read must never be taken for those of the next command.
        connection.disconnect()
        raise
