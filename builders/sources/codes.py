"""Reads releases whose faces were coded by people in action units, as RAF-AU and RAF-CE were.

It stands beside the other readers; `coded` also gives the coded pictures of any release to who measures against
them and has no use for the label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import polars as pl
from pydantic import Field

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import layouts_below
from ferbuild.builders.sources.listing import FOUND, Found
from ferbuild.builders.sources.options import bind
from ferbuild.builders.sources.tree import PICTURES, UNSAFE, Tree, tidy
from ferbuild.manifests.schema import Source

INTENSITY = {"A": 0.1, "B": 0.3, "C": 0.5, "D": 0.7, "E": 0.9}
"""FACS writes how strong a unit is as a letter behind its number, trace to maximum: here the middles of five steps."""

NOT_CODED = frozenset({"", "null", "none", "nan", "na", "n/a", "-", "?"})
"""What stands where there are no codes."""

SIDES = {"L": "left", "R": "right"}
"""The person's own, as FACS counts them."""

_CODE = re.compile(r"(?:AU|AD)?([LRTB]{0,2})(?:AU|AD)?(\d{1,3})([A-E]?)", re.IGNORECASE)
_LINE = re.compile(r"\s*([^\s,;]+)[\s,;]*(.*?)[\s,;]*")
_PICTURE = re.compile(rf"[^\ufffd]+(?:{'|'.join(map(re.escape, PICTURES))})", re.IGNORECASE)

UNIT = FOUND["units"]


class Codes(NamedTuple):
    """The codes of one face."""

    units: list[dict[str, Any]] | None
    """Rows of `record.UNITS`, in the order written; None: not coded."""
    unread: tuple[str, ...] = ()
    """What could not be read."""


class Coded(NamedTuple):
    """The coded pictures of a release."""

    base: Path
    """`read_picture(base, rel_path)` opens one."""
    rows: pl.DataFrame
    """`rel_path` and `units`, each picture once, in the reader's order."""
    notes: tuple[str, ...]


class _Lines(NamedTuple):
    """A label file taken apart."""

    file: str
    said: dict[str, str]
    """Picture name to what stands beside it, in its first line."""
    faults: list[dict[str, str]]
    """Rows of further lines of a picture, and of lines that name none."""


def coded(source: Source, root: Path, *, layout: str | None = None) -> Coded:
    """Return every picture of `source` below `root` that is coded and there, with or without a usable label.

    FerError: no layout is recognised, a label file cannot be used, or no picture is coded and there.
    """
    chosen, tree = layouts_below(source, root, layout)[0]
    reader, options = bind(source, chosen)
    found = reader(tree, source, rule=source.rules[0], labels=None, **options)
    rows = found.rows
    if "units" not in rows.columns:
        raise FerError(f"source {source.name}", "its labels hold no action units", "name a release that was coded")
    if "size" not in rows.columns:
        rows = rows.with_columns(size=tree.sizes(rows["rel_path"].fill_null("")))
    usable = rows.filter(pl.col("units").is_not_null() & pl.col("size").is_not_null())
    if usable.is_empty():
        hint = f"{rows['units'].count()} rows are coded, {rows['size'].count()} pictures are there"
        raise FerError(tree.root, f"layout {chosen.name!r} of {source.title} holds no coded picture", hint)
    once = usable.unique("rel_path", keep="first", maintain_order=True)
    return Coded(tree.root, once.select("rel_path", pl.col("units").cast(UNIT)), found.notes)


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    codes: str,
    pictures: Annotated[Sequence[str], Field(min_length=1)],
    expressions: str | None = None,
    distribution: Sequence[str] = (),
    shares: Sequence[str] = (),
    partition: str | None = None,
    splits: Mapping[str, str] | None = None,
) -> Found:
    """Return a row for every line of `codes`, then for every picture that only `expressions` or `partition` names.

    Every file holds a picture name and what is said of it in a line. The units of a row without codes are null.
    pictures: addresses to try in turn, with `{name}` and `{stem}`.
    expressions: the file of labels. distribution: in its place, the files to try of the shares of annotators who saw
        each of the emotions `shares`; the largest share is the label, a tie is the drop `no majority`.
    partition: the file that tells the split, as a key of `splits`; without it all rows are training rows.
    """
    coding = _lines(tree, codes)
    told = [_lines(tree, file) for file in (expressions, partition) if file]
    judged = told[0] if expressions else None
    shared = next((_lines(tree, file) for file in distribution if tree.has(file)), None)
    names = dict.fromkeys(name for one in (coding, *told) for name in one.said)
    parsed = {name: parse_codes(coding.said.get(name, "")) for name in names}
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "units": parsed[name].units,
            **_expression(name, judged, shared, shares),
            **_split(name, told[-1] if partition else None, splits or {}),
        }
        for name in names
    ]
    files = [coding, *told, *([shared] if shared else [])]
    faults = [fault for one in files if one is not shared for fault in one.faults]
    table = pl.DataFrame([*rows, *faults], schema={key: FOUND[key] for key in _KEYS}, orient="row")
    notes = _notes(codes, parsed.values(), sum(name in coding.said for name in names))
    if not (judged or shared):
        more = f"; {distribution[0]} beside it would give them" if distribution else ""
        notes += (f"{codes} holds no expression labels: its pictures are good to measure against only{more}",)
    return Found(_placed(tree, table, pictures), tuple(one.file for one in files), notes)


_KEYS = ("name", "units", "raw", "split", "reason", "detail", "rel_path")


