"""A model's whole evaluation: its answers got or read, scored, compared, and written down.

Stands behind the command: it brings the parts of this package together, and holds no figure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ferbuild.builders import bench, nets, surveying
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.estimate import Confirm, Estimate
from ferbuild.builders.evaluation import (
    bench_measures,
    compare,
    loading,
    output,
    rationale,
    readers,
    results,
    review_sheet,
    run,
)
from ferbuild.builders.evaluation.answers import Loaded
from ferbuild.builders.evaluation.as_json import as_json
from ferbuild.builders.evaluation.compare import Rows
from ferbuild.builders.evaluation.metrics import RESAMPLES
from ferbuild.builders.evaluation.models import Model, model_of
from ferbuild.builders.evaluation.rationale import Judgements
from ferbuild.builders.evaluation.robust import robustness
from ferbuild.builders.evaluation.score import Score, score
from ferbuild.builders.evaluation.variants import PLAIN, VARIANTS, known_variant
from ferbuild.builders.mark import Report
from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import Usage
from ferbuild.builders.teacher import AskOptions
from ferbuild.manifests.schema import TeacherEntry

REPORT, REVIEW = "report", "review"
PARTLY = frozenset({"missing", "doubled", "another benchmark", "unknown set", "not readable", "error"})
"""Problems with which an evaluation is done in part."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line may ask for; see its help."""

    model_id: str = ""
    sets: str = ""
    samples: int = 1
    prompts: Sequence[Path] = ()
    robust: bool = False
    variants: Sequence[str] = ()
    rationales: bool = False
    set_name: str = ""
    bench: Sequence[Path] = ()
    name: str = ""
    against: Sequence[Path] = ()
    out: Path | None = None
    pictures: bool = False
    review: int | None = None
    resamples: int = RESAMPLES


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A finished evaluation."""

    score: Score
    as_json: Mapping[str, Any]
    out: Path | None
    """The result folder; None where none was asked for."""
    complete: bool = True
    """False: another run goes on with what is still to be asked."""
    sheet: Path | None = None
    """The folder of the sheet for people to judge."""

    @property
    def exit_code(self) -> int:
        """0: all is done; 1: rows are missing, in error or left out."""
        return int(not self.complete or any(one.kind in PARTLY for one in self.score.problems))


def of_files(files: Sequence[Path], wanted: Wanted) -> Evaluated:
    """Score files of results; FerError where nothing in them can be scored, or for what needs the model."""
    pictured = {"--robust": wanted.robust or wanted.variants, "--review": wanted.review, "--pictures": wanted.pictures}
    for flag in (flag for flag, given in pictured.items() if given):
        raise FerError(flag, "needs the model and the pictures, and files of results have neither", "leave it out")
    asked = {"--model-id": wanted.model_id, "--sets": wanted.sets, "--samples": wanted.samples > 1}
    asked |= {"--prompts": bool(wanted.prompts)}
    for flag in (flag for flag, given in asked.items() if given):
        raise FerError(flag, "says how a model is asked, and files of results are scored as they are", "leave it out")
    others = _others(wanted, wanted.out)
    loaded = readers.load(files, set_name=wanted.set_name, bench=wanted.bench, name=wanted.name)
    found = score(loaded, resamples=wanted.resamples)
    told = as_json(found) | _more(loaded, found, wanted, others, seed=0)
    if wanted.out:
        output.write_all(wanted.out, told, found.readings, output.examples_of(loaded.table, found.readings, seed=0))
    return Evaluated(found, told, wanted.out)


def of_model(
    build: Build, model: str, wanted: Wanted, options: AskOptions, confirm: Confirm | None
) -> Evaluated | None:
    """Ask a model all of the benchmark, and score it; None where `confirm` says no to the price."""
    of_results = {"--set": wanted.set_name, "--bench": wanted.bench, "--name": wanted.name}
    for flag in (flag for flag, given in of_results.items() if given):
        raise FerError(flag, "is of files of results", "name them with --responses, or leave it out")
    variants = [known_variant(name) for name in wanted.variants] or (list(VARIANTS) if wanted.robust else [])
    who = model_of(build, model, model_id=wanted.model_id, endpoints=options.endpoints, samples=wanted.samples)
    if variants and who.program:
        raise FerError(f"--model {model}", "is no model that is asked, and cannot be asked otherwise", "leave it plain")
    if wanted.rationales:
        nets.fitting_calibration(build.settings)  # hours of asking are not spent to find that nothing can be judged
    out = _out(build, who, wanted)
    others = _others(wanted, out)
    if sheet := _sheet(wanted, out):
        review_sheet.refuse_rated(sheet)
    ask = partial(
        run.run, build, model=model, model_id=wanted.model_id, sets=wanted.sets, samples=wanted.samples,
        prompts=bench.read_prompts(wanted.prompts),
    )  # fmt: skip
    reports = _ask_all(build, ask, variants, options, confirm)
    return _scored(build, who, wanted, reports, others) if reports else None


def _ask_all(
    build: Build,
    ask: Callable[..., Report | None],
    variants: Sequence[str],
    options: AskOptions,
    confirm: Confirm | None,
) -> dict[str, Report] | None:
    """Ask plainly and in every other way, all within one budget; None where `confirm` says no to the price of all."""
    shown: list[Estimate] = []
    ways, reports = [PLAIN, *variants], dict[str, Report]()

    def once(found: Estimate) -> bool:
        shown.append(found)
        return confirm is None or confirm(found)

    for at, name in enumerate(ways, 1):
        spent = sum(one["cost"] or 0.0 for one in build.asked) + sum(one.spent or 0.0 for one in shown)
        within = replace(options, budget=surveying.left(options.budget, spent))
        asked = ask(variant=name, also=ways[at:], options=within, confirm=once if confirm and not shown else None)
        if asked is None:
            return None
        reports[name] = asked
    return reports


def _scored(
    build: Build, who: Model, wanted: Wanted, reports: Mapping[str, Report], others: Sequence[Rows]
) -> Evaluated:
    """Score a model's answers, and write all there is to say of them; `reports`: of what was asked, by variant."""
    report = reports[PLAIN]
    seed, ferbench = build.settings.seed, build.settings.work / bench.FOLDER
    loaded = loading.load(build, who.name, report.out)
    people, cost = loading.ceilings(build, loaded.table), partial(_cost, who.entry)
    found = score(loaded, seed=seed, resamples=wanted.resamples, ceilings=people, cost=cost)
    judged = _judged(build, ferbench, loaded) if wanted.rationales else None
    more = _more(loaded, found, wanted, others, seed=seed, judged=judged)
    if tables := {name: loading.read_answers(one.out) for name, one in reports.items() if name != PLAIN}:
        more["robustness"] = robustness(found.readings, tables, seed=seed, resamples=wanted.resamples)
    out = _out(build, who, wanted)
    complete = all(one.complete for one in reports.values())
    told = _told(build, report, who) | as_json(found) | more | {"out": str(out), "complete": complete}
    pictured = ferbench if wanted.pictures else None
    examples = output.examples_of(loaded.table, found.readings, seed=seed, ferbench=pictured)
    output.write_all(out, _lasting(told), found.readings, examples)
    sheet = _sheet(wanted, out)
    if sheet and wanted.review:
        images = review_sheet.bench_images(ferbench)
        review_sheet.write_sheet(loaded.table, sheet, count=wanted.review, seed=seed, images=images, judged=judged)
    return Evaluated(found, told, out, complete, sheet)


