"""Which words stand for each other: the instance's own file, else the one beside this module."""

from __future__ import annotations

from pathlib import Path

from agora.retrieval.synonyms import read_synonyms
from agora.settings import settings

USUAL = Path(__file__).with_name("synonyms.yml")
OWN = Path("synonyms") / "search.yml"


def synonyms() -> dict[str, tuple[str, ...]]:
    """What is looked for beside each word or phrase.

    Raises:
        SynonymsError: The file is no such file.
    """
    own = settings().home / OWN
    return read_synonyms(own if own.exists() else USUAL)
