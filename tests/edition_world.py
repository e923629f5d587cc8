"""A small release and a dataset of its pictures, cut out in every way there is, published by hand for the tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from trees import pack
from twins import jpeg, photo, png

from ferbuild.builders import record, shards
from ferbuild.builders.config import Release, Settings
from ferbuild.builders.detect import Detection
from ferbuild.builders.facing import decoded
from ferbuild.builders.files import file_sha256
from ferbuild.builders.framing import frame
from ferbuild.builders.images import pixel_hash
from ferbuild.builders.publishing import census, edition
from ferbuild.builders.publishing.edition import Edition, Shard
from ferbuild.builders.shown import image_shown
from ferbuild.manifests import load
from ferbuild.manifests.recipe import Picture

POINTS = np.array([[40, 45], [62, 47], [50, 58], [42, 70], [60, 71]], np.float32)
"""Eyes, nose and mouth corners of a face in a picture of 100 pixels, a little askew."""
SPLITS = ("validation", "train")
"""Not in the order of their names, nor in the dataset's."""


def detection(times: float = 1.0) -> Detection:
    return Detection(0.9, (20 * times, 20 * times, 80 * times, 90 * times), POINTS * times)


def made(name: str, data: bytes, policy: Picture, *, box=None, face: Detection | None = None) -> tuple[dict, dict]:
    """Return a row of the provenance, and the picture as a dataset stores it."""
    pixels, whole = decoded(data, policy)
    framed = frame(data, pixels, box or (None if whole else (0, 0, pixels.shape[1], pixels.shape[0])), face, policy)
    part, own = framed.cut, record.face_id("sfew", name, box)
    found = {"id": own, "source": "sfew", "split": "train", "rel_path": name, "box": box}
    found |= {name: framed.columns[name] for name in ("crop", "aligned")}
    found |= {"sha256": hashlib.sha256(data).hexdigest(), "pixel_hash": pixel_hash(part.pixels)}
    shown = image_shown({"bytes": part.data, "path": f"{own}{part.suffix}"}, policy)
    assert shown is not None
    return found, shown


def files(count: int) -> dict[str, bytes]:
    """Return pictures by their address: JPEG and PNG, and every third one in an archive."""
    found = {}
    for at in range(count):
        data = png(photo(at)) if at % 2 else jpeg(photo(at))
        name = f"{at}.{'png' if at % 2 else 'jpg'}"
        found[f"some.zip!Happy/{name}" if at % 3 == 0 else f"Happy/{name}"] = data
    return found


def put(root: Path, pictures: dict[str, bytes]) -> None:
    packed = {name.partition("!")[2]: data for name, data in pictures.items() if "!" in name}
    pack(root, "some.zip", packed)
    for name, data in pictures.items():
        if "!" not in name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)


@dataclass(frozen=True)
class World:
    home: Path
    pictures: dict[str, bytes]
    rows: list[dict[str, Any]]

    @property
    def release(self) -> Path:
        return self.home / "release"

    @property
    def local(self) -> Path:
        return self.home / "local"

    @property
    def edition(self) -> Path:
        return self.home / "edition"

    def settings(self, workers: int = 1) -> Settings:
        release = Release(load.load_source("sfew"), self.release)
        return Settings(self.home / "work", load.load_recipe("default"), (release,), workers=workers)


def world(home: Path, count: int, policy: Picture, *, shard_bytes: int = 40_000) -> World:
    """Make the release, the dataset and its edition: rows of one picture and of two, and one without any."""
    pictures = files(count)
    put(home / "release", pictures)
    cuts = [{}, {"box": (10.4, 12.6, 83.0, 140.0)}, {"face": detection()}]
    faces = [made(name, data, policy, **cuts[at % 3]) for at, (name, data) in enumerate(pictures.items())]
    rows = [_row(f"{at}", faces[at : at + 1 + at % 2]) for at in range(count)]
    rows[count // 2] = _row("lost", [(faces[0][0] | {"sha256": None, "pixel_hash": None}, None)])
    kept = {split: _parts(home / "parts" / split, rows[at::2]) for at, split in enumerate(SPLITS)}
    shards.lay_out(home / "local", kept, (), record.RLVR, key="k", shard_bytes=shard_bytes)
    bare = {"pick": census.without_pictures, "weigh": census.weigh_without_pictures}
    shards.lay_out(home / "edition", shards.split_files(home / "local"), (), record.RLVR, key="k",
                   shard_bytes=9_000, **bare)  # fmt: skip
    said = _said(home, policy)
    (home / "edition" / "edition.json").write_text(said.as_text())
    return World(home, pictures, rows)


def _row(name: str, faces: Sequence[tuple[dict, dict | None]]) -> dict[str, Any]:
    images = [image for _, image in faces]
    return {
        "id": name,
        "images": None if None in images else images,
        "prompt": [{"role": "user", "content": "Which? " * (len(name) + 5)}],
        "answer": "happy",
        "choices": ["happy", "sad"],
        "faces": [face for face, _ in faces],
        "prompt_version": "v",
        "synthetic": False,
        "licence": "L",
    }


def _parts(folder: Path, rows: list[dict]) -> list[Path]:
    """Write streams whose record batches are none of a round number of rows."""
    found = []
    for at in range(0, len(rows), 7):
        path = folder / f"{at:05d}.arrow"
        shards.write_stream(path, [pa.Table.from_pylist(rows[at : at + 7], schema=record.RLVR)], record.RLVR)
        found.append(path)
    return found


def _shards(folder: Path) -> dict[str, Shard]:
    found = {}
    for paths in shards.split_files(folder).values():
        for path in paths:
            name = path.relative_to(folder).as_posix()
            found[name] = Shard(rows=shards.read_stream(path).num_rows, sha256=file_sha256(path))
    return found


def _said(home: Path, policy: Picture) -> Edition:
    local, counted = shards.split_files(home / "local"), census.count(shards.split_files(home / "local"))
    terms = {"title": "S", "licence": "L", "terms": "T.", "images": "closed", "labels": "open", "label_rule": "r"}
    rows = sum(counted.rows.values())
    return Edition.model_validate({
        "dataset": "rlvr", "key": "k", "images": "none", "rows": {split: counted.rows[split] for split in local},
        "schema_sha256": edition.schema_sha256(record.RLVR), "shards": _shards(home / "edition"),
        "local": _shards(home / "local"), "sources": {"sfew": terms | {"rows": counted.sources["sfew"].rows}},
        "picture": policy, "in": rows, "kept": rows, "dropped": {}, "tables": {}, "upstream": {}, "teacher": None,
        "prompts": {}, "recipe": "r", "policy": {}, "flags": {}, "tool": {"fer-build": "0"}, "baseline": False,
        "checked": [], "synthetic": False,
    })  # fmt: skip
