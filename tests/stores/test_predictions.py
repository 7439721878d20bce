"""The prediction log: one suite for its adapters, then what only files can do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from agora.stores import drain as drain_module
from agora.stores.drain import SCHEMA, drain
from agora.stores.lake import Lake
from agora.stores.predictions import (
    HEADER,
    FeaturesUsed,
    FilePredictionLog,
    MemoryPredictionLog,
    Prediction,
    read_segment,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOON = 1_772_366_400_000_000


def prediction(number: int, *, at: int = NOON) -> Prediction:
    return Prediction(
        prediction_id=f"{number:032d}",
        system="toy",
        model_version="7",
        request_id=f"p-{number}",
        entity_ids={"card": "k-1", "device": None},
        request='{"amount":12.5}',
        features=[
            FeaturesUsed("cards__daily@1", at - 5, np.array([1.0, float("nan")]).tobytes()),
            FeaturesUsed("devices__daily@1", None, np.array([0.0]).tobytes()),
        ],
        score=0.25,
        output='{"decision":"approve"}',
        decision="approve",
        latencies={"features": 1000, "infer": 20},
        degraded=False,
        event_at=at,
        predicted_at=at,
    )


@dataclass
class Opened:
    log: MemoryPredictionLog | FilePredictionLog
    kept: Callable[[], list[Prediction]]


def _memory(folder: Path) -> Opened:
    log = MemoryPredictionLog()
    return Opened(log, lambda: log.predictions)


def _file(folder: Path) -> Opened:
    def kept() -> list[Prediction]:
        return [
            msgspec.msgpack.decode(payload, type=Prediction)
            for path in sorted(folder.glob("*.log"))
            for payload, _ in read_segment(path)
        ]

    return Opened(FilePredictionLog(folder), kept)


@pytest.fixture(params=[_memory, _file], ids=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return request.param(tmp_path / "toy")


def test_a_record_is_kept_when_append_returns(opened: Opened) -> None:
    opened.log.append(prediction(1))
    assert opened.kept() == [prediction(1)]


def test_records_keep_their_order(opened: Opened) -> None:
    for number in range(100):
        opened.log.append(prediction(number))
    assert opened.kept() == [prediction(number) for number in range(100)]


def test_closing_loses_nothing_and_may_be_repeated(opened: Opened) -> None:
    opened.log.append(prediction(1))
    opened.log.close()
    opened.log.close()
    assert opened.kept() == [prediction(1)]


def test_a_new_segment_begins_when_one_is_full(tmp_path: Path) -> None:
    log = FilePredictionLog(tmp_path, segment_bytes=500)
    for number in range(10):
        log.append(prediction(number))
    assert len(list(tmp_path.glob("*.log"))) > 2


def test_a_refused_write_is_an_error_and_the_next_record_is_whole(tmp_path: Path) -> None:
    import resource

    log = FilePredictionLog(tmp_path)
    log.append(prediction(1))
    size = next(tmp_path.glob("*.log")).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
    try:
        with pytest.raises(OSError, match="wrote 20 of"):
            log.append(prediction(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    log.append(prediction(3))
    kept = [payload for path in sorted(tmp_path.glob("*.log")) for payload, _ in read_segment(path)]
    assert [msgspec.msgpack.decode(p, type=Prediction).request_id for p in kept] == ["p-1", "p-3"]


def test_only_the_owner_may_read_the_segments(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    FilePredictionLog(folder).append(prediction(1))
    assert folder.stat().st_mode & 0o077 == 0
    assert next(folder.glob("*.log")).stat().st_mode & 0o077 == 0


@dataclass
class Drained:
    folder: Path
    lake: Lake
    requests: Callable[[], list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.requests = lambda: self.lake.read("predictions/toy")["request_id"].sort().to_list()


@pytest.fixture
def drained(tmp_path: Path) -> Drained:
    return Drained(tmp_path / "log" / "toy", Lake(str(tmp_path / "lake")))


def test_drain_takes_running_and_finished_segments_once(drained: Drained) -> None:
    log = FilePredictionLog(drained.folder)
    log.append(prediction(1))
    assert drain(drained.folder, drained.lake) == 1
    assert drain(drained.folder, drained.lake) == 0
    log.append(prediction(2))
    log.close()
    log.append(prediction(3))
    assert drain(drained.folder, drained.lake) == 2
    assert drained.requests() == ["p-1", "p-2", "p-3"]
    assert len(list(drained.folder.glob("*.log"))) == 1, "the finished segment is removed"


def test_drained_rows_hold_what_was_logged(drained: Drained) -> None:
    FilePredictionLog(drained.folder).append(prediction(1))
    drain(drained.folder, drained.lake)
    row = drained.lake.read("predictions/toy").row(0, named=True)
    assert list(row) == list(SCHEMA)
    assert row["entity_ids"] == [{"entity": "card", "id": "k-1"}, {"entity": "device", "id": None}]
    assert row["features"][0]["feature_set"] == "cards__daily@1"
    assert row["features"][0]["values"][0] == 1.0
    assert np.isnan(row["features"][0]["values"][1])
    assert row["features"][1]["feature_at"] is None
    assert row["latencies"] == [
        {"stage": "features", "nanoseconds": 1000},
        {"stage": "infer", "nanoseconds": 20},
    ]
    assert str(row["prediction_date"]) == "2026-03-01"
    assert str(row["predicted_at"]).startswith("2026-03-01 12:00:00")


def test_predictions_land_in_the_partition_of_their_own_day(drained: Drained) -> None:
    log = FilePredictionLog(drained.folder)
    log.append(prediction(1))
    log.append(prediction(2, at=NOON + 86_400_000_000))
    drain(drained.folder, drained.lake)
    files = drained.lake.table("predictions/toy").file_uris()
    assert {uri.split("prediction_date=")[1][:10] for uri in files} == {"2026-03-01", "2026-03-02"}


def test_a_torn_last_record_waits_for_the_next_drain(drained: Drained) -> None:
    log = FilePredictionLog(drained.folder)
    log.append(prediction(1))
    path = next(drained.folder.glob("*.log"))
    payload = msgspec.msgpack.encode(prediction(2))
    record = HEADER.pack(len(payload), zlib.crc32(payload)) + payload
    with path.open("ab") as file:
        file.write(record[:50])
    assert drain(drained.folder, drained.lake) == 1
    with path.open("ab") as file:
        file.write(record[50:])
    assert drain(drained.folder, drained.lake) == 1
    assert drained.requests() == ["p-1", "p-2"]


def test_a_torn_record_of_a_dead_writer_is_set_aside(drained: Drained) -> None:
    log = FilePredictionLog(drained.folder)
    log.append(prediction(1))
    log.close()
    path = next(drained.folder.glob("*.log"))
    with path.open("ab") as file:
        file.write(b"\x10\0\0\0torn")
    assert drain(drained.folder, drained.lake) == 1
    assert drain(drained.folder, drained.lake) == 0
    assert path.with_suffix(".torn").exists()


def _child(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_killed_writer_loses_nothing_that_it_acknowledged(drained: Drained) -> None:
    script = """
        import sys
        from pathlib import Path
        from agora.stores.predictions import FilePredictionLog
        from tests.stores.test_predictions import prediction
        log = FilePredictionLog(Path(sys.argv[1]))
        for number in range(10**9):
            log.append(prediction(number))
            print(number, flush=True)
    """
    with _child(script, drained.folder) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    drain(drained.folder, drained.lake)
    rows = drained.requests()
    assert len(rows) == len(set(rows))
    assert {f"p-{number}" for number in acknowledged} <= set(rows)
    assert not list(drained.folder.glob("*.log")), "a dead writer's segment is finished"


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_a_drain_killed_midway_neither_loses_nor_doubles(drained: Drained, when: str) -> None:
    log = FilePredictionLog(drained.folder)
    for number in range(5):
        log.append(prediction(number))
    log.close()
    script = """
        import os, signal, sys
        from pathlib import Path
        from agora.stores import drain
        from agora.stores.lake import Lake
        kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        setattr(drain, "_commit" if sys.argv[3].startswith("before") else "_retire", kill)
        drain.drain(Path(sys.argv[1]), Lake(sys.argv[2]))
    """
    with _child(script, drained.folder, drained.lake.root, when) as child:
        assert child.wait() == -signal.SIGKILL
    assert drain(drained.folder, drained.lake) == (5 if when == "before the commit" else 0)
    assert drained.requests() == [f"p-{number}" for number in range(5)]
    assert not list(drained.folder.glob("*.log"))


def test_a_long_segment_is_drained_in_bounded_commits(
    drained: Drained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "BATCH_BYTES", 2000)
    log = FilePredictionLog(drained.folder)
    for number in range(20):
        log.append(prediction(number))
    assert drain(drained.folder, drained.lake) == 20
    assert drained.lake.version("predictions/toy") > 1
    assert len(set(drained.requests())) == 20


def test_a_folder_that_no_service_wrote_to_is_empty(tmp_path: Path) -> None:
    assert drain(tmp_path / "nothing", Lake(str(tmp_path / "lake"))) == 0
    assert os.listdir(tmp_path) == []
