from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.audit.parity import parity
from agora.entities.cards import CARDS_DAILY
from agora.entities.customers import CUSTOMERS_RECENT
from agora.serving import Predictor
from agora.stores.drain import drain
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import FilePredictionLog
from tests.audit.histories import ENTITIES, build_lake, serve
from tests.toy_system import PAYMENT, ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = toy_system()


def load(version: str) -> Any:
    if version != "1":
        raise LookupError(version)
    return ToyPipeline(version)


def test_what_was_served_is_what_the_offline_path_gives(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 300)
    found = parity(SYSTEM, lake, load)
    assert found.passed, found.mismatches
    assert (found.rows, found.scored) == (300, 300)


def test_one_planted_mismatch_in_ten_thousand_closes_the_gate(tmp_path: Path) -> None:
    kept: dict[Any, Any] = {}

    def plant(number: int, store: MemoryOnlineStore) -> None:
        cards = {key: row for key, row in store._rows.items() if key[0] == CARDS_DAILY.id}
        if number == 7_000:
            kept.update({key: (times, values.copy()) for key, (times, values) in cards.items()})
            for _, values in cards.values():
                values[CARDS_DAILY.names.index("payment_count_30d")] += 1e-9
        elif number == 7_001:
            store._rows.update(kept)

    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 10_000, plant)
    found = parity(SYSTEM, lake, load)
    rows = lake.read("predictions/toy", ["prediction_id"], "request_id = 'p-7000'")
    expected = [(rows.item(), "value", "card_payment_count_30d")]
    assert (found.rows, found.mismatches.rows()) == (10_000, expected)
    assert f"agora trace {rows.item()}" in str(found)


def test_a_row_that_the_offline_path_never_had_is_found(tmp_path: Path) -> None:
    def plant(number: int, store: MemoryOnlineStore) -> None:
        if number == 50:
            at = np.array([int(datetime.now(UTC).timestamp() * 1e6) - 1_000_000])
            values = np.ones((1, len(CUSTOMERS_RECENT.names)))
            for entity in range(ENTITIES):
                store.write(CUSTOMERS_RECENT, [str(entity)], at, at, values)

    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 51, plant)
    found = parity(SYSTEM, lake, load).mismatches
    assert found.select("kind", "where").rows() == [("unknown", "customers__recent@1")]


def test_a_row_used_before_it_was_known_is_found(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 40)
    served = lake.read("predictions/toy")
    lake.write("predictions/toy", served.with_columns(pl.col("predicted_at") - timedelta(hours=61)))
    assert set(parity(SYSTEM, lake, load).mismatches["kind"]) == {"future"}


def test_a_row_that_a_working_publisher_had_replaced_is_found(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 40)
    held, recently = lake.read(CARDS_DAILY.table), datetime.now(UTC) - timedelta(minutes=30)
    newer = held.unique("card_id").with_columns(
        pl.lit(recently).cast(held.schema[name]).alias(name)
        for name in ("feature_at", "arrived_at")
    )
    rows = pl.concat([held, newer])
    rows = rows.with_columns(feature_date=pl.col("arrived_at").dt.date())
    lake.write(CARDS_DAILY.table, rows, partition_by="feature_date")
    assert parity(SYSTEM, lake, load).passed, "the publisher has until the set's freshness ends"
    served = lake.read("predictions/toy")
    later = served.with_columns(pl.col("predicted_at") + timedelta(hours=60))
    lake.write("predictions/toy", later)
    found = parity(SYSTEM, lake, load).mismatches
    assert set(found.select("kind", "where").rows()) == {("stale", "cards__daily@1")}


def test_a_score_that_cannot_be_repeated_is_found(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 40)
    found = parity(SYSTEM, lake, lambda version: ToyPipeline(version, scale=100.01))
    assert set(found.mismatches["kind"]) == {"score"}
    assert len(found.mismatches) == 40


def test_a_version_that_is_gone_is_named(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 3)
    served = lake.read("predictions/toy")
    lake.write("predictions/toy", served.with_columns(model_version=pl.lit("9")))
    assert set(parity(SYSTEM, lake, load).mismatches["where"]) == {"9"}


def test_answers_without_the_store_are_equal_to_themselves(tmp_path: Path) -> None:
    class Down(MemoryOnlineStore):
        def read(self, wanted: Any) -> Any:
            raise ConnectionError

    lake, log = build_lake(tmp_path), FilePredictionLog(tmp_path / "prediction_log" / "toy")
    Predictor(SYSTEM, ToyPipeline(), Down(), log).predict_one({**PAYMENT, "card_id": "1"})
    log.close()
    drain(tmp_path / "prediction_log" / "toy", lake)
    found = parity(SYSTEM, lake, load)
    assert found.passed, found.mismatches


def test_nothing_logged_is_nothing_wrong(tmp_path: Path) -> None:
    assert parity(SYSTEM, build_lake(tmp_path), load).rows == 0
