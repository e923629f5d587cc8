"""Checks on a folder's files: their sums, their layout, what the card and the other texts say, and machine names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders import card as local_card
from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.features import features as features_of
from ferbuild.builders.files import file_sha256
from ferbuild.builders.publishing import card, croissant, edition, figures, licence, sums
from ferbuild.builders.publishing.checks.folder import Folder, Found, Outcome, merged
from ferbuild.builders.publishing.checks.places import PLACE

CARD, CROISSANT = "README.md", "croissant.json"
TOP = {CARD, "dataset_dict.json"}
LOCAL_TOP = TOP | {"stage.json"}
EDITION_TOP = TOP | {edition.FILE, CROISSANT, licence.FILE, sums.FILE}
BESIDE = ("drops/", "missing.csv")
"""What may also lie in a local folder: its drops, and what `rehydrate` could not fill in."""
IN_SPLIT = ("state.json", "dataset_info.json")
_STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The last eight bytes of every Arrow stream that was written to its end."""


def check_sums(folder: Folder) -> Outcome:
    """Every file is what SHA256SUMS and edition.json say. Those that are generated have checks of their own."""
    if folder.edition is None:
        return Outcome(done=False, note="a local dataset has no SHA256SUMS")
    try:
        listed = sums.read(folder.path)
    except FerError as err:
        return Outcome([Found(sums.FILE, err.problem, 1, sums.FILE)])
    there = set(sums.files(folder.path)) - {sums.FILE}
    own = {CARD, CROISSANT, licence.FILE}
    differ = [name for name in sorted(listed) if name in there - own and _differs(folder, name, listed[name])]
    said = folder.edition.shards
    other = [name for name in sorted(said) if name in listed and said[name].sha256 != listed[name]]
    lists = {
        "is not listed in SHA256SUMS": sorted(there - set(listed)),
        "is listed in SHA256SUMS and missing": sorted(set(listed) - there),
        "is another file than SHA256SUMS says": differ,
        "has another sum in edition.json than in SHA256SUMS": other,
    }
    return Outcome(_listed(lists))


def check_layout(folder: Folder) -> Outcome:
    """The files are those of a dataset folder, in order, each shard readable to its end, with nothing beside."""
    try:
        splits = folder.splits
    except FerError as err:
        return Outcome([Found("dataset_dict.json", err.problem, 1, "dataset_dict.json")])
    lists: dict[str, list[str]] = {
        "is missing": [],
        "is out of order in state.json": [],
        "is cut or no Arrow stream": [],
    }
    expected = set(EDITION_TOP if folder.edition else LOCAL_TOP)
    for split, paths in splits.items():
        names = [f"data-{at:05d}-of-{len(paths):05d}.arrow" for at in range(len(paths))]
        here = [path.name for path in paths]
        state = _json(folder.path / split / "state.json")
        listed = [one.get("filename") for one in state.get("_data_files", []) if isinstance(one, dict)]
        lists["is missing"] += [f"{split}/{name}" for name in sorted({*names, *filter(None, listed)} - set(here))]
        if paths and (listed != here or state.get("_split") != split) and set(listed) == set(here):
            lists["is out of order in state.json"].append(f"{split}/state.json")
        lists["is cut or no Arrow stream"] += [f"{split}/{path.name}" for path in paths if _is_cut(path)]
        expected |= {f"{split}/{name}" for name in (*here, *IN_SPLIT)}
    there = {name for name in sums.files(folder.path) if folder.edition or not name.startswith(BESIDE)}
    lists["is missing"] += sorted(expected - there - {sums.FILE})
    lists["does not belong here"] = sorted(there - expected)
    return Outcome(_listed(lists))


def check_card(folder: Folder) -> Outcome:
    """README.md and LICENSE.md say what this build says: generated anew they have the same bytes."""
    if folder.edition is None:
        return Outcome([Found(CARD, _EDITED, 1, CARD)] if _edited(folder, _text(folder.path / CARD)) else [])
    if folder.edition.tool.get("fer-build") != card.VERSION:
        return _by_sum(folder, CARD, licence.FILE)
    wanted = {CARD: card.text(folder.edition, figures.figures(folder.path)), licence.FILE: licence.text(folder.edition)}
    return _regenerated(folder, wanted)


