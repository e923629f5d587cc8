"""From the pixels that a head covers to their light: colours of skin, eyes, mouth, hair and cloth under the lamp.

Stands between the rasteriser and the photo. All colours here are linear light, 32-bit floats; N counts pixels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ferbuild.builders.render import lamp, texture
from ferbuild.builders.render.hair import CLOTH, LASH, Overlay
from ferbuild.builders.render.head import LEFT_EYE, RIGHT_EYE, TEETH, TONGUE, Head
from ferbuild.builders.render.package import Floats, Ints
from ferbuild.builders.render.person import Placed, eye_centres
from ferbuild.builders.render.raster import Seen
from ferbuild.builders.render.scene import Colour, Scene, Skin
from ferbuild.builders.render.vectors import along, mapped, unit

TONES = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0])
PALETTE = np.array(
    [[240, 204, 186], [224, 178, 152], [197, 146, 116], [156, 109, 81], [105, 70, 50], [66, 43, 32]]
) / 255  # fmt: skip
"""Skin from light to dark, as a screen shows it."""
TEETH_COLOUR: Colour = (0.84, 0.80, 0.72)
TONGUE_COLOUR: Colour = (0.68, 0.33, 0.33)
CAVITY_COLOUR: Colour = (0.32, 0.10, 0.10)
SCLERA: Colour = (0.84, 0.80, 0.78)
IRIS_ANGLE = 29.0
"""Degrees from the middle of the iris to its rim, seen from the eyeball's centre."""
FURTHEST = 26.0
"""Degrees that an eye turns in its socket."""


class Ground(NamedTuple):
    """What every corner of the head knows of itself, whoever it belongs to."""

    lips: Floats
    mouth: Floats
    """0..1: the inside of the mouth."""
    flush: Floats
    """0..1: where skin is redder."""
    lid: Floats
    """0..1: the edge of the lids."""
    beard: Floats
    cloth: Floats
    """0..1: below the neckline."""


def linear(colour: Colour | Floats) -> Floats:
    return np.asarray(np.maximum(np.asarray(colour, np.float32), 0) ** np.float32(2.2), np.float32)


def spread(seen: Seen, triangles: Ints, values: Floats) -> Floats:
    """Return values of corners (C x K) at the pixels seen (N x K)."""
    ends = np.arange(0, 3 * len(seen.at) + 1, 3)
    table = csr_array((seen.share.ravel(), triangles[seen.triangle].ravel(), ends), shape=(len(seen.at), len(values)))
    return np.asarray(table @ values, np.float32)


@lru_cache(maxsize=2)
def ground(head: Head) -> Ground:
    rows, columns = head.masks.shape[:2]
    x = np.clip((head.uv[:, 0] * columns).astype(int), 0, columns - 1)
    y = np.clip(((1 - head.uv[:, 1]) * rows).astype(int), 0, rows - 1)
    lips, lids, mouth = (head.masks[y, x].astype(np.float32) / 255).T
    rest = head.rest[head.corners]
    side, up, front = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    cheek = np.exp(-(((side - 0.37) / 0.2) ** 2) - ((up - 6.93) / 0.17) ** 2)
    nose = np.exp(-((side / 0.14) ** 2) - ((up - 6.93) / 0.12) ** 2)
    flush = np.where(front > 0.9, np.maximum(cheek, 0.8 * nose), 0) + 0.7 * ((side > 0.7) & (up < 7.4) & (up > 6.9))
    inner = (up < 6.99) & (up > 6.2) & (front < 1.44) & (mouth > 0.3)
    beard = np.clip((6.86 - up) / 0.12, 0, 1) * np.clip((up - 5.95) / 0.2, 0, 1) * (front > 0.5)
    beard *= np.clip((side - 0.03) / 0.05, 0.35, 1) * np.where(up > 6.62, np.clip(1.6 - side * 2, 0.15, 1), 1)
    neckline = 5.72 - 0.28 * np.exp(-((side / 0.3) ** 2)) * (front > 0.3) + 0.12 * np.clip(side - 0.5, 0, 1)
    cloth = np.clip((neckline - up) / 0.02, 0, 1)
    kept = (lips, np.where(inner, mouth, 0), flush, lids, beard * (1 - lips), cloth)
    return Ground(*(np.asarray(values, np.float32) for values in kept))


