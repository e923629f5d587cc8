"""Makes a calibration from end to end, and scores one on human codes: what `fer-build calibrate` runs.

Stands beside the way of a face.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from ferbuild.builders.calibrate import calibrate, restate
from ferbuild.builders.files import write_text
from ferbuild.builders.nets import SHIPPED, Nets, opened
from ferbuild.builders.render import VERSION
from ferbuild.builders.sample import Seen, sample
from ferbuild.builders.trial import trial
from ferbuild.manifests.calibration import Calibration, MadeBy

Tick = Callable[[str, int, int], None]

FIGURES_SHARE, TRIAL_SHARE = 3, 6
"""One face states the figures, and one tries the whole, for so many that chose scores and cutoffs."""
FIGURES_SEED, TRIAL_SEED = 1_000_003, 2_000_006
"""Added to the seed for those faces."""

HEAD = """\
# Which action units may be judged on a face, at which picture size and pose: written by `fer-build calibrate`.
# See docs/calibration.md for what it means; made anew by `make calibration`.
"""


def calibration(count: int, *, seed: int, workers: int, tick: Tick, nets: Nets = SHIPPED) -> Calibration:
    """Render and measure `count` faces, fit and test a judge for every unit, state its figures, and try the whole.

    Three sets of faces: none that states a figure has chosen anything, and none that tries the whole has left
    anything out.
    """

    def drawn(stage: str, number: int, own: int) -> list[Seen]:
        return sample(number, seed=own, workers=workers, nets=nets, tick=partial(tick, stage))

    model = opened(nets).units
    faces = drawn("calibrate", count, seed)
    made = calibrate(faces, _made_by(count, seed, nets), [model.name] if model else [])
    made = restate(made, drawn("figures", max(count // FIGURES_SHARE, 1), seed + FIGURES_SEED))
    tried = trial(drawn("trial", max(count // TRIAL_SHARE, 1), seed + TRIAL_SEED), made, seed + TRIAL_SEED)
    return made.model_copy(update={"trial": tried})


def write(made: Calibration, out: Path) -> None:
    """Write a calibration as YAML, durably."""
    text = yaml.safe_dump(made.model_dump(exclude_none=True), sort_keys=False, width=120)
    write_text(out, HEAD + text)


def _made_by(count: int, seed: int, nets: Nets) -> MadeBy:
    models = opened(nets)
    weights = {models.detector.name: models.detector.sha256, models.mesh.name: models.mesh.sha256}
    if models.units:
        weights[models.units.name] = models.units.sha256
    return MadeBy(renderer=VERSION, commit=_commit(), seed=seed, faces=count, weights=weights)


def _commit() -> str:
    """Return the commit of the checkout this runs from, with `+` where files were changed; empty outside of one."""
    here = Path(__file__).resolve().parent
    try:
        if Path(_git(here, "rev-parse", "--show-toplevel")) != here.parent:
            return ""  # installed into an environment that lies in somebody's own checkout
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
