"""Reads a release whose labels stand in one table a split, or one for all: csv, or columns between blanks.

It gives one row for every line that is not blank, in the order of the file, so that nothing a label file says
is lost without a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.sources.lines import read_lines
from ferbuild.builders.sources.listing import Found, Mixup, refuse
from ferbuild.builders.sources.tree import UNSAFE, Tree, tidy
from ferbuild.manifests.schema import Source

Boxes = Literal["xywh", "xyxy", "tlrb"]
"""How a table writes a box: corner and size, two corners, or top left right bottom."""

Columns = tuple[()] | tuple[str, str, str, str]
"""The four columns of a box, or none."""

FAR = 1_000_000
"""Pixels; a box that reaches farther is a slip."""

ANY = "*"
PARTS = ("name", "stem", "split")


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    tables: Mapping[str, str | Sequence[str]],
    pictures: Annotated[Sequence[str], Field(min_length=1)],
    columns: Sequence[str] | None = None,
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ",",
    fields: Mapping[str, str] | None = None,
    box: Columns = (),
    box_form: Boxes = "xywh",
    splits: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    mixup: Mixup | None = None,
) -> Found:
    """Return a row for every line of the label tables.

    tables: split to the patterns of its file, the first that matches is read; under `*` a file for all splits.
    pictures: addresses to try in turn, with `{name}`, `{stem}` and `{split}`; `**/` at the start finds a file by
        its name wherever it lies.
    columns: the names of the columns where the table has no header line.
    separator: one character, or a blank for any run of blanks.
    fields: our word (name, label, split, valence, arousal) to the table's column.
    splits: what the table's split column writes, to split. names: split to the pattern of its file names; under
        `*` they tell the split, elsewhere a name that does not fit is a `foreign file name`.
    mixup: the release that this one may be taken for.
    """
    fields = {"name": "name", "label": "label", **(fields or {})}
    parts, files = [], []
    with ThreadPoolExecutor(2) as pool:
        ahead = pool.submit(_look_ahead, tree, pictures[0])
        for split, patterns in tables.items():
            if (file := _first(tree, patterns)) is None:
                continue
            pool.submit(tree.sha256, file)
            lines = read_lines(tree.label_file(file), columns, separator, [*fields.values(), *box])
            rows = _rows(lines, fields, box, box_form, file)
            if mixup:
                refuse(rows, tree.root / file, mixup)
            parts.append(_splits(rows, split, splits or {}, names or {}))
            files.append(file)
        if not parts:
            raise FerError(tree.root, "no label table", f"looked for {'; '.join(map(str, tables.values()))}")
        rows = _keep_benchmark(_numbers(pl.concat(parts), source), source)
        return Found(_find(tree, rows, pictures, ahead), tuple(files))


def _look_ahead(tree: Tree, pattern: str) -> pl.DataFrame:
    """Return the files where the first pattern looks, found while the label tables are read."""
    # a tree of its own: what is odd about files that no label line names is no fault of the release
    ahead = Tree(tree.root)
    return ahead.files(_folder(pattern) or "\0", in_order=False)


def _folder(pattern: str) -> str:
    """Return the folder below which a pattern's addresses lie, empty where it names none."""
    return "" if pattern.startswith("**/") else pattern.partition("{")[0].rpartition("/")[0]


def _worth(tree: Tree, pattern: str) -> bool:
    """Say whether a pattern can lead anywhere: its first folder or archive is there."""
    folder = _folder(pattern).partition(".zip!")
    return folder[0] == "" or tree.has(folder[0] + folder[1].removesuffix("!"))


def _first(tree: Tree, patterns: str | Sequence[str]) -> str | None:
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if found := tree.glob(pattern):
            return found[0]
    return None


