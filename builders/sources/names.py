"""Reads a release whose labels are written in the names of its pictures, as JAFFE and KDEF do.

One pattern over the file name, with named groups, tells the label and whatever else rows are chosen by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.sources.listing import Found
from ferbuild.builders.sources.tree import Tree, virtual
from ferbuild.manifests.schema import Source


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    pattern: str,
    folders: Sequence[str] = (),
    split: str = "train",
    only: Mapping[str, Sequence[str]] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Found:
    """Return a row for every picture below `folders`, sorted by address; such releases have one split.

    pattern: regular expression for the whole file name, in any case, with the group `label`; a name that does not
        fit is a drop, `foreign file name`.
    folders: patterns of the folders and archives to walk; by default the whole tree.
    only: group to what it may hold, in any case; a row with anything else is a drop.
    reasons: group to the reason of that drop; by default the group's name.
    """
    groups = _groups(pattern, source)
    only = only or {}
    for name in only:
        if name not in groups:
            raise FerError(f"source {source.name}", f"the pattern has no group {name!r}", did_you_mean(name, groups))
    files = tree.files(*folders).with_columns(name=virtual().str.extract(r"([^/]*)$"))
    parts = pl.col("name").str.extract_groups(f"(?i)^(?:{pattern})$")
    rows = files.with_columns(parts.struct[at].alias(f"group {name}") for name, at in groups.items())
    reason = pl.when(pl.col("group label").is_null()).then(pl.lit("foreign file name")).otherwise(None)
    for name, allowed in only.items():
        strange = ~pl.col(f"group {name}").str.to_lowercase().is_in([one.lower() for one in allowed])
        reason = pl.coalesce(reason, pl.when(strange).then(pl.lit((reasons or {}).get(name, name))))
    return Found(rows.select("rel_path", "size", "name", split=pl.lit(split), raw="group label", reason=reason))


def _groups(pattern: str, source: Source) -> dict[str, int]:
    """Return the named groups of a pattern and their places; FerError where it is none, or `label` is missing."""
    where = f"source {source.name}"
    try:
        groups = re.compile(pattern).groupindex
    except re.error as err:
        raise FerError(where, f"the pattern is no regular expression: {err}", pattern) from None
    if "label" not in groups:
        raise FerError(where, "the pattern has no group 'label'", "write (?P<label>…) where the label stands")
    return {name: at - 1 for name, at in groups.items()}
