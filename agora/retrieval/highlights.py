"""Where a query's words stand in a text."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from agora.retrieval.words import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.retrieval.queries import Reading
    from agora.retrieval.words import Analyzer

WORD = re.compile(r"\w+")
OPEN, CLOSE, MORE = "<em>", "</em>", "…"
# Characters before the first found word that stay, so that it is read in its place.
BEFORE = 40
# Characters of a text that are looked at.
LOOKED_AT = 5_000
MARKUP = re.compile(r"[&<>\"']")


class Highlighter:
    """Finds one query's words in texts.

    Args:
        analyzer: The index's own.
        reading: The query as the index reads it.
    """

    def __init__(self, analyzer: Analyzer, reading: Reading) -> None:
        self._stems = analyzer.stems
        self._wanted = {
            stem for group in reading.groups for said, _ in group for stem in analyzer.stems(said)
        }
        # Titles of one answer share most of their words.
        self._known: dict[str, bool] = {}

    def __call__(self, text: str | None, longest: int = 200) -> str:
        """The piece of a text around the query's words, as HTML with the words in `<em>`.

        All else is escaped. Where no word is found, the text's beginning.

        Args:
            text: The text; None counts as empty.
            longest: Characters of the text that are kept.
        """
        text = (text or "")[:LOOKED_AT]
        known, found = self._known, []
        for match in WORD.finditer(text):
            word = match[0]
            if word not in known:
                known[word] = not self._wanted.isdisjoint(self._stems(readable(word)))
            if known[word]:
                found.append(match.span())
        return _marked(text, found, longest)


def highlight(analyzer: Analyzer, reading: Reading, text: str | None, longest: int = 200) -> str:
    """One text, highlighted; see `Highlighter`."""
    return Highlighter(analyzer, reading)(text, longest)


def _marked(text: str, found: Sequence[tuple[int, int]], longest: int) -> str:
    start, end = _window(text, found[0][0] if found else 0, longest)
    parts, at = [MORE if start else ""], start
    # Few texts have anything to escape, and looking once is quicker than escaping each part.
    safe = escape if MARKUP.search(text) else str
    for first, last in found:
        if start <= first and last <= end:
            parts += [safe(text[at:first]), OPEN, safe(text[first:last]), CLOSE]
            at = last
    return "".join([*parts, safe(text[at:end]), MORE if end < len(text) else ""])


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
