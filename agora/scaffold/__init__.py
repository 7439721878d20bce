"""A new system from the template: it works, passes its contract tests, and deleting it undoes it.

The template's files are named as in the project; `__system__` and `__System__` stand for the name.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"
SUFFIX = ".template"
NAME = re.compile(r"[a-z][a-z0-9]{2,30}")


class ScaffoldError(ValueError):
    """The name does not do, or something of that name exists; nothing was written."""


def scaffold(name: str, project: Path) -> list[Path]:
    """Write a system called `name` into the project.

    Args:
        name: One word of lower-case letters and digits.
        project: Root of the project.

    Returns:
        The files made, relative to the project.

    Raises:
        ScaffoldError: The name does not do, or a file would be overwritten.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ScaffoldError(
            f"NAME={name!r}: one word of 3 to 31 lower-case letters and digits, as in `churn`"
        )
    sources = sorted(path for path in TEMPLATE.rglob(f"*{SUFFIX}"))
    targets = [_target(path, name) for path in sources]
    for target in targets:
        if (project / target).exists():
            raise ScaffoldError(f"NAME={name!r}: {target} exists already; choose another name")
    for source, target in zip(sources, targets, strict=True):
        path = project / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(source.read_text(), name))
    return targets


def _target(source: Path, name: str) -> Path:
    relative = source.relative_to(TEMPLATE).with_name(source.name.removesuffix(SUFFIX))
    return Path(_fill(str(relative), name))


def _fill(text: str, name: str) -> str:
    return text.replace("__system__", name).replace("__System__", name.capitalize())
