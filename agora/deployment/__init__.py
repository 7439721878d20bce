"""Deployment: from a registered model to the running service, or nothing changes.

Build a bento, test it in a fresh process, and only then replace the pointer that the service
follows. Whatever fails or is killed before that leaves pointer and service as they were.
"""

from __future__ import annotations

from agora.deployment.errors import DeploymentError
from agora.deployment.process import serve
from agora.deployment.switch import deploy, rollback
from agora.stores.deployments import Deployment

__all__ = ["Deployment", "DeploymentError", "deploy", "rollback", "serve"]
