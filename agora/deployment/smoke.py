"""Smoke test: the built bento, in a fresh process, must answer as the pipeline does."""

from __future__ import annotations

import http.client
import json
import re
import socket
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora.audit.latency import over_budget
from agora.deployment.errors import DeploymentError
from agora.deployment.process import running
from agora.serving import Predictor
from agora.serving.golden import differing_field
from agora.stores import deployments, embedded
from agora.stores.drain import drain
from agora.stores.keys import KeyStore
from agora.stores.lake import Lake

if TYPE_CHECKING:
    import subprocess

    from agora.deployment.build import Built
    from agora.pipeline import Pipeline
    from agora.settings import Settings
    from agora.stores.deployments import Deployment
    from agora.stores.online import OnlineStore
    from agora.system import System

START_SECONDS = 120.0
ATTEMPTS = 3
ERROR = re.compile(r"[\w.]*(Error|Exception): ")
ROUNDS, ROUND_REQUESTS = 3, 40


def smoke(
    system: System,
    pipeline: Pipeline,
    candidate: Deployment,
    built: Built,
    online: OnlineStore,
    settings: Settings,
) -> None:
    """Start the bento on a free port of the loopback and put it to the test.

    It runs in a home of its own, so that its answers reach no log and its pointer no other service;
    the online store is the real one.

    Raises:
        DeploymentError: It did not start, or did not answer as the pipeline does.
    """
    with tempfile.TemporaryDirectory(prefix="agora-smoke-") as scratch:
        home = Path(scratch)
        here = settings.model_copy(
            update={
                "home": home,
                "service_host": "127.0.0.1",
                # Each answer is computed by the bento that is tried.
                "answers_seconds": 0.0,
                "online_url": settings.online_url or embedded.start(settings.home / "online"),
            }
        )
        (home / "bentoml").symlink_to(settings.bentoml_home)
        # Of that home and gone with it: no key of the instance is made or asked for.
        token = KeyStore(here.keys).create("smoke", "deployment")
        deployments.write(here.deployments, deployments.Pointer(current=candidate))
        port = _free_port()
        log = home / "service.log"
        with running(built.folder, Path(built.folder), here, port, log) as child:
            _wait(child, port, log)
            _compare_answers(Predictor(system, pipeline, online), candidate, port, token)
            _check_model(candidate, port, token)
            _check_budgets(system, candidate, here, port, token)


def _wait(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None or b"Application startup failed" in log.read_bytes():
            break
        try:
            if _call(port, "", "GET", "/readyz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # The cause stands above the words that say that starting failed.
    causes = [line for line in said if ERROR.match(line)] or said or ["it said nothing"]
    raise DeploymentError(f"the bento did not start: {causes[-1]}")


def _compare_answers(predictor: Predictor, candidate: Deployment, port: int, token: str) -> None:
    path = predictor.system.path
    for number, request in enumerate(pair["request"] for pair in candidate.golden):
        # Features may be written between the two answers: only a lasting difference counts.
        for _ in range(ATTEMPTS):
            expected = predictor.predict_one(request).model_dump(mode="json")
            status, answer = _call(port, token, "POST", path, request)
            field = differing_field(expected, answer) if status == 200 else f"status {status}"
            if field is None:
                break
        else:
            raise DeploymentError(f"golden request {number} is answered differently in {field}")


def _check_model(candidate: Deployment, port: int, token: str) -> None:
    _, model = _call(port, token, "GET", "/model")
    if model["problem"] or model["version"] != candidate.version:
        raise DeploymentError(
            f"it serves version {model['version']}, not {candidate.version}: {model['problem']}"
        )
    if not model["online_store"]:
        raise DeploymentError("the bento does not reach the online store")
    if model["strangers"]:
        raise DeploymentError(f"the bento loads {', '.join(model['strangers'])}")


def _check_budgets(
    system: System, candidate: Deployment, here: Settings, port: int, token: str
) -> None:
    """No stage may be over its budget in every round: a busy machine slows one, not all."""
    lake, log, over = Lake(here.lake), here.prediction_log / system.name, dict[str, str]()
    requests = [pair["request"] for pair in candidate.golden]
    for number in range(ROUNDS):
        since = datetime.now(UTC)
        for place in range(ROUND_REQUESTS):
            _call(port, token, "POST", system.path, requests[place % len(requests)])
        drain(log, lake)
        found = {each.stage: str(each) for each in over_budget(system, lake, since)}
        over = {stage: found[stage] for stage in found if number == 0 or stage in over}
        if not over:
            return
    raise DeploymentError(f"over its latency budget: {'; '.join(over.values())}")


def _call(port: int, token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        text = response.read().strip()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
