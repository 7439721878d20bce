"""The life of a system's model, the same for every system; what its steps do is in `agora`."""

from collections.abc import Sequence
from importlib import import_module

import dagster as dg

from agora.registry import SYSTEMS
from agora.system import System
from assets.items import index, lists
from assets.learning import evaluation, model, training_set
from assets.monitoring import monitoring, outcomes
from assets.serving import bento, features, prediction_log, predictions


def assets_of_systems() -> list[dg.AssetsDefinition]:
    """The assets of every system: `assets/<system>.py` for each that the registry finds."""
    return [made for name in SYSTEMS for made in import_module(f"assets.{name}").assets]


def lifecycle(system: System, reads: Sequence[str]) -> list[dg.AssetsDefinition]:
    """All assets of a system.

    Args:
        system: The system.
        reads: Lake tables that its labelled rows and requests, and its catalogue, come from, as
            `marts/payments`.
    """
    tables = [feature_set.table for feature_set in system.feature_sets]
    items = [each.table for each in system.items.feature_sets] if system.items else []
    return [
        features(system, tables),
        training_set(system, [*tables, *items, *reads]),
        model(system),
        evaluation(system),
        bento(system),
        *([index(system, [*items, *reads])] if system.items else []),
        predictions(system, [*tables, *reads]),
        *([lists(system, system.items)] if system.items and system.items.keyed_by else []),
        prediction_log(system),
        outcomes(system, reads),
        monitoring(system),
    ]
