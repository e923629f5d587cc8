"""Which label a rationale concludes with, and whether its answer is another one.

Between a teacher's prose and the checks of `trace`. Rivals that are named and rejected are what a good rationale is
made of, so only a plain conclusion counts: a concluding word, a clause after it, one label in it, no doubt in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ferbuild.filters.answer import FORMS, spellings
from ferbuild.filters.phrases import EVEN
from ferbuild.filters.prose import sentences

LAST = 4
"""Sentences at the end in which a conclusion is looked for."""
NEAR = 2
"""Of them those in which weaker words conclude too."""
MOST = 2
"""Labels of a sentence that leans to one of them: more are a list."""
TAIL = 1500
"""Characters at the end that are looked at."""

_BEST = (
    "(?:best|better|most likely|likeliest|most plausible|most probable|most fitting|most suitable|right|correct|closest"
    "|strongest|most accurate|most appropriate|most consistent)"
)
_NOUN = "(?:fit|match|reading|choice|option|label|description|expression|emotion|answer|candidate|interpretation)"
_FACE = "(?:expression|emotion|face|features?|person|subject|look|picture|cues|signs|details|combination)"
_OPENS = re.compile(
    rf"\b(?:(?:my|the)(?: final| best)? answer|the {_BEST} {_NOUN}"
    r"|(?:final|overall|general) (?:answer|judge?ment|verdict|impression|reading)|conclusion)"
    r"(?: here)?(?: would be| is|:)"
    r"|\b(?:so|therefore|thus|hence|consequently|accordingly|overall|altogether|ultimately|taken together|all in all"
    r"|in (?:conclusion|summary|sum|short)|to (?:conclude|sum up)|all of (?:this|these|it)|all (?:this|these)"
    r"|(?:which|this) means(?: that)?|(?:given|based on|judging by|considering) [^.]*?, (?:the|this|that) "
    rf"{_FACE}|(?:leads?|leading) me to(?: conclude(?: that)?)?|i conclude(?: that)?)\b"
    r"|\b(?:i|we)(?:'d| would| will|'ll)? (?:therefore |thus )?(?:go with|settle (?:on|for)|choose|pick"
    r"|decide (?:on|for)|opt for|conclude with|say|call (?:it|this)|take (?:it|this) (?:to be|for|as))\b"
)
"""Words that say that a conclusion follows."""
_OPENS_LAST = re.compile(
    rf"\b(?:the|this|these)(?: [\w-]+)? {_FACE}(?: here)?(?: \w+ly)? (?:is|are|seems?|appears?|looks?|reads? as|shows?"
    r"|conveys?|expresse?s?|signals?|indicates?|aligns?|matche?s?)\b"
    r"|\b(?:strongly|clearly) (?:suggests?|indicates?|points? to|speaks? for)\b"
    r"|\b(?:indicative of|suggestive of|typical of|characteristic of|consistent with|in line with|aligned with"
    r"|points? to|lean(?:s|ing)? towards?|gives? (?:it|this) away as|described as|explained by|read as"
    r"|tips? (?:it|this|the balance|the scales?) (?:towards?|to|for|in favou?r of)"
    r"|(?:mark|sign|mouth|face|picture|hallmark|pattern|look|smile|signature) of)\b"
    r"|\b(?:fits|matches)(?= \w+ best\b)|\b(?:makes?|considers?|find)(?= \w+ (?:the|a) (?:\w+ )?"
    r"(?:choice|match|fit|reading|answer|explanation|description)\b)"
)
"""Words that conclude where they stand near the end."""
_FOLLOWS = re.compile(
    r" (?:(?:fits|matches|explains \w+|suits \w+) (?:it |this |them )?best"
    rf"|is (?:therefore |thus |clearly )?(?:the |my |a )?{_BEST}\b|it is\b|is what (?:is left|remains)|remains\b"
    r"|(?:accounts for|explains|has|shows) (?:all|both|everything|most)\b)"
)
"""Words that say of the label before them that it is the conclusion."""
_CLAUSE = re.compile(
    r"[.!?;:()]|, (?!which\b)|\b(?:but|although|though|while|whereas|because|since|rather|instead|than|not|no|never"
    r"|neither|nor|without|less|over|unlike|however|despite|even"
    r"|(?<!consistent )(?<!line )(?<!align )(?<!aligned )(?<!closely )with)\b|n't\b"
)
"""What ends the clause in which a conclusion stands."""
_DOUBTS = re.compile(
    r"\b(?:would|could|might|may|can|if|unless|whether|at first|first|glance|initially|only|alone|between|unlikely"
    r"|rivals?|ruled|out of the question|excluded|either|mix|blend|mixture|thought|considered|second|less|possible"
    r"|seemingly|needs?|close to|near|hints?|touch|traces?|elements?|some|usually|often|typically|commonly|associated"
    r"|also|too|least)\b"
)
_LIGHT = re.compile(
    r"\b(?:of|is|it's|as|for|to|towards?|say|think|means?|indicates?|suggests?|shows?|signals?|leaves?|conveys?|reads?"
    r"|express(?:es)?|reveals?|marks?|but)(?: (?:a|an|the|most|likely|strong|typical|clear|true|pure"
    r"|genuine|\w+ly))* \Z"
)
_LIGHTLY = re.compile(r" (?:seems?|describes?|fits|matches|explains?|accounts?|wins|emerges|stands) ")
_PART = re.compile(r"[^,;:()]*")
_NOT_HERE = re.compile(
    r"\b(?:shares?|as well|rivals?|competitors?|contenders?|alternatives?|confused|similar|dismissed|discarded"
    r"|discounted|rejected|lacks?|lacking|absent|missing|differs?|others?|such as|expect|require[sd]?|seen?|when|both"
    r"|half|part|upper face|lower face|next|tempting|mistaken|instinct|contrast|compared|someone|somebody|anyone"
    r"|people|whoever|faces"
    r"|(?:in|of|around) the (?:eyes?|brows?|mouth|nose|lips|lids))\b"
)
"""Words beside a label that say that it is not, or not all of, what the face shows."""
_LACKS = re.compile(
    r"(?:\b(?:not|no|never|without|lacks?|lacking|missing|neither|nor)\b|n't\b)(?!.*\b(?:but|yet|however)\b)"
)
"""A list may go on over any comma: "does not show the furrowed brow, the glare and the teeth of anger"."""
_SUPPOSED = re.compile(r"(?<!even )\bif\b|\b(?:unless|were)\b")
_DENIES = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|without|less|than|over|rather|instead of|unlike|hardly|rules? out|excludes?"
    r"|against|from)|n't)\b[^.,;:]*\Z"
)
_DENIED = re.compile(
    r"\A[^.,;:]*?\b(?:is|are|was|seems?|comes?|can|could|would|does|do|fits?|lacks?|has|might|may)(?: be)?"
    r"(?: (?:ruled|out|excluded|unlikely|less|not|set aside|weaker|the closest rival|second|next)\b|n't\b)"
)
_HIDDEN = re.compile(
    r"\bi(?:'m| am) afraid\b|\bneutral (?:position|state|line|height|place|mouth|eyes|brows)\b"
    r"|\b(?:mouth|lips?|brows?|eyebrows?|eyes|lids|nose|cheeks|forehead|chin|jaw|gaze)\b[^.,;:]{0,30} neutral\b"
    r"|\bso (?=(?:far|small|wide|much|many|that|called)\b)|\bno (?:wonder|surprise)\b"
)


class Mention(NamedTuple):
    """A label where it stands in a sentence, in characters."""

    label: str
    start: int
    end: int


def concludes_otherwise(text: str, answer: str, choices: tuple[str, ...]) -> bool:
    """Tell whether a prose ends with a label that shares no word family with the label of its answer.

    answer: one of `choices`. What comes after the conclusion may still turn it: where the answer's own label is
    spoken of there, and not denied, nothing is concluded otherwise. Without a conclusion, the one label that the last
    sentences lean to counts, if the answer's own is spoken of nowhere.
    """
    said = sentences(text[-TAIL:].translate(EVEN).casefold())
    leaning = set[str]()
    for at, line in enumerate(reversed(said[-LAST:])):
        sentence, mentions = _read(line, choices)
        found = _concluded(sentence, mentions, near=at < NEAR) if mentions else None
        after = found.end if found else 0
        if any(one.start >= after and _own(one, answer) and not _denied(sentence, one) for one in mentions):
            return False
        if found:
            return not _families(found.label) & _families(answer)
        if at <= NEAR:
            leaning |= _leaning(sentence, mentions)
    if len(leaning) != 1 or _families(*leaning) & _families(answer):
        return False
    return not any(_affirmed(line, answer, choices) for line in said[:-LAST])


def _affirmed(line: str, answer: str, choices: tuple[str, ...]) -> bool:
    """Tell whether the answer's label is spoken of, and not denied."""
    sentence, mentions = _read(line, choices)
    return any(_own(one, answer) and not _denied(sentence, one) for one in mentions)


