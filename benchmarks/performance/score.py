"""Speed of POST /score: the real service on one core, its callers and the store on the other.

The service runs by `bentoml serve`, as users run it, with all its defences on. Its CPU per request
is compared with that of a bare Starlette app on the same store and cascade, in alternating runs: on
a shared machine only the ratio of neighbours in time means something.

The payments take the ways that reference traffic takes: half are decided by a rule, two in five by
the trees, one in ten by the network; one in fifty is not approved.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from agora.deployment.process import running
from agora.serving import Predictor
from agora.serving.golden import golden_answers
from agora.settings import Settings, child_environment
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import KeyStore
from agora.stores.valkey import open_online, stop_online
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.costs import Thresholds
from agora.systems.fraud.pipeline import FraudPipeline, Params
from agora.systems.fraud.routing import Acting
from benchmarks.performance.bare_app import CONFIGURATION
from benchmarks.performance.http_load import ID
from tests.systems.synthetic import training_set

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
CLIENTS = 8
ROUNDS = 5
REQUESTS = 2_000
ENTITIES = 1_000
ATTEMPTS = 100_000
PAYMENTS = 500
SHARES = {"rules": 0.5, "light": 0.4, "deep": 0.1}
# One payment in fifty, four times the usual share of frauds; each is explained (TreeSHAP).
FLAGGED_SHARE = 0.02
TREES = 200
RULE, REVIEW = "at_the_merchant", 0.45
HERE = {"latitude": 48.86, "longitude": 2.35}
USUAL = {"payment_count_30d": 5.0, "payment_count_7d": 2.0, "amount_mean_30d": 40.0}
# Counted on every request, never reached.
RATE = 1_000_000
TARGET_P99_MS, TARGET_RATIO = 25.0, 2.0
REFERENCE = "bare Starlette on uvicorn: same lookup, decoding and cascade"


def run() -> list[dict[str, Any]]:
    """Latency of the service and its CPU against the bare app's."""
    with tempfile.TemporaryDirectory(prefix="agora-score-") as scratch, ExitStack() as stack:
        settings = Settings(home=Path(scratch))
        stack.callback(stop_online, settings)
        model = prepare(settings)
        bodies = "\n".join(map(json.dumps, payments(model, settings)))
        servers = [
            stack.enter_context(service(settings)), stack.enter_context(bare(settings, model))
        ]  # fmt: skip
        token = KeyStore(settings.keys).create("benchmark", "score", rate=RATE)
        for server in servers:
            measure(server, token, bodies)
        rounds = [[measure(server, token, bodies) for server in servers] for _ in range(ROUNDS)]
    latencies = np.concatenate([ours["latencies"] for ours, _ in rounds])
    cpu, cpu_bare = (np.array([pair[i]["cpu_us"] for pair in rounds]) for i in (0, 1))
    p99, ratio = float(np.quantile(latencies, 0.99)), float(np.median(cpu / cpu_bare))
    return [
        _row("score_p50_ms", float(np.quantile(latencies, 0.5)), None, "ms"),
        _row("score_p99_ms", p99, TARGET_P99_MS, "ms"),
        _row("score_cpu_us", float(np.median(cpu)), None, "us"),
        _row("bare_cpu_us", float(np.median(cpu_bare)), None, "us"),
        _row("score_cpu_ratio", ratio, TARGET_RATIO, "x", REFERENCE),
    ]


def measure(
    server: tuple[int, psutil.Process],
    token: str,
    bodies: str,
    requests: int = REQUESTS,
    path: str = SYSTEM.path,
) -> dict[str, Any]:
    """One run of the load: latencies, and CPU per request of the process that answers."""
    port, process = server
    command = [sys.executable, "-m", "benchmarks.performance.http_load"]
    before = _cpu(process)
    done = subprocess.run(
        [*command, str(port), str(CLIENTS), str(requests), token, path],
        input=bodies, capture_output=True, text=True, check=True, cwd=PROJECT, timeout=120,
        preexec_fn=_to_last_core,
    )  # fmt: skip
    spent = _cpu(process) - before
    result: dict[str, Any] = json.loads(done.stdout)
    if result["statuses"] != [[200, requests]]:
        raise RuntimeError(f"port {port} answered {result['statuses']}")
    return {**result, "cpu_us": 1e6 * spent / requests}


