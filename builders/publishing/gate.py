"""The licence gate: nothing is published that a source's manifest does not allow, and nobody's identity at all.

It stands between the census of a dataset and the making of its edition. A user who has looked into an unsettled
question may answer for a source (`--i-have-checked`): that is told, and stands in `edition.json`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.publishing.census import Census, Seen
from ferbuild.builders.publishing.edition import Images, Terms
from ferbuild.manifests.schema import Source

log = logging.getLogger(__name__)

IDENTITY = frozenset({"descriptor", "embedding", "embeddings", "hash64", "hash256", "landmarks"})
"""Columns that could tell a person, or a photograph of one, again: no edition has one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asks of an edition."""

    images: Images = "none"
    checked: tuple[str, ...] = ()
    """Sources for which the user answers that labels and text may be published."""
    baseline: bool = False
    """Rationales of the embedded baseline may be in it."""


def terms_of(census: Census, sources: Mapping[str, Source]) -> dict[str, Terms]:
    """Return what every source of the rows allows, by its name; FerError where there is no manifest of one.

    A release that marks itself as synthetic is no portion of the set whose layout it borrows: its pictures are renders
    or stand under a licence of their own, which its RELEASE.yaml names. As in `sending`, they may go anywhere; here so
    may labels and text. It takes every row of the source: where one is not synthetic, the manifest's terms hold.
    """
    found = {}
    for name, seen in sorted(census.sources.items()):
        if name not in sources:
            hint = f"name its manifest under `sources:` in fer-build.yaml; {did_you_mean(name, sources)}"
            raise FerError(f"source {name}", "its licence is not known", hint)
        found[name] = _synthetic(sources[name], seen) if seen.synthetic else _as_licensed(sources[name], seen)
    return found


def refuse(dataset: str, columns: Sequence[str], census: Census, terms: Mapping[str, Terms], asked: Asked) -> list[str]:
    """Return the sources that the user answers for; FerError, the licence's own sentence quoted, for what may not be.

    Asked is in this order: columns, names, labels, pictures, and who wrote the text.
    """
    where = f"publish {dataset}"
    if known := sorted(IDENTITY & set(columns)):
        problem = f"the column {known[0]} can tell a person again, and never leaves the machine"
        raise FerError(where, problem, "build the dataset anew with `fer-build`, which adds no such column")
    if paths := sorted(name for name in census.models if _is_path(name)):
        hint = "serve it under a name (vllm: --served-model-name), and build anew: replies already paid for are kept"
        raise FerError(where, f"the rows name the model by a path of this machine, {paths[0]}", hint)
    _refuse_labels(where, terms, asked)
    if asked.images == "bytes" and (closed := _those(terms, "images", "closed")):
        hint = "leave --images out: whoever has the release fills them in with `fer-build rehydrate`"
        raise FerError(f"{where} --images bytes", _quoted(closed, "pictures of {} may not be passed on"), hint)
    if census.baseline and not asked.baseline:
        problem = "its text is the embedded geometry baseline's: no model's reasoning, and no dataset to train on"
        raise FerError(where, problem, "ask a teacher (`fer-build cot --teacher NAME`), or say --baseline")
    unsettled = [name for name in terms if terms[name].labels == "unsettled"]
    for name in unsettled:
        log.warning("labels and text of %s are published on your own word; %s", terms[name].title, terms[name].terms)
    return unsettled


def _refuse_labels(where: str, terms: Mapping[str, Terms], asked: Asked) -> None:
    if strange := [name for name in asked.checked if name not in terms]:
        raise FerError(f"--i-have-checked {strange[0]}", "no row is of this source", did_you_mean(strange[0], terms))
    if closed := _those(terms, "labels", "closed"):
        problem = _quoted(closed, "labels of {}, and text made from its pictures, may not be published")
        raise FerError(where, problem, "build the dataset without it: take it out of `sources:` in fer-build.yaml")
    unsettled = {name: one for name, one in _those(terms, "labels", "unsettled").items() if name not in asked.checked}
    if unsettled:
        flags = " ".join(f"--i-have-checked {name}" for name in unsettled)
        problem = _quoted(unsettled, "whether labels of {}, and text made from its pictures, may be published is open")
        raise FerError(where, problem, f"with the holder's leave, or your lawyer's: {flags}")


def _those(terms: Mapping[str, Terms], what: str, value: str) -> dict[str, Terms]:
    return {name: one for name, one in terms.items() if getattr(one, what) == value}


def _quoted(found: Mapping[str, Terms], sentence: str) -> str:
    """Name every source, and quote its terms."""
    titles = ", ".join(one.title for one in found.values())
    return f"{sentence.format(titles)}: {' '.join(one.terms for one in found.values())}"


def _as_licensed(source: Source, seen: Seen) -> Terms:
    licence = source.licence
    return Terms(
        title=source.title,
        licence=licence.name,
        terms=licence.terms,
        images=licence.images,
        labels=licence.labels,
        rows=seen.rows,
        label_rule=", ".join(sorted(seen.rules)),
    )


def _synthetic(source: Source, seen: Seen) -> Terms:
    licence = "; ".join(sorted(one for one in seen.licences if one)) or source.licence.name
    return Terms(
        title=f"a synthetic release in the layout of {source.title}",
        licence=licence,
        terms=f"The release marks all its pictures as synthetic, and gives as its licence: {licence}.",
        images="open",
        labels="open",
        rows=seen.rows,
        label_rule=", ".join(sorted(seen.rules)),
        synthetic=True,
    )


def _is_path(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute() or name.startswith("~")
