"""Analysts' labels become adjustments of the running service within a minute."""

import dagster as dg

from agora.analysts import adjust
from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.system import System


def adjust_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """`<system>_adjust` of every system whose scores analysts' labels shift."""
    return [adjust_sensor(system, settings) for system in SYSTEMS.values() if system.adjusting]


def adjust_sensor(system: System, settings: Settings) -> dg.SensorDefinition:
    """`<system>_adjust`: learns in its own tick, which takes a second or two.

    A run would wait behind a training that is in progress, and its process alone takes longer to
    start than the labels take to learn.
    """

    @dg.sensor(
        name=f"{system.name}_adjust",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New labels of analysts shift the scores of their merchants and devices.",
    )
    def adjusted(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        change = adjust(system, settings)
        words = f"{change.action} {change.version}: {'; '.join(change.reasons)}"
        if change.action != "none":
            context.log.info(words)
        return dg.SkipReason(words)

    return adjusted
