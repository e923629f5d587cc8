"""The figures of a score as a person reads them: rounded, signed, in a fixed order, with the words that go with them.

Stands between a score's JSON and what shows it (`tables`, `page`), so that terminal, Markdown and page say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ferbuild.builders.evaluation.reading import OUTCOMES

Found = Mapping[str, Any]
"""A score as JSON, or a part of it."""

NONE = "–"
"""What stands where there is no figure."""
RATES = ("unknown", "refused", "truncated", "error", "bad format", "empty")
POOLED, MEAN = "pooled", "mean of sets"
COUNTS = ("claims", "units", "regions")
"""Figures of the rationales that are no shares, beside those of words."""
WEAKEST = 5
"""Classes of which is told that their recall is lowest."""
_MARKS = "\\|`*_[]"
"""What means something to Markdown within a line."""
PUBLISHED, OWN = "file:", "own prompt"
"""What the version of a prompt from a published file begins with; and what the others are called."""
SURE = 0.05
"""A difference with a smaller p, after Holm, is called one."""
PAIRED = (
    "Points of strict accuracy, this model less the other, on the rows that both have. Beyond chance: p below .05 after"
    " Holm’s correction (McNemar’s exact test). Smallest shown: the least true difference that the set is likely to"
    " show."
)
CLIPS = "McNemar’s test takes rows for independent; those of SFEW are frames of clips: there trust the interval."
FLIPPED = (
    "again: asked just so once more, what flips there flips by chance; order: the labels in another order; words: other"
    " words for them; mirror: the picture mirrored; jpeg: the picture saved again at quality 60."
)


class Line(NamedTuple):
    """What is said first: of a set, of all sets pooled, or of the mean of the sets."""

    name: str
    strict: Found
    official: Found
    whole: Found | None
    """All that is known of the set; None of the mean."""

    @property
    def difference(self) -> float | None:
        """Accuracy by the strict reading less that by the official one, -1..1."""
        strict, official = self.strict["accuracy"], self.official["accuracy"]
        return None if strict is None or official is None else strict - official

    def baseline(self, name: str) -> float | None:
        """Return the accuracy, 0..1, of `majority` or `random`."""
        return self.whole["baselines"][name]["accuracy"] if self.whole and self.whole.get("baselines") else None

    @property
    def ceiling(self) -> Found | None:
        return self.whole.get("ceiling") if self.whole else None

    def rate(self, name: str) -> float | None:
        """Return the share, 0..1, of one of RATES."""
        return self.whole["rates"].get(name) if self.whole else None


class Weak(NamedTuple):
    """A class and how much of it is recognised."""

    set: str
    label: str
    recall: float
    n: int


def lines(found: Found) -> list[Line]:
    """Return the sets, then all pooled and their mean; a single set stands alone, since both would repeat it."""
    sets = [Line(name, one["strict"], one["official"], one) for name, one in found["sets"].items()]
    if len(sets) == 1:
        return sets
    pooled, mean = found["pooled"], found["mean"]
    return [
        *sets,
        Line(POOLED, pooled["strict"], pooled["official"], pooled),
        Line(MEAN, mean["strict"], mean["official"], None),
    ]


def headline(found: Found) -> Line:
    """Return what one figure would be asked of: all pooled, or the only set."""
    return next((line for line in lines(found) if line.name == POOLED), lines(found)[0])


def interval_of(figures: Found, name: str) -> tuple[float, float] | None:
    """Return both ends of a figure's 95 % interval; None where there is none."""
    ends = (figures.get("intervals") or {}).get(name)
    return None if ends is None or None in ends else (ends[0], ends[1])


def weakest(found: Found) -> list[Weak]:
    """Return the classes with the lowest recall of all sets, lowest first."""
    every = [
        Weak(name, row["label"], row["recall"], row["n"])
        for name, one in found["sets"].items()
        for row in one["per_class"]
        if row["n"] and row["recall"] is not None
    ]
    return sorted(every, key=lambda one: (one.recall, one.set, one.label))[:WEAKEST]


def wrong(found: Found) -> int:
    """Return how many rows of all sets have no right answer, by the strict reading."""
    grids = [one["confusion"]["counts"] for one in found["sets"].values()]
    return sum(sum(row) - row[at] for counts in grids for at, row in enumerate(counts))


def outcomes(one: Found) -> list[tuple[str, int]]:
    """Return the outcomes that some row of a set has, from an answer that counts to none, with their counts."""
    counts = one["outcomes"]
    return [(name, counts[name]) for name in (*OUTCOMES, *sorted({*counts} - {*OUTCOMES})) if counts.get(name)]


def readings(one: Found) -> list[str]:
    """Return the ways of reading that a set was scored by, the one that counts first."""
    return [way for way in ("strict", "official", "official-sfew") if way in one]


