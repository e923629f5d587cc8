"""Everything that makes a rendered picture, as plain numbers: the same scene is the same picture.

Stands between the drawing of random faces and the renderer. A scene can be changed in one unit with everything else
left as it was, which is what counterfactual pairs need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ferbuild.builders.render import units

Colour = tuple[float, float, float]
"""Red, green, blue, 0..1, as a screen shows them."""


class Pose(NamedTuple):
    """Degrees. Yaw: positive, turned to the person's left; pitch: positive, looking up; roll: positive, clockwise."""

    yaw: float
    pitch: float
    roll: float


class Crop(NamedTuple):
    """A tight, aligned cut: the eyes level but for a few degrees, as in RAF-DB or FER2013. Shares of the picture."""

    eye_distance: float = 0.31
    """Of the width; a turned face is scaled as if it were frontal."""
    eye_line: float = 0.4
    """Of the height, from the top."""


class View(NamedTuple):
    """A head somewhere in a larger frame, leaning as it leans, as in AffectNet. Shares of the picture."""

    eye_distance: float = 0.13
    """Of the width."""
    x: float = 0.5
    """Of the width: the middle between the eyes."""
    y: float = 0.42
    """Of the height."""


Framing = Crop | View


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose face it is."""

    number: int
    sex: float
    """0 female to 1 male, as the mesh's shapes have it."""
    age: float
    """Years."""
    descent: Mapping[str, float]
    """Shares of the mesh's three sets of shapes, sum 1."""
    shapes: Mapping[str, float]
    """Target of the mesh to weight."""


@dataclass(frozen=True, slots=True)
class Skin:
    tone: float
    """0 light to 1 dark."""
    warmth: float
    """-1 rosy to 1 olive."""
    flush: float
    """0..1: redness of cheeks and nose."""
    blotches: float
    freckles: float
    stubble: float
    lines: float
    """0..1: how much wrinkles show."""
    gloss: float
    lips: Colour
    """Multiplied with the skin's colour."""


@dataclass(frozen=True, slots=True)
class Eyes:
    iris: Colour
    pupil: float
    """Share of the iris."""
    gaze: tuple[float, float]
    """Degrees off the camera, to the picture's right and up."""
    lashes: float


@dataclass(frozen=True, slots=True)
class Hair:
    style: str
    """bald, cropped, short, parted, bob, long, bun, curly, cap or scarf."""
    colour: Colour
    volume: float
    """Decimetres above the scalp."""
    length: float
    """Decimetres below the crown."""
    hairline: float
    """Decimetres higher (receding) or lower than usual."""
    part: float
    """-1..1 across the head."""
    brow: float
    """Thickness of the brows, 1 usual."""
    brow_dark: float
    brow_arch: float
    cloth: Colour


@dataclass(frozen=True, slots=True)
class Light:
    yaw: float
    """Degrees from the camera to the picture's right."""
    pitch: float
    """Degrees above the camera."""
    key: float
    ambient: float
    warmth: float
    """-1 cool to 1 warm."""
    rim: float


@dataclass(frozen=True, slots=True)
class Camera:
    distance: float
    """Decimetres from the head; nearer is more distorted."""
    tilt: float
    """Degrees by which an aligned cut is off the level."""
    zoom: float
    """1 as framed."""
    shift: tuple[float, float]
    """Shares of the width."""


@dataclass(frozen=True, slots=True)
class Background:
    kind: str
    """plain, gradient or texture."""
    colours: tuple[Colour, Colour]
    scale: float
    seed: int


@dataclass(frozen=True, slots=True)
class Photo:
    blur: float
    """Sigma, pixels at a width of 224."""
    noise: float
    """Sigma, of 255, at a width of 224; less in smaller pictures."""
    quality: int
    """JPEG."""
    gamma: float
    seed: int


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn; `weights` are the face units as applied."""

    seed: int
    kind: str
    """labels, units or pairs."""
    label: str
    """Canonical word; `none` where no label was meant."""
    weights: Mapping[str, float]
    identity: Identity
    skin: Skin
    eyes: Eyes
    hair: Hair
    pose: Pose
    light: Light
    camera: Camera
    background: Background
    photo: Photo
    framing: Framing = field(default=Crop())
    form: str = ""
    """Which published form of the label's prototype was used."""


def with_unit(scene: Scene, unit: str, intensity: float, *, side: str = "both") -> Scene:
    """Return the scene with one unit at another intensity (0..1), also 0, and nothing else changed.

    See `units.with_unit` for units that share a movement. FerError for an unknown unit or side.
    """
    return replace(scene, weights=units.with_unit(scene.weights, unit, intensity, side))