def _rows(
    table: pl.DataFrame, fields: Mapping[str, str], box: Sequence[str], box_form: Boxes, file: str
) -> pl.DataFrame:
    """Return name, raw, written (the split), valence, arousal, box and, for a malformed line, reason and detail."""
    moods = {mood: fields[mood] for mood in ("valence", "arousal") if mood in fields}
    numbers = [*moods.values(), *box]
    said = pl.format("line {} of {}", "line", pl.lit(file))
    text = pl.when(pl.col("text").is_not_null()).then(pl.format(": {}", pl.col("text").str.slice(0, 80)))
    none, boxes = pl.lit(None, pl.Float64), pl.List(pl.Float64)
    return (
        table.lazy()
        .with_columns(*(_number(column).alias(f"# {column}") for column in numbers), name=tidy(pl.col(fields["name"])))
        .with_columns(bad=pl.col("bad") | (pl.col("name").fill_null("") == ""))
        .select(
            name=pl.when(~pl.col("bad")).then("name"),
            raw=pl.col(fields["label"]).str.strip_chars(),
            written=pl.col(fields["split"]).str.strip_chars() if "split" in fields else pl.lit(None, pl.String),
            box=pl.when(~pl.col("bad")).then(_box(box, box_form)) if box else pl.lit(None, boxes),
            reason=pl.when("bad").then(pl.lit("malformed row")),
            detail=pl.when("bad").then(said + text.fill_null("")),
            file=pl.lit(file),
            valence=pl.col(f"# {moods['valence']}") if "valence" in moods else none,
            arousal=pl.col(f"# {moods['arousal']}") if "arousal" in moods else none,
        )
        .collect()
    )  # fmt: skip


def _number(column: str) -> pl.Expr:
    """Return a column of text as numbers, null where it is no finite one; a negative zero becomes zero."""
    found = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False) + 0.0
    return pl.when(found.is_finite()).then(found)


def _box(columns: Sequence[str], form: Boxes) -> pl.Expr:
    """Return x0 y0 x1 y1 of the four numbers a table gives."""
    a, b, c, d = (pl.col(f"# {column}") for column in columns)
    corners = {"xywh": (a, b, a + c, b + d), "xyxy": (a, b, c, d), "tlrb": (b, a, c, d)}[form]
    return pl.concat_arr(*corners).cast(pl.List(pl.Float64))


def _splits(rows: pl.DataFrame, split: str, splits: Mapping[str, str], names: Mapping[str, str]) -> pl.DataFrame:
    """Return `rows` with their split; where neither file, column nor name tells it, the row is a drop."""
    fits = {one: pl.col("name").str.contains(rf"^(?:{pattern})$") for one, pattern in names.items()}
    reason = "split outside the table"
    if split != ANY:
        told = pl.lit(split)
    elif splits:
        told = pl.col("written").replace_strict(dict(splits), default=None, return_dtype=pl.String)
    else:
        reason = "foreign file name"
        told = pl.coalesce(*(pl.when(fit).then(pl.lit(one)) for one, fit in fits.items()))
    rows = rows.with_columns(split=told)
    strange = pl.lit(False)
    for one, fit in fits.items():
        strange |= (pl.col("split") == one) & ~fit
    why = pl.when(pl.col("split").is_null()).then(pl.lit(reason)).when(strange).then(pl.lit("foreign file name"))
    return rows.with_columns(reason=pl.coalesce("reason", why)).drop("written")


