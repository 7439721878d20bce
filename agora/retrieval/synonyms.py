"""Words that stand for each other, from a YAML file that people write.

two_way:              # whoever types one of them finds the others too
  - [sofa, couch]
one_way:              # who types the word before the colon finds the others; not the reverse
  shoes: [sneakers, boots]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWO_WAY, ONE_WAY = "two_way", "one_way"
# Of a phrase: longer ones are not looked for in a query.
MOST_WORDS = 3


class SynonymsError(ValueError):
    """A file of synonyms that cannot be used: names the line, the field, and what to do."""


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """What is looked for beside each word or phrase, lower case.

    Raises:
        SynonymsError: The file is not there, is no YAML, or says something else.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SynonymsError(f"{path}: cannot be read ({type(error).__name__})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise SynonymsError(f"{path}{line}: is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SynonymsError(f"{path}: is no YAML: {error}") from error
    found: dict[str, dict[str, None]] = {}
    try:
        for word, others in _pairs(root):
            found.setdefault(word, {}).update(dict.fromkeys(each for each in others))
    except _FaultError as fault:
        raise SynonymsError(f"{path}, {fault}") from None
    return {word: tuple(each for each in others if each != word) for word, others in found.items()}


class _FaultError(ValueError):
    def __init__(self, node: Any, field: str, message: str) -> None:
        super().__init__(f"line {node.start_mark.line + 1}, {field}: {message}")


def _pairs(root: Any) -> Iterator[tuple[str, list[str]]]:
    """Each word with what stands for it."""
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise _FaultError(root, "the file", f"must hold {TWO_WAY} and {ONE_WAY}")
    for key, value in root.value:
        if key.value == TWO_WAY:
            for number, group in enumerate(_items(value, TWO_WAY)):
                words = _words(group, f"{TWO_WAY}[{number}]", least=2)
                yield from ((word, words) for word in words)
        elif key.value == ONE_WAY:
            if not isinstance(value, yaml.MappingNode):
                raise _FaultError(value, ONE_WAY, "must be words, each with a list of others")
            for word, others in value.value:
                place = f"{ONE_WAY}.{word.value}"
                yield _word(word, place), _words(others, place, least=1)
        else:
            raise _FaultError(key, str(key.value), f"is unknown; write {TWO_WAY} or {ONE_WAY}")


def _items(node: Any, place: str) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise _FaultError(node, place, "must be a list")
    return list(node.value)


def _words(node: Any, place: str, least: int) -> list[str]:
    words = [_word(each, f"{place}[{number}]") for number, each in enumerate(_items(node, place))]
    if len(set(words)) < least:
        raise _FaultError(node, place, f"needs at least {least} different words")
    return words


def _word(node: Any, place: str) -> str:
    # What YAML would take for a number or a truth is a word here.
    if not isinstance(node, yaml.ScalarNode):
        raise _FaultError(node, place, "must be a word or a phrase")
    words = str(node.value).lower().split()
    if not any(map(str.isalnum, "".join(words))):
        raise _FaultError(node, place, "holds no letter and no digit")
    if len(words) > MOST_WORDS:
        raise _FaultError(node, place, f"has more than {MOST_WORDS} words")
    return " ".join(words)
