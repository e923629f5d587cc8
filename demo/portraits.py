"""The two public-domain portraits of the demo, and how a release cuts a face out of a picture.

Stands beside the renderer: photographs of persons, whose action units nobody coded.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ferbuild.builders import assets
from ferbuild.builders.images import Pixels
from ferbuild.builders.render.scene import Crop, Framing

Marks = npt.NDArray[np.float64]
"""68 x 2 landmarks in pixels, in the iBUG order."""

LANDMARKS = {
    "astronaut": """
        178 102  179 112  179 121  180 131  182 141  191 157  201 168  212 176  221 177  229 177  242 170
        254 160  264 146  268 135  270 125  272 116  273 107  187 91  191 87  197 86  206 87  215 89  236 89
        246 88  255 88  261 91  265 95  225 101  224 111  224 121  223 127  211 130  218 133  223 134  229
        134  236 131  194 101  198 98  206 98  213 104  207 104  200 104  237 105  245 100  252 100  257 104
        250 107  243 106  202 139  210 138  217 139  223 140  230 139  237 140  246 142  235 153  229 155
        222 156  216 155  211 152  204 140  218 141  223 142  229 142  243 142  228 150  223 151  217 150
    """,
    "grace_hopper": """
        169 196  171 213  172 230  175 249  181 268  198 298  222 319  249 332  269 333  288 330  315 315
        336 292  351 261  356 241  358 222  359 205  360 189  183 173  190 165  202 161  219 160  241 162
        286 159  308 156  326 155  338 159  345 166  264 184  265 205  266 225  266 237  240 249  254 252
        267 252  278 251  293 247  200 192  208 187  223 185  239 192  227 195  212 196  289 190  305 182
        320 182  329 186  317 192  302 192  230 277  244 271  255 269  267 270  278 268  289 269  303 275
        287 285  278 288  267 289  256 289  247 287  235 276  259 276  267 277  275 276  298 274  275 277
        267 278  258 278
    """,
}
"""68 landmarks, x and y in pixels of the portrait, by the face mesh."""


class Photo(NamedTuple):
    """A picture with a face in it."""

    rgb: Pixels
    marks: Marks


def photograph(name: str) -> Photo:
    """Return a whole portrait."""
    with Image.open(assets.fetch(name)) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    return Photo(rgb, np.array(LANDMARKS[name].split(), np.float64).reshape(68, 2))


def cut(photo: Photo, framing: Framing, width: int, height: int) -> Photo:
    """Return a part of a picture, `width` x `height` pixels.

    A crop turns the eyes level; a view stays inside the picture where that is large enough.
    """
    eyes = np.array([photo.marks[36:42].mean(0), photo.marks[42:48].mean(0)])
    across, middle = eyes[1] - eyes[0], eyes.mean(0)
    scale = framing.eye_distance * width / float(np.hypot(*across))
    level = isinstance(framing, Crop)
    tilt = float(np.degrees(np.arctan2(across[1], across[0]))) if level else 0.0
    turn = np.array(cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), tilt, scale), np.float64)
    x, y = (0.5, framing.eye_line) if isinstance(framing, Crop) else (framing.x, framing.y)
    turn[:, 2] += (x * width, y * height) - middle
    if not level:
        room = (width, height) - scale * np.array(photo.rgb.shape[1::-1])
        turn[:, 2] = np.clip(turn[:, 2], np.minimum(room, 0), 0)
    return Photo(_seen(photo.rgb, turn, width, height, scale), photo.marks @ turn[:, :2].T + turn[:, 2])


def _seen(rgb: Pixels, turn: npt.NDArray[np.float64], width: int, height: int, scale: float) -> Pixels:
    """Sample `rgb` through the 2 x 3 map `turn`, smoothed first where it shrinks."""
    if scale < 1:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.45 * float(np.sqrt(1 / scale**2 - 1)) + 1e-3), np.uint8)
    seen = cv2.warpAffine(rgb, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)
