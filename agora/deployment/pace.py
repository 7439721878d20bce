"""How fast a version answers by itself, beside the one that serves, on a machine that may be busy.

A machine that does other things only ever adds to an answer's time. So a version's own time is the
fastest of many answers to a golden request; of the golden requests the slowest counts. The version
that serves is asked in turn with it, in the same minute.

Measured on two cores under a load of 18: 44 ms at the 99th percentile, 5.7 ms of its own.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from agora.budgets import TIER, TOTAL, slow
from agora.deployment.errors import DeploymentError
from agora.deployment.trial import trying
from agora.stores import deployments
from agora.stores.drain import drain
from agora.stores.lake import Lake, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agora.deployment.trial import Trial
    from agora.settings import Settings
    from agora.system import System

ROUNDS, ROUND_REQUESTS = 3, 40
logger = logging.getLogger(__name__)


@contextmanager
def serving_beside(system: System, settings: Settings) -> Iterator[Trial | None]:
    """The deployed version on trial as well; None where nothing is deployed, or is there still."""
    pointer = deployments.read(settings.deployments, system.name)
    if pointer is None:
        yield None
        return
    name, _, tag = pointer.current.bento.partition(":")
    folder = settings.bentoml_home / "bentos" / name / tag
    if not folder.is_dir():
        yield None
        return
    with trying(pointer.current, folder, settings) as trial:
        yield trial


def check_pace(system: System, candidate: Trial, serving: Trial | None) -> None:
    """Ask both in turn and hold the candidate against its budgets and against what serves.

    A version that passes a round has passed; what it is refused for must hold in all of them.

    Raises:
        DeploymentError: It is too slow, by itself or beside the version that serves.
    """
    serving = _ready(serving)
    asked: dict[str, int] = {}
    before: dict[str, int] = {}
    for _ in range(ROUNDS):
        _round(system, candidate, serving, asked, before)
        reasons = slow(
            system.budgets,
            own_times(system, candidate.settings, asked),
            own_times(system, serving.settings, before) if serving and before else {},
        )
        if not reasons:
            break
    # One that came too late on a busy machine has others like it; one that never came has none.
    if lacking := set(range(len(candidate.deployment.golden))) - set(asked.values()):
        raise DeploymentError(f"golden request {min(lacking)} is never answered")
    if reasons:
        raise DeploymentError(f"over its latency budget: {'; '.join(reasons)}")


def own_times(system: System, here: Settings, asked: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds by stage, tier and `total`: each golden request's fastest, of these the slowest.

    Args:
        system: Whose.
        here: Instance that answered.
        asked: Number of the golden request by the id of its answer.
    """
    lake = Lake(here.lake)
    drain(here.prediction_log / system.name, lake)
    spent = lake.query(
        "select prediction_id, unnest(latencies, recursive := true) "
        f"from predictions.{quote(system.name)}"
    )
    numbers = pl.DataFrame({"prediction_id": list(asked), "number": list(asked.values())})
    fastest = (
        spent.join(numbers, on="prediction_id")
        .group_by("stage", "number")
        .agg(pl.col("nanoseconds").min())
    )
    # Of its stages, each at its fastest: no single answer need be undisturbed as a whole.
    whole = (
        fastest.filter(~pl.col("stage").str.starts_with(TIER))
        .group_by("number")
        .agg(pl.lit(TOTAL).alias("stage"), pl.col("nanoseconds").sum())
    )
    found = (
        pl.concat([fastest, whole.select(fastest.columns)])
        .group_by("stage")
        .agg(pl.col("nanoseconds").max() / 1e6)
    )
    return dict(found.iter_rows())


def _ready(serving: Trial | None) -> Trial | None:
    if serving is None:
        return None
    try:
        serving.wait()
    except DeploymentError as error:
        # It serves, or does not, whatever comes of its successor.
        logger.warning("version %s is not compared: %s", serving.deployment.version, error)
        return None
    return serving


def _round(
    system: System,
    candidate: Trial,
    serving: Trial | None,
    asked: dict[str, int],
    before: dict[str, int],
) -> None:
    """One round of requests to both, in turn."""
    requests = [pair["request"] for pair in candidate.deployment.golden]
    for place in range(ROUND_REQUESTS):
        number = place % len(requests)
        _ask(system, candidate, requests[number], number, asked)
        if serving:
            _ask(system, serving, requests[number], number, before)


def _ask(
    system: System, trial: Trial, request: dict[str, object], number: int, asked: dict[str, int]
) -> None:
    try:
        status, answer = trial.ask("POST", system.path, request)
    except OSError:
        return
    # The version that serves may know an older contract of requests.
    if status == 200:
        asked[answer["prediction_id"]] = number
