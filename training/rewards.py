"""What a rollout is paid for: functions in the form that TRL's GRPOTrainer calls, without torch.

Each takes the completions and the dataset's columns, all of one length, and returns a number for every completion, or
None where it has nothing to say of that row. `trl grpo --reward_funcs ferbuild.training.rewards.accuracy` finds them
by name; the weights stand in the configuration.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ferbuild.builders.record import CANONICAL, VOTE_WORDS
from ferbuild.filters.answer import Reading, inside, read
from ferbuild.filters.grounding import check_claims, count, read_claims
from ferbuild.filters.prose import prose
from ferbuild.filters.units import Judged, judge, judge_truth
from ferbuild.filters.verify import distribution, verify
from ferbuild.manifests.load import load_calibration

Scores = list[float | None]
Completion = str | Sequence[Mapping[str, Any]]
"""A text, or the messages that TRL makes of one: the last is the model's."""

LEAST_WORDS, MOST_WORDS = 20, 200
"""Words of reasoning within which `length` pays in full. `reasons` of the filters asks for 10 of a teacher; the
answers that trained UniFER-7B are a paragraph long."""

_FORM = re.compile(r"\s*<think>(?P<think>.*)</think>\s*<answer>(?P<answer>.*)</answer>\s*", re.DOTALL)
_TAG = re.compile(r"<\s*/?\s*(?:think|answer)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_OPINIONS = VOTE_WORDS[:8]
_MEASURED = ("measures", "faces_found", "second_face", "eye_distance", "yaw", "pitch", "unit_scores")
"""Columns of `builders.measures.MEASURES` that a judgement needs, and a unit model's."""


class Asked(NamedTuple):
    """What one row asks for."""

    kind: str
    choices: tuple[str, ...]
    answer: str | None
    canonical: str
    soft: Sequence[float] | None = None
    """Share of the annotators' votes for each of the choices."""


def accuracy(
    completions: Sequence[Completion],
    *,
    log_extra: Callable[[str, list[Any]], None] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    **columns: Any,
) -> Scores:
    """Return 1 where the one parser reads the right answer and nothing is wrong with the reply's form, else 0; of a
    distribution what `filters.verify` makes of its Brier score, 0..1.

    None where the row's kind is unknown or it has no answer. Accuracy and the share of groups without variance are
    logged class by class, and what was read goes into the table of completions.
    """
    rows = _asked(len(completions), columns)
    texts = _texts(completions)
    readings = [_read(text, row) for text, row in zip(texts, rows, strict=True)]
    scores = [_score(text, row) for text, row in zip(texts, rows, strict=True)]
    if log_extra:
        log_extra("class", [row.canonical for row in rows])
        log_extra("read", [reading.label for reading in readings])
        log_extra("status", [reading.status for reading in readings])
    if log_metric:
        for name, value in _by_class(scores, rows, columns.get("id")).items():
            log_metric(name, value)
    return scores


def format(completions: Sequence[Completion], **columns: Any) -> Scores:  # the name that a configuration gives
    """Return 1 for exactly one `<think>` with words in it, then exactly one `<answer>`, and nothing else; else 0.

    White space may stand before, between and after.
    """
    return [float(_well_formed(text)) for text in _texts(completions)]


def soft_accuracy(completions: Sequence[Completion], **columns: Any) -> Scores:
    """Return the share, 0..1, of a face's annotators who saw what the reply answers; 0 where it answers nothing.

    The column `soft` holds the shares of a row's choices; a dataset without it is read by its `votes`. None where a row
    has neither. Annotators who voted for no face or nothing known count in the whole. A distribution gets what
    `accuracy` gives it.
    """
    rows = _asked(len(completions), columns)
    votes = [None] * len(rows) if "soft" in columns else columns.get("votes") or [None] * len(rows)
    texts = _texts(completions)
    return [_part_credit(text, row, cast) for text, row, cast in zip(texts, rows, votes, strict=True)]


def grounding(completions: Sequence[Completion], **columns: Any) -> Scores:
    """Return how far the measurements bear a reply's claims out: (supported - contradicted) / both, -1..1.

    0 where it claims nothing that can be judged. None where the face was not measured: the columns are those of
    `measures`, or `units` of a face whose action units are known.
    """
    rows = range(len(completions))
    judged = [_judged({name: values[row] for name, values in columns.items() if _is_list(values)}) for row in rows]
    return [
        None if known is None else _borne_out(text, known)
        for text, known in zip(_texts(completions), judged, strict=True)
    ]


def length(
    completions: Sequence[Completion], *, least: int = LEAST_WORDS, most: int = MOST_WORDS, **columns: Any
) -> Scores:
    """Return 1 for `least` to `most` words outside the answer, falling evenly to 0 at none and at twice `most`."""
    return [_fitting(text, least, most) for text in _texts(completions)]


def _texts(completions: Sequence[Completion]) -> list[str]:
    return [one if isinstance(one, str) else str(one[-1]["content"] or "") if one else "" for one in completions]


def _asked(count: int, columns: Mapping[str, Any]) -> list[Asked]:
    """Return what each row asks for, from the columns that are there."""
    names = ("kind", "choices", "answer", "solution", "canonical", "soft")
    values = (columns.get(name) or [None] * count for name in names)
    return [_ask(*row) for row in zip(*values, strict=True)]


def _ask(
    kind: str | None,
    choices: Sequence[str] | None,
    answer: str | None,
    solution: str | None,
    face: Any,
    soft: Sequence[float] | None,
) -> Asked:
    among = tuple(choices or CANONICAL)
    right = answer or (read(solution, among).label if solution else None)
    return Asked(kind or "choose", among, right, face or right or "", soft)


def _read(text: str, row: Asked) -> Reading:
    """Return what is logged as read: of a distribution the text of its answer."""
    if row.kind != "distribution":
        return read(text, row.choices)
    said = inside(text)
    return read(text, row.choices) if said is None else Reading(said.strip(), "ok")


def _score(text: str, row: Asked) -> float | None:
    return None if row.answer is None else verify(row.kind, text, row.choices, row.answer, row.soft)


def _part_credit(text: str, row: Asked, votes: Sequence[int] | None) -> float | None:
    if row.soft is None:
        return _share(read(text, row.choices), votes)
    if row.kind == "distribution":
        return distribution(text, row.choices, row.answer or "", row.soft)
    reading = read(text, row.choices)
    return float(row.soft[row.choices.index(reading.label)]) if reading.status == "ok" and reading.label else 0.0


def _by_class(scores: Scores, rows: Sequence[Asked], ids: Sequence[Any] | None) -> dict[str, float]:
    """Return, by class, the mean score, and the share of groups of rollouts that all got the same.

    A group is a run of rows with one id: its rollouts teach nothing where none is better than another.
    """
    pairs = zip(rows, scores, strict=True)
    told = [(row.canonical, score, at) for at, (row, score) in enumerate(pairs) if score is not None]
    means = defaultdict(list)
    flat = defaultdict(list)
    for name, score, _ in told:
        means[f"accuracy/{name}"].append(score)
    if ids is not None:
        for _, group in groupby(told, key=lambda one: ids[one[2]]):
            members = list(group)
            flat[f"zero_variance/{members[0][0]}"].append(float(len({score for _, score, _ in members}) == 1))
    return {name: sum(values) / len(values) for name, values in (means | flat).items()}


def _well_formed(text: str) -> bool:
    found = _FORM.fullmatch(text)
    if not found:
        return False
    parts = found["think"], found["answer"]
    return all(_WORD.search(part) and not _TAG.search(part) for part in parts)


def _share(reading: Reading, votes: Sequence[int] | None) -> float | None:
    if not votes or not sum(votes):
        return None
    if reading.status != "ok" or reading.label is None:
        return 0.0
    word = read(f"<answer>{reading.label}</answer>", _OPINIONS).label
    return votes[_OPINIONS.index(word)] / sum(votes) if word else 0.0


def _judged(row: Mapping[str, Any]) -> Mapping[str, Judged] | None:
    """Return what may be said of the face's action units; None where the row does not tell."""
    if row.get("units") is not None:
        return judge_truth(row["units"])
    if row.get("measures") is None:
        return None
    return judge({name: row.get(name) for name in _MEASURED}, load_calibration(None))


def _borne_out(text: str, judged: Mapping[str, Judged]) -> float:
    found = count(check_claims(read_claims(text), judged))
    told = found.supported + found.contradicted
    return (found.supported - found.contradicted) / told if told else 0.0


def _fitting(text: str, least: int, most: int) -> float:
    words = len(_WORD.findall(prose(text)))
    if words < least:
        return words / least
    return min(1.0, max(0.0, 2 - words / most))


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple)
