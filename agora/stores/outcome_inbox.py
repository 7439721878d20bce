"""The inbox of outcomes that callers report: kept before it is acknowledged, landed once.

A report is a row of a SQLite file, synced to disk before `add` returns, so neither the end of the
process nor of the machine loses it. `flush` writes what is new as files into the landing folders,
the way by which labels come into the platform; `send` hands it to a log that is landed from there.
A file's name and rows are fixed in the inbox before it is written: a flush that was killed writes
the same file again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from abc import abstractmethod
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SCHEMA = """
create table if not exists outcomes (
    number integer primary key autoincrement,
    outcome_id text not null, destination text not null, content text not null,
    arrived_at integer not null, file text, landed integer not null default 0
);
create index if not exists by_id on outcomes (outcome_id, number);
create index if not exists waiting on outcomes (landed) where landed = 0;
create table if not exists inbox (name text primary key);
"""
FILE_ROWS = 500
# Reports are recognised as repeated for so long.
KEPT_SECONDS = 90 * 86_400
# A log is sure of what it has held for so long, and tells repeated events for half a day at least.
SURE_SECONDS, TOLD_SECONDS = 60, 43_200
BUSY_SECONDS = 5.0
PredictionId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
]


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as a row of a landing table.

    Attributes:
        table: Name of the table's contract.
        id_column: Its id; made from `identity`.
        identity: What makes two reports versions of one: a later one replaces the earlier.
        row: The other columns; an `event_at` of None stands for the arrival.
    """

    table: str
    id_column: str
    identity: tuple[str, ...]
    row: Mapping[str, Any]

    @property
    def outcome_id(self) -> str:
        """Id that the row gets."""
        told = json.dumps([self.table, *self.identity]).encode()
        return f"api-{hashlib.sha256(told).hexdigest()[:32]}"

    def landed(self, arrived_at: int) -> dict[str, Any]:
        """The row as it is landed."""
        return _row(self.id_column, self.outcome_id, dict(self.row), arrived_at)