def skin_tone(skin: Skin) -> Floats:
    """Return the skin's colour, linear."""
    base = np.array([np.interp(skin.tone, TONES, PALETTE[:, at]) for at in range(3)])
    return linear(base * (1 + np.array([-0.03, 0.015, -0.05]) * skin.warmth))


def expected(scene: Scene) -> float:
    """Return the mean light of a face in this scene; fitted to renders, within 11 % of them for most."""
    key, sky = (float(part.mean()) for part in lamp.colours(scene.light))
    ahead = max(float(lamp.direction(scene.light)[2]), 0.0)
    return float(skin_tone(scene.skin).mean()) * (key * (0.63 * ahead + 0.15) + 0.84 * sky)


class Surface(NamedTuple):
    """The N pixels of the head: part, place on the resting mesh, normal, and what hides them."""

    part: npt.NDArray[np.int8]
    rest: Floats
    normal: Floats
    hollow: Floats
    ground: Ground
    open_: Floats
    free: Floats


def paint(head: Head, scene: Scene, placed: Placed, seen: Seen, open_: Floats, free: Floats) -> Floats:
    """Return the light (N x 3, 0..1 and more) of the pixels that the head covers."""
    surface = _surface(head, placed, seen, open_, free)
    light = _skin(scene, surface)  # nearly all of it; the rest is painted over
    chosen = np.flatnonzero(np.isin(surface.part, (TEETH, TONGUE)))
    if len(chosen):
        light[chosen] = _mouth(scene, _only(surface, chosen))
    for part in (RIGHT_EYE, LEFT_EYE):
        chosen = np.flatnonzero(surface.part == part)
        if len(chosen):
            light[chosen] = _eye(head, scene, placed, _only(surface, chosen), part)
    return light


def _surface(head: Head, placed: Placed, seen: Seen, open_: Floats, free: Floats) -> Surface:
    hollow = ((head.beside @ placed.points - placed.points) * placed.normals).sum(1)
    vertices = np.column_stack([head.rest, mapped(placed.normals, placed.lens.turn.T), head.beside @ hollow])
    values = spread(seen, head.triangles, np.column_stack([vertices[head.corners], *ground(head)]).astype(np.float32))
    known = Ground(*np.ascontiguousarray(values[:, 7:].T))
    return Surface(head.parts[seen.triangle], values[:, :3], unit(values[:, 3:6]), values[:, 6], known, open_, free)


def _only(surface: Surface, chosen: npt.NDArray[np.intp]) -> Surface:
    part, rest, normal, hollow, known, open_, free = surface
    inside = Ground(*(values[chosen] for values in known))
    return Surface(part[chosen], rest[chosen], normal[chosen], hollow[chosen], inside, open_[chosen], free[chosen])


def _skin(scene: Scene, face: Surface) -> Floats:
    known, skin = face.ground, scene.skin
    drawn = texture.look_up(texture.face_map(scene), face.rest)
    cavity = known.mouth * (1 - known.lips)
    front = np.clip((face.rest[:, 2] - np.float32(0.75)) * 5, 0, 1) * (1 - cavity)
    brow, fold = drawn[:, 0] * front, drawn[:, 1] * front
    colour = _skin_colour(scene, known, (drawn[:, 2] - np.float32(0.502)) * front)
    _blend(colour, linear(scene.hair.colour) * np.float32(0.7), brow)
    _blend(colour, linear(CAVITY_COLOUR), cavity)
    _blend(colour, linear(scene.hair.cloth), known.cloth)
    crease = np.clip(face.hollow * 26, -0.25, 0.7) + fold * np.float32(0.42)
    shut = 1 - np.float32(0.75) * cavity
    open_, free = face.open_ * (1 - crease * 0.8) * shut, face.free * (1 - crease * 0.45) * shut
    light = lamp.lit(scene.light, face.normal, open_, free)
    gloss = np.float32((0.035 + 0.09 * skin.gloss) * scene.light.key)
    shine = gloss * lamp.shine(scene.light, face.normal, 22) * face.free
    shine *= (1 - brow) * (1 + np.float32(1.2) * known.lips) * shut * (1 - known.cloth)
    if scene.light.rim:
        shine += (1 - np.clip(face.normal[:, 2], 0, 1)) ** 3 * np.float32(0.12 * scene.light.rim)
    light *= colour
    light += shine[:, None]
    return light


