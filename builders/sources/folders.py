"""Reads a release whose labels are the folders its pictures lie in, unpacked or inside archives.

One pattern over the address, with named groups, tells split and label; a new class-folder release is therefore
only a manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources.lines import read_lines
from ferbuild.builders.sources.listing import Found, Mixup, refuse
from ferbuild.builders.sources.tree import Tree, tidy, virtual
from ferbuild.manifests.schema import Source


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    pattern: str,
    folders: Sequence[str] = (),
    splits: Mapping[str, str] | None = None,
    split: str | None = None,
    names: Mapping[str, str] | None = None,
    unique: bool = False,
    own_map: bool = False,
    mixup: Mixup | None = None,
    lists: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Found:
    """Return a row for every picture below `folders`, sorted by split and address.

    pattern: regular expression with the groups `label`, `split` (unless `split` is given) and, where it is not the
        last segment, `name`; it is searched in the address with every `.zip!` read as "/".
    folders: patterns of the folders and archives to walk; by default the whole tree.
    splits: what the `split` group holds, in any case, to split.
    names: split to the pattern of the file names it may hold; others are drops, `foreign file name`.
    unique: a name occurs once in a split and label: copies (an archive beside its unpacked folder) are drops.
    own_map: the folders' meaning is not fixed: FerError unless the user gives `labels`.
    mixup: the release that this one may be taken for.
    lists: split to the pattern of a csv (`image`, `label`) that says the labels again; only compared.
    notes: sentences the user should see.
    """
    if own_map and labels is None:
        raise _ask_for_map(tree, source)
    told = pl.lit(split) if split is not None else _lookup(pl.col("written"), splits or {})
    rows = tree.files(*folders).with_columns(virtual().alias("where"))
    groups = pl.col("where").str.extract_groups(pattern)
    have = [field for field in ("split", "label", "name") if f"(?P<{field}>" in pattern]
    rows = rows.with_columns(groups.struct[field].alias("written" if field == "split" else field) for field in have)
    last = pl.col("where").str.extract(r"([^/]*)$")
    rows = rows.with_columns(
        raw="label",
        split=told,
        name=pl.coalesce("name", last) if "name" in have else last,
    ).drop("label")
    if mixup:
        refuse(rows, tree.root, mixup)
    rows = rows.with_columns(reason=_reason(names or {}), detail=pl.lit(None, pl.String))
    rows = rows.with_columns(archived=pl.col("rel_path").str.contains(r"(?i)\.zip!"))
    if unique:
        rows = _once(rows)
    rows = rows.sort("split", "rel_path", nulls_last=True)
    notes = (*notes, *_compare(tree, rows, lists or {}))
    return Found(rows.select("split", "name", "rel_path", "size", "raw", "reason", "detail"), notes=notes)


def _compare(tree: Tree, rows: pl.DataFrame, lists: Mapping[str, str]) -> list[str]:
    """Return a note on every label list that contradicts the folders or cannot be read."""
    notes = []
    for split, pattern in lists.items():
        for file in tree.glob(pattern):
            try:
                listed = read_lines(tree.label_file(file), None, ",", ["image", "label"])
            except FerError as err:
                notes.append(f"{file} cannot be compared with the folders: {err.problem}")
                continue
            said = listed.select(
                name=tidy(pl.col("image")).str.extract(r"([^/]*)$"), said=pl.col("label").str.strip_chars()
            )
            both = rows.filter(pl.col("split") == split).join(said, on="name").filter(pl.col("raw") != pl.col("said"))
            if count := both["name"].n_unique():
                notes.append(f"{count:,} labels in {file} contradict the folders; the folders are used")
    return notes


def _lookup(written: pl.Expr, splits: Mapping[str, str]) -> pl.Expr:
    table = {key.casefold(): split for key, split in splits.items()}
    return written.str.to_lowercase().replace_strict(table, default=None, return_dtype=pl.String)


def _reason(names: Mapping[str, str]) -> pl.Expr:
    strange = pl.lit(False)
    for split, pattern in names.items():
        strange |= (pl.col("split") == split) & ~pl.col("name").str.contains(rf"^(?:{pattern})$")
    return (
        pl.when(pl.col("raw").is_null()).then(pl.lit("outside the class folders"))
        .when(pl.col("split").is_null()).then(pl.lit("split outside the table"))
        .when(strange).then(pl.lit("foreign file name"))
    )  # fmt: skip


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Mark the copies of a picture; a plain file goes before one in an archive, then the address decides.

    A name that leads to no file comes last.
    """
    rows = rows.sort(pl.col("size").is_null(), "archived", "rel_path")
    copy = pl.col("reason").is_null() & ~pl.struct("split", "raw", "name", "reason").is_first_distinct()
    first = pl.col("rel_path").first().over("split", "raw", "name", "reason")
    return rows.with_columns(
        reason=pl.when(copy).then(pl.lit("duplicate row")).otherwise("reason"),
        detail=pl.when(copy).then(pl.format("copy of {}", first)).otherwise("detail"),
    )


def _ask_for_map(tree: Tree, source: Source) -> FerError:
    words = ", ".join(f"{at}: {word}" for at, word in enumerate(source.candidates))
    return FerError(
        tree.root,
        f"class folders of {source.title} have no fixed meaning: mirrors renumber the classes",
        f"say what each folder holds under `labels` of the source in fer-build.yaml, for example {{{words}}}, "
        "after looking at a few pictures",
    )
