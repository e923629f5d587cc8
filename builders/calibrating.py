"""Makes a calibration from end to end, and scores one on human codes: what `fer-build calibrate` runs.

Stands beside the way of a face. The faces that try the finished calibration are drawn with another seed than those
it was made of.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from ferbuild.builders.calibrate import calibrate
from ferbuild.builders.files import write_text
from ferbuild.builders.nets import SHIPPED, Nets, opened
from ferbuild.builders.render import VERSION
from ferbuild.builders.sample import sample
from ferbuild.builders.trial import trial
from ferbuild.manifests.schema import Calibration, MadeBy

Tick = Callable[[str, int, int], None]

TRIAL_SHARE = 6
"""One face tries the calibration for so many that made it."""
TRIAL_SEED = 1_000_003
"""Added to the seed for the faces of the trial."""

HEAD = """\
# Which action units may be judged on a face, at which picture size and pose: written by `fer-build calibrate`.
# See docs/calibration.md for what it means; made anew by `make calibration`.
"""


def calibration(count: int, *, seed: int, workers: int, tick: Tick, nets: Nets = SHIPPED) -> Calibration:
    """Render and measure `count` faces, fit and test a judge for every unit, and try the whole on fresh faces."""
    faces = sample(
        count, seed=seed, workers=workers, nets=nets, tick=lambda done, total: tick("calibrate", done, total)
    )
    model = opened(nets).units
    made = calibrate(faces, _made_by(count, seed, nets), [model.name] if model else [])
    fresh = sample(
        max(count // TRIAL_SHARE, 1),
        seed=seed + TRIAL_SEED,
        workers=workers,
        nets=nets,
        tick=lambda done, total: tick("trial", done, total),
    )
    return made.model_copy(update={"trial": trial(fresh, made, seed + TRIAL_SEED)})


def write(made: Calibration, out: Path) -> None:
    """Write a calibration as YAML, durably."""
    text = yaml.safe_dump(made.model_dump(exclude_none=True), sort_keys=False, width=120)
    write_text(out, HEAD + text)


def _made_by(count: int, seed: int, nets: Nets) -> MadeBy:
    models = opened(nets)
    weights = {"centerface": models.detector.sha256, "face_mesh": models.mesh.sha256}
    if models.units:
        weights[models.units.name] = models.units.sha256
    return MadeBy(renderer=VERSION, commit=_commit(), seed=seed, faces=count, weights=weights)


def _commit() -> str:
    """Return the commit of the checkout this runs from, with `+` where files were changed; empty outside of one."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