def parse_codes(text: str) -> Codes:
    """Return the units that a line of codes names, as in `1+R12C+T24`, between +, commas, semicolons or blanks.

    L and R before the number are the person's own sides; T and B, the top and the bottom of the lips, are `both`; AU
    and AD are left out. A letter A..E behind it is the intensity. A number stays the unit's name where units.yaml does
    not know it; 0, the FACS code of a neutral face, is no unit. A unit named twice counts once, as its stronger one.
    A code that cannot be read costs itself; where none can, the face is not coded.
    """
    if text.strip().lower() in NOT_CODED:
        return Codes(None)
    words = [word for word in re.split(r"[+,;\s]+", text) if word]
    matches = {word: _CODE.fullmatch(word) for word in words}
    unread = tuple(word for word in words if matches[word] is None)
    found: dict[tuple[str, str], float | None] = {}
    for match in filter(None, map(matches.get, words)):
        half = {letter for letter in match[1].upper() if letter in SIDES}
        key = (f"AU{int(match[2])}", SIDES[half.pop()] if len(half) == 1 else "both")
        much = INTENSITY.get(match[3].upper())
        found[key] = max((found.get(key), much), key=lambda value: -1.0 if value is None else value)
    if len(unread) == len(words):
        return Codes(None, unread)
    units = [{"unit": unit, "side": side, "intensity": value} for (unit, side), value in found.items() if unit != "AU0"]
    return Codes(units, unread)


def _lines(tree: Tree, file: str) -> _Lines:
    """Return a file of `name said` lines; FerError where it cannot be read."""
    said: dict[str, str] = {}
    faults = []
    for number, line in enumerate(tree.text(file).decode().splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            continue  # a blank line
        where = f"line {number} of {file}"
        if not _PICTURE.fullmatch(match[1]):
            faults.append(_fault("", "malformed row", f"{where}: {line.strip()[:80]}", file))
        elif match[1] in said:
            faults.append(_fault(match[1], "duplicate row", f"{where}: {match[2][:80]}", file))
        else:
            said[match[1]] = match[2]
    return _Lines(file, said, faults)


def _fault(name: str, reason: str, detail: str, file: str) -> dict[str, str]:
    return {"name": name, "reason": reason, "detail": detail, "rel_path": file}


def _expression(name: str, judged: _Lines | None, shared: _Lines | None, shares: Sequence[str]) -> dict[str, str]:
    """Return what the release writes as the label, or why there is none."""
    if judged is not None:
        raw = judged.said.get(name, "")
        return {"raw": raw} if raw else {"reason": "no emotion label"}
    if shared is None or name not in shared.said:
        return {"reason": "no emotion label"}
    text = shared.said[name]
    numbers = [_share(word) for word in text.split()]
    if len(numbers) != len(shares) or None in numbers:
        return {"reason": "malformed row", "detail": f"{shared.file}: {text[:80]}"}
    most = max(number for number in numbers if number is not None)
    first, *others = [word for word, number in zip(shares, numbers, strict=True) if number == most]
    tied = f"{', '.join([first, *others])}: {most:g} each"
    return {"reason": "no majority", "detail": tied} if others else {"raw": first}


def _share(word: str) -> float | None:
    """Return a share of the annotators, None where it is no number of 0 or more."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _split(name: str, partition: _Lines | None, splits: Mapping[str, str]) -> dict[str, str]:
    """Return the row's split, or the reason that none is known; it goes before a missing label."""
    if partition is None:
        return {"split": "train"}
    split = splits.get(partition.said.get(name, ""))
    return {"split": split} if split else {"reason": "split outside the table"}


def _placed(tree: Tree, rows: pl.DataFrame, pictures: Sequence[str]) -> pl.DataFrame:
    """Return `rows` with the address and size of their pictures; the first address where there is none.

    `name` becomes the picture's own; a line that names none keeps its file's address.
    """
    written = tidy(pl.col("name"))
    stem = written.str.replace(r"\.[^./]*$", "")
    rows = rows.with_columns(size=pl.lit(None, pl.Int64), spot=pl.lit(None, pl.String))
    for pattern in reversed([one for one in pictures if _leads_on(tree, one)] or pictures[:1]):
        parts = [stem if part == "{stem}" else written if part == "{name}" else pl.lit(part)
                 for part in re.split(r"(\{\w+\})", pattern) if part]  # fmt: skip
        there = rows.select(spot=pl.when((pl.col("name") != "") & ~written.str.contains(UNSAFE))
                            .then(pl.concat_str(parts)))["spot"]  # fmt: skip
        sizes = tree.sizes(there.fill_null(""))
        rows = rows.with_columns(
            spot=pl.when(sizes.is_not_null() | pl.col("size").is_null()).then(there).otherwise("spot"),
            size=pl.coalesce(sizes, "size"),
        )
    listed = pl.when(pl.col("name") != "").then(pl.coalesce("spot", written))
    rows = rows.with_columns(rel_path=pl.coalesce(listed, "rel_path"))
    return rows.with_columns(name=pl.coalesce(pl.col("spot").str.extract(r"([^/!]*)$"), "name")).drop("spot")


def _leads_on(tree: Tree, pattern: str) -> bool:
    """Say whether the folder or archive that a pattern begins with is there."""
    top = pattern.partition("{")[0].partition("!")[0].rstrip("/")
    return not top or tree.has(top)


def _notes(file: str, parsed: Iterable[Codes], lines: int) -> tuple[str, ...]:
    """Return what the user should know of the codes."""
    every = list(parsed)
    unread = Counter(word for one in every for word in one.unread)
    blank = lines - sum(one.units is not None for one in every)
    notes = []
    if unread:
        some = ", ".join(sorted(unread)[:5]) + (", …" if len(unread) > 5 else "")
        notes.append(f"{unread.total():,} codes in {file} cannot be read and are left out: {some}")
    if blank:
        what = "nothing says that a coder found no action there, and their units stay unknown"
        notes.append(f"{blank:,} of {lines:,} pictures in {file} are without codes: {what}")
    return tuple(notes)