def _read(sentence: str, choices: tuple[str, ...]) -> tuple[str, list[Mention]]:
    """Return a sentence without what only looks like a label, and the labels in it."""
    said = _HIDDEN.sub(lambda hidden: "_" * len(hidden[0]), sentence)
    return said, [Mention(spellings(choices)[one[1]], *one.span()) for one in _labels(choices).finditer(said)]


def _leaning(said: str, mentions: list[Mention]) -> set[str]:
    """Return the labels that a sentence speaks of as what the face shows, though without a word that concludes."""
    if len({one.label for one in mentions}) > MOST or _SUPPOSED.search(said):
        return set()
    shown = [one for one in mentions if not _denied(said, one)]
    return {one.label for one in shown if _leans(said, one, shown)}


def _leans(said: str, one: Mention, shown: list[Mention]) -> bool:
    """Tell whether the part of the sentence between two commas speaks of this label alone, and without doubt."""
    begins = _part_begins(said, one.start, ",;:()")
    rest = _PART.match(said, one.end)
    part = said[begins : rest.end() if rest else one.end]
    if any(begins <= other.start < begins + len(part) and other.label != one.label for other in shown):
        return False
    if _NOT_HERE.search(part) or _DOUBTS.search(part) or _LACKS.search(said, 0, one.start):
        return False
    return bool(_LIGHT.search(said[begins : one.start]) or _LIGHTLY.match(said, one.end))