def _out(build: Build, who: Model, wanted: Wanted) -> Path:
    return wanted.out or run.folder_of(build, who) / REPORT


def _sheet(wanted: Wanted, out: Path) -> Path | None:
    """Return the folder of the sheet, beside the results, which may leave the machine; None where none is wanted."""
    return out.with_name(f"{out.name}-{REVIEW}" if wanted.out else REVIEW) if wanted.review else None


def _others(wanted: Wanted, own: Path | None) -> list[Rows]:
    """Return the results that are compared with, but for those that are made anew in the folder `own`.

    FerError where one cannot be used, before anybody is asked.
    """
    read = list[Rows]()
    for folder in wanted.against:
        found, broken = results.find(folder)
        for one in broken:
            raise FerError(folder / one.place, one.problem, "score it again, or compare with another")
        others = (one for one in found if own is None or one.folder.resolve() != own.resolve())
        read += [compare.read_rows(one.name, one.folder) for one in others]
    return read


def _more(
    loaded: Loaded,
    found: Score,
    wanted: Wanted,
    others: Sequence[Rows],
    *,
    seed: int,
    judged: Judgements | None = None,
) -> dict[str, Any]:
    """Return the further parts of the JSON that a model and files have alike."""
    more: dict[str, Any] = {}
    if wanted.rationales:
        reasoned = rationale.rationales(loaded.table, judged=judged, seed=seed, resamples=wanted.resamples)
        more |= {"rationales": rationale.as_json(reasoned), "notes": list(reasoned.notes)}
    if others:
        own = compare.rows_of(found.name, found.readings)
        pairs = [one for other in others for one in compare.compare(own, other, seed=seed, resamples=wanted.resamples)]
        more["paired"] = [compare.as_json(one) for one in compare.adjusted(pairs)]
    return more


def _judged(build: Build, ferbench: Path, loaded: Loaded) -> Judgements:
    """Return what may be said of every face that was answered about; it is measured for that, once for all models."""
    bench_measures.measure_bench(build, ferbench)
    return bench_measures.judged_of(build, ferbench, loaded.table["id"].to_pylist())


def _told(build: Build, report: Report, who: Model) -> dict[str, Any]:
    """Return what the command tells of the stage itself, and of who answered."""
    entry = who.entry
    about = {"name": entry.name, "kind": entry.kind, "model": entry.model, "sampling": entry.sampling} if entry else {}
    upstream = [one.as_json() for one in build.ran if one is not report and not one.reused]
    asked = {"asked": build.asked} if build.asked else {}
    return report.as_json() | {"upstream": upstream, "baseline": who.program is not None, "entry": about} | asked


def _lasting(told: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what differs from run to run: times, places, and what this run asked."""
    passing = ("seconds", "out", "upstream", "asked", "reused", "splits")
    return {name: value for name, value in told.items() if name not in passing}


def _cost(entry: TeacherEntry | None, read: int, written: int) -> float | None:
    return dollars(entry, Usage(read, written)) if entry else None