def cautions(found: Found) -> Iterator[str]:
    """Yield what a reader must know before the figures: rows that one reading leaves out, sets that show nothing."""
    whole = found["pooled"]
    if rendered := whole.get("synthetic"):
        yield f"{counted(rendered, 'picture')} rendered or warped: what is shown there says little of photographs"
    published = [one for one in whole.get("prompts", ()) if one.startswith(PUBLISHED)]
    if published and len(published) < len(whole["prompts"]):
        yield "some sets were asked by the published prompts and others by the tool's own"
    for line in lines(found):
        if line.whole is None or line.name == POOLED:
            continue
        absent = [row["label"] for row in line.whole["per_class"] if not row["n"]]
        if absent and line.strict["n"]:
            yield f"{line.name}: no row of {', '.join(absent)}, which count as nought in UAR and macro F1"
        left_out = line.strict["n"] - line.official["n"]
        if left_out > 0:
            yield (
                f"{line.name}: the official reading leaves out {counted(left_out, 'row')} without a reply;"
                " the strict one counts them as wrong"
            )
        ends, majority = interval_of(line.strict, "accuracy"), line.baseline("majority")
        if ends and majority is not None and ends[0] <= majority:
            yield f"{line.name}: not shown to be better than always saying the most frequent label"


def asked_by(found: Found) -> str:
    """Return whose words the questions were put in; empty where that is not known."""
    versions = found["pooled"].get("prompts") or []
    if not versions:
        return ""
    published = sum(one.startswith(PUBLISHED) for one in versions)
    whose = "published prompts" if published == len(versions) else "published and own prompts" if published else OWN
    return f"asked by {whose} ({', '.join(versions)})"


def beyond_chance(one: Found) -> str:
    """Return "yes" or "no": whether a paired difference stands after Holm's correction."""
    return NONE if one["p_holm"] is None else "yes" if one["p_holm"] < SURE else "no"


def percent(share: float | None, places: int = 1) -> str:
    """Return a share, 0..1, in per cent without the sign."""
    return NONE if share is None else f"{100 * share:.{places}f}".replace("-", "−")


def signed(difference: float | None, places: int = 1) -> str:
    """Return a difference of shares, -1..1, in points with its sign; one that rounds to zero has none."""
    if difference is None:
        return NONE
    text = f"{100 * difference:+.{places}f}"
    return text[1:] if not float(text) else text.replace("-", "−")


def span(ends: Sequence[float] | None, *, differ: bool = False) -> str:
    """Return both ends of an interval of shares in per cent, or of differences in points."""
    if ends is None or None in ends:
        return NONE
    return f"{signed(ends[0])} to {signed(ends[1])}" if differ else f"{percent(ends[0])}–{percent(ends[1])}"


def counted(count: int, word: str) -> str:
    """Return "1 row" or "1,204 rows"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def chance(p: float | None) -> str:
    """Return a p-value; below a thousandth only that it is."""
    return NONE if p is None else "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def dollars(cost: float | None) -> str:
    """Return US dollars: to the cent, below ten cents to the hundredth of one."""
    return NONE if cost is None else f"${cost:,.4f}" if 0 < cost < 0.1 else f"${cost:,.2f}"


def is_share(name: str) -> bool:
    """Tell whether a figure of the rationales is a share, rather than how many words or claims a rationale has."""
    return not name.startswith("words") and name not in COUNTS


def told(name: str, figure: Found) -> str:
    """Return a figure of the rationales: a share in per cent with the sign, a count to three digits."""
    value = figure["value"]
    if value is None:
        return NONE
    return f"{percent(value)} %" if is_share(name) else f"{value:,.{1 if abs(value) >= 10 else 2}f}"


def told_span(name: str, figure: Found) -> str:
    """Return both ends of the interval of a figure of the rationales."""
    ends = (figure["low"], figure["high"])
    if None in ends:
        return NONE
    return span(ends) if is_share(name) and min(ends) >= 0 else " to ".join(told(name, {"value": end}) for end in ends)


def who(found: Found) -> str:
    """Return in words who answered, where that is known: the served model and how it was sampled, or a baseline."""
    if found.get("baseline"):
        return "a baseline: no model reasons here"
    entry = found.get("entry") or {}
    sampling = ", ".join(f"{name} {value}" for name, value in (entry.get("sampling") or {}).items())
    return plain("; ".join(part for part in (entry.get("model"), sampling) if part))


def plain(text: str) -> str:
    """Return text from outside on one line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))


def in_markdown(text: str) -> str:
    """Return text from outside so that no table ends at it, and none of it is taken for Markdown or HTML."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in _MARKS else letter for letter in text)