def _concluded(said: str, mentions: list[Mention], *, near: bool) -> Mention | None:
    """Return the one label of the last concluding clause; None where there is none, or doubt."""
    opens = [*_OPENS.finditer(said)]
    weaker = [] if opens or not near else [*_OPENS_LAST.finditer(said)]
    for opened in reversed(opens or weaker):
        clause = _clause(said, opened.end())
        inside = [one for one in mentions if clause.start <= one.start and one.end <= clause.stop]
        if inside:
            begins = _part_begins(said, opened.start(), ",;:") if weaker else clause.start
            doubt = _doubtful(said, range(begins, clause.stop)) or (weaker and _LACKS.search(said, 0, opened.start()))
            return inside[0] if len({one.label for one in inside}) == 1 and not doubt else None
    if _SUPPOSED.search(said):
        return None
    if near and len(mentions) == 1 and said.strip("*. ") == said[mentions[0].start : mentions[0].end]:
        return mentions[0]
    return next((one for one in mentions if _FOLLOWS.match(said, one.end) and not _denied(said, one)), None)


def _part_begins(said: str, at: int, signs: str) -> int:
    """Return where the part of a sentence begins that lies between the last of `signs` and `at`."""
    return max(said.rfind(sign, 0, at) for sign in signs) + 1


def _clause(said: str, start: int) -> range:
    """Return where the clause lies that begins at `start`, after a comma or a colon at most."""
    start += len(said[start:]) - len(said[start:].lstrip(" ,:"))
    ends = _CLAUSE.search(said, start)
    return range(start, ends.start() if ends else len(said))


def _doubtful(said: str, clause: range) -> bool:
    return bool(_DOUBTS.search(said, clause.start, clause.stop) or _SUPPOSED.search(said, clause.stop))


def _denied(said: str, one: Mention) -> bool:
    """Tell whether a label is spoken of as one that is not shown."""
    return bool(_DENIES.search(said[: one.start]) or _DENIED.match(said[one.end :]))


def _own(one: Mention, answer: str) -> bool:
    return bool(_families(one.label) & _families(answer))


@lru_cache(maxsize=256)
def _labels(choices: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds every spelling of a choice, the longer ones first."""
    known = sorted(spellings(choices), key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, known))})\b") if known else re.compile(r"(?!)()")


@lru_cache(maxsize=256)
def _families(label: str) -> frozenset[str]:
    """Return the word families of a label: two for "fearfully surprised"."""
    canonical = {form: family[0] for family in FORMS for form in family}
    return frozenset(canonical.get(word, word) for word in label.casefold().split())
