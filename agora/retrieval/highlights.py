"""Where a query's words stand in a text."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agora.retrieval.queries import Reading
    from agora.retrieval.words import Analyzer

WORD = re.compile(r"\w+")
OPEN, CLOSE, MORE = "<em>", "</em>", "…"
# Characters before the first found word that stay, so that it is read in its place.
BEFORE = 40
# Characters of a text that are looked at.
LOOKED_AT = 5_000


def highlight(analyzer: Analyzer, reading: Reading, text: str | None, longest: int = 200) -> str:
    """The piece of a text around the query's words, as HTML with the words in `<em>`.

    All else is escaped. Where no word is found, the text's beginning.

    Args:
        analyzer: The index's own.
        reading: The query as the index reads it.
        text: The text; None counts as empty.
        longest: Characters of the text that are kept.
    """
    text = (text or "")[:LOOKED_AT]
    wanted = {
        stem for group in reading.groups for said, _ in group for stem in analyzer.stems(said)
    }
    found = [
        match.span()
        for match in WORD.finditer(text)
        if not wanted.isdisjoint(analyzer.stems(match[0].encode("utf-8", "ignore").decode()))
    ]
    start, end = _window(text, found[0][0] if found else 0, longest)
    parts, at = [MORE if start else ""], start
    for first, last in found:
        if start <= first and last <= end:
            parts += [escape(text[at:first]), OPEN, escape(text[first:last]), CLOSE]
            at = last
    return "".join([*parts, escape(text[at:end]), MORE if end < len(text) else ""])


def _window(text: str, first: int, longest: int) -> tuple[int, int]:
    """Bounds of what is shown, at spaces."""
    if len(text) <= longest:
        return 0, len(text)
    start = max(0, min(first - BEFORE, len(text) - longest))
    if start:
        start = text.find(" ", start, first) + 1 or start
    end = min(len(text), start + longest)
    if end < len(text):
        end = (
            max(text.rfind(" ", start, end), start) if text.rfind(" ", start, end) > first else end
        )
    return start, end
