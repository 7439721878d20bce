"""dagster-dbt's resource less what costs every step seconds; imported when a dbt step starts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from dagster_dbt import DbtCliResource
from dbt.version import get_installed_version
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Sequence


class LakeDbtCliResource(DbtCliResource):
    """`DbtCliResource` for a project whose database is in memory and whose lake is elsewhere.

    Should a release of dagster-dbt rename what is replaced here, steps only become slower.
    """

    @cached_property
    def _cli_version(self) -> Version:
        # It would ask `dbt --version`: a second process, which also asks the package index.
        return Version(get_installed_version().to_version_string(skip_matcher=True))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        # Only fetch_row_counts and fetch_column_metadata use it. It would open a database of its
        # own beside dbt's, whose `:memory:` it takes for a path; Delta knows rows and columns.
        return None
