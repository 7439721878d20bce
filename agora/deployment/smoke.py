"""Smoke test: the built bento, in a fresh process, must answer as the pipeline does, in time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from agora.deployment.errors import DeploymentError
from agora.deployment.pace import check_pace, serving_beside
from agora.deployment.trial import trying
from agora.serving import Predictor
from agora.serving.golden import differing_field, patient

if TYPE_CHECKING:
    from agora.deployment.build import Built
    from agora.deployment.trial import Trial
    from agora.pipeline import Pipeline
    from agora.settings import Settings
    from agora.stores.deployments import Deployment
    from agora.stores.online import OnlineStore
    from agora.system import System

ATTEMPTS = 5
# What a busy machine made late is left out for a second: its breaker is open.
PAUSE_SECONDS = 0.5


def smoke(
    system: System,
    pipeline: Pipeline,
    candidate: Deployment,
    built: Built,
    online: OnlineStore,
    settings: Settings,
) -> None:
    """Start the bento, and the one that serves beside it, and put it to the test.

    Raises:
        DeploymentError: It did not start, did not answer as the pipeline does, or is too slow.
    """
    with (
        trying(candidate, Path(built.folder), settings) as trial,
        serving_beside(system, settings) as serving,
    ):
        trial.wait()
        _compare_answers(Predictor(patient(system), pipeline, online), trial)
        _check_model(trial)
        check_pace(system, trial, serving)


def _compare_answers(predictor: Predictor, trial: Trial) -> None:
    path = predictor.system.path
    for number, request in enumerate(pair["request"] for pair in trial.deployment.golden):
        # Features may be written between the two answers: only a lasting difference counts.
        for attempt in range(ATTEMPTS):
            time.sleep(attempt * PAUSE_SECONDS)
            expected = predictor.predict_one(request).model_dump(mode="json")
            status, answer = trial.ask("POST", path, request)
            field = differing_field(expected, answer) if status == 200 else f"status {status}"
            if field is None:
                break
        else:
            raise DeploymentError(f"golden request {number} is answered differently in {field}")


def _check_model(trial: Trial) -> None:
    _, model = trial.ask("GET", "/model")
    version = trial.deployment.version
    if model["problem"] or model["version"] != version:
        raise DeploymentError(
            f"it serves version {model['version']}, not {version}: {model['problem']}"
        )
    if not model["online_store"]:
        raise DeploymentError("the bento does not reach the online store")
    if model["strangers"]:
        raise DeploymentError(f"the bento loads {', '.join(model['strangers'])}")
