"""The model registry: versions of pipelines with card, report and plots, on MLflow.

MLflow writes (SQLite in the instance's home, or PostgreSQL by URL). Reading an alias or finding a
version's folder asks the same tables directly: importing MLflow takes five seconds, the query
milliseconds.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from agora.evaluation import CANDIDATE, Report
from agora.pipeline import verify
from agora.stores.cards import ModelCard, card_of
from agora.stores.indexes import model_of
from agora.stores.loggers import loggers_kept
from agora.warm_start import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient

    from agora.manifest import TrainingSetManifest
    from agora.pipeline import Pipeline
    from agora.settings import Settings
    from agora.system import System

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
ALIASES = (CHAMPION, CHALLENGER, SHADOW)
PIPELINE = "pipeline"
CARD, REPORT = "card.json", "report.json"
# MLflow refuses longer parameter values.
LONGEST_PARAMETER = 500


class UnknownModelError(LookupError):
    """No such version or alias."""


class ModelRegistry:
    """Registers, finds and promotes model versions. Safe for many processes at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def register(
        self,
        system: System,
        pipeline: Pipeline,
        training_set: TrainingSetManifest,
        report: Report,
        *,
        table_version: int | None = None,
        plots: Mapping[str, bytes] | None = None,
        tags: Mapping[str, str] | None = None,
        origin: Origin | None = None,
    ) -> str:
        """Save a fitted pipeline as the system's next version, which becomes its `version`.

        What fails on the way leaves a failed run and no version.

        Args:
            system: Whose.
            pipeline: Fitted.
            training_set: Manifest of what it was fitted on.
            report: Its evaluation.
            table_version: Delta version of the saved training set.
            plots: File name to PNG.
            tags: Further facts, as the orchestrator's run id.
            origin: What its training went on from; None: it was a full one.

        Raises:
            IncompleteCardError: The card lacks a field.
        """
        client = self._client()
        with self._run(client, system.name) as (run_id, artifacts):
            version = client.create_model_version(
                system.name,
                source=f"{artifacts}/{PIPELINE}",
                run_id=run_id,
                tags={**(tags or {}), "trained": str(origin or Origin())},
                description=system.decision,
            ).version
            try:
                pipeline.version = str(version)
                with tempfile.TemporaryDirectory() as scratch:
                    folder = Path(scratch)
                    card = self._write(
                        folder, system, pipeline, training_set, report, table_version, origin
                    )
                    for name, image in (plots or {}).items():
                        (folder / name).write_bytes(image)
                    client.log_artifacts(run_id, scratch)
                _log(client, run_id, card, report)
            except BaseException:
                pipeline.version = ""
                client.delete_model_version(system.name, version)
                raise
        return pipeline.version

    def promote(self, system: System, version: str, alias: str = CHAMPION) -> str | None:
        """Point an alias at a version, in one transaction; returns where it pointed before.

        Raises:
            UnknownModelError: There is no such version.
            PipelineError: Its files are torn or changed.
        """
        if alias not in ALIASES:
            raise ValueError(f"alias: {alias!r} is unknown; choose one of {', '.join(ALIASES)}")
        system.load(self.folder(system, version))
        before = self.alias(system, alias)
        self._client().set_registered_model_alias(system.name, alias, version)
        return before

    def load(self, system: System, version: str = CHAMPION) -> Pipeline:
        """A version's pipeline, by number or alias."""
        return system.load(self.folder(system, version))

    def alias(self, system: System, alias: str = CHAMPION) -> str | None:
        """Version that an alias points at, None when it points nowhere."""
        rows = self._select(
            "select version from registered_model_aliases where name = :name and alias = :alias",
            name=system.name,
            alias=alias,
        )
        return str(rows[0][0]) if rows else None

    def versions(self, system: System) -> list[str]:
        """All versions, oldest first."""
        rows = self._select(
            "select version from model_versions where name = :name "
            "and current_stage <> 'Deleted_Internal' order by version",
            name=system.name,
        )
        return [str(row[0]) for row in rows]

    def folder(self, system: System, version: str) -> Path:
        """Folder of a version's pipeline, by number or alias; remote ones are fetched.

        Raises:
            UnknownModelError: There is no such version or alias.
        """
        return self._artifacts(system, version) / PIPELINE

    def card(self, system: System, version: str) -> ModelCard:
        """A version's card."""
        return ModelCard.from_json((self._artifacts(system, version) / CARD).read_text())

    def report(self, system: System, version: str) -> Report:
        """A version's evaluation."""
        return Report.from_json((self._artifacts(system, version) / REPORT).read_text())

    def _artifacts(self, system: System, version: str) -> Path:
        # Neither adjustments nor an index change a model's files.
        number = self.alias(system, version) if version in ALIASES else model_of(version)
        rows = self._select(
            "select source from model_versions where name = :name and version = :version "
            "and current_stage <> 'Deleted_Internal'",
            name=system.name,
            version=int(number) if number and number.isdigit() else -1,
        )
        if not rows:
            known = ", ".join(self.versions(system)) or "none"
            raise UnknownModelError(f"{system.name}: no model {version!r}; versions: {known}")
        source = str(rows[0][0])
        place = urlparse(source)
        if place.scheme in {"", "file"}:
            return Path(unquote(place.path)).parent
        return Path(self._fetch(source.rsplit("/", 1)[0]))

    def _fetch(self, uri: str) -> str:
        _no_telemetry()
        from mlflow.artifacts import download_artifacts

        return str(download_artifacts(uri))

    def _select(self, query: str, **values: Any) -> list[Any]:
        """Rows of MLflow's tables; none before anything was registered."""
        from sqlalchemy import create_engine, inspect, text

        url = self._settings.tracking
        path = urlparse(url).path
        if url.startswith("sqlite") and not Path(path[1:]).exists():
            return []
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                if not inspect(connection).has_table("registered_model_aliases"):
                    return []
                return list(connection.execute(text(query), values))
        finally:
            engine.dispose()

    def _write(
        self,
        folder: Path,
        system: System,
        pipeline: Pipeline,
        training_set: TrainingSetManifest,
        report: Report,
        table_version: int | None,
        origin: Origin | None,
    ) -> ModelCard:
        pipeline.save(folder / PIPELINE)
        saved = verify(
            folder / PIPELINE,
            system=system.name,
            feature_sets=system.feature_set_ids,
        )
        card = card_of(system, saved, training_set, report, table_version, origin)
        card.check()
        (folder / CARD).write_text(card.to_json())
        (folder / REPORT).write_text(report.to_json())
        (folder / "report.md").write_text(report.markdown())
        return card

    def _client(self) -> MlflowClient:
        _no_telemetry()
        from mlflow import MlflowClient

        url, place = self._settings.tracking, self._settings.artifacts
        place.mkdir(parents=True, exist_ok=True)
        if url.startswith("sqlite"):
            Path(urlparse(url).path[1:]).parent.mkdir(parents=True, exist_ok=True)
        # Two first users would both make MLflow's tables, and one of them would fail half-way.
        with (place / ".lock").open("w") as lock, loggers_kept():
            flock(lock, LOCK_EX)
            client = MlflowClient(tracking_uri=url, registry_uri=url)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client

    @contextmanager
    def _run(self, client: MlflowClient, name: str) -> Iterator[tuple[str, str]]:
        """An MLflow run in the system's experiment: its id and where its artifacts go."""
        run = client.create_run(self._experiment(client, name))
        try:
            yield run.info.run_id, run.info.artifact_uri
        except BaseException:
            client.set_terminated(run.info.run_id, status="FAILED")
            raise
        client.set_terminated(run.info.run_id)

    def _experiment(self, client: MlflowClient, name: str) -> str:
        """The system's experiment and registered model, made by whoever comes first."""
        from mlflow.exceptions import MlflowException

        for _ in range(2):
            experiment = client.get_experiment_by_name(name)
            if experiment is not None:
                break
            place = self._settings.artifacts / name
            place.mkdir(parents=True, exist_ok=True)
            try:
                client.create_experiment(name, artifact_location=str(place))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        assert experiment is not None
        return str(experiment.experiment_id)


def _no_telemetry() -> None:
    # MLflow reads it when it is imported; 1 is not understood.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def _log(client: MlflowClient, run_id: str, card: ModelCard, report: Report) -> None:
    """Parameters and metrics, for MLflow's own tables and charts."""
    from mlflow.entities import Metric, Param, RunTag

    configuration = {**card.training_configuration, "feature_sets": card.feature_sets}
    client.log_batch(
        run_id,
        metrics=[
            Metric(f"{model}.{name}" if model != CANDIDATE else name, estimate.value, 0, 0)
            for model, metrics in report.metrics.items()
            for name, estimate in metrics.items()
            if estimate.value == estimate.value
        ],
        params=[
            Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in configuration.items()
        ],
        tags=[RunTag("version", card.version), RunTag("owner", card.owner)],
    )