def prepare(settings: Settings) -> Path:
    """A model of the usual size, deployed, and features of every entity in the store."""
    params = replace(Params.quick(), most_rounds=TREES, fewest_rounds=TREES, usual_rounds=TREES)
    pipeline = FraudPipeline(params).fit(training_set(SYSTEM, 6_000))
    pipeline.version = "1"
    # Made-up rows prove no rule, and one in twelve is a fraud: here one rule acts, and few payments
    # are not approved, so that every tier and the reasons have their usual work.
    pipeline.acting_, pipeline.thresholds_ = Acting({RULE: 0.001}, {}), Thresholds(REVIEW, 0.99)
    folder = settings.home / "model"
    pipeline.save(folder)
    deployed = Deployment(
        system=SYSTEM.name, version="1", bento="fraud:benchmark", model=str(folder),
        golden=golden_answers(SYSTEM, pipeline), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployed))
    store, rng = open_online(settings), np.random.default_rng(0)
    at = np.full(ENTITIES, int((datetime.now(UTC) - timedelta(minutes=1)).timestamp() * 1e6))
    for feature_set in SYSTEM.feature_sets:
        values = rng.exponential(20, (ENTITIES, len(feature_set.features)))
        values[: ENTITIES // 2] = [_usual(name) for name in feature_set.names]
        store.write(feature_set, [str(n) for n in range(ENTITIES)], at, at, values)
    store.close()
    return folder


def _usual(name: str) -> float:
    """A feature of the quiet half: near, regular, without a fraud."""
    place = [value for end, value in HERE.items() if name.endswith(end)]
    return place[0] if place else USUAL.get(name, 0.0)


def payments(model: Path, settings: Settings) -> list[dict[str, Any]]:
    """Payments in the shares of reference traffic."""
    rng = np.random.default_rng(1)
    store = open_online(settings)
    predictor = Predictor(SYSTEM, SYSTEM.load(model), store)
    flagged = round(PAYMENTS * FLAGGED_SHARE)
    wanted = {(tier, False): round(PAYMENTS * share) for tier, share in SHARES.items()}
    wanted["deep", False] -= flagged
    wanted["deep", True] = flagged
    chosen: list[dict[str, Any]] = []
    for _ in range(ATTEMPTS):
        payment = _payment(rng)
        answer = predictor.predict_one(payment).model_dump()
        way = answer["tier"], answer["decision"] != "approve"
        if wanted.get(way):
            wanted[way] -= 1
            chosen.append(payment)
        if len(chosen) == PAYMENTS:
            store.close()
            return [chosen[n] for n in rng.permutation(PAYMENTS)]
    raise RuntimeError(f"no payments found for {wanted}")


def _payment(rng: np.random.Generator) -> dict[str, Any]:
    half = ENTITIES // 2
    keys = ("customer_id", "card_id", "merchant_id", "device_id")
    start = half * int(rng.integers(2))
    return {
        "payment_id": ID,
        **{key: str(start + rng.integers(half)) for key in keys},
        "amount": round(float(rng.exponential(50)), 2),
        "currency": "EUR",
        "channel": "web",
        "country": "FR",
        **HERE,
    }


@contextmanager
def service(settings: Settings) -> Iterator[tuple[int, psutil.Process]]:
    """The service on the first core: its port, and the process that answers."""
    port, log = _free_port(), settings.home / "service.log"
    with running("bentos.fraud.service:Fraud", PROJECT, settings, port, log) as child:
        _wait(port, log)
        (worker,) = psutil.Process(child.pid).children()
        _pin(worker)
        yield port, worker


@contextmanager
def bare(settings: Settings, model: Path) -> Iterator[tuple[int, psutil.Process]]:
    port, log = _free_port(), settings.home / "bare.log"
    (settings.home / CONFIGURATION).write_text(json.dumps({"model": str(model)}))
    command = [
        sys.executable, "-m", "uvicorn", "--factory", "benchmarks.performance.bare_app:create_app",
        "--app-dir", str(PROJECT), "--port", str(port), "--no-access-log",
    ]  # fmt: skip
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=settings.home, env=child_environment(settings), stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait(port, log)
        process = psutil.Process(child.pid)
        _pin(process)
        yield port, process
    finally:
        child.terminate()
        child.wait()


def _wait(port: int, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status in {200, 404}:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"no answer on port {port}: {log.read_text()[-1000:]}")


def _pin(process: psutil.Process) -> None:
    """To the first core, with all threads that it has."""
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {min(os.sched_getaffinity(0))})


def _to_last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _row(
    metric: str, value: float, target: float | None, unit: str, reference: str = ""
) -> dict[str, Any]:
    met = None if target is None else value <= target
    return {
        "benchmark": "score", "system": SYSTEM.name, "metric": metric, "value": value,
        "target": target, "reference": reference, "unit": unit, "met": met,
    }  # fmt: skip
