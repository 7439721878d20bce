"""dbt as a resource: dagster-dbt's, on this instance's lake.

dagster-dbt is imported when a run with a dbt step starts, not while definitions load: it costs 3
CPU seconds.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from agora.settings import Settings
from agora.warehouse import PROJECT, dbt_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtCliResource

    Events = Iterator[
        tuple[dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation, str]
    ]


def dbt_cli() -> DbtCliResource:
    """dagster-dbt's resource for the project, as `agora.warehouse` runs it without Dagster."""
    from resources.dbt_cli import LakeDbtCliResource

    return LakeDbtCliResource(
        project_dir=PROJECT,
        profiles_dir=PROJECT,
        # dbt of this Python, whatever the path says.
        dbt_executable=os.fspath(Path(sysconfig.get_path("scripts"), "dbt")),
        global_config_flags=["--no-use-colors"],
    )


def dbt() -> dg.ResourceDefinition:
    """The resource, made for the first step that needs it."""
    return dg.ResourceDefinition(lambda _: dbt_cli(), description="dagster-dbt's DbtCliResource.")


def invoke(
    resource: DbtCliResource,
    settings: Settings,
    arguments: Sequence[str],
    manifest: Mapping[str, Any],
    translator: DagsterDbtTranslator,
    days: tuple[date, date] | None = None,
) -> Events:
    """Run one dbt command; Dagster's events as they happen, each with dbt's own line.

    Args:
        resource: dagster-dbt's resource.
        settings: Instance whose lake is read and written.
        arguments: The command, as `["build", "--select", "payments"]`.
        manifest: What dbt's nodes are.
        translator: How they read as assets.
        days: The days [start, end) of partitioned models.

    Raises:
        DagsterDbtCliRuntimeError: A model or a test failed, or dbt did not start.
    """
    # The resource hands its own environment to dbt, and has no other way to give it variables.
    with _environment(dbt_environment(settings, *(days or ()))):
        # Without the context: dagster-dbt would read the manifest from the definitions, which hold
        # none, and select what we select.
        invocation = resource.cli(
            arguments,
            manifest=manifest,
            dagster_dbt_translator=translator,
            # One folder for all runs: dbt parses what changed since the last, and nothing heaps up.
            target_path=settings.home / "dbt" / "target",
        )
    yield from _events(invocation)


def _events(invocation: DbtCliInvocation) -> Events:
    try:
        for message in invocation.stream_raw_events():
            for event in message.to_default_asset_events(
                manifest=invocation.manifest,
                dagster_dbt_translator=invocation.dagster_dbt_translator,
            ):
                yield event, str(message)
    finally:
        # Left early by an error or an interrupt: dbt must not go on writing unseen.
        if invocation.process.poll() is None:
            invocation.process.terminate()
            invocation.process.wait()


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
