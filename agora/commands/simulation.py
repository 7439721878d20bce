"""`agora simulate` and `agora simulate traffic`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from agora.commands.terminal import console, fail
from agora.settings import settings

app = typer.Typer(
    help="Write a simulated marketplace into the landing folders, day by day.",
    invoke_without_command=True,
)
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


@app.callback()
def simulate(
    context: typer.Context,
    start: Day = None,
    days: Annotated[int, typer.Option(min=1, help="Days to simulate.")] = 75,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files.")] = 7,
    payments_per_day: Annotated[int, typer.Option(min=1)] = 2500,
    sessions_per_day: Annotated[int, typer.Option(min=0, help="Visits to the shop.")] = 300,
    fraud_share: Annotated[float, typer.Option(help="Share of frauds, 0.001 to 0.01.")] = 0.005,
    drift_at: Day = None,
) -> None:
    """Write a simulated marketplace into the landing folders, day by day."""
    if context.invoked_subcommand is not None:
        return
    from agora.simulator import Params
    from agora.simulator import simulate as run

    first = start.date() if start else datetime.now(UTC).date() - timedelta(days=days)
    try:
        params = Params(
            seed=seed,
            start=first,
            days=days,
            payments_per_day=payments_per_day,
            sessions_per_day=sessions_per_day,
            fraud_share=fraud_share,
            drift_at=drift_at.date() if drift_at else None,
        )
    except ValueError as error:
        raise fail(str(error)) from error
    summary = run(params, Path(settings().landing), settings().home / "truth")
    console.print(summary)


@app.command()
def traffic(
    recommend: Annotated[str | None, typer.Option(help="Base URL that has /recommend.")] = None,
    search: Annotated[str | None, typer.Option(help="Base URL that has /search.")] = None,
    key: Annotated[str | None, typer.Option(help="API key that may ask and tell.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Visits a second.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="For how long.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal visits.")] = 7,
    land: Annotated[bool, typer.Option(help="Land what was shown and done.")] = True,
    outcomes: Annotated[bool, typer.Option(help="Post what was done to /outcomes.")] = True,
) -> None:
    """Visit running services as the customers of the marketplace that was simulated here."""
    from agora.simulator.client import Client, TrafficError
    from agora.simulator.traffic import Traffic
    from agora.simulator.truth import HOME, SEARCH
    from agora.simulator.world import load_world

    urls = {HOME: recommend, SEARCH: search}
    if not any(urls.values()):
        raise fail("no service: give --recommend URL, --search URL or both")
    here = settings()
    try:
        world = load_world(here.home / "truth")
        services = {surface: Client(url, key) for surface, url in urls.items() if url}
        landing = Path(here.landing) if land else None
        report = Traffic(world, services, landing, outcomes, rate, seed).run(seconds)
    except FileNotFoundError as error:
        raise fail("nothing was simulated here: run `agora simulate` first") from error
    except TrafficError as error:
        raise fail(str(error)) from error
    console.print(str(report))
