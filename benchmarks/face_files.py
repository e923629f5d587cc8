"""Releases of made-up JPEG faces on disk, for benchmarks of the faces stage: none of them is shipped.

The faces are those of `face_pictures`, in the sizes of the real releases: FER2013's grey 48 px, RAF-DB's 100 px and the
usual 224 px; no two are alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import face_pictures
import numpy as np
import numpy.typing as npt

SIDES = (48, 100, 224)
"""Pixels a side, in turns; the smallest are grey."""
GREY = 48
QUALITY = 90
BATCH = 500


def faces(count: int, sides: tuple[int, ...] = SIDES, seed: int = 0) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield RGB or, at 48 px, grey pictures of faces, the sides in turns."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        for at, face in enumerate(face_pictures.sampled(rng, min(BATCH, count - start)), start):
            yield _picture(face, sides[at % len(sides)], rng)


def _picture(face: npt.NDArray[np.floating], side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    large = cv2.resize(face.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    large = large + rng.standard_normal((side, side), np.float32) * 4
    if side != GREY:
        large = large[..., None] * rng.uniform((0.95, 0.83, 0.77), (1.15, 1.0, 0.93)).astype(np.float32)
    return np.clip(large, 0, 255).astype(np.uint8)


def jpegs(count: int, sides: tuple[int, ...] = SIDES, seed: int = 0) -> Iterator[bytes]:
    """Yield the pictures as JPEG files."""
    for picture in faces(count, sides, seed):
        yield face_pictures.encoded(picture, QUALITY).tobytes()


def release(root: Path, count: int, options: str = "") -> None:
    """Write a release in RAF-DB's layout to `root`/RAF, all of it training pictures, and a fer-build.yaml beside it.

    It has no more than 99,999 pictures: their names have five digits.
    """
    pictures, labels = root / "RAF/Image/aligned", root / "RAF/EmoLabel"
    pictures.mkdir(parents=True)
    labels.mkdir()
    with (labels / "list_patition_label.txt").open("w") as listed:
        for at, data in enumerate(jpegs(count), 1):
            (pictures / f"train_{at:05d}_aligned.jpg").write_bytes(data)
            listed.write(f"train_{at:05d}.jpg {1 + at % 7}\n")
    (root / "fer-build.yaml").write_text(f"sources: {{rafdb: RAF}}\n{options}")