def _skin_colour(scene: Scene, known: Ground, blotch: Floats) -> Floats:
    """Return the skin's own colour (N x 3): each mask darkens it by a share of every colour."""
    skin = scene.skin
    masks = np.stack([blotch, known.flush, known.lips, known.beard, known.lid], 1)
    logs = np.array([
        [1.1, 1.2, 1.3],
        np.log([0.98, 0.66, 0.72]) * skin.flush,
        np.log(linear(skin.lips)),
        np.log([0.42, 0.46, 0.52]) * skin.stubble * 0.9,
        np.log([0.55, 0.42, 0.40]) * (0.3 + 0.4 * scene.eyes.lashes),
    ], np.float32)  # fmt: skip
    return np.asarray(np.exp(mapped(masks, logs)) * skin_tone(skin), np.float32)


def _blend(colour: Floats, other: Floats, share: Floats) -> None:
    """Mix one colour into N x 3 colours, in place, where its share is more than a trace."""
    at = np.flatnonzero(share > 0.01)
    colour[at] += share[at, None] * (other - colour[at])


def _mixed(one: Floats, two: Floats, share: Floats) -> Floats:
    return np.asarray(one + (two - one) * share[:, None], np.float32)


def _mouth(scene: Scene, inside: Surface) -> Floats:
    """Return the light of teeth, with the gaps between them, and tongue."""
    teeth = inside.part == TEETH
    gap = np.abs(np.sin(inside.rest[:, 0] * (np.pi / 0.088))) < 0.1
    colour = np.where(teeth[:, None], linear(TEETH_COLOUR), linear(TONGUE_COLOUR)) * (1 - 0.35 * (gap & teeth))[:, None]
    deep = np.clip((inside.rest[:, 2] - 1.05) / 0.4, 0.12, 1) * np.where(teeth, 0.85, 0.6)
    light = lamp.lit(scene.light, inside.normal, inside.open_ * deep, inside.free * deep)
    shine = lamp.shine(scene.light, inside.normal, 40) * 0.12 * deep * inside.free
    return np.asarray(colour * light + shine[:, None], np.float32)


def _eye(head: Head, scene: Scene, placed: Placed, ball: Surface, part: int) -> Floats:
    """Return the light of an eyeball: white, iris and pupil turned to where the person looks, and the lamp in it."""
    centre = eye_centres(head, head.rest)[part == LEFT_EYE]
    out = unit(ball.rest - centre)
    angle = np.degrees(np.arccos(np.clip(along(out, _gaze(scene, placed)), -1, 1)))
    rim = IRIS_ANGLE
    colour = np.broadcast_to(linear(SCLERA), (len(out), 3))
    corner = np.clip((np.abs(out[:, 0]) - 0.45) / 0.4, 0, 1)
    colour = colour * (1 - corner[:, None] * np.array([0.05, 0.3, 0.3], np.float32))
    across = angle / rim
    streaks = 1 + 0.25 * np.sin(np.arctan2(out[:, 1], out[:, 0]) * 23) * np.clip(across, 0, 1)
    bright = np.interp(across, [0.3, 0.6, 0.85, 1.0], [1.0, 1.25, 0.9, 0.3]) * streaks
    iris = linear(scene.eyes.iris) * bright[:, None]
    colour = _mixed(colour, iris, np.clip((rim - angle) / 2.5, 0, 1))
    colour = _mixed(colour, np.full_like(colour, 0.006), np.clip((scene.eyes.pupil * rim - angle) / 2.5, 0, 1))
    lidded = np.clip(1 - (ball.rest[:, 1] - centre[1]) * 4, 0.55, 1)
    normal = unit(mapped(out, placed.lens.turn.T))
    light = lamp.lit(scene.light, normal, ball.open_ * lidded, ball.free * lidded, wrap=np.float32(0.3))
    bulge = unit(0.55 * normal + 0.45 * (_gaze(scene, placed) @ placed.lens.turn.T))
    glint = np.clip(lamp.shine(scene.light, bulge, 420) * 3, 0, 1) * (angle < rim * 1.25)
    return np.asarray(colour * light + (glint * 0.7)[:, None], np.float32)


