"""An index follows its catalogue within the day; nothing runs when nothing has changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from sensors.indexes import NAME, SPACING, index_sensor
from tests.toy_items_system import toy_items_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.system import System

RAW, TABLE = dg.AssetKey(["raw", "products"]), dg.AssetKey(["marts", "products"])
STAGED, INDEX = dg.AssetKey(["staging", "products"]), dg.AssetKey(["toyitems", "index"])
CHECK = dg.AssetCheckSpec("schema", asset=RAW)


@dg.asset(key=RAW, check_specs=[CHECK], config_schema={"holds": dg.Field(bool, default_value=True)})
def landed(context) -> dg.MaterializeResult:
    holds = context.op_execution_context.op_config["holds"]
    found = dg.AssetCheckResult(check_name="schema", passed=holds, description="no price")
    return dg.MaterializeResult(check_results=[found])


@dg.asset(key=STAGED, deps=[RAW])
def staged() -> None:
    """As landed."""


@dg.asset(key=TABLE, deps=[STAGED])
def mart() -> None:
    """The catalogue."""


@dg.asset(key=INDEX, deps=[TABLE])
def index() -> None:
    """Over the catalogue."""


ASSETS = [landed, staged, mart, index]
JOB = dg.define_asset_job(NAME, selection=dg.AssetSelection.assets(STAGED, TABLE, INDEX))
DEFINITIONS = dg.Definitions(assets=ASSETS, jobs=[JOB])


def system() -> System:
    toy = toy_items_system()
    assert toy.items
    assert toy.items.reads == ("marts/products",)
    return toy


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as held:
        yield held


def make(instance: dg.DagsterInstance, *keys: dg.AssetKey, **config: Any) -> bool:
    """One run of these assets, as another job makes them."""
    job = DEFINITIONS.resolve_implicit_global_asset_job_def()
    ops = {"ops": {name: {"config": each} for name, each in config.items()}}
    result = job.execute_in_process(
        instance=instance, asset_selection=list(keys), run_config=ops, raise_on_error=False
    )
    return bool(result.success)


def ask(
    instance: dg.DagsterInstance, later: timedelta = timedelta(0)
) -> dg.SkipReason | dg.RunRequest:
    """One tick of the sensor, by a clock that may be ahead."""
    sensor = index_sensor({"toyitems": system()}, now=lambda: datetime.now(UTC) + later)
    context = dg.build_sensor_context(
        instance=instance, repository_def=DEFINITIONS.get_repository_def()
    )
    asked = sensor(context)
    return asked if isinstance(asked, dg.SkipReason) else asked.run_requests[0]


def tick(instance: dg.DagsterInstance, later: timedelta = timedelta(0)) -> list[str]:
    """What the sensor asks for, which is run; or why nothing, as one text."""
    asked = ask(instance, later)
    if isinstance(asked, dg.SkipReason):
        return [str(asked.skip_message)]
    keys = sorted(asked.asset_selection)
    job = DEFINITIONS.resolve_job_def(NAME)
    assert job.execute_in_process(instance=instance, asset_selection=keys).success
    return [key.to_user_string() for key in keys]


WHOLE = ["marts/products", "staging/products", "toyitems/index"]
NOTHING = ["no catalogue has changed"]


def test_before_there_is_a_first_index_nothing_starts(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE)
    assert tick(instance) == NOTHING


def test_after_the_nightly_run_nothing_starts(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    assert tick(instance) == NOTHING


def test_what_lands_within_the_day_starts_one_update(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW)
    assert tick(instance) == WHOLE
    assert tick(instance, timedelta(hours=1)) == NOTHING


def test_tables_that_another_run_made_are_not_made_again(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW, STAGED, TABLE)
    assert tick(instance) == ["toyitems/index"]


def test_an_index_of_a_training_on_old_tables_stands_behind(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW)
    make(instance, INDEX)
    assert tick(instance) == WHOLE


def test_what_lands_while_an_update_runs_is_not_lost(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW)

    @dg.asset(key=TABLE, deps=[STAGED])
    def slow() -> None:
        # The table has been read by now, and then another file is taken.
        make(instance, RAW)

    busy = dg.Definitions(assets=[landed, staged, slow, index], jobs=[JOB])
    keys = [STAGED, TABLE, INDEX]
    assert busy.resolve_job_def(NAME).execute_in_process(instance=instance, asset_selection=keys)
    assert tick(instance, SPACING * 2) == WHOLE


def test_updates_are_spaced(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW)
    assert tick(instance) == WHOLE
    make(instance, RAW)
    (reason,) = tick(instance)
    assert "the next update is due at" in reason
    assert tick(instance, SPACING) == WHOLE


def test_a_refused_update_is_tried_again_within_the_hour_and_not_at_once(
    instance: dg.DagsterInstance,
) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW)
    clock = datetime.now(UTC)
    ahead = clock.replace(minute=0, second=0) + timedelta(hours=5) - clock
    keys = [ask(instance, ahead + timedelta(minutes=n)).run_key for n in (1, 58, 61)]
    assert keys[0] == keys[1] != keys[2]


def test_a_landing_that_is_refused_is_not_carried_on(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, STAGED, TABLE, INDEX)
    make(instance, RAW, raw__products={"holds": False})
    assert tick(instance) == ["toyitems wait: raw/products is refused: no price"]
    make(instance, RAW)
    assert tick(instance) == WHOLE


@pytest.mark.parametrize("job", ["daily", NAME])
def test_no_update_starts_beside_a_run_of_the_same_tables(tmp_path: Any, job: str) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as stored:
        make(stored, RAW, STAGED, TABLE, INDEX)
        make(stored, RAW)
        stored.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED))
        (reason,) = tick(stored)
        assert reason.endswith("is at work")
