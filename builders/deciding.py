"""Which action units decide a label: the parts of a prototype that a single unit completes.

Stands before `pairs`. A whole prototype mostly stands for its label without any one of its units, too; what a unit
decides is told by the same likelihood by which the geometry teacher ranks the labels, on units that are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

from ferbuild.builders.geometry import fit
from ferbuild.builders.record import CANONICAL, Row
from ferbuild.builders.render import units as face_units
from ferbuild.filters.units import judge_truth
from ferbuild.manifests.load import load_units

ONE = ".one"
"""Ends the name of a member of a prototype that moves one side only."""
CLEAR = math.log(3)
"""Of two log likelihoods, the difference from which one label is clearly the better."""


class Form(NamedTuple):
    """A part of a label's prototype that stands for the label with a unit, and for another one without it."""

    label: str
    own: str
    """The unit, as in "AU6", or "AU12.one" where it moves one side only."""
    rest: tuple[str, ...]


class Fit(NamedTuple):
    """How well the labels fit known units."""

    label: str
    """The best one, canonical."""
    lead: float
    """Over the next one, as a difference of log likelihoods."""


def labels_of(unit: str) -> list[str]:
    """Return the labels to one of whose prototypes a unit belongs."""
    known = load_units().prototypes
    members = {name: [*one.emfacs, *one.compound, *one.variants] for name, one in known.items()}
    return [name for name in CANONICAL if any(bare(member) == unit for member in members[name])]


@cache
def deciding_forms(unit: str) -> tuple[Form, ...]:
    """Return, of every published form with the unit in it, the largest parts that it decides.

    A whole form mostly stands for its label without any one of its units, too.
    """
    found: list[Form] = []
    for label, prototype in load_units().prototypes.items():
        for form in (prototype.emfacs, [*prototype.compound, *prototype.variants]):
            found += _deciding_parts(label, form, unit)
    return tuple(dict.fromkeys(found))


def _deciding_parts(label: str, form: Sequence[str], unit: str) -> list[Form]:
    own = next((member for member in form if bare(member) == unit), None)
    if own is None:
        return []
    rest = [member for member in form if member != own and bare(member) in face_units.names()]
    for size in range(len(rest), -1, -1):
        parts = combinations(rest, size)
        found = [Form(label, own, part) for part in parts if _meant(part) != label == _meant((own, *part))]
        if found:
            return found
    return []


@cache
def _meant(members: tuple[str, ...]) -> str:
    """Return the label that fits best where exactly these members of a prototype show."""
    rows = [{"unit": bare(one), "side": "left" if one.endswith(ONE) else "both", "intensity": 1.0} for one in members]
    return best_fit(rows).label


def best_fit(units: Sequence[Row]) -> Fit:
    """Return the label that fits known units (rows of `record.UNITS`) best; of equals the first of CANONICAL."""
    truth = judge_truth(units)
    fits = {label: fit(label, truth) for label in CANONICAL}
    first, second, *_ = sorted(CANONICAL, key=lambda label: -fits[label])
    return Fit(first, fits[first] - fits[second])


def bare(member: str) -> str:
    """Return the unit that a member of a prototype names."""
    return member.removesuffix(ONE)
