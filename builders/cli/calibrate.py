"""`fer-build calibrate`: what may be measured on a face, and how well, by faces whose action units are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ferbuild.builders.cli.common import Options, common, emit, progressing
from ferbuild.builders.config import read_settings

if TYPE_CHECKING:
    from ferbuild.builders.against import Compared
    from ferbuild.manifests.calibration import Calibration, Judge


@click.command()
@click.option("--count", type=click.IntRange(12), default=9000, show_default=True, help="Faces to render.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("calibration.yaml"),
    show_default=True,
    help="Where to write what was found.",
)
@click.option("--against", help="Score the calibration in use on a source with human codes (rafau, rafce) instead.")
@common
def calibrate(options: Options, count: int, seed: int, out: Path, against: str | None) -> int:
    """Render faces, measure them, and write which action units may be judged, at which size and pose.

    \b
    fer-build calibrate                    a quarter of an hour on two cores
    fer-build calibrate --against rafau    the calibration in use, on human codes; needs RAF-AU in fer-build.yaml
    """
    if against is not None:
        return _against(options, against)
    from ferbuild.builders import calibrating
    from ferbuild.builders.nets import nets_of

    settings = read_settings(options.config, work=options.work, workers=options.workers, required=False)
    with progressing() as shown:
        made = calibrating.calibration(
            count, seed=seed, workers=settings.workers, tick=shown.tick, nets=nets_of(settings)
        )
    calibrating.write(made, out)
    if options.as_json:
        emit({"stage": "calibrate", "out": str(out), "calibration": made.model_dump(mode="json")})
    else:
        _show(made, out)
    return 0


def _against(options: Options, name: str) -> int:
    from ferbuild.builders import against

    settings = read_settings(options.config, work=options.work, workers=options.workers)
    with progressing() as shown:
        found = against.compare(settings, name, tick=lambda done, total: shown.tick("calibrate", done, total))
    if options.as_json:
        emit(_as_json(found))
    else:
        _show_agreement(found)
    return 0


def _show(made: Calibration, out: Path) -> None:
    """Print what may be judged, frontal faces, by size: precision and recall of `present`, then of `absent`."""
    click.echo("may be judged on a frontal face: precision/recall of present, then of absent\n")
    click.echo(f"{'':<6}" + "".join(f"{f'{size} px':>26}" for size in made.sizes))
    for unit, judges in made.units.items():
        click.echo(f"{unit:<6}" + "".join(f"{_cell(judges.get(size)):>26}" for size in made.sizes))
    if made.trial:
        total = made.trial.total
        click.echo(
            f"\nof {total.sentences:,} sentences about fresh faces, half of them false, {total.coverage:.0%} were "
            f"judged, and {total.precision:.1%} of those rightly"
        )
    click.echo(f"\n{out}: name it in fer-build.yaml as `calibration: {out}`")


def _cell(judge: Judge | None) -> str:
    band = judge.bands.get("frontal") if judge else None
    cuts = (band.present, band.absent) if band else (None, None)
    return "  ".join(f"{cut.precision:.2f}/{cut.recall:.2f}" if cut else "–" for cut in cuts)


def _show_agreement(found: Compared) -> None:
    click.echo(f"{found.source}: {found.pictures:,} coded pictures\n")
    for why, count in found.unmeasured.items():
        click.echo(f"  {count:>7,}  nothing judged: {why}")
    click.echo(f"\n{'unit':<6}{'coded':>8}{'judged present':>17}{'right':>8}{'judged absent':>16}{'right':>8}")
    for unit, one in found.units.items():
        shares = [_share(one.precision), _share(one.absent_precision)]
        click.echo(f"{unit:<6}{one.coded:>8,}{one.present:>17,}{shares[0]:>8}{one.absent:>16,}{shares[1]:>8}")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _as_json(found: Compared) -> dict[str, Any]:
    units = {
        unit: one._asdict() | {"precision": one.precision, "absent_precision": one.absent_precision}
        for unit, one in found.units.items()
    }
    counts = {"pictures": found.pictures, "unmeasured": dict(found.unmeasured)}
    return {"stage": "calibrate", "against": found.source} | counts | {"units": units}
