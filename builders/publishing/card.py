"""The README.md of an edition, generated from the build: what it is, how it was made, and what it must not be used for.

It depends on `edition.json` and on the figures of the shards alone, so that whoever downloads an edition can make its
card again and see whether anybody edited it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version

from ferbuild.builders.duplicates import SHOWN
from ferbuild.builders.mark import Rows
from ferbuild.builders.publishing import figures, licence, statements
from ferbuild.builders.publishing.card_head import TITLES, as_read, head, kind_of
from ferbuild.builders.publishing.card_tables import counts, quoted, table
from ferbuild.builders.publishing.edition import Edition

VERSION = version("fer-build")
"""Of the tool that words cards as this module does."""

ABOUT = {
    "cot": "Pictures of faces, the question which expression they show, and a teacher's reasoning, kept where its"
    " answer agrees with the label: rows for supervised fine-tuning.",
    "rlvr": "Questions about the expression in pictures of faces, each with an answer that a program can check: rows"
    " for reinforcement learning with verifiable rewards.",
    "ferbench": "The benchmark of facial-expression recognition, rebuilt from the test splits of its releases: one"
    " question a picture, none left out.",
}
BASELINE = (
    "**The reasoning in this dataset was written by the embedded `geometry` baseline**, a program that measures a face"
    " mesh and says what the measurements bear. It is no model's reasoning and no data to train on; it shows the form."
)
SYNTHETIC = (
    "**Every picture is synthetic**: rendered, or marked as synthetic by its release. Nothing that is measured on these"
    " rows holds for photographs of people."
)

POLICIES = {
    "cot": ("face_checks", "duplicates", "trace_checks", "consistency", "copies", "claims"),
    "rlvr": ("face_checks", "duplicates", "questions"),
    "ferbench": (),
}
"""Keys of the recipe by which rows of a kind are kept; a benchmark is never thinned."""

Section = Callable[[Edition, Mapping[str, Rows]], str]


def text(edition: Edition, tables: Mapping[str, Rows]) -> str:
    """Return the card of an edition; `tables` are the figures of its shards, as `figures.figures` counts them."""
    edition = as_read(edition)
    sections: dict[str, Section] = {
        "What is in it": _what,
        "How it was made": _made,
        "Who wrote the reasoning": _teacher,
        "Prompts": _prompts,
        "Filters and what they dropped": _filters,
        "Benchmark pictures": _contamination,
        "Sources, licences and label rules": _sources,
        "Filling in the pictures": _rehydrate,
        "Checking it": _verify,
        "Limits": lambda edition, tables: statements.LIMITS,
        "What it must not be used for": lambda edition, tables: statements.OUT_OF_SCOPE,
        "The EU AI Act": lambda edition, tables: statements.AI_ACT,
        "Citation": _citation,
    }
    parts = [f"# {TITLES[kind_of(edition)]}", _about(edition)]
    parts += [f"## {title}\n\n{body}" for title, said in sections.items() if (body := said(edition, tables))]
    return f"---\n{head(edition)}---\n\n" + "\n\n".join(parts) + "\n"


def _about(edition: Edition) -> str:
    rows = sum(edition.rows.values())
    made = f"{rows:,} rows, built from the raw releases by `fer-build` {edition.tool.get('fer-build', '')}."
    warned = [said for said, holds in ((BASELINE, edition.baseline), (SYNTHETIC, edition.synthetic)) if holds]
    return "\n\n".join([f"{ABOUT[kind_of(edition)]} {made}", *warned])


def _what(edition: Edition, tables: Mapping[str, Rows]) -> str:
    parts = [
        counts("split", "rows", edition.rows),
        f"By expression, in the words that all sources share:\n\n{table(tables[figures.LABELS], 'all')}",
        f"By source of the first picture:\n\n{table(tables[figures.SOURCES], 'all')}",
    ]
    others = [title for title in tables if title not in (figures.LABELS, figures.SOURCES)]
    parts += [f"By {title}:\n\n{table(tables[title], 'rows')}" for title in others]
    parts.append(
        "Load it with `datasets.load_dataset` or, from a folder, `datasets.load_from_disk`. Columns are described in"
        " fer-build's `docs/columns.md`."
    )
    return "\n\n".join(parts)


def _made(edition: Edition, tables: Mapping[str, Rows]) -> str:
    """Return the funnel: every stage's rows in, kept and dropped, and the reasons."""
    lines = [
        {"stage": name, "in": one.rows_in, "kept": one.kept, "dropped": one.rows_in - one.kept}
        for name, one in edition.upstream.items()
    ]
    own = {
        "stage": edition.dataset,
        "in": edition.rows_in,
        "kept": edition.kept,
        "dropped": edition.rows_in - edition.kept,
    }
    parts = [
        f"Recipe `{edition.recipe}`, stage key `{edition.key}`. At every stage, in = kept + dropped:",
        table([*lines, own]),
    ]
    named = [(name, one.dropped) for name, one in edition.upstream.items()] + [(edition.dataset, edition.dropped)]
    parts += [f"Dropped by {name}:\n\n{counts('because', 'rows', found)}" for name, found in named if found]
    if edition.flags:
        told = ", ".join(f"`{name} {value}`" for name, value in edition.flags.items() if value)
        parts.append(f"Told on the command line: {told}." if told else "")
    return "\n\n".join(part for part in parts if part)


