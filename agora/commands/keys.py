"""`agora keys`: who may call the services of this instance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from agora.commands.terminal import console, fail
from agora.settings import settings
from agora.stores.keys import DAYS, GRACE_HOURS, ROLES, KeyStore, KeyStoreError

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Who calls: small letters, digits, - and _.")]


@app.command()
def create(
    name: Name,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")],
    days: Annotated[int, typer.Option(min=0, help="Days of validity; 0 for ever.")] = DAYS,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Requests a second; the role's by default.")
    ] = None,
) -> None:
    """Make a key and print its token, once: only a hash is kept."""
    lifetime = timedelta(days=days) if days else None
    try:
        token = KeyStore(settings().keys).create(name, role, lifetime=lifetime, rate=rate)
    except KeyStoreError as error:
        raise fail(str(error)) from error
    typer.echo(token)
    typer.echo(f"Key {name} ({ROLES[role].summary}). It is shown this once; send it as", err=True)
    typer.echo("Authorization: Bearer TOKEN", err=True)


@app.command("list")
def list_keys() -> None:
    """List the keys; tokens are not known."""
    table = Table()
    for title in ("name", "role", "state", "created", "expires", "requests/s"):
        table.add_column(title, overflow="fold")
    now = datetime.now(UTC)
    for key in KeyStore(settings().keys).all():
        rate = key.rate or (ROLES[key.role].rate if key.role in ROLES else 0)
        expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
        state = key.fault(now) or "valid"
        created = f"{key.created_at:%Y-%m-%d %H:%M}"
        table.add_row(key.name, key.role, state, created, expires, f"{rate}")
    console.print(table)


@app.command()
def revoke(name: Name) -> None:
    """End a key at once; running services refuse it within a second."""
    try:
        count = KeyStore(settings().keys).revoke(name)
    except KeyStoreError as error:
        raise fail(str(error)) from error
    console.print(f"revoked {name}: {count} token{'s' if count > 1 else ''}")


@app.command()
def rotate(
    name: Name,
    grace_hours: Annotated[
        float, typer.Option(min=0, help="Hours for which the old token stays valid.")
    ] = GRACE_HOURS,
) -> None:
    """Give a key a new token and print it, once."""
    try:
        token = KeyStore(settings().keys).rotate(name, grace=timedelta(hours=grace_hours))
    except KeyStoreError as error:
        raise fail(str(error)) from error
    typer.echo(token)
    typer.echo(f"The old token of {name} is refused in {grace_hours:g} hours.", err=True)
