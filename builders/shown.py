"""A face as a model gets to see it: the one picture policy, for shards, teachers, training and evaluation alike.

On the way of a face this stands at its end. What the faces stage stores is what was found; small pictures may be
enlarged here, since a vision encoder makes four tokens of a 48 pixel face and 64 of the same face at 224.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from ferbuild.builders.images import decode, encode
from ferbuild.builders.record import IMAGE
from ferbuild.manifests.recipe import Picture


def shown(image: bytes, policy: Picture) -> bytes:
    """Return an encoded picture as a model sees it: enlarged to the policy's `enlarge_to`, else its own bytes."""
    if not policy.enlarge_to:
        return image
    pixels = decode(image, max_pixels=sys.maxsize)
    size = shown_size(pixels.shape[1], pixels.shape[0], policy)
    if size == (pixels.shape[1], pixels.shape[0]):
        return image
    return encode(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8), policy)


def shown_size(width: int, height: int, policy: Picture) -> tuple[int, int]:
    """Return width and height, in pixels, at which a model sees a picture."""
    times = max(1.0, policy.enlarge_to / min(width, height))
    return round(width * times), round(height * times)


def as_shown(images: pa.Array | pa.ChunkedArray, policy: Picture) -> pa.Array | pa.ChunkedArray:
    """Return a column of IMAGE as models see it; without a copy where the policy enlarges nothing."""
    if not policy.enlarge_to:
        return images
    return pa.array([image_shown(image, policy) for image in images.to_pylist()], IMAGE)


def image_shown(image: dict[str, Any] | None, policy: Picture) -> dict[str, Any] | None:
    """Return an IMAGE as a model sees it, its name ending as its bytes are; None where there is none."""
    if image is None or not policy.enlarge_to:
        return image
    data = shown(image["bytes"], policy)
    if data is image["bytes"]:
        return image
    return {"bytes": data, "path": PurePosixPath(image["path"] or "").with_suffix(f".{policy.crop_format}").as_posix()}


def enlarged(policy: Picture) -> dict[str, Any]:
    """Return what of the policy enters the key of a stage that shows pictures to a model."""
    return {"enlarge_to": [policy.enlarge_to, policy.crop_format, policy.crop_quality]} if policy.enlarge_to else {}
