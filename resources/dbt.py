"""dbt as a resource: one process per step, its results one by one as they happen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from agora.settings import Settings
from agora.warehouse import dbt_command, dbt_environment

RESULTS = {"LogModelResult", "LogTestResult"}


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one dbt node.

    Attributes:
        unique_id: The node, as the manifest names it.
        status: success, pass, warn, fail or error.
        message: dbt's own line; for a table its Delta version and rows.
        seconds: Execution time.
        failures: Rows that fail a test.
    """

    unique_id: str
    status: str
    message: str
    seconds: float
    failures: int

    @property
    def good(self) -> bool:
        """Whether the table was built or the test passed."""
        return self.status in {"success", "pass"}


class DbtFailedError(RuntimeError):
    """dbt ended with an error; the text is what dbt says of it."""


@dataclass
class Dbt:
    """Runs dbt for this instance's lake."""

    settings: Settings
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def run(
        self, command: str, select: Sequence[str], start: date | None, end: date | None
    ) -> Iterator[NodeResult]:
        """Run `dbt <command>`, give results as they come, then fail if dbt failed.

        Args:
            command: `build` or `test`.
            select: Names of models or tests; empty selects all.
            start: First day of partitioned models.
            end: Day after the last.

        Raises:
            DbtFailedError: A model or test failed, or dbt did not start.
        """
        chosen = ["--select", *select] if select else []
        errors: list[str] = []
        with subprocess.Popen(
            [*dbt_command(), "--log-format", "json", command, *chosen],
            env=dbt_environment(self.settings, start, end),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                for line in process.stdout or ():
                    event = _event(line)
                    sys.stdout.write(f"{event['info']['msg']}\n")
                    if event["info"]["level"] == "error":
                        errors.append(event["info"]["msg"])
                    if event["info"]["name"] in RESULTS:
                        yield _result(event)
            finally:
                # Left early by an error or an interrupt: dbt must not go on writing unseen.
                if process.poll() is None:
                    process.terminate()
        if process.returncode:
            raise DbtFailedError(
                "\n".join(errors) or f"dbt {command} ended with {process.returncode}"
            )


def _event(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
        return (
            found if "info" in found else {"info": {"msg": line.rstrip(), "level": "", "name": ""}}
        )
    except ValueError:
        # Not dbt's: a warning of the interpreter or of a plugin.
        return {"info": {"msg": line.rstrip(), "level": "", "name": ""}}


def _result(event: dict[str, Any]) -> NodeResult:
    data = event["data"]
    return NodeResult(
        unique_id=data["node_info"]["unique_id"],
        status=data["node_info"]["node_status"]
        if "LogModel" in event["info"]["name"]
        else data["status"],
        message=event["info"]["msg"],
        seconds=float(data["execution_time"]),
        failures=int(data.get("num_failures") or 0),
    )
