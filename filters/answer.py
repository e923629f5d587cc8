"""The one answer parser: what a reply answers, read alike by filters, rewards and scores.

A filter and a reward take a reading only where its status is `ok`; a score may also take the label of
`several`. Nobody else looks for `<answer>`.

The rules, first match wins. Tags count in any letter case; a block is what stands between a tag and its end.

1. `empty`: the text is blank.
2. `truncated`: a `<think>` or an `<answer>` is open where the text ends. One exception: thinking that was
   never closed, with a complete answer as the very last thing, was not cut off; it is `malformed`.
3. Thinking is what stands inside `<think>` blocks; where the first think tag is a `</think>` (some chat
   templates open the block in the prompt) it is everything before. Answers inside the thinking do not count.
4. `malformed`: tags are nested or planted (a tag of its own kind inside a block, `<think>` inside an answer, an
   end without a beginning), or the last answer comes before the end of the thinking. Its label is the last
   answer's.
5. `several`: more than one answer block. The label is the last one's.
6. One block, after the thinking: its text is folded (letter case, spaces, any punctuation around words, so
   quotes and Markdown too) and compared with the folded candidates. Equal to one, or a form of its word
   family in FORMS that exactly one candidate shares: `ok`.
7. Else its text is cut into parts at punctuation, "and", "or", "nor", "but", "rather than", "instead of". A part
   that begins with a word of negation, or follows "rather than" or "instead of", is negated; negation goes
   on over "and", "or", "nor" and ends at the next other cut; after it a part may begin with "it is". A lone word of
   negation denies the part after it, but for a "no" that stands after a label. Where every part is a label, those
   that are not negated decide: one is `ok`, two or more are `several` without a label. Where "no" is a candidate
   itself, nothing is told apart this way: "yes, no" answers neither.
8. Otherwise a blank block is `empty`, one that refuses is `refused`, all else is `not a candidate`.
9. No answer block outside the thinking: an answer inside it, or stray tags, are `malformed` with the label of
   the last answer inside; so is a bare label (rules 6 and 7) as the whole rest of the text, with that
   label. A rest that refuses is `refused`. Prose is `malformed` without a label: a word that happens to be
   a candidate is not an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

Status = Literal["ok", "several", "malformed", "truncated", "refused", "empty", "not a candidate"]


class Reading(NamedTuple):
    """What a reply answers: a candidate in the caller's spelling or None, and how it was found."""

    label: str | None
    status: Status


FORMS = (
    ("neutral", "neutrality", "neutrally"),
    ("happiness", "happy", "happily"),
    ("sadness", "sad", "sadly"),
    ("surprise", "surprised", "surprisedly"),
    ("fear", "fearful", "fearfully", "afraid", "scared"),
    ("disgust", "disgusted", "disgustedly"),
    ("anger", "angry", "angrily"),
    ("contempt", "contemptuous", "contemptuously"),
)
"""Word families: the forms that count as one label, whichever of them the candidates use."""

_LONGEST = 400  # characters of an answer block that are looked at: a longer one is an essay, not a label
_SEARCHED = 4000  # characters of prose in which a refusal is looked for

