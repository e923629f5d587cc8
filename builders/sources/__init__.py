"""The readers of raw releases: recognise how one lies on disk, and list its pictures and labels.

This is where the way of a face begins; everything after it takes the `Listing` made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.sources.listing import Found, Listing, finish
from ferbuild.builders.sources.options import bind
from ferbuild.builders.sources.tree import Tree, read_picture
from ferbuild.manifests.schema import Layout, Source

__all__ = ["Found", "Listing", "Tree", "list_source", "read_picture", "recognise"]

MANY = 200
"""A folder with more folders in it holds pictures, not releases; recognition does not go into those."""


def list_source(
    source: Source,
    root: Path,
    *,
    layout: str | None = None,
    rule: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Listing:
    """Return what the release of `source` below `root` holds, without opening a picture.

    `layout` and `rule` choose among the manifest's; `labels` is the user's own label table, which takes the place
    of the manifest's. FerError: no layout is recognised, two of them disagree, a name is unknown, or a label file
    cannot be used.
    """
    rule = _known("rule", rule or source.rules[0], source.rules, source)
    found = layouts_below(source, root, layout)
    first = _list(source, *found[0], rule=rule, labels=labels)
    notes = [_compare(first, source, *other, rule=rule, labels=labels) for other in found[1:]]
    return _noted(first, notes) if notes else first


def recognise(source: Source, root: Path) -> list[tuple[Layout, Path]]:
    """Return the layouts of `source` found at `root` or at most two folders below, in the manifest's order.

    The second of each pair is the base folder: where several hold a layout the highest, then the first by name. Only
    names are looked at, no file is opened.
    """
    return [(layout, tree.root) for layout, tree in _search(source, root)]


def layouts_at(source: Source, base: Path) -> list[Layout]:
    """Return the layouts whose base `base` itself is, those that only fall back last."""
    tree = Tree(base)
    found = [layout for layout in source.layouts if not _lacking(layout, tree)]
    return sorted(found, key=lambda layout: layout.fallback)


def layouts_below(source: Source, root: Path, layout: str | None = None) -> list[tuple[Layout, Tree]]:
    """Return the layouts to read, each with the tree of its base folder, the manifest's first choice first.

    `layout` asks for one by its name. FerError: it is unknown, or nothing is recognised.
    """
    if layout is not None:
        _known("layout", layout, [one.name for one in source.layouts], source)
    found = [one for one in _search(source, root) if layout in (None, one[0].name)]
    if not found:
        raise _nothing_found(source, root, layout)
    if any(not one.fallback for one, _ in found):
        found = [(one, tree) for one, tree in found if not one.fallback or layout is not None]
    return found


def _search(source: Source, root: Path) -> list[tuple[Layout, Tree]]:
    bases = _bases(root)
    found = []
    for layout in source.layouts:
        base = next((tree for tree in bases if not _lacking(layout, tree)), None)
        if base is not None:
            found.append((layout, base))
    return found


def _bases(root: Path) -> list[Tree]:
    """Return the tree at `root`, those one folder below and those two below, each level sorted by name."""
    if not root.is_dir():
        problem = "is no folder" if root.exists() else "no such folder"
        raise FerError(root, problem, "name the folder of the unpacked release")
    top = Tree(root)
    first = top.folders()
    inner = [top.folders(parent) for parent in first]
    second = [folder for folders in inner if len(folders) <= MANY for folder in folders]
    return [top, *(top.below(folder) for folder in (*first, *second))]


def _lacking(layout: Layout, tree: Tree) -> list[str]:
    """Return the requirements of `layout` that nothing in `tree` meets."""
    lacking = []
    for need in layout.requires:
        choices = [need] if isinstance(need, str) else need
        if not any(tree.has(choice) for choice in choices):
            lacking.append(" or ".join(choices))
    return lacking


def _list(source: Source, layout: Layout, tree: Tree, *, rule: str, labels: Mapping[str, str] | None) -> Listing:
    reader, options = bind(source, layout)
    try:
        found = reader(tree, source, rule=rule, labels=labels, **options)
    except pl.exceptions.PolarsError as err:
        where = f"source {source.name}, layout {layout.name}"
        raise FerError(where, "its options do not work", str(err).splitlines()[0]) from None
    return finish(tree, source, found, layout=layout, rule=rule, labels=labels)


def _known(kind: str, name: str, names: list[str], source: Source) -> str:
    if name not in names:
        raise FerError(f"source {source.name}", f"no {kind} {name!r}", did_you_mean(name, names))
    return name


def _nothing_found(source: Source, root: Path, layout: str | None) -> FerError:
    """Return the error that says, for each layout, what was looked for and what of it is there."""
    bases = _bases(root)
    lines = []
    for one in source.layouts:
        if layout in (None, one.name):
            best = min(bases, key=lambda tree: len(_lacking(one, tree)))
            lacking = _lacking(one, best)
            spot = "" if best.root == root else f" in {best.root.relative_to(root)}"
            there = len(one.requires) - len(lacking)
            lines.append(f"{one.name}: missing {'; '.join(lacking)} (found {there} of {len(one.requires)}{spot})")
    names = sorted(entry.name for entry in root.iterdir())
    here = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
    what = f"layout {layout!r}" if layout else "no layout"
    problem = f"{what} of {source.title} {'is not there' if layout else 'recognised'}"
    return FerError(root, problem, "looked for\n    " + "\n    ".join([*lines, f"the folder holds: {here}"]))


def _compare(
    first: Listing, source: Source, layout: Layout, tree: Tree, *, rule: str, labels: Mapping[str, str] | None
) -> str:
    """Return a note on a second layout that agrees with the first; FerError where they disagree on rows."""
    try:
        other = _list(source, layout, tree, rule=rule, labels=labels)
    except FerError as err:
        return f"layout {layout.name!r} is there too, but cannot be used: {err.problem}"
    problem = _quarrel(_keys(first), _keys(other))
    if problem:
        raise FerError(
            first.base,
            f"layouts {first.layout!r} and {layout.name!r} of {source.title} disagree: {problem}",
            f"choose one in fer-build.yaml: `layout: {first.layout}` or `layout: {layout.name}`",
        )
    return f"layout {layout.name!r} is there too and agrees; {first.layout!r} is used"


def _keys(listing: Listing) -> pl.DataFrame:
    table = pl.from_arrow(listing.rows.select(["split", "name", "label"]))
    assert isinstance(table, pl.DataFrame)
    return table


def _quarrel(one: pl.DataFrame, two: pl.DataFrame) -> str:
    """Say how two tables of split, name and label contradict each other; empty where they do not."""
    both = one.join(two, on=["split", "name"])
    clash = both.filter(pl.col("label") != pl.col("label_right")).sort("split", "name")
    if not clash.is_empty():
        row = clash.row(0, named=True)
        first = f"{row['split']} {row['name']} is {row['label']} and {row['label_right']}"
        return f"{clash.height} pictures have two labels, first {first}"
    shared = sorted(set(one["split"]) & set(two["split"]) - set(both["split"]))
    return f"no picture name of split {shared[0]!r} is in both" if shared else ""


def _noted(listing: Listing, notes: list[str]) -> Listing:
    return replace(listing, notes=(*listing.notes, *notes))
