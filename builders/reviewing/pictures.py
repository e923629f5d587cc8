"""The pictures of a row under review, one by one: from the shards, or of a dropped row from wherever it still lies.

Stands beside the catalogue. Of a drop the face is looked up by its id among the faces, then its file in the release; of
a duplicate the row that stands for it comes second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import images, shards
from ferbuild.builders.config import Release
from ferbuild.builders.duplicate_report import REASONS
from ferbuild.builders.duplicates import SHOWN
from ferbuild.builders.magic import picture_kind
from ferbuild.builders.publishing.locate import UNREADABLE, bases_of
from ferbuild.builders.record import Row
from ferbuild.builders.sources import read_picture
from ferbuild.manifests.recipe import Picture

BY_BROWSERS = frozenset({"jpeg", "png", "gif", "webp", "bmp"})
"""Kinds of pictures that a browser shows; others are turned into PNG."""


class Encoded(NamedTuple):
    data: bytes
    kind: str
    """MIME subtype."""


@dataclass(frozen=True)
class Joined:
    """A dataset that rows are looked up in by their id; opened when it is first asked."""

    folder: Path

    @cached_property
    def tables(self) -> Sequence[pa.Table]:
        """All shards, memory-mapped; none where nothing is built there."""
        if not (self.folder / "dataset_dict.json").is_file():
            return ()
        return [shards.read_stream(path) for paths in shards.split_files(self.folder).values() for path in paths]

    def find(self, name: str, columns: Sequence[str] | None = None) -> dict[str, Any] | None:
        """Return a row by its id, with all or some columns; None where there is none."""
        for table in self.tables:
            at = pc.index(table["id"], pa.scalar(name, table["id"].type)).as_py()
            if at >= 0:
                one = table.slice(at, 1)
                return dict((one.select(list(columns)) if columns else one).to_pylist()[0])
        return None


@dataclass(frozen=True)
class Gallery:
    """Where pictures are looked for beside the rows themselves."""

    faces: Joined
    releases: Sequence[Release]
    max_pixels: int

    @cached_property
    def bases(self) -> dict[str, list[Path]]:
        """The folders that the addresses of each source may be relative to."""
        return bases_of(self.releases)

    def of_row(self, row: Row, number: int) -> Encoded | None:
        """Return a row's picture as a browser shows it; None where there is none."""
        listed = [row["image"]] if "image" in row else row.get("images") or []
        if not 0 <= number < len(listed) or not listed[number]:
            return None
        return self._encoded(listed[number]["bytes"])

    def of_drop(self, drop: Row, number: int) -> Encoded | None:
        """Return the picture of a dropped row, or as its second that of the row it was dropped for."""
        if number == 0:
            return self._of_face(drop["id"]) or self._of_release(drop)
        other = other_of(drop)
        return self._of_face(other) if other and number == 1 else None

    def _of_face(self, name: str) -> Encoded | None:
        found = self.faces.find(name, ["image"])
        return self._encoded(found["image"]["bytes"]) if found and found["image"] else None

    def _of_release(self, drop: Row) -> Encoded | None:
        for base in self.bases.get(drop["source"], ()):
            try:
                return self._encoded(read_picture(base, drop["rel_path"]))
            except UNREADABLE:
                continue
        return None

    def _encoded(self, data: bytes | None) -> Encoded | None:
        kind = picture_kind(data) if data else None
        if data is None or kind is None or kind in BY_BROWSERS:
            return Encoded(data, kind) if data and kind else None
        try:
            pixels = images.decode(data, max_pixels=self.max_pixels, whole=False)
        except images.PictureError:
            return None
        return Encoded(images.encode(pixels, Picture(crop_format="png")), "png")


def other_of(drop: Row) -> str:
    """Return the id of the row that a drop was dropped for; empty where it tells of none."""
    told = drop["reason"] in REASONS or drop["reason"].startswith(SHOWN)
    return str(drop["detail"]) if told and drop["detail"] else ""
