"""The batch's SQL for the stream: dbt compiles the models once, each batch runs them as they are.

Only what a model reads is another: its mart is what the stream holds of the touched entities, and
the run's window is the batch instead of days. So a value has one definition, whoever computes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agora.entities import FEATURE_SETS
from agora.streams.topics import TOPICS
from agora.warehouse import PROJECT, run_dbt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.features import FeatureSet
    from agora.settings import Settings
    from agora.streams.topics import Topic

# Days that no data has: they stand for the window until a batch comes.
FIRST, LAST = date(1901, 2, 3), date(1902, 3, 4)


@dataclass(frozen=True)
class Model:
    """A feature set's compiled SQL.

    Attributes:
        feature_set: What it computes.
        sql: Reads the mart, and `moments` where it stands on another set's rows.
        source: The mart's name.
        window: The longest window, or nothing where it counts events instead.
        moments: Name of the set on whose rows it stands, or nothing.
    """

    feature_set: FeatureSet
    sql: str
    source: str
    window: timedelta | None
    moments: str = ""

    def windowed(self, first: datetime, last: datetime) -> str:
        """The SQL for what arrived from `first` to `last`.

        A set of its own moments takes the window to the microsecond: to it, `arrival_date` is the
        arrival itself. One that stands on another set's rows has its moments from there.
        """
        if self.moments:
            start, end = f"date '{first.date()}'", f"date '{last.date() + timedelta(days=1)}'"
        else:
            end = f"timestamptz '{last + timedelta(microseconds=1)}'"
            start = f"timestamptz '{first}'"
        return self.sql.replace(f"date '{FIRST}'", start).replace(f"date '{LAST}'", end)


def load_models(settings: Settings, topic: Topic) -> list[Model]:
    """A topic's models in the order in which they run.

    dbt compiles those of all topics anew when the project's SQL changed.
    """
    wanted = {each.name: name for name, other in TOPICS.items() for each in other.sets}
    path = settings.home / "streams" / f"models-{fingerprint(wanted)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".compiling").open("w") as lock:
        # Two that compile at once would read each other's half-written manifest.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_suffix(".tmp")
            unfinished.write_text(json.dumps(_compiled(settings, wanted), indent=1))
            unfinished.replace(path)
    found = json.loads(path.read_text())
    return [
        Model(FEATURE_SETS[each.name], window=each.window, **found[each.name])
        for each in topic.sets
    ]


def fingerprint(wanted: Mapping[str, str]) -> str:
    """Changes when the dbt project or the sets and their marts do."""
    digest = hashlib.sha256(json.dumps(wanted).encode())
    files = [PROJECT / "dbt_project.yml"]
    for folder in ("macros", "models"):
        files += sorted((PROJECT / folder).rglob("*.sql"))
    for path in files:
        digest.update(f"{path.relative_to(PROJECT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compiled(settings: Settings, wanted: Mapping[str, str]) -> dict[str, dict[str, str]]:
    target = settings.home / "streams" / "dbt"
    selected = ["--select", *(f"ftr_{name}" for name in wanted)]
    run_dbt(settings, ["compile", "--target-path", str(target), *selected], FIRST, LAST)
    return {name: _model(target, name, source) for name, source in wanted.items()}


def _model(target: Path, name: str, source: str) -> dict[str, str]:
    nodes: dict[str, Any] = json.loads((target / "manifest.json").read_text())["nodes"]
    node = nodes[f"model.agora.ftr_{name}"]
    sql, moments = node["compiled_code"], ""
    for parent in node["depends_on"]["nodes"]:
        read = nodes[parent]
        if read["name"] != source:
            moments = read["name"].removeprefix("ftr_")
        sql = sql.replace(read["relation_name"], "moments" if read["name"] != source else source)
    return {"sql": sql, "source": source, "moments": moments}


def moment(microseconds: int) -> datetime:
    """A time of the stream as a datetime; exact."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