def _teacher(edition: Edition, tables: Mapping[str, Rows]) -> str:
    teacher = edition.teacher
    if teacher is None:
        return ""
    lines = [
        f"- teacher: `{teacher.name}`" + (f", model `{teacher.model}`" if teacher.model else ""),
        f"- parameters: `{json.dumps(teacher.sampling, sort_keys=True)}`",
        "- the teacher was not told the label, unless a row says `hinted`" if not teacher.baseline else "",
        f"- its provider's terms on what it writes: {teacher.terms}" if teacher.terms else "",
    ]
    return "\n".join(line for line in lines if line)


def _prompts(edition: Edition, tables: Mapping[str, Rows]) -> str:
    said = "The column `prompt_version` is the hash of the template that a row was asked with."
    return "\n\n".join([said, *(f"`{name}`:\n\n{quoted(asked)}" for name, asked in sorted(edition.prompts.items()))])


def _filters(edition: Edition, tables: Mapping[str, Rows]) -> str:
    """Return the recipe's checks with their options, and the stage's own figures."""
    policy = {name: edition.policy.get(name) for name in POLICIES[kind_of(edition)]}
    parts = [f"- {name.replace('_', ' ')}: {_policy(value)}" for name, value in sorted(policy.items()) if value]
    parts = ["\n".join(parts)] if parts else []
    parts += [
        f"{title[:1].upper()}{title[1:]}:\n\n{table(_words_first(rows))}"
        for title, rows in edition.tables.items()
        if rows
    ]
    return "\n\n".join(parts)


def _words_first(rows: Rows) -> list[dict[str, object]]:
    """Return the rows with what is text before what is a number: edition.json has the names in their alphabet."""
    return [dict(sorted(row.items(), key=lambda item: (isinstance(item[1], int | float), item[0]))) for row in rows]


def _policy(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_policy(one) for one in value)
    if isinstance(value, dict) and len(value) == 1 and isinstance(options := next(iter(value.values())), dict):
        return f"`{next(iter(value))}`" + (f" {_policy(options)}" if options else "")
    return f"`{json.dumps(value, sort_keys=True)}`"


def _contamination(edition: Edition, tables: Mapping[str, Rows]) -> str:
    if kind_of(edition) == "ferbench":
        return "These rows are for evaluation only. Do not train on them, nor on near duplicates of their pictures."
    faces = edition.upstream.get("faces")
    found = {why: rows for why, rows in (faces.dropped if faces else {}).items() if why.startswith(SHOWN)}
    duplicates = edition.policy.get("duplicates", {})
    if isinstance(duplicates, dict) and duplicates.get("contaminated") == "keep":
        return (
            "The recipe KEEPS training pictures that a benchmark shows: a model trained on them has no FERBench score."
        )
    how = {
        "near": "equal files, equal pixels and verified near duplicates, mirrored ones too",
        "exact": "equal files and equal pixels only",
        "none": "nothing: no duplicate was looked for",
    }
    looked = how.get(str(duplicates.get("search")) if isinstance(duplicates, dict) else "", "")
    said = f"Before any row was made, training faces that a benchmark split shows were dropped. Looked for: {looked}."
    return f"{said} Dropped: {sum(found.values()):,}." + (f"\n\n{counts('because', 'rows', found)}" if found else "")


def _sources(edition: Edition, tables: Mapping[str, Rows]) -> str:
    rows = [
        {
            "source": one.title,
            "rows": one.rows,
            "licence": one.licence,
            "pictures": licence.pictures(one, edition),
            "labels": one.labels,
            "label rule": one.label_rule,
        }
        for _, one in sorted(edition.sources.items())
    ]
    terms = "\n".join(f"- {one.title}: {one.terms}" for _, one in sorted(edition.sources.items()))
    answered = ", ".join(edition.sources[name].title for name in edition.checked if name in edition.sources)
    leave = f"\n\nThe publisher answers for having looked into: {answered}." if answered else ""
    return f"{table(rows, 'rows')}\n\nTerms, as the manifests state them (see also {licence.FILE}):\n\n{terms}{leave}"


def _rehydrate(edition: Edition, tables: Mapping[str, Rows]) -> str:
    if edition.images == "bytes":
        return ""
    return (
        "The pictures are not here: `images` is null, and `faces` names each picture by source, path and hash. Whoever"
        " has the releases, from their own holders, fills them in; the result equals the builder's own shards byte for"
        " byte:\n\n"
        "```\npip install fer-build\nfer-build init --find RELEASES\nfer-build rehydrate THIS-FOLDER\n```"
    )


def _verify(edition: Edition, tables: Mapping[str, Rows]) -> str:
    return (
        "```\nsha256sum -c SHA256SUMS\nfer-build verify THIS-FOLDER\n```\n\n"
        "`verify` holds the rows against every promise that the folder can show: sums, schema, counts, checkable"
        " answers, provenance, licences, and this card."
    )


def _citation(edition: Edition, tables: Mapping[str, Rows]) -> str:
    own = (
        f"@misc{{ferbuild_{edition.dataset.replace('-', '_')}_{edition.key[:8]},\n"
        f"  title        = {{{TITLES[kind_of(edition)]}}},\n"
        f"  note         = {{Built by fer-build {edition.tool.get('fer-build', '')}, recipe {edition.recipe}, stage key"
        f" {edition.key}}}\n}}"
    )
    return f"Cite the releases, as their holders ask, and:\n\n```bibtex\n{own}\n\n{statements.UNIFER}\n```"
