"""The code location: every asset, job, sensor and schedule of this instance."""

import dagster as dg

from agora.settings import Settings, settings
from assets.checks import checks_of_systems
from assets.lifecycle import assets_of_systems
from assets.manifest import Manifest
from assets.raw import raw_assets
from assets.warehouse import warehouse_assets
from resources import resources_for
from resources.compute import executor_for
from sensors.indexes import index_sensor, indexes_job
from sensors.landing import landing_sensor
from sensors.schedules import daily_job, daily_schedule, training_jobs, training_schedules
from sensors.systems import sensors_of_systems


def definitions_for(here: Settings) -> dg.Definitions:
    """The parts, put together for one instance."""
    return dg.Definitions(
        assets=[*raw_assets(), warehouse_assets(Manifest.load(here)), *assets_of_systems()],
        asset_checks=checks_of_systems(),
        jobs=[daily_job, indexes_job(), *training_jobs()],
        sensors=[landing_sensor(here), index_sensor(), *sensors_of_systems(here)],
        schedules=[daily_schedule(here), *training_schedules(here)],
        resources=resources_for(here),
        executor=executor_for(here),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Called when Dagster loads the code location, not at import."""
    return definitions_for(settings())
