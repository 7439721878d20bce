"""What lands at noon is in the index minutes later: landing, catalogue, index, answers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from agora.cli import app
from agora.evaluation import CANDIDATE, Estimate, Report
from agora.pipeline import predict
from agora.settings import Settings, settings
from agora.stores.indexes import attach, current, manifest_of
from agora.stores.models import ModelRegistry
from agora.systems.recommendation import SYSTEM
from assets.run import QUIET
from sensors.indexes import NAME, SPACING, index_sensor
from sensors.landing import landing_sensor
from tests.assets.marketplace import LAST, Marketplace, opened
from tests.systems.synthetic import rows, training_set

if TYPE_CHECKING:
    from agora.pipeline import ItemPipeline

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("dagster"),
]  # fmt: skip
TODAY = LAST + timedelta(days=1)
NOON = datetime.combine(TODAY, time(12))


@dataclass
class Noon:
    """A marketplace whose last night was built, and whose champion serves over its first index."""

    marketplace: Marketplace

    def land(self, products: pl.DataFrame, part: int) -> None:
        folder = self.marketplace.landed("products", TODAY)
        folder.mkdir(parents=True, exist_ok=True)
        products.write_parquet(folder / f"part-{part}.parquet")

    def day(self) -> list[str]:
        """The daemon's next ticks: what it takes from landing, then what it brings up to date."""
        held, context = self.marketplace, self._context
        ran = []
        for sensor in (
            landing_sensor(held.settings),
            index_sensor({SYSTEM.name: SYSTEM}, now=lambda: datetime.now().astimezone() + SPACING),
        ):
            asked = sensor(context())
            for request in [] if isinstance(asked, dg.SkipReason) else asked.run_requests:
                ran.append(sensor.name)
                job = held.definitions.resolve_job_def(NAME)
                if sensor.name == "landing":
                    job = held.definitions.resolve_implicit_global_asset_job_def()
                result = job.execute_in_process(
                    instance=held.instance, asset_selection=sorted(request.asset_selection),
                    tags=dict(request.tags), run_config=QUIET, raise_on_error=False,
                )  # fmt: skip
                assert result.success
        return ran

    def served(self) -> ItemPipeline:
        champion = ModelRegistry(self.marketplace.settings).load(SYSTEM)
        pipeline, problem = attach(champion, self.marketplace.settings.indexes, SYSTEM.name)
        assert not problem
        return pipeline

    def _context(self) -> dg.SensorEvaluationContext:
        return dg.build_sensor_context(
            instance=self.marketplace.instance,
            repository_def=self.marketplace.definitions.get_repository_def(),
        )


@pytest.fixture(scope="module")
def noon(tmp_path_factory: pytest.TempPathFactory) -> Noon:
    home = Settings(home=tmp_path_factory.mktemp("noon"), environment="test")
    made = opened(home)
    sets = (*SYSTEM.feature_sets, *SYSTEM.items.feature_sets) if SYSTEM.items else ()
    needed = ["+marts/products", *(f"+{each.table}" for each in sets)]
    # All that has landed is taken, so that the landing sensor asks for the products of noon alone.
    select = " or ".join(f'{name[:1]}key:"{name[1:]}"' for name in needed)
    assert made.run(f'{select} or group:"raw"').success
    models, learned = ModelRegistry(home), training_set(SYSTEM, 800)
    report = Report(
        system=SYSTEM.name, primary="ndcg", metrics={CANDIDATE: {"ndcg": Estimate(0.9, 0.8, 1)}},
        differences={}, slices=[], reliability=[], curves={}, importance={"x": 1.0}, rows=1,
        positives=1, spans={},
    )  # fmt: skip
    pipeline = SYSTEM.build().fit(learned)
    models.promote(SYSTEM, models.register(SYSTEM, pipeline, learned.manifest, report))
    assert made.run('key:"recommendation/index"').success
    return Noon(made)


def newest(noon: Noon) -> pl.DataFrame:
    """The newest record of each product, as it landed."""
    folder = Path(noon.marketplace.settings.landing) / "products"
    found = pl.concat(pl.read_parquet(path) for path in sorted(folder.rglob("*.parquet")))
    return found.sort("arrived_at").unique("product_id", keep="last", maintain_order=True)


def shown(pipeline: ItemPipeline) -> set[str]:
    lists = predict(pipeline, rows(SYSTEM, 60, seed=3))["items"].to_list()
    return {item["product_id"] for each in lists for item in each}


def test_a_product_of_noon_is_found_a_sold_out_one_is_not_and_night_changes_nothing(
    noon: Noon,
) -> None:
    assert noon.day() == [], "the night was built, and nothing has landed since"
    before = noon.served()
    sold_out = sorted(shown(before))[:20]
    assert len(sold_out) > 5
    known = newest(noon)
    at = pl.lit(NOON).cast(known.schema["arrived_at"])
    gone = known.filter(pl.col("product_id").is_in(sold_out)).with_columns(
        stock=pl.lit(0).cast(known.schema["stock"]), arrived_at=at, event_at=at
    )
    new = known.head(1).with_columns(product_id=pl.lit("new-at-noon"), arrived_at=at, event_at=at)
    noon.land(pl.concat([gone, new]), part=0)
    assert noon.day() == ["landing", NAME]

    after = noon.served()
    assert "new-at-noon" not in before.item_ids
    assert "new-at-noon" in after.item_ids
    assert len(after.item_ids) == len(before.item_ids) + 1
    assert not shown(after) & set(sold_out)
    made_of = manifest_of(noon.marketplace.settings.indexes, SYSTEM.name, 2).made_of
    assert made_of is not None
    assert made_of.features_until.date() == TODAY, "features end with the last closed day"
    assert made_of.known_at.date() > TODAY
    assert noon.day() == [], "nothing runs when nothing has changed"


def test_a_file_that_says_nothing_new_makes_no_index(noon: Noon) -> None:
    here = noon.marketplace.settings
    number = current(here.indexes, SYSTEM.name)
    # The same record again, of the same moment: a duplicate.
    folder = noon.marketplace.landed("products", TODAY)
    again = pl.read_parquet(folder / "part-0.parquet")
    noon.land(again, part=1)
    assert noon.day() == ["landing", NAME]
    assert current(here.indexes, SYSTEM.name) == number
    assert noon.marketplace.newest(SYSTEM.name, "index")["is_new"] is False
    assert noon.day() == []


def test_an_operator_brings_the_index_up_to_date_without_dagster(
    noon: Noon, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = noon.marketplace.settings
    monkeypatch.setenv("AGORA_HOME", os.fspath(here.home))
    settings.cache_clear()
    try:
        said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["index", SYSTEM.name])
        assert (said.exit_code, "nothing has changed" in said.output) == (0, True), said.output
        number = current(here.indexes, SYSTEM.name) or 0
        said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["index", SYSTEM.name, "--anew"])
        assert (said.exit_code, f"index {number + 1} of" in said.output) == (0, True), said.output
    finally:
        settings.cache_clear()
    assert noon.served().version == f"1+i{number + 1}"


def test_a_product_that_is_taken_back_is_in_the_index_no_more(noon: Noon) -> None:
    folder = noon.marketplace.landed("products", TODAY)
    (folder / "part-1.parquet").unlink(missing_ok=True)
    landed = pl.read_parquet(folder / "part-0.parquet")
    noon.land(landed.filter(pl.col("product_id") != "new-at-noon"), part=0)
    assert noon.day() == ["landing", NAME]
    assert "new-at-noon" not in noon.served().item_ids
