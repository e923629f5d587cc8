"""The report as one HTML page that needs nothing else: no network, no script, no second file.

Stands behind what `gather` found and before the command line. Text of models and files is escaped, and the page's own
policy forbids scripts and requests besides. The same object gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from ferbuild.builders.evaluation import figures
from ferbuild.builders.evaluation.page import place
from ferbuild.builders.reporting import words
from ferbuild.builders.reporting.balance import in_order
from ferbuild.builders.reporting.dropped import EACH
from ferbuild.builders.templated import environment

CONTENTS = {
    "way": "The way of a face",
    "balance": "Class balance",
    "drops": "What was dropped, and why",
    "agreement": "Teacher and labels",
    "doubts": "Likely label errors",
    "copies": "Duplicates and contamination",
    "rationales": "Rationales",
    "replies": "Cost and throughput",
    "reviews": "Reviews",
    "scores": "Scores",
    "versions": "Versions and hashes",
}
"""The sections by the names of their templates, which are their anchors too."""


def page(found: Mapping[str, Any], pictures: Mapping[str, str], *, without_room: int = 0) -> str:
    """Return the page. `pictures` are data URIs by the ids of faces: a page that has any has to stay at home.

    `without_room`: pictures that were left out, so that the page stays small enough.
    """
    versions = found["versions"]
    values = {
        "found": found,
        "contents": list(CONTENTS.items()),
        "flow": [one for one in found["stages"] if "in" in one],
        "unchecked": list(dict.fromkeys(one["unchecked"] for one in found["stages"] if one["unchecked"])),
        "title_way": words.way(found),
        "signs": words.SIGNS,
        "pictures": pictures,
        "without_room": without_room,
        "each": EACH,
        "recipe": versions["recipe"]["name"] if "recipe" in versions else "unknown",
        "tool": versions["tool"]["fer-build"] if "tool" in versions else "",
    }
    text = _environment().get_template("page.html").render(values)
    return text.encode("utf-8", "replace").decode()  # half of a surrogate pair, as a file may hold, cannot be written


def sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def coded(text: str) -> Markup:
    """Return text of the documents with what stands between its backticks as code; all of it is escaped."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def divided(value: float, by: float) -> float:
    return value / by


def in_label_order(rows: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return what is told of labels in the order that all datasets share."""
    known = dict(rows.items() if isinstance(rows, Mapping) else ((label, row) for label, row in rows))
    return [(label, known[label]) for label in in_order(known)]


def seconds(milliseconds: int | None) -> str:
    """Return a time as a person reads it."""
    return figures.NONE if milliseconds is None else f"{milliseconds / 1000:,.1f} s"


def thousands(count: int) -> str:
    return f"{count:,}"


@cache
def _environment() -> Environment:
    numbers = (figures.percent, figures.signed, figures.span, figures.dollars, figures.counted, figures.interval_of)
    titles = (
        words.stage_said, words.steps, words.lost, words.balanced, words.dropping, words.agreeing, words.confused,
        words.long, words.lengths_said, words.grounded, words.copied, words.doubted, words.paid, words.busiest,
        words.spanned, words.over_time_said, words.best, words.listed, words.reviewed, words.sampled,
    )  # fmt: skip
    made = environment(__name__, *numbers, *titles, place, thousands, sentence, coded, divided, in_label_order, seconds)
    made.filters["zip"] = zip
    return made
