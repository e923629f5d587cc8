"""Writes small raw releases for the tests of the readers, and reads listings in a form that is easy to compare.

Pictures are a few bytes of anything: listing a release never opens one. `root` is always a folder that may not exist
yet; everything written is returned nowhere, the tests name what they expect.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from ferbuild.builders.sources import Listing

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
"""Published label files, outside the project; absent in a user's checkout."""


def published(name: str) -> Path:
    """Return a published label file, or skip the test where it is not there."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the published file {name} is not at {DATA}")
    return path


def put(root: Path, *paths: str, data: bytes = b"picture") -> None:
    """Write `data` to every path below `root`, with the folders it needs."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def lines(root: Path, path: str, rows: Iterable[str], *, end: str = "\n", bom: bool = False) -> None:
    """Write a label file of `rows`, each closed by `end`, after a byte order mark if asked for."""
    text = "".join(row + end for row in rows)
    put(root, path, data=(b"\xef\xbb\xbf" if bom else b"") + text.encode())


def pack(root: Path, path: str, members: Mapping[str, bytes] | Iterable[str]) -> None:
    """Write a ZIP archive; names without bytes hold the usual few."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    content = members if isinstance(members, Mapping) else dict.fromkeys(members, b"picture")
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def rafdb(root: Path, labels: Mapping[str, int], *, end: str = "\n", bom: bool = False) -> None:
    """Write the original release: `labels` maps a list name (train_00001.jpg) to its id from 1."""
    rows = [f"{name} {label}" for name, label in labels.items()]
    lines(root, "basic/EmoLabel/list_patition_label.txt", rows, end=end, bom=bom)
    put(root, *(f"basic/Image/aligned/{name[:-4]}_aligned.jpg" for name in labels))


AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)
LANDMARKS = ";".join(f"{at}.5" for at in range(136))


def affectnet_row(
    name: str, code: object, *, box: str = "10,20,100,120", valence: object = 0.25, arousal: object = -0.5
) -> str:
    """Return a line of AffectNet's original csv; `box` is x, y, width, height in pixels."""
    return f"{name},{box},{LANDMARKS},{code},{valence},{arousal}"


def annotation(root: Path, folder: str, number: int, *, text: bool = True, **values: object) -> None:
    """Write `<number>_<key>.npy` arrays without axes, as text like the 2021 release or as numbers."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for key, value in values.items():
        np.save(root / folder / f"{number}_{key}.npy", np.array(str(value) if text else value))


def labels(listing: Listing) -> dict[tuple[str, str], str]:
    """Return (split, name) to label of the kept rows; a name that occurs twice fails."""
    rows = listing.rows.select(["split", "name", "label"]).to_pylist()
    found = {(row["split"], row["name"]): row["label"] for row in rows}
    assert len(found) == len(rows)
    return found


def counts(listing: Listing) -> dict[str, dict[str, int]]:
    """Return split to label to number of kept rows."""
    found: dict[str, dict[str, int]] = {}
    for row in listing.rows.select(["split", "label"]).to_pylist():
        split = found.setdefault(row["split"], {})
        split[row["label"]] = split.get(row["label"], 0) + 1
    return found


def reasons(listing: Listing) -> dict[str, int]:
    """Return drop reason to number of dropped rows."""
    return dict(Counter(listing.drops["reason"].to_pylist()))


def addresses(listing: Listing) -> list[str]:
    """Return the addresses of the kept rows in the listing's order."""
    return list(listing.rows["rel_path"].to_pylist())
