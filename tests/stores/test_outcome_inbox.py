"""The inbox of outcomes: nothing acknowledged is lost, nothing is landed twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agora.ingest import ingest
from agora.stores.lake import Lake
from agora.stores.outcome_inbox import OutcomeInbox, Reported
from agora.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path


def verdict(payment_id: str, is_fraud: bool = True, analyst: str = "ana") -> Reported:
    row = {
        "payment_id": payment_id, "analyst_id": analyst, "is_fraud": is_fraud, "event_at": None
    }  # fmt: skip
    return Reported("verdicts", "verdict_id", (payment_id, analyst), row)


@pytest.fixture
def inbox(tmp_path: Path) -> OutcomeInbox:
    return OutcomeInbox(tmp_path / "inbox" / "fraud.sqlite")


def landed(landing: Path) -> list[dict[str, Any]]:
    files = sorted(landing.glob("verdicts/dt=*/*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_report_is_landed_as_a_row_that_its_contract_accepts(
    inbox: OutcomeInbox, tmp_path: Path
) -> None:
    assert inbox.add(verdict("p-1"))
    assert inbox.add(verdict("p-2", is_fraud=False))
    assert inbox.flush(str(tmp_path / "landing")) == 2
    today, lake = datetime.now(UTC).date(), Lake(str(tmp_path / "lake"))
    days = (today - timedelta(days=1), today + timedelta(days=1))
    report = ingest(lake, str(tmp_path / "landing"), TABLES["verdicts"], *days)
    assert (report.rows_accepted, report.rows_rejected) == (2, 0)
    rows = lake.read("raw/verdicts").sort("payment_id")
    assert rows["payment_id"].to_list() == ["p-1", "p-2"]
    assert rows["is_fraud"].to_list() == [True, False]
    assert rows["event_at"].to_list() == rows["arrived_at"].to_list()


def test_a_report_that_says_the_same_again_is_kept_once(
    inbox: OutcomeInbox, tmp_path: Path
) -> None:
    assert inbox.add(verdict("p-1"))
    assert not inbox.add(verdict("p-1"))
    inbox.flush(str(tmp_path))
    assert not inbox.add(verdict("p-1"))
    inbox.flush(str(tmp_path))
    assert [row["payment_id"] for row in landed(tmp_path)] == ["p-1"]


def test_a_changed_mind_is_a_later_version_of_the_same_verdict(
    inbox: OutcomeInbox, tmp_path: Path
) -> None:
    for is_fraud in (True, False, True):
        assert inbox.add(verdict("p-1", is_fraud))
    inbox.flush(str(tmp_path))
    rows = landed(tmp_path)
    assert [row["is_fraud"] for row in rows] == [True, False, True]
    assert len({row["verdict_id"] for row in rows}) == 1
    times = [row["arrived_at"] for row in rows]
    assert times == sorted(set(times))


def test_a_flush_that_was_killed_writes_the_same_file_again(
    inbox: OutcomeInbox, tmp_path: Path
) -> None:
    for number in range(3):
        inbox.add(verdict(f"p-{number}"))

    def killed() -> None:
        # Between the file and the note that it is there.
        import agora.stores.outcome_inbox as module

        write = module._write

        def write_then_die(*arguments: str) -> None:
            write(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        module._write = write_then_die
        inbox.flush(str(tmp_path))

    child = multiprocessing.get_context("fork").Process(target=killed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    before = landed(tmp_path)
    inbox.add(verdict("p-3"))
    assert inbox.flush(str(tmp_path)) == 4
    rows = landed(tmp_path)
    assert [row["payment_id"] for row in rows] == ["p-0", "p-1", "p-2", "p-3"]
    assert rows[:3] == before


def _report(inbox: OutcomeInbox, acknowledged: Path, name: int) -> None:
    number = 0
    with acknowledged.open("a") as file:
        while True:
            inbox.add(verdict(f"p-{name}-{number}"))
            file.write(f"p-{name}-{number}\n")
            file.flush()
            number += 1


def _has_several(acknowledged: Path) -> bool:
    return acknowledged.exists() and acknowledged.read_text().count("\n") > 5


def test_what_was_acknowledged_survives_a_kill_while_others_report_and_flush(
    inbox: OutcomeInbox, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("fork")
    lists = [tmp_path / f"acknowledged-{n}" for n in range(2)]
    writers = [
        context.Process(target=_report, args=(inbox, path, n)) for n, path in enumerate(lists)
    ]
    for writer in writers:
        writer.start()
    until = time.monotonic() + 1.5
    while time.monotonic() < until or not all(map(_has_several, lists)):
        inbox.flush(str(tmp_path / "landing"))
        time.sleep(0.05)
    for writer in writers:
        writer.kill()
        writer.join()
    inbox.flush(str(tmp_path / "landing"))
    acknowledged = {line for path in lists for line in path.read_text().splitlines()}
    rows = [row["payment_id"] for row in landed(tmp_path / "landing")]
    assert len(acknowledged) > 10
    assert acknowledged <= set(rows)
    assert len(rows) == len(set(rows))