class OutcomeReport(BaseModel):
    """What a caller says became of a past request; each system adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prediction_id: PredictionId | None = Field(None, description="Answer that it speaks of.")

    @property
    @abstractmethod
    def request_id(self) -> str | None:
        """Id of the request that it speaks of, where the caller knows it."""

    @abstractmethod
    def lacks(self) -> str:
        """Name of a field that this report needs and does not have; empty if there is none."""

    @abstractmethod
    def reported(self, request_id: str, caller: str) -> Reported:
        """The report as a row of a landing table."""


class OutcomeInbox:
    """Reports of one system; safe for threads and processes of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(self._connect()) as database:
            database.executescript("pragma journal_mode = wal;" + SCHEMA)
            database.execute(
                "insert into inbox select ? where not exists (select * from inbox)",
                (secrets.token_hex(6),),
            )
            (self._name,) = database.execute("select name from inbox").fetchone()
        path.chmod(0o600)

    def add(self, reported: Reported) -> bool:
        """Keep a report; False when the newest of its identity says the same.

        Raises:
            sqlite3.Error: It is not kept and must not be acknowledged.
        """
        content = json.dumps(dict(reported.row), sort_keys=True)
        with self._transaction() as database:
            newest = database.execute(
                "select content, arrived_at from outcomes where outcome_id = ? "
                "order by number desc limit 1",
                (reported.outcome_id,),
            ).fetchone()
            if newest is not None and newest[0] == content:
                return False
            # A revision is never older than what it revises, whatever the clock does.
            now = max(time.time_ns() // 1000, newest[1] + 1 if newest else 0)
            destination = json.dumps([reported.table, f"{_time(now):%Y-%m-%d}", reported.id_column])
            database.execute(
                "insert into outcomes (outcome_id, destination, content, arrived_at) "
                "values (?, ?, ?, ?)",
                (reported.outcome_id, destination, content, now),
            )
            return True

    def waiting(self) -> int:
        """Reports that are not landed yet."""
        with closing(self._connect()) as database:
            (count,) = database.execute("select count(*) from outcomes where landed = 0").fetchone()
            return int(count)

    def send(self, table: str, take: Callable[[str, list[dict[str, Any]]], None]) -> int:
        """Hand what waits of a table to `take`, in order; returns the rows taken.

        It waits until `take` has returned: after a kill the same rows are handed over again.
        """
        sent = 0
        with closing(self._connect()) as database:
            while rows := database.execute(
                "select number, outcome_id, destination, content, arrived_at from outcomes "
                "where landed = 0 and file is null and json_extract(destination, '$[0]') = ? "
                "order by number limit ?",
                (table, FILE_ROWS),
            ).fetchall():
                take(
                    table,
                    [
                        _row(json.loads(destination)[2], key, json.loads(content), arrived)
                        for _, key, destination, content, arrived in rows
                    ],
                )
                numbers = [(row[0],) for row in rows]
                with database:
                    database.executemany("update outcomes set landed = 1 where number = ?", numbers)
                sent += len(rows)
        return sent

    def send_again(self) -> None:
        """Have what was sent last wait again: a log may lose its last second with its machine."""
        now = time.time_ns() // 1000
        with self._transaction() as database:
            database.execute(
                "update outcomes set landed = 0 where landed = 1 and file is null "
                "and arrived_at > (select max(arrived_at) from outcomes) - ? and arrived_at > ?",
                (SURE_SECONDS * 1_000_000, now - TOLD_SECONDS * 1_000_000),
            )

    def flush(self, landing: str, besides: frozenset[str] = frozenset()) -> int:
        """Land what waits, at most `FILE_ROWS` rows a file; returns the rows landed.

        Args:
            landing: Where to.
            besides: Tables that are sent elsewhere.
        """
        self._name_files(besides)
        with closing(self._connect()) as database:
            named = database.execute(
                "select distinct file, destination from outcomes "
                "where landed = 0 and file is not null order by file"
            ).fetchall()
            landed = 0
            for file, destination in named:
                table, day, id_column = json.loads(destination)
                rows = database.execute(
                    "select outcome_id, content, arrived_at from outcomes "
                    "where landed = 0 and file = ? order by number",
                    (file,),
                ).fetchall()
                lines = [
                    json.dumps(_row(id_column, key, json.loads(content), arrived))
                    for key, content, arrived in rows
                ]
                _write(landing, f"{table}/dt={day}", file, "\n".join(lines) + "\n")
                with database:
                    database.execute("update outcomes set landed = 1 where file = ?", (file,))
                landed += len(rows)
        return landed

    def _name_files(self, besides: frozenset[str]) -> None:
        with self._transaction() as database:
            oldest = time.time_ns() // 1000 - KEPT_SECONDS * 1_000_000
            database.execute("delete from outcomes where landed = 1 and arrived_at < ?", (oldest,))
            free = database.execute(
                "select destination, min(number) from outcomes where file is null and landed = 0 "
                "group by destination"
            ).fetchall()
            for destination, first in free:
                if json.loads(destination)[0] in besides:
                    continue
                database.execute(
                    "update outcomes set file = ? where number in (select number from outcomes "
                    "where file is null and landed = 0 and destination = ? "
                    "order by number limit ?)",
                    (f"api-{self._name}-{first:012d}.jsonl", destination, FILE_ROWS),
                )

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        database.execute("pragma synchronous = full")
        return database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as database:
            database.isolation_level = None
            database.execute("begin immediate")
            try:
                yield database
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")


def _row(id_column: str, key: str, content: dict[str, Any], arrived_at: int) -> dict[str, Any]:
    arrived = _text(arrived_at)
    event_at = content.get("event_at") or arrived
    return {id_column: key, **content, "event_at": event_at, "arrived_at": arrived}


def _write(landing: str, folder: str, name: str, text: str) -> None:
    if "://" in landing:
        from agora.stores.landing import Landing

        place = Landing.at(landing)
        with place.filesystem.open_output_stream(f"{place.root}/{folder}/{name}") as file:
            file.write(text.encode())
        return
    target = Path(landing) / folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{name}.{os.getpid()}.tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    listed = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(listed)
    finally:
        os.close(listed)


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(
        microsecond=microseconds % 1_000_000
    )


def _text(microseconds: int) -> str:
    return _time(microseconds).isoformat(timespec="microseconds")
