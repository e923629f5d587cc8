"""How good a model's rationales are: borne out by the face, in line with the answer, specific, and not one template.

Stands beside the score of the answers, which says nothing of how they were come by. Claims are read, judged and tried
on another face by the same functions as those of `cot`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import xxhash

from ferbuild.builders import grounding, lift, measure
from ferbuild.builders.evaluation.clustered import Draws, Figure, quantile, ratio, share
from ferbuild.builders.evaluation.metrics import RESAMPLES
from ferbuild.builders.evaluation.reasoning import Reply, concluded, in_english, replies
from ferbuild.builders.grounding import Grounded
from ferbuild.filters.claims import Claim
from ferbuild.filters.copies import near_copies
from ferbuild.filters.grounding import count
from ferbuild.filters.units import Judged

MOST = 2000
"""Rationales in which claims are read: about a millisecond each, twice what all other figures take together."""
ALIKE = 0.8
"""Share of three words in a row, 0..1, that near copies have in common; as `cot` has it."""

Judgements = Mapping[str, Mapping[str, Judged]]
"""What may be said of each face, by its id; a face of which nothing can be judged is not among them."""

UNREAD = "Grounding and lift are left out: nothing is known of the faces."

ABOUT = {
    "without reasoning": "replies that say nothing before their answer",
    "words, median": "of a rationale",
    "words, 90th percentile": "of a rationale",
    "in English": "rationales; the figures below are over these alone",
    "near copies": "rationales that say nearly what another one says, of any language",
    "agrees with the answer": "rationales with an answer that conclude what is answered",
    "concludes otherwise": "rationales with an answer that conclude another label",
    "no conclusion": "rationales with an answer of which cannot be told what they conclude",
    "claims": "that a rationale makes of the face, on average",
    "units": "different action units that a rationale speaks of, on average",
    "regions": "of the six of the face that a rationale speaks of, on average",
    "claims with a side": "of all claims: left, right, both, one",
    "claims with a strength": "of all claims: slight, strong",
    "grounding rate": "of the judged claims, those that the face bears out",
    "contradicted": "of the judged claims, those of which the face shows the opposite",
    "coverage": "of all claims, those that could be judged",
    "rationales judged": "rationales with a judged claim",
    "lift": "of all claims, the share borne out on the own face less the share on another face of the label; -1..1",
}
"""Every figure, and what it is."""


@dataclass(frozen=True, slots=True)
class Rationales:
    """Figures of the rationales of one model, those of ABOUT that can be told, in its order."""

    figures: Mapping[str, Figure]
    notes: Sequence[str]
    """What was left out, and why."""


def rationales(
    table: pa.Table,
    *,
    judged: Judgements | None = None,
    seed: int = 0,
    most: int = MOST,
    resamples: int = RESAMPLES,
) -> Rationales:
    """Return the figures of an ANSWERS table; those that need faces only where `judged` tells of them.

    Of several samples a row the first is read. Claims are read in `most` rationales, which the seed draws.
    """
    draws = Draws(seed, resamples)
    said = list(replies(table))
    reasoned = [one for one in said if one.reasoning.text]
    english = in_english(reasoned)
    some = _drawn(english, most, seed)
    read = _read(some, judged or {}, seed)
    found = _of_texts(said, reasoned, english, draws) | _of_claims(some, read, draws)
    if judged is not None:
        found |= _of_faces(some, read, judged, draws)
    notes = _notes(table, english, some, judged)
    return Rationales({name: found[name] for name in ABOUT if name in found}, notes)


def as_json(found: Rationales) -> dict[str, dict[str, Any]]:
    """Return value, low, high and n of every figure by its name; null where it cannot be told."""
    return {name: figure.as_json() for name, figure in found.figures.items()}


def _of_texts(
    said: Sequence[Reply], reasoned: Sequence[Reply], english: Sequence[Reply], draws: Draws
) -> dict[str, Figure]:
    """Return the figures that need no claims."""
    copied = copies(reasoned)
    own = {one.key for one in english}
    return {
        "without reasoning": _share(said, lambda one: not one.reasoning.text, draws),
        "words, median": quantile([one.words for one in reasoned], 0.5, _clusters(reasoned), draws),
        "words, 90th percentile": quantile([one.words for one in reasoned], 0.9, _clusters(reasoned), draws),
        "in English": _share(reasoned, lambda one: one.key in own, draws),
        "near copies": _share(reasoned, lambda one: one.key in copied, draws),
        **_of_conclusions(english, draws),
    }


def _of_conclusions(english: Sequence[Reply], draws: Draws) -> dict[str, Figure]:
    """Return what rationales conclude, beside the answers that count."""
    answered = [one for one in english if one.answer is not None]
    verdicts = [concluded(one.reasoning.text, one.answer or "", one.row["choices"]) for one in answered]
    names = {"agrees with the answer": "agrees", "concludes otherwise": "otherwise", "no conclusion": "none"}
    flags = {name: [verdict == wanted for verdict in verdicts] for name, wanted in names.items()}
    return {name: share(one, _clusters(answered), draws) for name, one in flags.items()}


def copies(reasoned: Sequence[Reply]) -> set[str]:
    """Return the keys of the rationales that are near copies of another one, the first of each template among them."""
    told = near_copies(((one.key, one.reasoning.text) for one in reasoned), jaccard=ALIKE, most=1)
    return {*told, *told.values()}


def _drawn(english: Sequence[Reply], most: int, seed: int) -> list[Reply]:
    """Return `most` rationales that the seed draws, in their order; the order of the others plays no part."""
    ranked = sorted(english, key=lambda one: (xxhash.xxh3_64_intdigest(one.key.encode(), seed=seed), one.key))
    chosen = {one.key for one in ranked[:most]}
    return [one for one in english if one.key in chosen]


def _read(some: Sequence[Reply], judged: Judgements, seed: int) -> list[Grounded]:
    """Return the claims of each rationale, held against its own face and against another one."""
    faces = {one.key: judged.get(one.row["id"] or "", {}) for one in some}
    others = partners(some, judged, seed)
    return [grounding.ground(one.reasoning.text, faces, one.key, others.get(one.key)) for one in some]


def partners(some: Sequence[Reply], judged: Judgements, seed: int) -> dict[str, str]:
    """Return for rationales whose face can be judged another such face of the same set and label, by their keys.

    A face of the same cluster is none: it shows the same person in the same moment.
    """
    able = [one for one in some if one.row["id"] in judged]
    labels = [f"{one.row['set']}\0{one.row['canonical']}" for one in able]
    cluster = {one.key: one.row["cluster"] for one in able}
    found = measure.partners([one.key for one in able], labels, seed)
    return {own: other for own, other in found.items() if cluster[own] != cluster[other]}


def _of_claims(some: Sequence[Reply], read: Sequence[Grounded], draws: Draws) -> dict[str, Figure]:
    """Return how much rationales claim, and how exactly."""
    claims = [[checked.claim for checked in one.own] for one in read]
    clusters, rows = _clusters(some), [1] * len(some)
    totals = list(map(len, claims))
    each = {
        "claims": totals,
        "units": [len({unit for claim in one for unit in claim.units}) for one in claims],
        "regions": [len({claim.region for claim in one if claim.region}) for one in claims],
    }
    of_all: dict[str, Callable[[Claim], str]] = {
        "claims with a side": lambda claim: claim.side,
        "claims with a strength": lambda claim: claim.strength,
    }
    parts = {name: [sum(bool(tells(claim)) for claim in one) for one in claims] for name, tells in of_all.items()}
    means = {name: ratio(values, rows, clusters, draws) for name, values in each.items()}
    return means | {name: share(part, clusters, draws, whole=totals) for name, part in parts.items()}


def _of_faces(some: Sequence[Reply], read: Sequence[Grounded], judged: Judgements, draws: Draws) -> dict[str, Figure]:
    """Return how the claims fare on the faces; a rationale of a face that is not known counts nowhere."""
    pairs = [(one, found) for one, found in zip(some, read, strict=True) if one.row["id"]]
    clusters = _clusters([one for one, _ in pairs])
    frame = _frame(pairs)
    total = lift.tally(frame)
    sure = (frame["supported"] + frame["contradicted"]).to_list()
    claims = (frame["supported"] + frame["contradicted"] + frame["not_judged"]).to_list()
    supported, contradicted = frame["supported"].to_list(), frame["contradicted"].to_list()
    return {
        "grounding rate": share(supported, clusters, draws, whole=sure)._replace(value=total.support),
        "contradicted": share(contradicted, clusters, draws, whole=sure),
        "coverage": share(sure, clusters, draws, whole=claims),
        "rationales judged": share([number > 0 for number in sure], clusters, draws),
        "lift": _lift(frame, clusters, draws)._replace(value=total.lift, n=total.tried),
    }


def _frame(pairs: Sequence[tuple[Reply, Grounded]]) -> pl.DataFrame:
    """Return the rows that `lift.tally` counts."""
    rows = []
    for one, found in pairs:
        elsewhere = count(found.elsewhere).supported if found.elsewhere is not None else None
        named = {"id": one.key, "elsewhere": found.other, "supported_elsewhere": elsewhere}
        rows.append(count(found.own)._asdict() | named)
    counts = dict.fromkeys(("supported", "contradicted", "not_judged", "supported_elsewhere"), pl.Int32)
    return pl.DataFrame(rows, schema={**counts, "id": pl.String, "elsewhere": pl.String})


def _lift(frame: pl.DataFrame, clusters: Sequence[str], draws: Draws) -> Figure:
    """Return the lift with its interval: what is borne out more on the own face than on the other, of all claims."""
    tried = frame.with_columns(cluster=pl.Series(clusters, dtype=pl.String)).filter(pl.col("elsewhere").is_not_null())
    more = tried["supported"] - tried["supported_elsewhere"]
    claims = tried["supported"] + tried["contradicted"] + tried["not_judged"]
    return ratio(more.to_list(), claims.to_list(), tried["cluster"].to_list(), draws)


def _notes(table: pa.Table, english: Sequence[Reply], some: Sequence[Reply], judged: Judgements | None) -> list[str]:
    found = []
    if len(some) < len(english):
        found.append(f"Claims were read in {len(some)} of {len(english)} rationales, which the seed drew.")
    if any(len(texts or ()) > 1 for texts in table["texts"].to_pylist()):
        found.append("Of several samples a row the first was read.")
    if judged is None:
        return [*found, UNREAD]
    if strange := sum(not one.row["id"] for one in some):
        found.append(f"Rationales of no known face, in no figure on faces: {strange}.")
    if lost := sum(bool(one.row["id"]) and one.row["id"] not in judged for one in some):
        found.append(f"Rationales of faces that cannot be judged, of which no claim is: {lost}.")
    return found


def _share(rows: Sequence[Reply], tells: Callable[[Reply], bool], draws: Draws) -> Figure:
    return share([tells(one) for one in rows], _clusters(rows), draws)


def _clusters(rows: Sequence[Reply]) -> list[str]:
    """Return what rows are drawn anew with; clips of two sets are two, whatever they are called."""
    return [f"{one.row['set']}\0{one.row['cluster']}" for one in rows]
