from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from agora.audit.report import render
from agora.audit.trace import Trace, find, trace
from agora.entities.cards import CARDS_DAILY
from tests.audit.histories import build_lake, serve
from tests.toy_system import ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.stores.lake import Lake

SYSTEM = toy_system()


def follow(lake: Lake, request_id: str, load: Any = ToyPipeline) -> Trace:
    rows = lake.read("predictions/toy", where=f"request_id = '{request_id}'")
    row = find(lake, "toy", rows["prediction_id"].item())
    return trace(SYSTEM, lake, row, load, card=None)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("trace")
    lake = build_lake(folder)
    serve(lake, folder, 1_000)
    return lake


def test_predictions_drawn_at_random_are_computed_again_and_equal(lake: Lake) -> None:
    for number in np.random.default_rng(5).choice(1_000, 15, replace=False):
        assert follow(lake, f"p-{number}").equal


def test_a_trace_names_each_row_and_its_table(lake: Lake) -> None:
    found = follow(lake, "p-7")
    cards, customers = found.features
    assert (cards["set"], cards["table"], cards["version"]) == (
        "cards__daily@1", "features/ftr_cards__daily", 1
    )  # fmt: skip
    row = lake.read(CARDS_DAILY.table, where=f"card_id = '{cards['entity_id']}'")
    assert cards["feature_at"] == row["feature_at"].max()
    assert customers["equal"]


def test_a_changed_history_is_told(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 5)
    rows = lake.read(CARDS_DAILY.table).with_columns(pl.col("payment_count_30d") + 1)
    lake.write(CARDS_DAILY.table, rows, partition_by="feature_date")
    found = follow(lake, "p-3")
    assert not found.equal
    assert found.features[0]["differing"] == ["card_payment_count_30d"]
    assert found.recomputed == found.prediction["score"], "what was logged still gives the score"


def test_a_model_that_is_gone_is_said_so(lake: Lake) -> None:
    def load(version: str) -> Any:
        raise LookupError(f"toy: no model {version!r}")

    found = follow(lake, "p-9", load)
    assert (found.recomputed, found.equal) == (None, False)
    assert "no model '1'" in found.problem


def test_files_of_the_entities_are_named_back_to_their_day(tmp_path: Path) -> None:
    lake = build_lake(tmp_path)
    serve(lake, tmp_path, 1)
    (record,) = lake.read("predictions/toy").to_dicts()
    card = json.loads(record["request"])["card_id"]
    at = record["predicted_at"]

    made = [
        ("a", card, 1, "yesterday"), ("b", card, 45, "too old"), ("c", "other", 1, "another card"),
        ("p-0", "other", -1, "the payment itself"),
    ]  # fmt: skip
    payments = pl.DataFrame(
        [(i, c, "-", f, d) for i, c, d, f in made],
        schema=["payment_id", "card_id", "customer_id", "source_file", "days"], orient="row",
    ).with_columns(arrived_at=pl.lit(at) - pl.duration(days=pl.col("days")))  # fmt: skip
    payments = payments.with_columns(arrival_date=pl.col("arrived_at").dt.date())
    lake.write("raw/payments", payments)
    chargebacks = payments.select(
        "payment_id", "arrived_at", "arrival_date",
        source_file=pl.concat_str(pl.lit("chargeback of "), "payment_id"),
    )  # fmt: skip
    lake.write("raw/chargebacks", chargebacks)
    files = {each["source_file"] for each in follow(lake, "p-0").raw_files}
    assert files == {"yesterday", "the payment itself", "chargeback of a", "chargeback of p-0"}


def test_a_trace_reads_well_and_as_json(lake: Lake) -> None:
    found = follow(lake, "p-11")
    console = Console(record=True, width=160)
    console.print(render(found))
    text = console.export_text()
    assert "Equal:" in text
    assert found.prediction["prediction_id"] in text
    assert json.loads(found.to_json())["equal"] is True


def test_an_unknown_prediction_is_not_found(lake: Lake) -> None:
    assert find(lake, "toy", "nobody's").is_empty()
