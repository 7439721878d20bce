from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from agora.cli import app
from agora.settings import settings
from agora.stores.keys import KeyRing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

CSV = """payment_id,customer_id,card_id,merchant_id,amount,currency,channel,event_at
p1,c1,k1,m1,10.50,EUR,web,2026-01-01T10:00:00Z
p2,c2,k2,m1,-3,EUR,web,2026-01-01T11:00:00Z
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AGORA_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


def call(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in arguments])


def test_help_names_every_command() -> None:
    words = call("--help").output
    for command in (
        "demo",
        "simulate",
        "ingest",
        "materialize",
        "ui",
        "serve",
        "rollback",
        "doctor",
        "keys",
        "trace",
        "cost",
        "history",
        "backtest",
        "stream",
        "index",
    ):
        assert command in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ingest", "files", "payment", "x.csv"), "choose one of cards, chargebacks, customers"),
        (("ingest", "files", "payments", "missing.csv"), "missing.csv"),
        (("ingest", "fraud-handbook", "missing.parquet"), "missing.parquet"),
        (("serve", "frauds"), "'frauds' is unknown; choose one of fraud"),
        (("serve", "fraud"), "nothing is deployed"),
        (("rollback", "frauds"), "'frauds' is unknown; choose one of fraud"),
        (("rollback", "fraud"), "no earlier deployment"),
        (("backtest", "frauds"), "'frauds' is unknown; choose one of fraud"),
        (("backtest", "fraud", "--rule", "hunch"), "code must be one of"),
        (
            ("keys", "create", "shop", "--role", "boss"),
            "choose one of score, app, analyst, operator",
        ),
        (("keys", "create", "The Shop", "--role", "score"), "use small letters"),
        (("keys", "revoke", "nobody"), "agora keys list"),
        (("keys", "rotate", "nobody"), "agora keys create"),
        (("benchmark", "fraudbook", "x"), "choose one of fraud-handbook"),
        (("new-system", "Churn-2"), "lower-case letters and digits"),
        (("index", "fraud"), "does not choose from items"),
        (("index", "search"), "no model 'champion'"),
        (("simulate", "--fraud-share", "0.5"), "fraud_share: must lie between"),
        (("simulate", "--drift-at", "tomorrow"), "drift-at"),
    ],
)
def test_a_wrong_argument_is_named_with_the_fix_and_without_a_traceback(
    arguments: tuple[str, ...], said: str
) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


def test_files_land_and_what_does_not_fit_is_said_by_column(tmp_path: Path, home: Path) -> None:
    (tmp_path / "mine.csv").write_text(CSV)
    result = call("ingest", "files", "payments", tmp_path / "mine.csv")
    assert result.exit_code == 0, result.output
    assert "amount: 1 rows do not fit" in result.output
    assert len(list((home / "landing" / "payments" / "dt=2026-01-01").iterdir())) == 1


def test_a_simulated_marketplace_lands_by_day(home: Path) -> None:
    arguments = ("--start", "2026-01-05", "--days", "3", "--payments-per-day", "50")
    result = call("simulate", *arguments)
    assert result.exit_code == 0, result.output
    days = sorted(path.name for path in (home / "landing" / "payments").iterdir())
    assert days == ["dt=2026-01-05", "dt=2026-01-06", "dt=2026-01-07"]


def test_a_key_is_made_listed_rotated_and_revoked(home: Path) -> None:
    token = call("keys", "create", "shop", "--role", "score", "--days", "3").stdout.splitlines()[0]
    ring = KeyRing(home / "keys" / "keys.json")
    assert (found := ring.find(token.encode()))
    assert found.expires_at
    assert found.expires_at - found.created_at == timedelta(days=3)
    renewed = call("keys", "rotate", "shop", "--grace-hours", "1").stdout.splitlines()[0]
    listed = call("keys", "list").output
    assert listed.count("shop") == 2
    assert listed.count("valid") == 2
    assert token not in listed
    assert renewed not in listed
    assert call("keys", "revoke", "shop").exit_code == 0
    assert call("keys", "list").output.count("revoked") == 2


def test_serving_without_a_key_says_how_to_make_one(home: Path) -> None:
    assert "agora keys create" in call("serve", "fraud").output
    call("keys", "create", "shop", "--role", "score")
    assert "agora keys create" not in call("serve", "fraud").output
