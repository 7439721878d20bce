"""Each stimulus starts one training, none starts none; a cool-down and a running one hold it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
import pytest

from agora.dataset import Split
from agora.monitoring.table import Measure, write
from agora.retraining import monitored_days
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from assets.decisions import STIMULUS
from sensors.retrain import decay, drift, retrain_sensor
from sensors.schedules import training_schedule
from tests.assets.toy import Toy, report, toy
from tests.systems.synthetic import manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora.system import System

pytestmark = pytest.mark.xdist_group("mlflow")
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAY = date(2026, 3, 4)
NAME = "toy_training"
TIME = pl.Datetime("us", "UTC")


def verdicts(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """Labels of the lake's table `raw/said`."""
    if not lake.exists("raw/said"):
        return pl.DataFrame(
            schema={"request_id": pl.String, "source": pl.String, "arrived_at": TIME}
        )
    return lake.read("raw/said").filter(pl.col("arrived_at") < as_of)


def say(lake: Lake, count: int, at: datetime, source: str = "verdict") -> None:
    """Analysts say something of `count` more requests."""
    ids = [f"{source}-{n}" for n in range(count)]
    lake.write("raw/said", pl.DataFrame({"request_id": ids, "source": source, "arrived_at": at}))


def looks(*days: date) -> Callable[..., str]:
    """Finds something wrong on these days."""
    return lambda lake, system, day: "something moved" if day in days else ""


NOTHING = looks()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A champion that knew everything until `AS_OF`."""
    settings, system = Settings(home=tmp_path_factory.mktemp("home")), toy()
    frame = pl.DataFrame({"split": ["train"], system.label: [True]})
    made_of = replace(manifest(system, frame, Split().spans(AS_OF)), as_of=AS_OF)
    registry = ModelRegistry(settings)
    registry.register(system, Toy(), made_of, report(), table_version=0)
    registry.promote(system, "1")
    return settings


@pytest.fixture
def settings(home: Settings, tmp_path: Any) -> Settings:
    """The champion with a lake of its own, whose features are built until March 5."""
    fresh = home.model_copy(update={"lake_url": str(tmp_path / "lake")})
    lake = Lake(fresh.lake)
    for each in toy().feature_sets:
        built = pl.DataFrame({"feature_date": [DAY], "x": [1.0]})
        lake.write(each.table, built, partition_by="feature_date")
    lake.write("toy/monitoring", pl.DataFrame({"day": [DAY], "metric": ["rows"]}))
    return fresh


@pytest.fixture
def instance() -> Any:
    with dg.DagsterInstance.ephemeral() as held:
        yield held


@pytest.fixture
def stored(tmp_path: Any) -> Any:
    """An instance on disk, which is what a schedule's context asks for."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as held:
        yield held


@dg.op
def learn() -> None:
    """Nothing: what counts is the run."""


def daemon(
    settings: Settings,
    instance: dg.DagsterInstance,
    cursor: str | None = None,
    *,
    system: System | None = None,
    later: timedelta = timedelta(0),
    finds: Callable[..., str] = NOTHING,
    decays: Callable[..., str] = NOTHING,
    launch: bool = True,
) -> tuple[list[dg.RunRequest], str | None]:
    """One tick; what it asks for is run, as the daemon would."""
    sensor = retrain_sensor(
        system or replace(toy(), outcomes=verdicts), settings,
        find={"drift": finds, "decay": decays}, now=lambda: datetime.now(UTC) + later,
    )  # fmt: skip
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    if isinstance(result, dg.SkipReason):
        return [], cursor
    for request in result.run_requests if launch else ():
        run(instance, {**request.tags, "dagster/run_key": request.run_key})
    return result.run_requests, result.cursor


