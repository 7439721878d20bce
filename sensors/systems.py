"""What watches each system: retraining, adjustments, alerts."""

import dagster as dg

from agora.settings import Settings
from sensors.adjust import adjust_sensors
from sensors.alerts import alert_sensors
from sensors.retrain import retrain_sensors


def sensors_of_systems(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors of every system."""
    return [*retrain_sensors(settings), *adjust_sensors(settings), *alert_sensors(settings)]
