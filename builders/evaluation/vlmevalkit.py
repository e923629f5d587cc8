"""Result tables of VLMEvalKit (`<model>_<dataset>.xlsx`, .tsv, .csv or .json), whose questions ask for a letter.

Stands beside the other forms that a file of results has. A letter becomes the label that it stands for, so that the
one parser reads it; nothing else of a reply is changed. A sheet holds no text above 32,767 characters: its writer
cuts longer ones, and .tsv or .json (`PRED_FORMAT`) is the safer form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from ferbuild.builders.evaluation.said import Said, Unread, asks_for_no_tags, text_of

FAILED = "Failed to obtain answer"
"""How the text begins that it writes in the place of a reply that never came."""

_LONE = re.compile(
    r"[\W_]*(?:(?:the\s+)?(?:(?:correct|final|best)\s+)?(?:answer|option|choice)(?:\s+is)?[\W_]*)*"
    r"(?P<letter>[A-Z])(?:[\W_]+(?P<rest>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_BLOCK = re.compile(r"(<answer\s*>)((?:(?!<answer).)*?)(</answer\s*>)", re.IGNORECASE | re.DOTALL)
_THOUGHT = re.compile(r"(.*</think\s*>)(.*)", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[^\W_]+")


def is_form(row: Mapping[str, Any]) -> bool:
    return "prediction" in row and "index" in row


def read(row: Mapping[str, Any]) -> Said | Unread:
    """Read one row of the table; a row without `image_path` goes by its index."""
    index = str(row.get("index", "")).strip()
    path = text_of(row, ("image_path",)) or index
    if not path or index == "None":
        return Unread("a row has neither index nor image_path")
    options = {letter: label for letter in ascii_uppercase if (label := text_of(row, (letter,)))}
    answer = text_of(row, ("answer",))
    said = Said(
        texts=(),
        path=path,
        at=int(index) if path == index and index.isascii() and index.isdigit() else None,
        set=text_of(row, ("set",)),
        true=options.get(answer.upper(), answer),
        choices=list(options.values()),
        id=text_of(row, ("id",)) or None,
    )
    text = _last_turn(row["prediction"])
    if text is None:
        return said._replace(fault=f"its prediction is no text, but {row['prediction']!r:.40}")
    if text.startswith(FAILED):
        return said._replace(error=text)
    plain = asks_for_no_tags(text_of(row, ("question",)))
    text, bare = in_words(_thinking(row) + text, options, bare=plain)
    return said._replace(texts=(text,), bare=bare)


def in_words(text: str, options: Mapping[str, str], *, bare: bool) -> tuple[str, bool]:
    """Return a reply with its letter as the option's label, and whether the whole of it is the answer.

    `bare`: the question asks for no tags. What comes after the thinking is then put into tags, to be read as the
    answer that it is; an open thought stays as it is, a reply that was cut off.
    """
    if "<answer" in text.lower():
        return _BLOCK.sub(lambda block: _block(block, options), text), False
    found = _THOUGHT.fullmatch(text)
    thought, rest = found.groups() if found else ("", text)
    label = letter_meant(rest, options)
    if label is None and (not bare or "<think" in rest.lower()):
        return text, False
    rest = rest if label is None else label
    return (f"{thought}\n<answer>{rest.strip()}</answer>", False) if thought else (rest, True)


def letter_meant(text: str, options: Mapping[str, str]) -> str | None:
    """Return the label that a lone option letter stands for: "B", "(b)", "Answer: B", "B. happiness"; None: no such.

    What follows the letter has to be that option's own label: "A happy face" is no answer A.
    """
    found = _LONE.fullmatch(text)
    label = options.get(found["letter"].upper()) if found else None
    if found is None or label is None:
        return None
    return label if _folded(found["rest"] or "") in ("", _folded(label)) else None


def _block(block: re.Match[str], options: Mapping[str, str]) -> str:
    label = letter_meant(block[2], options)
    return block[0] if label is None else f"{block[1]}{label}{block[3]}"


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _last_turn(found: Any) -> str | None:
    """Return what was said, in the last turn where there are several; None where it is no text."""
    if isinstance(found, list) and found:
        found = found[-1]
    return "" if found is None else found if isinstance(found, str) else None


def _thinking(row: Mapping[str, Any]) -> str:
    """Return the thinking that `SPLIT_THINK` moved into a column of its own, as it stood before the reply."""
    thought = text_of(row, ("thinking",))
    if not thought:
        return ""
    return f"{thought}\n" if thought.endswith("</think>") else f"<think>{thought}</think>\n"
