"""Where steps run: in the run's own process by default, as Kubernetes jobs in production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from agora.settings import Settings


def step(cpu: str, memory: str, minutes: int = 60) -> dict[str, Any]:
    """Op tags that size a step's Kubernetes job; without Kubernetes they mean nothing.

    Args:
        cpu: Cores that are reserved.
        memory: Memory that is reserved, and the limit.
        minutes: After this long the job is stopped.
    """
    return {
        "dagster-k8s/config": {
            "container_config": {
                "resources": {
                    "requests": {"cpu": cpu, "memory": memory},
                    "limits": {"memory": memory},
                }
            },
            "job_spec_config": {
                "active_deadline_seconds": minutes * 60,
                "ttl_seconds_after_finished": 3600,
            },
        }
    }


# Sizes by kind of work: a first guess for ten million payments, to be corrected by use.
LIGHT = step("250m", "1Gi")
INGEST = step("2", "8Gi")
WAREHOUSE = step("4", "16Gi", minutes=180)
TRAINING = step("4", "16Gi", minutes=180)
SCORING = step("2", "8Gi")


def executor_for(settings: Settings) -> dg.ExecutorDefinition:
    """Steps in the run's process, whose start costs more than most of them; jobs in production."""
    if settings.environment == "production":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    return dg.in_process_executor
