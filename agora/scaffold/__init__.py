"""A new system from the template: it works, passes its contract tests, and deleting it undoes it.

`template/every` is what all systems have; `template/decision` and `template/list` are the two
shapes. Their files are named as in the project; `__system__` and `__System__` stand for the name.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"
EVERY, DECISION, LIST = "every", "decision", "list"
KINDS = (DECISION, LIST)
SUFFIX = ".template"
NAME = re.compile(r"[a-z][a-z0-9]{2,19}")
# Groups of assets, pages of a service and words of the command line: a system of such a name would
# stand where they do.
RESERVED = frozenset(
    {
        "agora", "assets", "docs", "features", "healthz", "livez", "marts", "metrics", "model",
        "none", "outcomes", "precomputed", "predictions", "quarantine", "raw", "readyz", "score",
        "staging", "stream", "systems", "test", "tests",
    }
)  # fmt: skip


class ScaffoldError(ValueError):
    """The name or the kind does not do, or something of that name exists; nothing was written."""


def scaffold(name: str, project: Path, kind: str = DECISION) -> list[Path]:
    """Write a system called `name` into the project.

    Args:
        name: One word of lower-case letters and digits.
        project: Root of the project.
        kind: `decision`: one request, one decision, as fraud. `list`: it chooses from products
            and answers with a list, as recommendation.

    Returns:
        The files made, relative to the project.

    Raises:
        ScaffoldError: The name or the kind does not do, or a file would be overwritten.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ScaffoldError(
            f"NAME={name!r}: one word of 3 to 20 lower-case letters and digits, as in `churn`"
        )
    if name in RESERVED:
        raise ScaffoldError(f"NAME={name!r} is taken by the platform; choose another name")
    if kind not in KINDS:
        raise ScaffoldError(f"KIND={kind!r}: choose one of {', '.join(KINDS)}")
    sources = {_target(path, name): path for path in _files(kind)}
    for target in sources:
        if (project / target).exists():
            raise ScaffoldError(f"NAME={name!r}: {target} exists already; choose another name")
    for target, source in sources.items():
        path = project / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(source.read_text(), name))
    return list(sources)


def what_next(name: str, kind: str) -> list[str]:
    """What to do with a system that was just written, a step each."""
    system = f"agora/systems/{name}"
    return [
        f"make test ARGS='-k {name}'  # its contract holds already",
        f"make ui  # its assets: group:{name}; then materialize the job {name}_training",
        f"make serve NAME={name}  # once a model is deployed; GET /openapi.json says what to call",
        f"edit {system}/dataset.py: what a row and its label are, where they come from",
        f"edit {system}/schema.py and features.py: what callers send and get, what is looked up",
        *(
            [f"edit {system}/strategies.py and listing.py: how products are found, which are shown"]
            if kind == LIST
            else []
        ),
        f"edit {system}/__init__.py, docs/design/{name}.md: say what it decides, and for whom",
    ]


def _files(kind: str) -> list[Path]:
    return sorted(path for part in (EVERY, kind) for path in (TEMPLATE / part).rglob(f"*{SUFFIX}"))


def _target(source: Path, name: str) -> Path:
    inside = Path(*source.relative_to(TEMPLATE).parts[1:])
    return Path(_fill(str(inside.with_name(source.name.removesuffix(SUFFIX))), name))


def _fill(text: str, name: str) -> str:
    return text.replace("__system__", name).replace("__System__", name.capitalize())
