"""The model that a running service answers with, and how it is exchanged while requests run.

The pointer file of the deployment says which version to serve. A thread looks at it every second;
a new version is loaded, its files verified and its golden requests answered beside the old one, and
only then is one reference exchanged. A version that fails is not taken: the old one goes on, and
`describe` says why.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from agora.adjustments import AdjustmentsError
from agora.pipeline import is_of_items
from agora.serving.breakers import CLOSED
from agora.serving.golden import answer_of, first_difference, golden_requests
from agora.serving.lookups import STORE
from agora.serving.predictor import Predictor
from agora.serving.repeats import Repeats
from agora.stores import deployments, indexes
from agora.stores.adjustments import adjusted, pointer_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agora.pipeline import Pipeline
    from agora.serving.observer import Observer
    from agora.serving.tiers import Remote
    from agora.settings import Settings
    from agora.stores.deployments import Deployment
    from agora.stores.online import OnlineStore
    from agora.stores.predictions import PredictionLog
    from agora.system import System

logger = logging.getLogger(__name__)
POLL_SECONDS = 1.0


class Live:
    """Holds the current Predictor of a system.

    Attributes:
        system: The system.
        predictor: The current Predictor; read it once per request.
        problem: Why the deployed version is not the one served; empty if it is.
        index_problem: Why the published index is not the one served; empty if it is.
    """

    def __init__(
        self,
        system: System,
        settings: Settings,
        online: OnlineStore,
        log: PredictionLog,
        *,
        baked: Path | None = None,
        observer: Observer | None = None,
        remotes: Mapping[str, Remote] | None = None,
        revive: Callable[[], None] | None = None,
    ) -> None:
        """Load the first version.

        Args:
            system: The system.
            settings: Where its pointer and the model registry are.
            online: Online store, shared by all versions.
            log: Prediction log, shared by all versions.
            baked: Pipeline folder of the bento; None in development.
            observer: Is told of each answer.
            remotes: Tiers that another process runs, by name.
            revive: Starts the online store again, where that is ours to do; called while its
                breaker is not closed.
        """
        self.system = system
        self.problem = self.index_problem = ""
        self._settings = settings
        self._online = online
        self._log = log
        self._observer = observer
        self._remotes = remotes
        self._revive = revive
        self._repeats = Repeats(system.name, settings.answers_seconds, online)
        self._alias: str | None = None
        self._paths = (
            deployments.path_of(settings.deployments, system.name),
            pointer_path(settings.adjustments, system.name),
            indexes.pointer_path(settings.indexes, system.name),
        )
        self._seen = self._mark()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deployments", daemon=True)
        self.predictor = self._first(baked)

    def start(self) -> None:
        """Begin to follow the pointer."""
        self._thread.start()

    def close(self) -> None:
        """Stop following it; give the log's segment to the drain."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._repeats.close()
        self._log.close()
        self._online.close()

    def follow(self) -> None:
        """Take the version that the pointer names, if it can be served."""
        try:
            pointer = deployments.read(self._settings.deployments, self.system.name)
            self.problem = ""
            served = indexes.model_of(self.predictor.pipeline.version)
            if pointer is None or pointer.current.version == served:
                self._refresh()
            else:
                self.predictor = self._open(pointer.current)
                logger.info("%s: now serving version %s", self.system.name, pointer.current.version)
            if pointer is not None:
                self._alias = "deployed"
        except Exception as error:
            # Whatever is wrong with a new version, the old one goes on.
            self.problem = f"{type(error).__name__}: {error}"
            logger.error("%s: deployed version is not taken: %s", self.system.name, self.problem)

    def describe(self) -> dict[str, Any]:
        """What is served, from what, and what is wrong with it."""
        return {
            "system": self.system.name,
            "version": self.predictor.pipeline.version,
            "alias": self._alias,
            "feature_sets": [feature_set.id for feature_set in self.system.feature_sets],
            "online_store": _answers(self._online),
            "problem": self.problem or None,
            **self._index(),
            "strangers": strangers(self.system.name),
            "breakers": self.predictor.breakers(),
            "counts": dict(self.predictor.counts),
        }

    def _first(self, baked: Path | None) -> Predictor:
        try:
            pointer = deployments.read(self._settings.deployments, self.system.name)
            if pointer is not None:
                predictor = self._open(pointer.current)
                self._alias = "deployed"
                return predictor
        except Exception as error:
            if baked is None:
                raise
            self.problem = f"{type(error).__name__}: {error}"
            logger.error("%s: serving the bento's own model: %s", self.system.name, self.problem)
        if baked is not None:
            self._alias = "baked"
            return self._predictor(self.system.load(baked))
        from agora.stores.models import ModelRegistry

        self._alias = "champion"
        return self._predictor(ModelRegistry(self._settings).load(self.system, self._alias))

    def _open(self, deployment: Deployment) -> Predictor:
        from pathlib import Path

        pipeline = self.system.load(Path(deployment.model))
        if difference := first_difference(self.system, pipeline, deployment.golden):
            raise ValueError(f"version {deployment.version}: {difference}")
        return self._predictor(pipeline)

    def _predictor(self, model: Pipeline) -> Predictor:
        self._model = model
        if is_of_items(model):
            attached = indexes.attach(model, self._settings.indexes, self.system.name)
            self._say_index(attached.problem)
            # Not the index that the model came with: it would stand in memory beside this one.
            self._model = attached.pipeline
            return self._around(attached.pipeline)
        try:
            pipeline = self._adjusted()
        except AdjustmentsError as error:
            # A payment is better judged without them than not at all.
            pipeline, self.problem = model, str(error)
            logger.error("%s: serving without adjustments: %s", self.system.name, error)
        return self._around(pipeline)

    def _around(self, pipeline: Pipeline) -> Predictor:
        self._warm(pipeline)
        return Predictor(
            self.system, pipeline, self._online, self._log,
            observer=self._observer, repeats=self._repeats, remotes=self._remotes,
        )  # fmt: skip

    def _warm(self, pipeline: Pipeline) -> None:
        """Answer golden requests once: the first of a new index read it from disk."""
        for request in golden_requests(self.system):
            try:
                answer_of(self.system, pipeline, request)
            except Exception as error:
                # It may still answer others, and the rungs below it answer all.
                logger.warning("%s: a golden request: %s", self.system.name, type(error).__name__)

    def _refresh(self) -> None:
        """Take what is now in force around the same model; what was before stays if it is torn."""
        pipeline = self._reindexed() if is_of_items(self._model) else self._adjusted()
        if pipeline.version != self.predictor.pipeline.version:
            self.predictor = self._around(pipeline)
            logger.info("%s: now serving version %s", self.system.name, pipeline.version)

    def _reindexed(self) -> Pipeline:
        """The model over the published index; what serves, if that cannot be used."""
        served, model = self.predictor.pipeline, self._model
        assert is_of_items(model), "only these have an index"
        try:
            number = indexes.current(self._settings.indexes, self.system.name)
            if number is None or number == indexes.indexed(served.version)[1]:
                self._say_index("")
                return served
            found = indexes.load(model, self._settings.indexes, self.system.name, number)
        except indexes.UnusableIndexError as error:
            self._say_index(str(error))
            return served
        self._say_index("")
        self._model = found
        return found

    def _say_index(self, problem: str) -> None:
        self.index_problem = problem
        if problem:
            logger.error("%s: the published index is not taken: %s", self.system.name, problem)

    def _index(self) -> dict[str, Any]:
        served = self.predictor.pipeline
        if not is_of_items(served):
            return {}
        number = indexes.indexed(served.version)[1]
        problem = self.index_problem or None
        return {"index": {"number": number, "items": len(served.item_ids), "problem": problem}}

    def _adjusted(self) -> Pipeline:
        return adjusted(
            self._model, self._settings.adjustments, self.system.name, self.system.entities
        )

    def _watch(self) -> None:
        supervisor = os.getppid()
        while not self._stopped.wait(POLL_SECONDS):
            if os.getppid() != supervisor:
                # A worker whose supervisor was killed would hold the port for ever.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if (mark := self._mark()) != self._seen:
                self._seen = mark
                self.follow()
            if self._revive is not None and self.predictor.breakers().get(STORE) != CLOSED:
                self._revived(self._revive)

    def _revived(self, revive: Callable[[], None]) -> None:
        try:
            revive()
        except Exception as error:
            logger.error("online store: not started again: %s", type(error).__name__)

    def _mark(self) -> tuple[tuple[int, int], ...]:
        return tuple(map(_mark, self._paths))


def strangers(system: str) -> list[str]:
    """Modules that a service of this system must not load: the orchestrator and other systems."""
    loaded = list(sys.modules)
    others = {
        name for name in loaded
        if name.startswith("agora.systems.") and name.split(".")[2] != system
    }  # fmt: skip
    return sorted(others | {name for name in ("dagster", "agora.registry") if name in loaded})


def _mark(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def _answers(online: OnlineStore) -> bool:
    try:
        return online.ping()
    except Exception:
        return False
