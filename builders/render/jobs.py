"""Which pictures a release of rendered faces is made of: who, with what expression, at which size, in which split.

Stands between the command and the renderer. A job holds everything that a process needs to render its picture, and
what it renders depends on nothing else.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ferbuild.builders.record import CANONICAL
from ferbuild.builders.render import VERSION
from ferbuild.builders.render.draw import NONE, Kind, draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import Rendered, render
from ferbuild.builders.render.scene import Crop, Framing, Scene, View

SYNTHETIC = "synthetic: a rendered face, nobody's; made by fer-build render; CC0-1.0"
"""Written into every picture file."""
PERSON, PICTURE, SIZE = range(3)
"""What a random number is for: keys beside the seed."""
MADE_OF = ("skin", "eyes", "hair", "light", "camera", "background", "photo")
"""Parts of a scene that are annotated as they are."""
GREY_BELOW = 56
"""Pixels; smaller pictures are grey, as FER2013's are."""
GREY_SHARE, VIEW_SHARE, PNG_SHARE = 0.06, 0.3, 0.25
VIEW_FROM = 160
"""Pixels; in a smaller picture a head within a larger frame is too small to read."""


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to be rendered."""

    number: int
    seed: int
    kind: Kind
    label: str
    person: int
    size: int
    """Pixels of the square picture's side."""

    @property
    def split(self) -> str:
        """Of ten persons one is for validation and one for the test; no person is in two splits."""
        return {1: "validation", 2: "test"}.get(self.person % 10, "train")


class Made(NamedTuple):
    """A picture file and its annotation."""

    name: str
    data: bytes
    annotation: dict[str, Any]


def plan(count: int, seed: int, sizes: tuple[int, int], kinds: tuple[Kind, ...]) -> list[Job]:
    """Return the jobs of a release; `sizes`: least and largest side in pixels, between which sides are drawn.

    The kinds take turns; of each, a person shows as many pictures as there are labels: every label once.
    """
    jobs = []
    for number in range(count):
        turn, which = divmod(number, len(kinds))
        person, place = divmod(turn, len(CANONICAL))
        kind = kinds[which]
        label = CANONICAL[place] if kind == "labels" else NONE
        jobs.append(Job(number, seed, kind, label, person, _side(draw_at(seed, SIZE, number), sizes)))
    return jobs


def _side(rng: np.random.Generator, sizes: tuple[int, int]) -> int:
    """Return a side drawn evenly on a logarithmic scale; one in eight is the least."""
    low, high = sizes
    even = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return low if rng.random() < 0.125 else round(even)


def make(job: Job) -> Made:
    """Render a job's picture; the same bytes in any process."""
    cv2.setNumThreads(1)
    rng = draw_at(job.seed, PICTURE, job.number)
    look = draw(draw_at(job.seed, PERSON, job.person), asked={})
    look = replace(look, identity=replace(look.identity, number=job.person))
    framing = _framing(rng, job.size)
    label = job.label if job.kind == "labels" else None
    scene = draw(rng, kind=job.kind, label=label, like=look, framing=framing)
    grey = job.size < GREY_BELOW or rng.random() < GREY_SHARE
    ending = ".png" if rng.random() < PNG_SHARE else ".jpg"
    seen = render(load_head(), scene, width=job.size, height=job.size, grey=grey)
    name = f"{job.number:06d}_{job.label}{ending}"
    return Made(name, _file(seen, ending, grey=grey), annotate(job, scene, seen, name=name, grey=grey))


def _framing(rng: np.random.Generator, size: int) -> Framing:
    if size < VIEW_FROM or rng.random() > VIEW_SHARE:
        return Crop(eye_distance=float(rng.uniform(0.28, 0.33)), eye_line=float(rng.uniform(0.37, 0.42)))
    return View(float(rng.uniform(0.12, 0.2)), float(rng.uniform(0.38, 0.62)), float(rng.uniform(0.34, 0.48)))


def _file(seen: Rendered, ending: str, *, grey: bool) -> bytes:
    """Return the picture file, which says itself that it is synthetic."""
    if ending == ".jpg":
        note = SYNTHETIC.encode()
        return seen.jpeg[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + seen.jpeg[2:]
    info, out = PngInfo(), io.BytesIO()
    info.add_text("Comment", SYNTHETIC)
    Image.fromarray(seen.rgb[..., 0] if grey else seen.rgb).save(out, "png", pnginfo=info)
    return out.getvalue()


def annotate(job: Job, scene: Scene, seen: Rendered, *, name: str, grey: bool) -> dict[str, Any]:
    """Return everything that is known of a picture, as JSON can hold it; pixels and degrees as in `Rendered`."""
    made_of = {key: asdict(getattr(scene, key)) for key in MADE_OF}
    framing = {"form": "crop" if isinstance(scene.framing, Crop) else "view", **scene.framing._asdict()}
    return {
        "file": f"images/{job.split}/{name}",
        "split": job.split,
        "label": job.label,
        "kind": job.kind,
        "form": scene.form,
        "synthetic": True,
        "width": job.size,
        "height": job.size,
        "grey": bool(grey),
        "units": [one._asdict() for one in seen.units],
        "face_units": seen.weights,
        "pose": {key: round(value, 3) for key, value in seen.pose._asdict().items()},
        "box": [round(value, 2) for value in seen.box],
        "points": seen.points.round(2).tolist(),
        "landmarks": seen.landmarks.round(2).tolist(),
        "identity": asdict(scene.identity),
        **made_of,
        "framing": framing,
        "seed": job.seed,
        "scene_seed": scene.seed,
        "renderer": VERSION,
    }
