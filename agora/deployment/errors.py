"""What can go wrong with a deployment."""

from __future__ import annotations


class DeploymentError(RuntimeError):
    """A version was not deployed; pointer and service are as they were."""