def check_croissant(folder: Folder) -> Outcome:
    """croissant.json says what edition.json says: generated anew it has the same bytes."""
    if folder.edition is None:
        return Outcome(done=False, note="a local dataset has no croissant.json")
    if folder.edition.tool.get("fer-build") != card.VERSION:
        return _by_sum(folder, CROISSANT)
    return _regenerated(folder, {CROISSANT: croissant.text(folder.edition)})


def check_places(folder: Folder) -> Outcome:
    """No text file names a folder of the machine that wrote it."""
    names = sorted(name for name in sums.files(folder.path) if not name.endswith(".arrow"))
    hits = [(name, hit[0].strip()) for name in names if (hit := PLACE.search(_text(folder.path / name)))]
    return Outcome(merged([Found(name, "names a folder of a machine", 1, f"{name}: {hit}") for name, hit in hits]))


def check_metadata(folder: Folder) -> Outcome:
    """Every shard carries the Hugging Face features of its own columns, and so does its split's dataset_info.json."""
    lists: dict[str, list[str]] = {_NO_FEATURES: [], _OTHER_FEATURES: []}
    for shard in folder.shards():
        schema = shard.table.schema
        features = features_of(schema)
        if _huggingface(schema) != {"info": {"features": features}}:
            lists[_NO_FEATURES].append(shard.name)
        info = f"{shard.split}/dataset_info.json"
        if _json(folder.path / info).get("features") != features and info not in lists[_OTHER_FEATURES]:
            lists[_OTHER_FEATURES].append(info)
    return Outcome(_listed(lists))


_NO_FEATURES = "lacks the `huggingface` metadata of its columns: pictures would load as bytes"
_EDITED = "was edited, or is another build's"
_OTHER_FEATURES = "has other features than the shards"


def _listed(lists: dict[str, list[str]]) -> list[Found]:
    return [Found(names[0], problem, len(names), names[0]) for problem, names in lists.items() if names]


def _differs(folder: Folder, name: str, sha256: str) -> bool:
    try:
        return file_sha256(folder.path / name) != sha256
    except FerError:
        return True


def _is_cut(path: Path) -> bool:
    """Tell whether a shard ends before its stream does: between two batches the format itself does not tell."""
    try:
        shards.read_stream(path)
        with path.open("rb") as file:
            file.seek(-len(_STREAM_END), 2)
            return file.read() != _STREAM_END
    except (FerError, OSError):
        return True


def _edited(folder: Folder, there: str) -> bool:
    """Tell whether the README of a local dataset says other figures than its stage.json, or has other front matter."""
    mark = folder.mark
    schema = next((shard.table.schema for shard in folder.shards()), None)
    if mark is None or schema is None:
        return False
    body = there.split("\n---\n", 1)[-1].strip().split("\n\n")
    if len(body) < 3:
        return True
    about, terms = body[1:3]
    report = mark.report(folder.path)
    return there != local_card.page(report, schema, mark.key, name=mark.out, about=about, terms=terms)


def _regenerated(folder: Folder, wanted: Mapping[str, str]) -> Outcome:
    edited = [name for name, text in wanted.items() if _text(folder.path / name) != text]
    return Outcome(_listed({_EDITED: edited}))


def _by_sum(folder: Folder, *names: str) -> Outcome:
    """Judge generated files by their sums: another version of the tool wrote them, and words them otherwise."""
    try:
        listed = sums.read(folder.path)
    except FerError:
        listed = {}
    edited = [name for name in names if _differs(folder, name, listed.get(name, ""))]
    note = f"written by another version of fer-build: held against the sum of {' and '.join(names)} only"
    return Outcome(_listed({"is another file than SHA256SUMS says": edited}), note)


def _huggingface(schema: pa.Schema) -> Any:
    try:
        return json.loads((schema.metadata or {}).get(b"huggingface", b"null"))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