def _numbers(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Take valence and arousal outside -1..1 for "not given", and drop a box that has no area or is no four numbers.

    A box that reaches out of all pictures is taken from the row. A row whose label says that there is no usable face
    keeps that reason.
    """
    moods = [pl.when(pl.col(mood).abs() <= 1).then(mood).alias(mood) for mood in ("valence", "arousal")]
    x0, y0, x1, y1 = (pl.col("box").list.get(at, null_on_oob=True) for at in range(4))
    wild = pl.any_horizontal(~(corner.abs() <= FAR) for corner in (x0, y0, x1, y1)).fill_null(False)
    flat = wild | (((x1 <= x0) | (y1 <= y0)).fill_null(True) & pl.col("box").is_not_null())
    flat &= ~pl.col("raw").is_in(list(source.not_labels)).fill_null(False)
    corners = [corner.cast(pl.String).fill_null("?") for corner in (x0, y0, x1, y1)]
    seen = pl.format("box {} {} {} {}", *corners)
    return rows.with_columns(
        *moods,
        box=pl.when(~wild).then("box"),
        reason=pl.when(flat).then(pl.coalesce("reason", pl.lit("bad box"))).otherwise("reason"),
        detail=pl.when(flat).then(pl.coalesce("detail", seen)).otherwise("detail"),
    )


def _keep_benchmark(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Keep benchmark rows with a bad box, without the box: the benchmark shows whole files and is never thinned."""
    if source.benchmark is None:
        return rows
    saved = (pl.col("split") == source.benchmark.split) & (pl.col("reason") == "bad box")
    return rows.with_columns(
        pl.when(saved.fill_null(False)).then(None).otherwise(column).alias(column)
        for column in ("box", "reason", "detail")
    )


def _find(tree: Tree, rows: pl.DataFrame, pictures: Sequence[str], ahead: Future[pl.DataFrame]) -> pl.DataFrame:
    """Return `rows` with the address and size of their pictures; the first address where there is none."""
    rows = rows.with_columns(
        astray=pl.col("name").str.contains(UNSAFE),
        stem=pl.col("name").str.replace(r"\.[^./]*$", ""),
        rel_path=pl.lit(None, pl.String),
        size=pl.lit(None, pl.Int64),
    )
    for number, pattern in enumerate(pictures):
        if number and not _worth(tree, pattern):
            continue
        lost = pl.col("name").is_not_null() & pl.col("split").is_not_null() & pl.col("size").is_null()
        wanted = rows.select(rel_path=pl.when(lost & ~pl.col("astray")).then(_address(pattern)))
        if wanted["rel_path"].null_count() == rows.height:
            break
        found = _anywhere(tree, wanted) if pattern.startswith("**/") else _there(tree, pattern, wanted, ahead)
        better = found["size"].is_not_null() | rows["rel_path"].is_null()
        rows = rows.with_columns(
            rel_path=pl.when(better).then(pl.coalesce(found["rel_path"], "rel_path")).otherwise("rel_path"),
            size=pl.coalesce("size", found["size"]),
        )
    name = pl.col("name") if "{name}" in pictures[0] else pl.col("rel_path").str.extract(r"([^/!]*)$")
    rel_path = pl.coalesce(pl.when("astray").then("name"), "rel_path", "name", "file")
    return rows.with_columns(rel_path=rel_path, name=pl.coalesce(name, "name")).drop("stem", "file", "astray")


def _address(pattern: str) -> pl.Expr:
    """Return the address a pattern gives each row."""
    pieces: list[pl.Expr] = []
    for piece in pattern.removeprefix("**/").replace("{", "\0{").replace("}", "}\0").split("\0"):
        if piece.startswith("{"):
            if piece[1:-1] not in PARTS:
                raise FerError(pattern, f"unknown part {piece}", did_you_mean(piece[1:-1], PARTS))
            pieces.append(pl.col(piece[1:-1]))
        elif piece:
            pieces.append(pl.lit(piece))
    return pl.concat_str(pieces)


def _there(tree: Tree, pattern: str, wanted: pl.DataFrame, ahead: Future[pl.DataFrame]) -> pl.DataFrame:
    """Return the wanted addresses with the sizes of the files there, asking the disk for those not known."""
    found = wanted.join(ahead.result(), on="rel_path", how="left", maintain_order="left")
    rest = found.select(pl.when(pl.col("size").is_null()).then("rel_path"))["rel_path"]
    if rest.null_count() < rest.len() and _worth(tree, pattern):
        found = found.with_columns(size=pl.coalesce("size", tree.sizes(rest)))
    return found


def _anywhere(tree: Tree, wanted: pl.DataFrame) -> pl.DataFrame:
    """Return the first file, by address, that bears each wanted name."""
    files = tree.files(suffixes=tuple({PurePosixPath(name).suffix.lower() for name in wanted["rel_path"].drop_nulls()}))
    files = files.filter(pl.col("size").is_not_null()).with_columns(name=pl.col("rel_path").str.extract(r"([^/!]*)$"))
    files = files.unique("name", keep="first", maintain_order=True)
    found = wanted.join(files, left_on="rel_path", right_on="name", how="left", maintain_order="left")
    return found.select(rel_path=pl.coalesce("rel_path_right", "rel_path"), size="size")
