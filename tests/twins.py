"""Pictures that show one photograph and others that do not, and small releases of them."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def photo(number: int, size: int = 100) -> np.ndarray:
    """Return blobs under finer ones, RGB: as rich in detail as a face, and cheap."""
    rng = np.random.default_rng(number)
    total = np.full((size, size, 3), 120, np.float32)
    for cells, amount in ((5, 60), (10, 45), (20, 25), (40, 10)):
        blobs = rng.normal(0, amount, (cells, cells, 3)).astype(np.float32)
        total += cv2.resize(blobs, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 255).astype(np.uint8)


def png(picture: np.ndarray, level: int = 6) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=level)
    return file.getvalue()


def jpeg(picture: np.ndarray, quality: int = 60) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()


def smaller(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def raf(root: Path, pictures: dict[str, bytes], codes: dict[str, int] | None = None) -> None:
    """Write a RAF-DB; every picture is called happy (4) unless `codes` has another number."""
    aligned, labels = root / "basic/Image/aligned", root / "basic/EmoLabel"
    for folder in (aligned, labels):
        folder.mkdir(parents=True)
    lines = [f"{name}.jpg {(codes or {}).get(name, 4)}\n" for name in pictures]
    (labels / "list_patition_label.txt").write_text("".join(lines))
    for name, data in pictures.items():
        (aligned / f"{name}_aligned.jpg").write_bytes(data)


def sfew(root: Path, pictures: dict[str, bytes], label: str = "Happy", split: str = "Train") -> None:
    folder = root / split / f"{split}_Aligned_Faces" / label
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        (folder / f"{name}.png").write_bytes(data)
