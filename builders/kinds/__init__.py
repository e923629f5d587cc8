"""The kinds of questions that `rlvr` can ask: each a template of `prompts`, a function here, and a verifier in
`filters.verify`."""

from __future__ import annotations

from collections.abc import Mapping

from ferbuild.builders.kinds.affect import affect
from ferbuild.builders.kinds.choose import choose, letter
from ferbuild.builders.kinds.distribution import distribution
from ferbuild.builders.kinds.made import Make
from ferbuild.builders.kinds.measured import measured
from ferbuild.builders.kinds.odd import odd
from ferbuild.builders.kinds.two_labels import pair, verify

KINDS: Mapping[str, Make] = {
    "choose": choose,
    "letter": letter,
    "verify": verify,
    "pair": pair,
    "odd": odd,
    "valence": affect,
    "arousal": affect,
    "measure": measured,
    "distribution": distribution,
}
"""Kind to what makes its questions of some faces. Its templates are called after it."""
NEED_MEASURES = frozenset({"measure"})
"""Kinds that are answered from measures, so that the measure stage runs before them."""
NEED_COUNTS = frozenset({"verify", "pair"})
"""Kinds that are balanced by how many faces of the whole split have each label."""
FORMS_OF: Mapping[str, tuple[str, ...]] = {
    kind: (kind, f"{kind}_sign") for kind, make in KINDS.items() if make is affect
}
"""Templates of the kinds that have further forms; all others have one, called after them."""
