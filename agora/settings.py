"""Where everything lives: the only reader of the environment.

One folder (`AGORA_HOME`) holds all state by default; each part can be pointed elsewhere by URL
without other code.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "BENTOML_DO_NOT_TRACK": "True",
    "GX_ANALYTICS_ENABLED": "false",
}
"""Switches off the telemetry of every tool that Agora runs."""


class Settings(BaseSettings):
    """Settings of one instance, read from `AGORA_*` variables.

    Every `*_url` is empty by default, which means "inside `home`".
    """

    model_config = SettingsConfigDict(env_prefix="AGORA_", frozen=True)

    home: Path = Field(Path(".agora"), description="Folder that holds all state of this instance.")
    environment: str = Field("local", description="local, test or production.")
    landing_url: str = Field("", description="Folder where producers drop files.")
    lake_url: str = Field("", description="Folder or s3:// URL of the Delta tables.")
    lake_options: dict[str, str] = Field(
        default_factory=dict, description="Object-storage options, passed to deltalake as they are."
    )
    online_url: str = Field("", description="redis:// URL; empty starts an embedded Valkey.")
    events_url: str = Field("", description="redis:// or kafka:// URL; empty: the embedded Valkey.")
    tracking_url: str = Field("", description="MLflow tracking database; empty: SQLite in home.")
    service_host: str = Field("127.0.0.1", description="Address that the services bind to.")
    service_port: int = Field(3000, description="Port of the first service.")
    auth: bool = Field(True, description="on: services answer callers with an API key only.")
    rate_limits: Literal["memory", "shared", "off"] = Field(
        "memory", description="Requests per key are counted per worker, in online_url, or not."
    )
    metrics_open: bool = Field(False, description="Whether GET /metrics needs no key.")
    answers_seconds: float = Field(
        5.0, ge=0, description="How long a repeated request gets the same answer; 0: never."
    )
    deep: Literal["auto", "in_process", "service"] = Field(
        "auto", description="Where deep tiers run; auto: a service of its own where a GPU is."
    )
    alert_webhook: str = Field(
        "", repr=False, description="URL that gets alerts as JSON; empty: they are logged."
    )
    operator_key: str = Field(
        "", repr=False, description="API key with which alerts read /metrics, unless it is open."
    )
    public_data: Path | None = Field(None, description="Folder with the public data sets.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # dbt and Dagster change the working directory; a relative home would split in two.
        return value.expanduser().resolve()

    @property
    def landing(self) -> str:
        """Root of the landing folders: `<landing>/<table>/dt=YYYY-MM-DD/*`."""
        return self.landing_url or str(self.home / "landing")

    @property
    def lake(self) -> str:
        """Root of the Delta tables: `<lake>/<layer>/<table>`."""
        return (self.lake_url or str(self.home / "lake")).rstrip("/")

    @property
    def tracking(self) -> str:
        """MLflow's tracking and registry URI."""
        return self.tracking_url or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.home / "mlflow" / "artifacts"

    @property
    def dagster_home(self) -> Path:
        """Folder of the Dagster instance."""
        return self.home / "dagster"

    @property
    def bentoml_home(self) -> Path:
        """Folder of the BentoML store."""
        return self.home / "bentoml"

    @property
    def deployments(self) -> Path:
        """Folder that says which bento each running service serves."""
        return self.home / "deployments"

    @property
    def adjustments(self) -> Path:
        """Folder of what analysts' labels shift between two trainings."""
        return self.home / "adjustments"

    @property
    def indexes(self) -> Path:
        """Folder of the indexes of systems that choose from items."""
        return self.home / "indexes"

    @property
    def keys(self) -> Path:
        """File of the API keys' hashes."""
        return self.home / "keys" / "keys.json"

    @property
    def outcome_inbox(self) -> Path:
        """Folder where services keep reported outcomes until they are landed."""
        return self.home / "outcome_inbox"

    @property
    def alerts(self) -> Path:
        """Folder that remembers which alerts have been sent."""
        return self.home / "alerts"

    @property
    def prediction_log(self) -> Path:
        """Folder where services append predictions before they are drained into the lake."""
        return self.home / "prediction_log"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def child_environment(settings: Settings, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process: this one's, this instance's homes, no telemetry."""
    homes = {
        "AGORA_HOME": str(settings.home),
        "DAGSTER_HOME": str(settings.dagster_home),
        "BENTOML_HOME": str(settings.bentoml_home),
    }
    return {**os.environ, **QUIET, **homes, **(extra or {})}
