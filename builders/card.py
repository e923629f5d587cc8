"""The README.md of a dataset on this machine: what it holds, what was dropped, and why it stays here."""

from __future__ import annotations

import pyarrow as pa
import yaml

from ferbuild.builders.features import front_matter
from ferbuild.builders.mark import Report, Rows
from ferbuild.builders.stage import Plan

LOCAL = (
    "This is the local edition. It may hold pictures that their owners do not allow anyone to pass on, and its drops"
    " tell of rows that were left out for a reason: do not upload this folder as it is. `fer-build publish` builds the"
    " edition of cot, rlvr or ferbench that may leave this machine."
)


def local(report: Report, plan: Plan) -> str:
    """Return the README of a stage's folder. It depends on the plan and the counts alone."""
    return page(report, plan.schema, plan.key, name=plan.out.name, about=plan.about, terms=plan.terms or LOCAL)


def page(report: Report, schema: pa.Schema, key: str, *, name: str, about: str, terms: str = LOCAL) -> str:
    """Return the README of the dataset called `name`, what it is and what is allowed in the caller's words."""
    head = yaml.safe_dump(front_matter(schema, list(report.splits), key), sort_keys=False)
    body = [f"# {name}", about, terms]
    body += [
        _table("split", "rows", report.splits),
        f"in {report.rows_in} = kept {report.kept} + dropped {report.rows_in - report.kept}",
    ]
    if report.dropped:
        body.append(_table("dropped because", "rows", report.dropped))
    body += [f"{name}:\n\n{_figures(rows)}" for name, rows in report.tables.items() if rows]
    if report.findings:
        body += ["Kept although:", _table("finding", "rows", report.findings)]
    body.append(f"Stage key `{key}`. Load with `datasets.load_dataset` or `datasets.load_from_disk` on this folder.")
    return f"---\n{head}---\n\n" + "\n\n".join(body) + "\n"


def _figures(rows: Rows) -> str:
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _table(name: str, count: str, rows: object) -> str:
    items = dict(rows).items() if isinstance(rows, dict) else []
    lines = [f"| {name} | {count} |", "|---|---:|", *(f"| {key} | {value} |" for key, value in items)]
    return "\n".join(lines)
