"""The Predictor: one path from a request to a logged answer."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from agora.entities.cards import CARDS_DAILY
from agora.pipeline import MISSING_TIME
from agora.serving import OutputError, Predictor, RequestError
from agora.serving.breakers import FAILURES
from agora.serving.predictor import time_ordered_id
from agora.stores.online import OnlineRows, RequestRows, end_to_end
from agora.stores.predictions import MemoryPredictionLog
from tests.toy_system import EVENT_AT, PAYMENT, ToyPipeline, toy_system

MIDNIGHT = 1_772_323_200_000_000


class OneCard:
    """An online store that knows card k-1 only, and counts its round trips."""

    def __init__(self, count: float = 100.0) -> None:
        self.count = count
        self.reads = 0

    def read(self, wanted: Any) -> list[OnlineRows]:
        self.reads += 1
        rows = []
        for feature_set, ids in wanted:
            values, feature_at = np.array([feature_set.defaults]), np.array([MISSING_TIME])
            if feature_set is CARDS_DAILY and ids[0] == "k-1":
                values[0, feature_set.names.index("payment_count_30d")] = self.count
                feature_at[0] = MIDNIGHT
            rows.append(OnlineRows(values, feature_at, feature_at))
        return rows

    def read_request(self, feature_sets: Any, ids: Any, key: str | None = None) -> RequestRows:
        return end_to_end(self.read([(s, (i,)) for s, i in zip(feature_sets, ids, strict=True)]))


class NoStore:
    def __init__(self) -> None:
        self.asked = 0

    def read_request(self, feature_sets: Any, ids: Any, key: str | None = None) -> RequestRows:
        self.asked += 1
        raise ConnectionError("down")


@pytest.fixture
def log() -> MemoryPredictionLog:
    return MemoryPredictionLog()


@pytest.fixture
def predictor(log: MemoryPredictionLog) -> Predictor:
    return Predictor(toy_system(), ToyPipeline("7"), OneCard(), log)


def test_an_answer_uses_the_features_of_now(predictor: Predictor) -> None:
    answer = predictor.predict_one(PAYMENT)
    assert answer.score == 50 / (50 + 100 + 100)
    assert (answer.decision, answer.model_version, answer.degraded) == ("approve", "7", False)


def test_all_feature_sets_come_in_one_round_trip() -> None:
    store = OneCard()
    Predictor(toy_system(), ToyPipeline(), store).predict_one(PAYMENT)
    assert store.reads == 1


def test_an_unknown_entity_is_a_cold_start_and_not_an_error(predictor: Predictor) -> None:
    answer = predictor.predict_one({**PAYMENT, "card_id": "never seen"})
    assert answer.score == 50 / 150
    assert answer.degraded is False


def test_a_broken_store_degrades_the_answer_and_is_left_alone_for_a_while(
    log: MemoryPredictionLog,
) -> None:
    store = NoStore()
    predictor = Predictor(toy_system(), ToyPipeline(), store, log)
    answers = [predictor.predict_one(PAYMENT) for _ in range(10)]
    assert all(answer.degraded and answer.score == 50 / 150 for answer in answers)
    assert all(answer.fallbacks == ["store"] for answer in answers)
    assert all(record.degraded for record in log.predictions)
    assert store.asked == FAILURES
    assert predictor.breakers() == {"store": "open"}
    assert predictor.counts["degraded"] == predictor.counts["fallback/store"] == 10


def test_the_log_holds_the_answer_and_all_that_led_to_it(
    predictor: Predictor, log: MemoryPredictionLog
) -> None:
    answer = predictor.predict_one(PAYMENT)
    (record,) = log.predictions
    assert record.prediction_id == answer.prediction_id
    assert json.loads(record.output) == answer.model_dump()
    assert json.loads(record.request)["amount"] == 50.0
    assert record.entity_ids == {"customer": "c-1", "card": "k-1"}
    assert record.event_at == int(EVENT_AT.timestamp() * 1e6)
    cards, customers = record.features
    assert (cards.feature_set, cards.feature_at) == ("cards__daily@1", MIDNIGHT)
    assert np.frombuffer(cards.values)[CARDS_DAILY.names.index("payment_count_30d")] == 100
    assert customers.feature_at is None
    assert set(record.latencies) == {
        "feature_lookup",
        "feature_computation",
        "inference",
        "inference/model",
        "business_logic",
        "serialisation",
    }
    assert all(spent > 0 for spent in record.latencies.values())


def test_an_answer_that_could_not_be_logged_is_not_given() -> None:
    class FullDisk(MemoryPredictionLog):
        def append(self, prediction: Any) -> None:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        Predictor(toy_system(), ToyPipeline(), OneCard(), FullDisk()).predict_one(PAYMENT)


def test_an_output_outside_the_response_model_is_refused(log: MemoryPredictionLog) -> None:
    class Broken(ToyPipeline):
        def scores(self, matrix: Any) -> Any:
            return np.full(len(matrix), 3.0)

    predictor = Predictor(toy_system(), Broken("9"), OneCard(), log)
    with pytest.raises(OutputError, match=r"model 9: .* Decision in score"):
        predictor.predict_one(PAYMENT)
    assert log.predictions == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "a lot"}, "amount"),
        ({"amount": float("nan")}, "amount"),
        ({"card_id": "k\0"}, "card_id"),
        ({"channel": "pigeon"}, "channel"),
        ({"colour": "red"}, "colour"),
        ({"event_at": "2026-03-01T12:00:00"}, "event_at"),
    ],
)
def test_a_bad_request_names_the_field_and_not_its_value(
    predictor: Predictor, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(RequestError) as raised:
        predictor.predict_one({**PAYMENT, **change})
    assert raised.value.field == field
    assert raised.value.fix
    assert str(next(iter(change.values()))) not in str(raised.value) + raised.value.fix
    assert raised.value.__cause__ is None


def test_prediction_ids_are_uuids_in_the_order_of_time() -> None:
    times = [MIDNIGHT + step for step in range(0, 3000, 7)]
    ids = [time_ordered_id(at) for at in times]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    parsed = uuid.UUID(ids[0])
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == MIDNIGHT // 1000


def _frame(count: int) -> pl.DataFrame:
    fields = {**PAYMENT, "event_at": EVENT_AT}
    rows = [{**fields, "payment_id": f"p-{n}", "amount": 10.0 + n} for n in range(count)]
    return pl.DataFrame(rows)


def _empty_lake(tmp_path: Any) -> Any:
    from agora.stores.lake import Lake

    lake = Lake(str(tmp_path / "lake"))
    times = {name: pl.Datetime("us", "UTC") for name in ("feature_at", "arrived_at")} | {
        "feature_date": pl.Date
    }
    for feature_set in toy_system().feature_sets:
        features = dict.fromkeys(feature_set.names, pl.Float64)
        schema = {feature_set.entity.key: pl.String, **times, **features}
        lake.write(feature_set.table, pl.DataFrame(schema=schema), partition_by="feature_date")
    card = {
        name: [value] for name, value in zip(CARDS_DAILY.names, CARDS_DAILY.defaults, strict=True)
    }
    midnight = [datetime(2026, 3, 1, tzinfo=UTC)]
    lake.write(
        CARDS_DAILY.table,
        pl.DataFrame(
            {"card_id": ["k-1"], "feature_at": midnight, "arrived_at": midnight,
             "feature_date": [date(2026, 3, 1)], **card, "payment_count_30d": [100.0]}
        ).cast(times),
        partition_by="feature_date",
    )  # fmt: skip
    return lake


@pytest.fixture
def batch_predictor(tmp_path: Any) -> Predictor:
    pytest.importorskip("agora.dataset")
    return Predictor(toy_system(), ToyPipeline("7"), lake=_empty_lake(tmp_path))


def test_a_batch_scores_as_single_requests_do(
    batch_predictor: Predictor, predictor: Predictor, log: MemoryPredictionLog
) -> None:
    rows = batch_predictor.predict_batch(_frame(20))
    singles = [predictor.predict_one(row) for row in _frame(20).to_dicts()]
    assert rows["score"].to_list() == [answer.score for answer in singles]
    assert rows["decision"].to_list() == [answer.decision for answer in singles]
    assert rows["tier"].unique().to_list() == ["model"]
    assert rows["fallbacks"].to_list() == [[]] * 20
    batch_features = rows["features"].to_list()[3]
    for used, logged in zip(batch_features, log.predictions[3].features, strict=True):
        assert used["feature_set"] == logged.feature_set
        np.testing.assert_array_equal(used["values"], np.frombuffer(logged.values))
    assert json.loads(rows["request"][3]).keys() == PAYMENT.keys()
    assert json.loads(rows["output"][3]).keys() == singles[3].model_dump().keys()


def test_a_repeated_batch_gives_the_same_ids(batch_predictor: Predictor) -> None:
    first, second = (batch_predictor.predict_batch(_frame(5))["prediction_id"] for _ in range(2))
    assert first.to_list() == second.to_list()
    from agora.serving.batch import NAMESPACE

    assert first[2] == str(uuid.uuid5(NAMESPACE, "toy/7/2026-03-01/p-2"))
    other_day = batch_predictor.predict_batch(_frame(5), date(2026, 3, 2))["prediction_id"]
    assert not set(first) & set(other_day)


def test_batch_ids_are_version_5_uuids() -> None:
    from agora.serving.batch import NAMESPACE, prediction_ids

    requests = pl.Series("payment_id", [f"pé-{n}" for n in range(500)])
    ids = prediction_ids("toy", "7", date(2026, 3, 1), requests)
    assert ids.to_list() == [
        str(uuid.uuid5(NAMESPACE, f"toy/7/2026-03-01/{request}")) for request in requests
    ]


def test_a_request_that_comes_twice_in_a_batch_is_refused(batch_predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="payment_id comes twice"):
        batch_predictor.predict_batch(pl.concat([_frame(2), _frame(1)]))


def test_an_empty_batch_gives_no_rows(batch_predictor: Predictor) -> None:
    assert batch_predictor.predict_batch(_frame(1).clear()).height == 0
