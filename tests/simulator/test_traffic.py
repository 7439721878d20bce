from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.ingest import ingest
from agora.simulator import Params, simulate, traffic
from agora.simulator.baselines import MostPopular
from agora.simulator.client import Client, TrafficError
from agora.simulator.history import shop
from agora.simulator.traffic import Traffic, land_catalogue
from agora.simulator.truth import HOME, SEARCH
from agora.simulator.world import load_world
from agora.stores.lake import Lake
from agora.systems.recommendation.schema import Outcome
from agora.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TODAY = datetime.now(UTC).date()
TINY = Params(
    start=TODAY - timedelta(days=5), days=5, customers=200, merchants=30,
    payments_per_day=20, sessions_per_day=60,
)  # fmt: skip
VISITS = ("searches", "impressions", "interactions")


@contextmanager
def serving(answer: Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]) -> Iterator[str]:
    """A service on a free port, whose answers are made by a function of path and request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer's body would wait 40 ms for the client's word on its headers.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            status, body = answer(self.path, json.loads(self.rfile.read(length)))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Tests say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _four_times_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "PACE", traffic.PACE / 4)
    monkeypatch.setattr(traffic, "WAVE_SECONDS", traffic.WAVE_SECONDS / 4)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("traffic")
    simulate(TINY, home / "landing", home / "truth")
    return home


def test_traffic_asks_tells_and_lands_what_ingestion_takes(home: Path, tmp_path: Path):
    world = load_world(home / "truth")
    popular = MostPopular(world, shop(world)["interactions"], TODAY)
    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        asked.append((path, body))
        return 200, {} if path == "/outcomes" else popular([body])[0]

    with serving(answer) as url:
        client = Client(url, "token")
        report = Traffic(world, {HOME: client, SEARCH: client}, tmp_path, True, 60, 7).run(1)
    assert report.sessions == 108
    assert not report.failed
    assert not report.refused
    paths = [path for path, _ in asked]
    assert report.asked == {path: paths.count(path) for path in ("/recommend", "/search")}
    assert report.told == paths.count("/outcomes") > 0
    assert "interactions" not in report.rows, "the service lands what it is told"
    lake = Lake(str(tmp_path / "lake"))
    for name in set(VISITS) - {"interactions"}:
        taken = ingest(lake, str(tmp_path), TABLES[name], TODAY, TODAY + timedelta(days=2))
        assert taken.rows_accepted == report.rows[name] > 0
        assert taken.rows_rejected == 0
    kinds = {"request_id", "customer_id", "k", "filters"}
    assert {frozenset(body) for path, body in asked if path == "/recommend"} == {
        frozenset(kinds | {"session"})
    }
    assert {frozenset(body) for path, body in asked if path == "/search"} == {
        frozenset(kinds | {"query"})
    }
    told = [body for path, body in asked if path == "/outcomes"]
    answered = {body["request_id"] for path, body in asked if path != "/outcomes"}
    assert {body["prediction_id"] for body in told} <= answered
    for body in told:
        # A service's own ids are UUIDs; those of the one above are not.
        Outcome.model_validate({**body, "prediction_id": None})


def test_what_is_not_told_is_landed(home: Path, tmp_path: Path):
    world = load_world(home / "truth")
    popular = MostPopular(world, shop(world)["interactions"], TODAY)
    with serving(lambda _, body: (200, popular([body])[0])) as url:
        client = Client(url, "token")
        report = Traffic(world, {HOME: client, SEARCH: client}, tmp_path, False, 60, 7).run(1)
    assert report.told == 0
    name, day = "interactions", timedelta(days=2)
    taken = ingest(Lake(str(tmp_path / "lake")), str(tmp_path), TABLES[name], TODAY, TODAY + day)
    assert taken.rows_accepted == report.rows[name] > 0


def test_a_service_that_refuses_is_counted_and_told_with_its_words(home: Path, tmp_path: Path):
    with serving(lambda *_: (503, {"error": "not ready"})) as url:
        world = load_world(home / "truth")
        report = Traffic(world, {HOME: Client(url)}, tmp_path, True, 4, 7).run(1)
    assert sum(report.failed.values()) == sum(report.asked.values()) > 0
    assert all("503" in said and "not ready" in said for said in report.failed)
    assert "not ready" in str(report)
    assert report.rows["impressions"] == 0


def test_new_products_are_landed_while_traffic_goes_on(home: Path, tmp_path: Path):
    world = load_world(home / "truth")
    until = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) + timedelta(days=3)
    rows = land_catalogue(world, tmp_path, until)
    files = sorted((tmp_path / "products").glob("dt=*/later.parquet"))
    landed = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files])
    known = pl.read_parquet(home / "landing" / "products" / "**" / "*.parquet")
    assert landed.height == rows > 0
    assert not set(landed["product_id"]) <= set(known["product_id"])
    assert landed["arrived_at"].min() >= known["arrived_at"].max()
    report = ingest(
        Lake(str(tmp_path / "lake")), str(tmp_path), TABLES["products"],
        TODAY, TODAY + timedelta(days=3),
    )  # fmt: skip
    assert (report.rows_accepted, report.rows_rejected) == (rows, 0)


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://shop", "http://"])
def test_what_is_no_address_is_refused_with_an_example(url: str):
    with pytest.raises(TrafficError, match="http://localhost:3000"):
        Client(url)


def test_a_service_that_is_not_there_is_named(home: Path):
    world = load_world(home / "truth")
    with pytest.raises(TrafficError, match=r"127\.0\.0\.1:9 cannot be reached"):
        Traffic(world, {HOME: Client("http://127.0.0.1:9")}, None, False, 1, 7).run(1)
