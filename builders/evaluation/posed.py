"""What an embedded model gets of a benchmark row, and how it says its answer.

Stands between the rows of FERBench and the baselines: they think in the labels that all sets share, and answer in the
words of the set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.geometry import FAMILY
from ferbuild.builders.images import describe
from ferbuild.manifests.schema import Source

log = logging.getLogger(__name__)

Own = Mapping[str, str]
"""A source's own words that are not the shared ones, to the labels they stand for."""


class Posed(NamedTuple):
    """A row of FERBENCH without its answer."""

    source: str
    choices: Sequence[str]
    """In the source's own words."""
    picture: bytes | None
    """None where it cannot be read."""
    box: Sequence[float] | None
    """Of the face, where the release gives one: x0 y0 x1 y1, pixels of the picture."""


def posed(rows: pa.Table) -> Iterator[Posed]:
    """Yield what a program gets of the rows of a FERBENCH table, in their order."""
    for row in rows.select(["images", "choices", "faces"]).to_pylist():
        face, images = row["faces"][0], row["images"]
        yield Posed(face["source"], row["choices"], images[0]["bytes"] if images else None, face["box"])


def replies(rows: pa.Table, say: Callable[[Posed, bytes], str]) -> list[str]:
    """Return what is said of every row and its picture; blank where there is none, or a net or a decoder fails on it.

    That is the picture's matter, and the next one is looked at; a FerError goes on.
    """
    return [_guarded(one, one.picture, say) if one.picture else "" for one in posed(rows)]


def _guarded(one: Posed, picture: bytes, say: Callable[[Posed, bytes], str]) -> str:
    try:
        return say(one, picture)
    except FerError:
        raise
    except Exception as err:  # OpenCV's and onnxruntime's errors have no common base
        log.warning("nothing can be said of a picture of %s: %s", one.source, describe(err))
        return ""


def benchmarked(build: Build) -> dict[str, Source]:
    """Return the sources that take part in FERBench here, by name."""
    found = (release.source for release in build.settings.releases)
    return {source.name: source for source in found if source.benchmark}


def own_words(build: Build) -> dict[str, Own]:
    return {name: source.canonical for name, source in benchmarked(build).items()}


def spoken(choices: Sequence[str], own: Own) -> dict[str, str]:
    """Return the label that each choice stands for, to the choice; of two that mean the same, the first.

    Besides the source's own words every form of a shared one is known.
    """
    found: dict[str, str] = {}
    for choice in choices:
        found.setdefault(own.get(choice) or FAMILY.get(choice.casefold(), choice), choice)
    return found


def best(scores: Mapping[str, float], choices: Sequence[str], own: Own) -> str | None:
    """Return the choice whose label scores highest, of equals the first one; None where no label among them has a
    score.
    """
    known = {choice: scores[label] for label, choice in spoken(choices, own).items() if label in scores}
    return max(known, key=known.__getitem__, default=None)


def said(choice: str | None) -> str:
    """Return the text of an answer: of none a blank one, which is read as "empty"."""
    return "" if choice is None else f"<answer>{choice}</answer>"


def untrained(source: str) -> FerError:
    """Return the fault that a baseline cannot answer for a source, having nothing to go by."""
    hint = "leave its set out with --sets, or name a release that holds its training split"
    return FerError(source, "has no training faces of two labels here, which this baseline learns from", hint)


def refuse_untrained(sources: Collection[str], trained: Container[str]) -> None:
    """FerError where none of the sources has anything to learn from; the log names those that have not."""
    missing = [source for source in sources if source not in trained]
    if missing and len(missing) == len(sources):
        raise untrained(missing[0])
    if missing:
        log.warning("%s", untrained(", ".join(missing)))
