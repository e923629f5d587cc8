"""Arms of one experiment: the same rows and the same reasoning, told before the answer, after it, or not at all.

The teacher is asked once, to reason and then to answer; an arm is rewritten from what it said. So arms differ in
nothing but the form, and a difference between models trained on them is the form's.
"""

from __future__ import annotations

from typing import Literal

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.filters.prose import thinking

Style = Literal["think", "answer-first", "direct"]

SUFFIX: dict[Style, str] = {"think": "", "answer-first": "_answer_first", "direct": "_direct"}
"""What the name of a recipe's question template ends in for each arm; see `prompts/templates`."""


def style_of(name: str) -> Style:
    """Return a style by its name; FerError where there is none."""
    for style in SUFFIX:
        if style == name:
            return style
    raise FerError(f"--style {name}", "no such style", did_you_mean(name, SUFFIX))


def restyled(text: str, answer: str, style: Style) -> str:
    """Return a reply that reasons and then answers with `answer`, in another style; "think" leaves it as it is."""
    if style == "think":
        return text
    answered = f"<answer>{answer}</answer>"
    return answered if style == "direct" else f"{answered}\n\n{thinking(text).strip()}"
