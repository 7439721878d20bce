"""`agora`: the command line.

Each command reads its arguments, calls one function and prints what came of it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agora.commands import audit, beir, indexes, keys, models, movielens, simulation
from agora.commands.terminal import console, fail, system_of
from agora.settings import settings

app = typer.Typer(
    help="The data and machine-learning platform of an online marketplace.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
ingest_app = typer.Typer(help="Bring data into the landing folders.", no_args_is_help=True)
app.add_typer(ingest_app, name="ingest")
app.add_typer(keys.app, name="keys")
ingest_app.command("movielens")(movielens.ingest)
ingest_app.command("beir")(beir.ingest)
app.add_typer(simulation.app, name="simulate")
for command in (
    audit.trace,
    audit.cost,
    indexes.index,
    models.backtest,
    models.history,
    models.stream,
    models.withdraw,
):
    app.command()(command)

PROJECT = Path(__file__).resolve().parents[1]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option(help="Repeat steps that are already done.")] = False,
    days: Annotated[int, typer.Option(min=96, max=365, help="Days to simulate.")] = 98,
    only_fraud: Annotated[bool, typer.Option(help="Leave recommendation and search out.")] = False,
) -> None:
    """Simulate a marketplace and run it from raw events to live endpoints."""
    from agora.demo import DemoError, run

    try:
        run(settings(), console, project=PROJECT, days=days, fresh=fresh, only_fraud=only_fraud)
    except DemoError as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt as error:
        console.print("Stopped. The last good state is kept; `make demo` goes on from here.")
        raise typer.Exit(130) from error


@ingest_app.command("files")
def ingest_files(
    table: Annotated[str, typer.Argument(help="Contract that the files fit, as payments.")],
    path: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON lines: a file or a folder.")],
    arrived_at: Annotated[
        str, typer.Option(help="Where the time of arrival comes from: column, event_at or now.")
    ] = "column",
    strict: Annotated[bool, typer.Option(help="Refuse the file if one row does not fit.")] = False,
) -> None:
    """Land files that fit a contract; says per column what does not."""
    from agora.sources.files import LandingError, land_files
    from agora.tables import TABLES

    if table not in TABLES:
        raise fail(f"table: {table!r} has no contract; choose one of {', '.join(sorted(TABLES))}")
    try:
        report = land_files(
            TABLES[table], path, Path(settings().landing), arrived_at=arrived_at, strict=strict
        )
    except LandingError as error:
        raise fail(str(error)) from error
    console.print(str(report))


def _land_source(name: str, path: Path) -> None:
    from agora.sources import SOURCES

    try:
        summary = SOURCES[name].land(path, Path(settings().landing))
    except (ValueError, OSError) as error:
        raise fail(str(error)) from error
    console.print(str(summary))


@ingest_app.command("fraud-handbook")
def ingest_fraud_handbook(
    path: Annotated[Path, typer.Argument(help="The data set's Parquet file or its folder.")],
) -> None:
    """Land the payments of the Fraud Detection Handbook."""
    _land_source("fraud-handbook", path)


@app.command()
def materialize(
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.")],
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day after the last.")],
    select: Annotated[str, typer.Option(help="Dagster asset selection.")] = "*",
) -> None:
    """Materialize assets for a range of days, recorded in this instance's Dagster."""
    from agora.processes import run_module

    arguments = ["--start", f"{start:%Y-%m-%d}", "--end", f"{end:%Y-%m-%d}", "--select", select]
    raise typer.Exit(run_module("assets.run", arguments, settings(), PROJECT))


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port of Dagster's web server.")] = 3001) -> None:
    """Open Dagster on this instance."""
    from agora.processes import run_module

    settings().dagster_home.mkdir(parents=True, exist_ok=True)
    try:
        raise typer.Exit(run_module("assets.ui", ["--port", str(port)], settings(), PROJECT))
    except KeyboardInterrupt as error:
        raise typer.Exit(0) from error


@app.command()
def serve(
    system: Annotated[str, typer.Argument(help="System to serve.")] = "fraud",
    port: Annotated[int | None, typer.Option(help="Port; AGORA_SERVICE_PORT by default.")] = None,
) -> None:
    """Serve the deployed bento of a system; follows deployments and rollbacks."""
    from agora.deployment import DeploymentError
    from agora.deployment import serve as run
    from agora.stores.keys import KeyRing

    served = system_of(system)
    if settings().auth and KeyRing(settings().keys).is_empty():
        console.print("No API key exists: make one with `agora keys create NAME --role score`.")
    try:
        raise typer.Exit(run(served, settings(), port=port or settings().service_port))
    except DeploymentError as error:
        raise fail(str(error)) from error


@app.command()
def rollback(system: Annotated[str, typer.Argument(help="System to roll back.")] = "fraud") -> None:
    """Point a system's service at the bento that it served before."""
    from agora.deployment import DeploymentError
    from agora.deployment import rollback as run

    served = system_of(system)
    try:
        earlier = run(served, settings())
    except DeploymentError as error:
        raise fail(str(error)) from error
    console.print(f"{system} serves version {earlier.version} again ({earlier.bento})")


@app.command()
def stop() -> None:
    """Stop the embedded online store of this instance."""
    from agora.stores.valkey import stop_online

    stop_online(settings())


@app.command()
def benchmark(
    protocol: Annotated[str, typer.Argument(metavar="FORMAT", help="Format of the data set.")],
    path: Annotated[Path, typer.Argument(help="The data set: a file or a folder.")],
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="NAME=VALUE of the protocol.")
    ] = None,
) -> None:
    """Run a data set of a known format under its published protocol."""
    from agora.protocols import PROTOCOLS, ProtocolError, table_of

    if protocol not in PROTOCOLS:
        raise fail(f"format: {protocol!r} is unknown; choose one of {', '.join(PROTOCOLS)}")
    pairs = [item.partition("=") for item in option or []]
    try:
        rows = PROTOCOLS[protocol](path, {name: value for name, _, value in pairs})
    except ProtocolError as error:
        raise fail(str(error)) from error
    console.print(table_of(rows))


@app.command()
def doctor() -> None:
    """Say what this instance has, and what is missing."""
    from agora.doctor import examine

    findings = examine(settings())
    for finding in findings:
        mark = "[green]ok[/]     " if finding.ok else "[red]missing[/]"
        console.print(f"{mark} {finding.what}: {finding.detail}", soft_wrap=True)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command("new-system")
def new_system(
    name: Annotated[str, typer.Argument(help="One word, lower case.")],
    kind: Annotated[
        str, typer.Option(help="decision: judges a request; list: chooses products.")
    ] = "decision",
) -> None:
    """Scaffold a system that passes its contract tests."""
    from agora.scaffold import ScaffoldError, scaffold, what_next

    try:
        created = scaffold(name, PROJECT, kind)
    except ScaffoldError as error:
        raise fail(str(error)) from error
    for path in created:
        console.print(f"created {path}")
    console.print("\nIt works as it is. Next:")
    for number, step in enumerate(what_next(name, kind), 1):
        console.print(f"  {number}. {step}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    app()