def _gaze(scene: Scene, placed: Placed) -> Floats:
    """Return where the eyes look, in the head's frame: near the camera, as far as eyes turn."""
    x, y = np.radians(scene.eyes.gaze)
    wanted = placed.lens.turn.T @ np.array([np.sin(x), np.sin(y), 1.0])
    ahead = np.array([0.0, 0.0, 1.0])
    wanted /= np.linalg.norm(wanted)
    turn = np.degrees(np.arccos(np.clip(wanted @ ahead, -1, 1)))
    if turn > FURTHEST:
        aside = wanted - ahead * (wanted @ ahead)
        aside /= np.linalg.norm(aside)
        wanted = np.cos(np.radians(FURTHEST)) * ahead + np.sin(np.radians(FURTHEST)) * aside
    return np.asarray(wanted, np.float32)


def cover(
    scene: Scene, placed: Placed, layer: Overlay, seen: Seen, open_: Floats, free: Floats
) -> tuple[Floats, Floats]:
    """Return light (N x 3) and opacity (N) of the pixels that hair, headgear or lashes cover."""
    corners = np.column_stack([layer.rest, mapped(layer.normals, placed.lens.turn.T), layer.cover]).astype(np.float32)
    values = spread(seen, layer.triangles, corners)
    rest, normal, inside = values[:, :3], unit(values[:, 3:6]), values[:, 6]
    normal = np.where(normal[:, 2:] < 0, -normal, normal)
    stuff = layer.stuff[layer.triangles[seen.triangle, 0]]
    strands = _strands(scene, rest)
    hair, cloth, lash = (linear(one) for one in (scene.hair.colour, scene.hair.cloth, (0.03, 0.025, 0.025)))
    colour = np.where((stuff == CLOTH)[:, None], cloth, hair * (0.55 + 0.9 * strands)[:, None])
    colour = np.where((stuff == LASH)[:, None], lash, colour)
    light = lamp.lit(scene.light, normal, open_, free, wrap=np.float32(0.25))
    shine = lamp.shine(scene.light, normal, 9) * free * (0.05 + 0.22 * strands) * (stuff == 0) * scene.light.key
    opaque = np.clip((inside + (strands - 0.5) * 0.09) / 0.07, 0, 1)
    opaque = np.where(stuff == CLOTH, np.clip(inside / 0.012, 0, 1), opaque)
    opaque = np.where(stuff == LASH, np.clip(inside * 1.3, 0, 1) * scene.eyes.lashes, opaque)
    if scene.hair.style in ("cropped", "bald"):
        opaque = np.where(stuff == 0, opaque * (0.55 + 0.35 * strands), opaque)
    sheen = shine[:, None] * (0.35 * hair / max(float(hair.max()), 0.05) + 0.05)
    return np.asarray(colour * light + sheen, np.float32), np.asarray(opaque, np.float32)


def _strands(scene: Scene, rest: Floats) -> Floats:
    """Return the grain of hair (N, 0..1): fine lines from the crown down, curls where it is curly."""
    rough = np.random.default_rng(scene.seed + 1).random(4096, np.float32)
    grain = (rough + np.roll(rough, 1)) / 2
    if scene.hair.style == "curly":
        cells = np.sin(rest * np.float32(29)) + np.sin(rest[:, [1, 2, 0]] * np.float32(47) + 1)
        return np.asarray(np.clip(0.5 + 0.28 * cells.sum(1) / 2, 0, 1), np.float32)
    around = np.arctan2(rest[:, 0] - np.float32(0.3 * scene.hair.part) * (rest[:, 1] > 7.9), rest[:, 2] - 0.35)
    along = around * 420 + 14 * np.sin(rest[:, 1] * 6)
    coarse = around * 61 + 4 * np.sin(rest[:, 1] * 5)
    return np.asarray(0.55 * grain[along.astype(np.int32) % 4096] + 0.45 * grain[coarse.astype(np.int32) % 4096 - 7])
