"""Object storage for listing and reading: one set of options, deltalake's, for every library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyarrow import fs

if TYPE_CHECKING:
    from collections.abc import Mapping

S3_ARGUMENTS = {
    "access_key_id": "access_key",
    "secret_access_key": "secret_key",
    "session_token": "session_token",
    "endpoint_url": "endpoint_override",
    "endpoint": "endpoint_override",
    "region": "region",
    "default_region": "region",
}


def is_remote(location: str) -> bool:
    """Whether a location is a URL rather than a folder."""
    return "://" in location


def filesystem(location: str, options: Mapping[str, str]) -> tuple[fs.FileSystem, str]:
    """The Arrow file system of an s3:// URL and the path in it.

    Args:
        location: s3://bucket/prefix.
        options: What deltalake takes, such as AWS_ENDPOINT_URL; Arrow looks for absent ones.

    Raises:
        ValueError: Another scheme.
    """
    scheme, _, path = location.partition("://")
    if scheme not in ("s3", "s3a"):
        raise ValueError(f"{location}: object storage is reached by s3:// URLs")
    named = {key.lower().removeprefix("aws_"): value for key, value in options.items()}
    arguments = {S3_ARGUMENTS[key]: value for key, value in named.items() if key in S3_ARGUMENTS}
    return fs.S3FileSystem(**arguments), path.rstrip("/")


def for_duckdb(location: str, options: Mapping[str, str]) -> Any:
    """The file system as DuckDB registers one; DuckDB's own reader of s3:// is a download."""
    from fsspec.implementations.arrow import ArrowFSWrapper  # type: ignore[import-untyped]

    class ObjectStorage(ArrowFSWrapper):  # type: ignore[misc]
        """Files at the URLs that Delta lists."""

        protocol = location.partition("://")[0]
        # Two lakes with other options must not share an instance.
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path.partition("://")[2] or path

    return ObjectStorage(filesystem(location, options)[0])
