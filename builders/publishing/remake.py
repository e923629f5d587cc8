"""A face made again as the faces stage made it, from what its row tells: crop, alignment and the picture policy.

No detector is needed, since the row holds where the face was cut out, or the very map by which it was aligned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ferbuild.builders.facing import decoded
from ferbuild.builders.framing import aligned
from ferbuild.builders.images import Cut, PictureError, cut, pixel_hash
from ferbuild.builders.magic import picture_kind
from ferbuild.builders.record import Row
from ferbuild.builders.shown import image_shown
from ferbuild.manifests.recipe import Picture

DIFFERS = "comes out otherwise"


def image_of(face: Row, data: bytes, policy: Picture) -> dict[str, Any]:
    """Return the IMAGE that a row of the provenance stands for, as a model sees it, from its file.

    Raises PictureError where the file does not yield the face: DIFFERS where it yields other pixels.
    """
    if face["crop"] is None and face["aligned"] is None:
        image = {"bytes": data, "path": f"{face['id']}.{picture_kind(data) or 'bin'}"}
    else:
        part = _cut(face, data, policy)
        if pixel_hash(part.pixels) != face["pixel_hash"]:
            raise PictureError(DIFFERS, "the pixels of the face are not those it had; is OpenCV or Pillow another?")
        image = {"bytes": part.data, "path": f"{face['id']}{part.suffix}"}
    shown = image_shown(image, policy)
    assert shown is not None
    return shown


def _cut(face: Row, data: bytes, policy: Picture) -> Cut:
    pixels, _ = decoded(data, policy)
    if face["aligned"] is None:
        return cut(data, pixels, face["crop"], policy)
    try:
        return aligned(pixels, np.array(face["aligned"], np.float64).reshape(2, 3), policy).cut
    except ValueError as err:
        raise PictureError(DIFFERS, str(err)) from None