_TAG = re.compile(r"<(/?)(think|answer)\s*>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_CUT = re.compile(r"\b(?:rather\s+than|instead\s+of|and|or|nor|but)\b|[^\w\s'’*`\"_-]|\s-+\s|\n")
_CARRIES = frozenset({"and", "or", "nor"})
_NEGATES = frozenset({"rather", "instead"})
_NOT = re.compile(
    r"\A\W*(?:(?:it|this|that)(?:\s+is|['’]s)\s+|(?:definitely|certainly|clearly)\s+)?"
    r"(?:not|no|non|never|neither|isn['’]?t)\b"
)
_NO = re.compile(r"\A\W*no\b")
_AFFIRMS = re.compile(r"\A\W*(?:it|this|that)(?:\s+is|['’]s)\b")
_DOING = (
    r"(?:help|assist|comply|fulfil|provide|answer|judge|determine|identify|infer|tell|say|recogni[sz]e|analy[sz]e"
    r"|assess|evaluate|interpret|classify|label|comment|describe|process|view|guess|speculate|discuss|make|give"
    r"|engage|proceed|continue|do (?:this|that))"
)
_REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’]m|['’]re| am| are) (?:very |so |truly )?(?:sorry|afraid i)\b|\bsorry, (?:but )?(?:i|we)\b"
    r"|\bi (?:must |have to |respectfully )?(?:decline|refuse)\b|\bi apologi[sz]e\b|\bas an ai\b"
    r"|\b(?:i|we)\s+(?:\w+\s+)?(?:cannot|can not|can['’]?t|could not|couldn['’]t|will not|won['’]t)"
    rf"\s(?:\w+\s)?{_DOING}\b"
    rf"|\b(?:unable|not able|not allowed|not permitted|not possible|impossible) (?:for me )?to (?:\w+ )?{_DOING}\b"
    r"|\bcan(?:not|['’]t| not) be (?:determined|identified|judged|inferred|assessed)\b"
)


def read(text: str, candidates: Sequence[str]) -> Reading:
    """Read the answer out of a reply; the rules stand at the head of this module."""
    if not text or text.isspace():
        return Reading(None, "empty")
    tags = _walk(text)
    table = spellings(tuple(candidates))
    if tags.open:
        if tags.inside and not text[tags.inside.end :].partition(">")[2].strip():
            return Reading(_label(text, tags.inside, table).label, "malformed")
        return Reading(None, "truncated")
    if tags.answers:
        last = tags.answers[-1]
        found = _label(text, last, table)
        if tags.broken or last.start < tags.thought:
            return Reading(found.label, "malformed")
        return Reading(found.label, "several") if len(tags.answers) > 1 else found
    if tags.broken or tags.inside:
        return Reading(_label(text, tags.inside, table).label if tags.inside else None, "malformed")
    return _bare(text[tags.thought :], table)


def inside(text: str) -> str | None:
    """Return what stands in a reply's one answer block, for answers that are no label; None where `read` would find no
    single, well-formed block after the thinking.
    """
    tags = _walk(text)
    if tags.open or tags.broken or len(tags.answers) != 1 or tags.answers[0].start < tags.thought:
        return None
    [block] = tags.answers
    return text[block.start : block.end] if block.end - block.start <= _LONGEST else None


class _Block(NamedTuple):
    """Where the text between `<answer>` and `</answer>` begins and ends, in characters."""

    start: int
    end: int


class _Tags(NamedTuple):
    answers: list[_Block]  # complete ones outside the thinking, in order
    inside: _Block | None  # the last complete one inside the thinking
    thought: int  # where the last thinking ends, in characters; 0 where there is none
    broken: bool  # nested, planted or stray tags
    open: bool  # something has not ended where the text ends


def _walk(text: str) -> _Tags:
    """Follow the tags once from left to right."""
    answers: list[_Block] = []
    inside: _Block | None = None
    thinking = broken = met_think = False
    began = planted = -1  # where the open answer begins, outside and inside the thinking
    thought = 0
    for tag in _TAG.finditer(text):
        closes = bool(tag[1])
        if len(tag[2]) == len("think"):
            if not closes:
                broken = broken or thinking or began >= 0
                thinking, planted = True, -1
            elif thinking:
                thinking, thought = False, tag.end()
            elif not met_think:
                inside = answers[-1] if answers else None
                answers, began, broken, thought = [], -1, False, tag.end()
            else:
                broken = True
            met_think = True
        elif thinking:
            if closes and planted >= 0:
                inside = _Block(planted, tag.start())
            planted = -1 if closes else tag.end()
        elif closes:
            broken = broken or began < 0
            if began >= 0:
                answers.append(_Block(began, tag.start()))
            began = -1
        else:
            broken = broken or began >= 0
            began = tag.end()
    return _Tags(answers, inside, thought, broken, thinking or began >= 0)


@lru_cache(maxsize=256)
def spellings(candidates: tuple[str, ...]) -> Mapping[str, str]:
    """Return every folded spelling that stands for exactly one candidate, with that candidate."""
    exact: dict[str, str] = {}
    for candidate in candidates:
        exact.setdefault(_fold(candidate), candidate)
    exact.pop("", None)
    forms = dict[str, str]()
    for family in FORMS:
        named = [exact[form] for form in family if form in exact]
        if len(named) == 1:
            forms |= dict.fromkeys(family, named[0])
    return forms | exact


def _fold(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _label(text: str, block: _Block, table: Mapping[str, str]) -> Reading:
    """Read the inside of one answer block (rules 6 to 8)."""
    if block.end - block.start > _LONGEST:
        return Reading(None, "not a candidate")
    said = text[block.start : block.end].casefold()
    folded = " ".join(_WORD.findall(said))
    if folded in table:
        return Reading(table[folded], "ok")
    if not folded:
        return Reading(None, "empty")
    labels = set() if "no" in table else _parts(said, table)
    if labels:
        return Reading(labels.pop(), "ok") if len(labels) == 1 else Reading(None, "several")
    return Reading(None, "refused" if _REFUSAL.search(said) else "not a candidate")


def _parts(said: str, table: Mapping[str, str]) -> set[str]:
    """Return the labels that are not negated; none where any part is something else (rule 7)."""
    labels: set[str] = set()
    negated = denied = False
    cut = ""
    for part, next_cut in _cuts(said):
        negated = bool(_NOT.match(part)) or cut in _NEGATES or (negated and cut in _CARRIES)
        spoken = _NOT.sub("", part)
        spoken = _fold(_AFFIRMS.sub("", spoken) if denied else spoken)
        denied = denied or negated
        if spoken and spoken not in table:
            return set()
        if spoken and not negated:
            labels.add(table[spoken])
        # "not: fear" denies fear; after a label a lone "no" takes that back, and what follows is another answer
        cut = "and" if negated and not spoken and not (labels and _NO.match(part)) else next_cut
    return labels


def _cuts(said: str) -> Iterator[tuple[str, str]]:
    """Yield every part with the first word of the cut after it, or "" where the cut is no word."""
    start = 0
    for cut in _CUT.finditer(said):
        yield said[start : cut.start()], cut[0].split()[0] if cut[0][0].isalpha() else ""
        start = cut.end()
    yield said[start:], ""


def _bare(rest: str, table: Mapping[str, str]) -> Reading:
    """Read a text that has no answer block (rule 9)."""
    found = _label(rest, _Block(0, len(rest)), table)
    if found.status == "ok":
        return Reading(found.label, "malformed")
    return Reading(None, "refused" if _REFUSAL.search(rest[:_SEARCHED].casefold()) else "malformed")
