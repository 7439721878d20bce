"""The assets of a system of items: an index behind its gate, lists that are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from agora.serving.precomputed import key_of
from agora.settings import Settings
from agora.stores.indexes import attach, current
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.stores.valkey import open_online, stop_online
from assets.lifecycle import lifecycle
from assets.partitions import range_tags
from assets.run import QUIET
from resources import resources_for
from tests.audit.histories import table
from tests.systems.synthetic import catalogue, training_set
from tests.toy_items_system import SETS, ToyItems, toy_items_system
from tests.toy_system import toy_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.system import System

pytestmark = pytest.mark.xdist_group("dagster")
DAY = date(2026, 3, 5)
NIGHT = datetime(2026, 3, 5, tzinfo=UTC)
CUSTOMERS = 20


def _requests(lake: Any, day: date) -> pl.DataFrame:
    ids = [str(n) for n in range(CUSTOMERS)]
    asked = {"request_id": [f"{day}-{n}" for n in ids], "customer_id": ids, "k": [8.0] * CUSTOMERS}
    empty = {"filters": [None] * CUSTOMERS, "session": [[]] * CUSTOMERS}
    at = [datetime(day.year, day.month, day.day, 23, tzinfo=UTC)] * CUSTOMERS
    return pl.DataFrame({**asked, **empty, "event_at": at})


@pytest.fixture(scope="module")
def system() -> System:
    return replace(toy_items_system(), requests=_requests)


@pytest.fixture(scope="module")
def settings(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A registered champion, a lake with its feature tables and a catalogue of 300."""
    here = Settings(home=tmp_path_factory.mktemp("items"))
    lake, rng = Lake(here.lake), np.random.default_rng(0)
    for feature_set in (*SETS[0], *SETS[1]):
        ids = [str(n) for n in range(300)]
        rows = table(feature_set, ids, [NIGHT - timedelta(hours=2)] * 300, rng)
        lake.write(feature_set.table, rows, partition_by="feature_date")
    _list(lake, 300)
    learned = training_set(system, 1_000)
    pipeline = ToyItems().fit(learned)
    registry = ModelRegistry(here)
    report = system.evaluate(pipeline, learned, None)
    registry.promote(system, registry.register(system, pipeline, learned.manifest, report))
    yield here
    stop_online(here)


def _list(lake: Lake, count: int) -> None:
    columns = ["product_id", "title", "category", "price", "stock", "listed_at"]
    goods = catalogue(toy_items_system(), 300).select(columns).head(count)
    known = pl.lit(NIGHT - timedelta(days=1)).cast(pl.Datetime("us", "UTC"))
    lake.write("marts/products", goods.with_columns(arrived_at=known))


def _run(settings: Settings, system: System, *stages: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        lifecycle(system, ["marts/products"]),
        selection=[dg.AssetKey([system.name, stage]) for stage in stages],
        resources=resources_for(settings),
        tags=range_tags(str(DAY), str(DAY)),
        run_config=QUIET,
        raise_on_error=False,
    )


def test_the_index_is_built_with_the_champion_and_lists_are_kept(
    settings: Settings, system: System
) -> None:
    result = _run(settings, system, "index", "predictions", "lists")
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("gate", True)
    champion = ModelRegistry(settings).load(system)
    served, problem = attach(champion, settings.indexes, system.name)
    assert (served.version, problem, len(served.item_ids)) == ("1+i1", "", 300)
    rows = Lake(settings.lake).read(f"{system.name}/predictions")
    assert rows["model_version"].unique().to_list() == ["1+i1"]
    assert rows["tier"].unique().to_list() == ["fine"]
    online = open_online(settings)
    for customer in ("0", str(CUSTOMERS - 1)):
        kept = online.read_request((), (), key_of(system.name, "1", customer)).kept
        answer = json.loads(kept)
        assert len(answer["items"]) == 8
        assert answer["prediction_id"] in rows["prediction_id"]
    online.close()


def test_a_catalogue_that_was_not_read_whole_leaves_the_index_before(
    settings: Settings, system: System
) -> None:
    lake = Lake(settings.lake)
    _list(lake, 100)
    result = _run(settings, system, "index", "predictions")
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert check.description == "the new index has 100 items, the one that serves 300"
    assert current(settings.indexes, system.name) == 1
    failed = [e.step_key for e in result.all_events if e.event_type_value == "STEP_START"]
    assert f"{system.name}__predictions" not in failed


def test_a_system_of_items_has_an_index_asset_and_others_have_none(system: System) -> None:
    keys = {key for asset in lifecycle(system, []) for key in asset.keys}
    added = {dg.AssetKey([system.name, stage]) for stage in ("index", "lists")}
    assert added < keys
    others = {key.path[-1] for asset in lifecycle(toy_system(), []) for key in asset.keys}
    assert not {"index", "lists"} & others
