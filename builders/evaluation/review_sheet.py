"""A sheet for people who judge rationales: a drawn sample as one local HTML page, and a table for their ratings.

Stands beside the figures of `rationale`, which a program computes: `reviews` reads what people filled in. The page
holds pictures under licences and stays on this machine.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash
from jinja2 import Template

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.page import embedded
from ferbuild.builders.evaluation.rationale import Judgements
from ferbuild.builders.evaluation.reasoning import Reply, replies
from ferbuild.builders.evaluation.reviews import COLUMNS, rated
from ferbuild.builders.files import write_text
from ferbuild.builders.images import PictureError
from ferbuild.builders.templated import environment
from ferbuild.filters.answer import FORMS
from ferbuild.filters.grounding import Checked, Verdict, check_claims, read_claims
from ferbuild.manifests.recipe import Picture

PAGE, TABLE = "review.html", "review.csv"
SIDE = 320
"""Pixels of the longer side of a picture on the page, at most."""
STORED = Picture(crop_quality=88)

HIDDEN = "…"
"""Stands for a label in a path."""

_LABELS = frozenset(form for forms in FORMS for form in forms)
_LOUDEST: tuple[Verdict, ...] = ("contradicted", "supported", "not judged")
"""Which verdict is shown where claims overlap."""


class Shown(NamedTuple):
    """What a model was shown and asked of one row."""

    picture: bytes | None
    """As it is encoded; None where there is none."""
    question: str


Images = Callable[[str, str], Shown | None]
"""From set and picture path to what was shown; None of a row that is not known."""


class Piece(NamedTuple):
    """A run of characters of a reply, all in the same claims or in none."""

    text: str
    verdict: Verdict | None
    """None outside of claims."""
    told: str
    """What the claims say, for a title."""


def write_sheet(
    rows: pa.Table, folder: Path, *, count: int, seed: int, images: Images, judged: Judgements | None = None
) -> int:
    """Write PAGE and TABLE for `count` rationales of an ANSWERS table, and return how many there are.

    Each set, and right and wrong answers in it, have the share of the sheet that they have of the rationales, so that
    a mean over the sheet stands for all of them. FerError where ratings that were filled in would be overwritten.
    """
    refuse_rated(folder)
    drawn = draw([one for one in replies(rows) if one.reasoning.text], count, seed)
    write_text(folder / PAGE, _page([_entry(one, images, judged or {}) for one in drawn]))
    write_text(folder / TABLE, _table(drawn))
    return len(drawn)


def refuse_rated(folder: Path) -> None:
    """FerError where a sheet that would be written there takes the place of ratings."""
    table = folder / TABLE
    if table.exists() and rated(table):
        raise FerError(table, "holds ratings, which nothing else does", "move it, or name another result folder, --out")


def bench_images(ferbench: Path) -> Images:
    """Return what gives pictures and questions of a benchmark dataset; each is read when it is asked for."""
    places: dict[tuple[str, str], tuple[pa.Table, int]] = {}
    for name, paths in shards.split_files(ferbench).items():
        for path in paths:
            table = shards.read_stream(path).select(["image_path", "images", "prompt"])
            places |= {(name, row): (table, at) for at, row in enumerate(table["image_path"].to_pylist())}

    def look(set_name: str, image_path: str) -> Shown | None:
        if (set_name, image_path) not in places:
            return None
        table, at = places[set_name, image_path]
        pictures, prompt = table["images"][at].as_py(), table["prompt"][at].as_py()
        return Shown(pictures[0]["bytes"] if pictures else None, prompt[0]["content"])

    return look


def draw(found: Sequence[Reply], count: int, seed: int) -> list[Reply]:
    """Return `count` replies, by set and right or wrong as in `allot`, mixed; the seed alone decides which."""
    ranked = sorted(found, key=lambda one: (xxhash.xxh3_64_intdigest(one.key.encode(), seed=seed), one.key))
    strata: dict[tuple[str, bool], list[Reply]] = {}
    for one in ranked:
        strata.setdefault((one.row["set"], one.right), []).append(one)
    taken = allot({name: len(some) for name, some in strata.items()}, count)
    chosen = {one.key for name, some in strata.items() for one in some[: taken[name]]}
    return [one for one in ranked if one.key in chosen]


def allot(sizes: Mapping[tuple[str, bool], int], count: int) -> dict[tuple[str, bool], int]:
    """Return how many of each stratum are taken: its share of `count`, but at least one while there is room."""
    count = min(count, sum(sizes.values()))
    quotas = {name: size * count / sum(sizes.values()) for name, size in sorted(sizes.items())}
    taken = {name: max(1, int(quota)) for name, quota in quotas.items()}
    while sum(taken.values()) > count:
        most = max(taken, key=lambda name: (taken[name] > 1, taken[name] - quotas[name]))
        taken[most] -= 1
    while sum(taken.values()) < count:
        least = max(quotas, key=lambda name: (taken[name] < sizes[name], quotas[name] - taken[name]))
        taken[least] += 1
    return taken


def blind(image_path: str) -> str:
    """Return a picture path without the folder that tells its label, as FERPlus and SFEW have one."""
    *folders, name = image_path.split("/")
    return "/".join([*(HIDDEN if one.casefold() in _LABELS else one for one in folders), name])


def pieces(text: str, checked: Sequence[Checked], start: int = 0) -> list[Piece]:
    """Cut a reply where claims begin and end; the claims' offsets count from `start`."""
    spans = [(one.claim.start + start, one.claim.end + start, one) for one in checked]
    cuts = sorted({0, len(text), *(at for begin, end, _ in spans for at in (begin, end))})
    found = []
    for begin, end in pairwise(cuts):
        here = [one for first, last, one in spans if first <= begin and end <= last]
        verdict = next((name for name in _LOUDEST if any(one.verdict == name for one in here)), None)
        found.append(Piece(text[begin:end], verdict, "; ".join(map(_told, here))))
    return found


def _told(one: Checked) -> str:
    claim = one.claim
    what = f" {'or' if claim.need == 'any' else 'and'} ".join(claim.units) or claim.region
    words = ["no" if claim.negated else "", claim.strength, claim.side, what]
    return f"{' '.join(filter(None, words))}: {one.verdict}{f' ({one.why})' if one.why else ''}"


def _entry(one: Reply, images: Images, judged: Judgements) -> dict[str, Any]:
    """Return what the page shows of a reply."""
    row, shown = one.row, images(one.row["set"], one.row["image_path"])
    checked = check_claims(read_claims(one.reasoning.text), judged.get(row["id"] or "", {}))
    return {
        "set": row["set"],
        "path": blind(row["image_path"]),
        "id": row["id"] or "",
        "label": row["true_label"],
        "given": one.answer,
        "question": shown.question if shown else f"One of: {', '.join(row['choices'])}",
        "picture": _embedded(shown.picture) if shown and shown.picture else None,
        "pieces": pieces(one.text, checked, one.reasoning.start),
    }


def _embedded(data: bytes) -> str | None:
    """Return a picture as a data address, no larger than SIDE; None where it is none."""
    try:
        return embedded(data, SIDE, STORED)
    except PictureError:
        return None


def _page(entries: Sequence[Mapping[str, Any]]) -> str:
    return _template().render(entries=entries, table=TABLE)


@cache
def _template() -> Template:
    return environment(__name__).get_template("review.html")


def _table(drawn: Sequence[Reply]) -> str:
    """Return the table to fill in, in the order of the page."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in drawn:
        known = [one.row["id"] or "", one.row["set"], blind(one.row["image_path"])]
        writer.writerow(known + [""] * (len(COLUMNS) - len(known)))
    return out.getvalue()