def run(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    graph = dg.GraphDefinition(name=NAME, node_defs=[learn])
    assert graph.to_job(tags=tags).execute_in_process(instance=instance).success


def test_without_a_stimulus_nothing_starts(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert daemon(settings, instance) == ([], None)


def test_without_a_first_model_nothing_starts(tmp_path: Any, instance: dg.DagsterInstance) -> None:
    asked, _ = daemon(Settings(home=tmp_path), instance, finds=looks(DAY))
    assert asked == []


@pytest.mark.parametrize("kind", ["drift", "decay", "labels"])
def test_each_stimulus_starts_exactly_one_run(
    settings: Settings, instance: dg.DagsterInstance, kind: str
) -> None:
    if kind == "labels":
        say(Lake(settings.lake), 200, AS_OF + timedelta(hours=1))
    wrong = {"drift": {"finds": looks(DAY)}, "decay": {"decays": looks(DAY)}}.get(kind, {})
    (request,), cursor = daemon(settings, instance, **wrong)
    assert request.tags[STIMULUS].startswith(f"{kind}/")
    assert request.run_config == {}, "what calls for a training calls for a full one"
    for after in (timedelta(0), timedelta(days=1), timedelta(days=2)):
        asked, cursor = daemon(settings, instance, cursor, later=after, **wrong)
        assert asked == []
    assert instance.get_runs_count() == 1


def test_a_daemon_that_lost_its_cursor_repeats_nothing(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    daemon(settings, instance, finds=looks(DAY))
    asked, _ = daemon(settings, instance, None, later=timedelta(days=1), finds=looks(DAY))
    assert asked == []


def test_a_tick_that_was_killed_before_its_run_asks_for_the_same_run(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    (first,), _ = daemon(settings, instance, finds=looks(DAY), launch=False)
    (again,), _ = daemon(settings, instance, None, finds=looks(DAY), launch=False)
    assert first.run_key == again.run_key


def test_stimuli_of_one_moment_share_a_run(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    wrong = {"finds": looks(DAY), "decays": looks(DAY)}
    (request,), _ = daemon(settings, instance, **wrong)
    assert request.tags[STIMULUS] == f"drift/{DAY} decay/{DAY}"
    assert daemon(settings, instance, None, later=timedelta(days=1), **wrong)[0] == []


def test_a_stimulus_waits_for_the_end_of_the_cool_down(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    run(instance, {})
    asked, cursor = daemon(settings, instance, finds=looks(DAY), later=timedelta(hours=5))
    assert asked == []
    asked, _ = daemon(settings, instance, cursor, finds=looks(DAY), later=timedelta(hours=7))
    assert len(asked) == 1


@pytest.mark.parametrize("by", ["its own job", "a person"])
def test_while_a_training_runs_no_second_one_starts(
    settings: Settings, stored: dg.DagsterInstance, by: str
) -> None:
    selection = None if by == "its own job" else frozenset({dg.AssetKey(["toy", "model"])})
    name = NAME if by == "its own job" else "__ASSET_JOB"
    stored.add_run(
        dg.DagsterRun(job_name=name, status=dg.DagsterRunStatus.STARTED, asset_selection=selection)
    )
    asked, _ = daemon(settings, stored, finds=looks(DAY), later=timedelta(days=9))
    assert asked == []
    schedule = training_schedule(toy(), settings)
    context = dg.build_schedule_context(instance=stored, scheduled_execution_time=AS_OF)
    assert isinstance(schedule(context), dg.SkipReason)


def test_the_clock_starts_one_training_a_day(
    settings: Settings, stored: dg.DagsterInstance
) -> None:
    schedule = training_schedule(toy(), settings)
    context = dg.build_schedule_context(instance=stored, scheduled_execution_time=AS_OF)
    request = schedule(context)
    assert request.run_key == "2026-03-01"
    assert request.tags[STIMULUS] == "schedule/2026-03-01"


@pytest.mark.parametrize(
    ("count", "at", "source"),
    [
        (199, AS_OF + timedelta(hours=1), "verdict"),
        (500, AS_OF - timedelta(hours=1), "verdict"),
        (500, AS_OF + timedelta(hours=1), "chargeback"),
        # Features end on the evening of March 4: a training would not see these yet.
        (500, AS_OF + timedelta(days=6), "verdict"),
    ],
)
def test_labels_that_are_few_old_or_not_an_analysts_start_nothing(
    settings: Settings, instance: dg.DagsterInstance, count: int, at: datetime, source: str
) -> None:
    say(Lake(settings.lake), count, at, source)
    assert daemon(settings, instance)[0] == []


def test_twice_as_many_labels_are_another_stimulus(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    say(Lake(settings.lake), 200, AS_OF + timedelta(hours=1))
    _, cursor = daemon(settings, instance)
    say(Lake(settings.lake), 399, AS_OF + timedelta(hours=1))
    assert daemon(settings, instance, cursor, later=timedelta(days=1))[0] == []
    say(Lake(settings.lake), 400, AS_OF + timedelta(hours=1))
    assert len(daemon(settings, instance, cursor, later=timedelta(days=1))[0]) == 1


def test_drift_of_another_day_is_another_stimulus(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    _, cursor = daemon(settings, instance, finds=looks(DAY))
    following = DAY + timedelta(days=1)
    monitored = pl.DataFrame({"day": [DAY, following], "metric": ["rows", "rows"]})
    Lake(settings.lake).write("toy/monitoring", monitored)
    asked, _ = daemon(
        settings, instance, cursor, finds=looks(DAY, following), later=timedelta(days=1)
    )
    assert [each.tags[STIMULUS] for each in asked] == [f"drift/{following}"]


def test_days_that_were_monitored_together_are_all_looked_at(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    days = [DAY + timedelta(days=n) for n in (-9, 0, 1, 2)]
    Lake(settings.lake).write("toy/monitoring", pl.DataFrame({"day": days}))
    # The first of them lies before the newest training, which knew it.
    assert daemon(settings, instance, finds=looks(days[0]))[0] == []
    (request,), _ = daemon(settings, instance, finds=looks(days[1], days[2]))
    assert request.tags[STIMULUS] == f"drift/{days[2]}"


@pytest.mark.parametrize("alarmed", [True, False])
def test_what_monitoring_wrote_is_what_the_sensor_reads(settings: Settings, alarmed: bool) -> None:
    lake, system = Lake(settings.lake), replace(toy(), name="read")
    measured = [
        Measure("drift_p_value", "", 0.01 if alarmed else 0.5, rows=60),
        Measure("drift_alpha", "", 0.02, rows=60),
        Measure("drift_excess", "amount", 9.0, high=3.0, rows=500),
        Measure("decay", "live/precision", 0.4, 0.3, 0.5 if alarmed else 0.9, rows=1_000),
        Measure("decay_reported", "live/precision", 0.7, 0.6, 0.8),
    ]
    write(lake, "read", DAY, measured, AS_OF)
    assert monitored_days(lake, system, DAY) == [DAY]
    said = drift(lake, system, DAY), decay(lake, system, DAY)
    if alarmed:
        assert said == (
            "2026-03-04 differs from the days before it in amount",
            "precision 0.400 (0.300 to 0.500) until 2026-03-04, "
            "0.700 (0.600 to 0.800) in the report",
        )
    else:
        assert said == ("", "")
