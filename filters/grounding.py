"""Whether what a rationale claims is borne out by what may be said of the face.

On the way of a face this stands between the claims of a text and the judgements of the measurements: each claim is
supported, contradicted, or not judged, and then with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from ferbuild.filters.claims import Claim, read_claims
from ferbuild.filters.units import SIDES, Judged
from ferbuild.manifests.load import load_units

__all__ = ["Checked", "Claim", "Counts", "check_claims", "count", "read_claims"]

Verdict = Literal["supported", "contradicted", "not judged"]


class Checked(NamedTuple):
    claim: Claim
    verdict: Verdict
    why: str
    """Of "not judged": "no unit", or why the unit that decides could not be judged (see `units.Judged`)."""


class Counts(NamedTuple):
    supported: int
    contradicted: int
    not_judged: int


TELLING = ("not measured", "several faces", "turned", "too small", "unclear", "not calibrated")
"""Reasons of the picture before those of a unit: where units differ, the first is told."""

_VERDICTS: Mapping[str, Verdict] = {"present": "supported", "absent": "contradicted", "unknown": "not judged"}
_OPPOSITE: Mapping[Verdict, Verdict] = {
    "supported": "contradicted",
    "contradicted": "supported",
    "not judged": "not judged",
}
_NOT_CALIBRATED = Judged("unknown", "not calibrated")
_UNCLEAR = Judged("unknown", "unclear")


def check_claims(claims: Iterable[Claim], judged: Mapping[str, Judged]) -> list[Checked]:
    """Hold each claim against what may be said of the face; a unit that is not in `judged` is not calibrated."""
    return [_check(claim, judged) for claim in claims]


def count(checked: Iterable[Checked]) -> Counts:
    verdicts = [one.verdict for one in checked]
    return Counts(*(verdicts.count(verdict) for verdict in ("supported", "contradicted", "not judged")))


def _check(claim: Claim, judged: Mapping[str, Judged]) -> Checked:
    if not claim.units:
        return Checked(claim, "not judged", "no unit")
    state, why = _joined([_of_side(unit, claim.side, judged) for unit in claim.units], need=claim.need)
    verdict = _VERDICTS[state]
    return Checked(claim, _OPPOSITE[verdict] if claim.negated else verdict, why)


def _of_side(unit: str, side: str, judged: Mapping[str, Judged]) -> Judged:
    """Return whether a unit shows on the side that is claimed; of a unit that has no sides the side is ignored.

    "one" is exactly one half. "either" is one half of which nobody says whose, so only halves that agree decide.
    """
    whole = judged.get(unit, _NOT_CALIBRATED)
    known = load_units().units.get(unit)
    if not side or known is None or not known.sided:
        return whole
    halves = [judged.get(f"{unit}.{half}", _NOT_CALIBRATED) for half in SIDES]
    if side in SIDES:
        return halves[SIDES.index(side)]
    if side == "both":
        return _joined(halves, need="all")
    states = {half.state for half in halves}
    if "unknown" in states:
        return _unknown(halves)
    alike = len(states) == 1
    if side == "either":
        return halves[0] if alike else _UNCLEAR
    return Judged("absent" if alike else "present")


def _joined(parts: Sequence[Judged], *, need: Literal["any", "all"]) -> Judged:
    """Return what holds of several: one is enough to show `any` and one is enough to deny `all`."""
    decides: Literal["present", "absent"] = "present" if need == "any" else "absent"
    other: Literal["present", "absent"] = "absent" if need == "any" else "present"
    states = [part.state for part in parts]
    if decides in states:
        return Judged(decides)
    return _unknown(parts) if "unknown" in states else Judged(other)


def _unknown(parts: Iterable[Judged]) -> Judged:
    """Return the unknown one whose reason tells most."""
    order = {why: rank for rank, why in enumerate(TELLING)}
    return min((part for part in parts if part.state == "unknown"), key=lambda part: order.get(part.why, len(order)))
