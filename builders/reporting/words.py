"""How the report words its figures: a title for every chart that says what it shows, and what a chart says to those
who cannot see it.

Stands between the object that is gathered and the page; the terminal says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ferbuild.builders.evaluation.figures import counted, percent, signed, span
from ferbuild.builders.record import CANONICAL

Found = Mapping[str, Any]

WAY = ("faces", "measure", "cot", "rlvr")
"""Stages that a training face goes through; all others stand apart."""
SIGNS = {"built": "●", "stale": "▲", "incomplete": "◐", "damaged": "✕", "missing": "○"}


def way(found: Found) -> str:
    """Return what the funnel shows in one sentence."""
    stages = {one["stage"]: one for one in found["stages"] if "in" in one}
    parts = [
        f"{stages[name]['kept']:,} {what}"
        for name, what in (("cot", "rationales"), ("rlvr", "faces with questions"), ("bench", "rows of FERBench"))
        if name in stages
    ]
    if "faces" not in stages:
        return f"What is built: {listed(parts)}" if parts else "What is built"
    faces = stages["faces"]
    start = f"{faces['in']:,} pictures were listed and {faces['kept']:,} kept"
    return f"{start}; they became {listed(parts)}" if parts else start


def listed(parts: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def steps(most: int) -> list[int]:
    """Return what an axis from 0 to `most` is marked at: three to six round numbers."""
    size = 10 ** max(len(str(most)) - 2, 0)
    apart = next(size * one for one in (1, 2, 5, 10, 20, 25, 50) if most <= 5 * size * one)
    return list(range(0, most + 1, apart))


def lost(one: Found) -> str:
    """Return the share of a stage's rows that it dropped, in words."""
    share = one["dropped"] / one["in"] if one["in"] else None
    return f"{percent(share)} % dropped" if one["dropped"] else "none dropped"


def stage_said(one: Found) -> str:
    """Return in words what the funnel draws of a stage."""
    return f"{one['stage']}: {one['in']:,} in, {one['kept']:,} kept, {one['dropped']:,} dropped"


def balanced(one: Found) -> str:
    """Return how far the labels of a dataset are from being equally frequent."""
    counts = {label: count for label, count in zip(one["labels"], one["totals"], strict=True) if count}
    if not counts:
        return "no rows"
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    lacking = [label for label in CANONICAL if label not in counts]
    without = f"; none of {listed(lacking)}" if lacking else ""
    if counts[most] == counts[least]:
        return f"every label has {counts[most]:,} rows{without}"
    ratio = counts[most] / counts[least]
    return f"{most} is {ratio:.1f} times as frequent as {least}{without}"


def dropping(one: Found) -> str:
    """Return the most frequent reason of a stage's drops."""
    if not one["rows"]:
        return "nothing was dropped"
    first = one["reasons"][0]
    many = f"{first['rows']:,} of {one['rows']:,}" if first["rows"] < one["rows"] else f"all {one['rows']:,}"
    return f"“{first['reason']}” is the reason of {many} drops"


def agreeing(one: Found) -> str:
    """Return how often a teacher agrees with the labels, and with which most and least."""
    classes = sorted(one["classes"], key=lambda row: -row["share"])
    if not classes:
        return "no reply came"
    who = listed(one["teachers"]) or "The teacher"
    start = f"{who} agrees with {share(one['agreeing'], one['answered'])} of the labels"
    best, worst = classes[0], classes[-1]
    if best["share"] == worst["share"]:
        return start
    ends = f"most with {best['label']} ({percent(best['share'], 0)} %), least with {worst['label']}"
    return f"{start}: {ends} ({percent(worst['share'], 0)} %)"


def confused(one: Found) -> str:
    """Return the commonest way in which a teacher answers otherwise than the label."""
    grid = one["confusion"]
    cells = [
        (count, label, answer)
        for label, counts in zip(grid["labels"], grid["counts"], strict=True)
        for answer, count in zip(grid["answers"], counts, strict=True)
        if answer not in (label, grid["answers"][-1])
    ]
    count, label, answer = max(cells, key=lambda cell: cell[0], default=(0, "", ""))
    if not count:
        return "No label is taken for another"
    total = sum(grid["counts"][grid["labels"].index(label)])
    return f"Most often {label} is taken for {answer}: {count:,} of {total:,} faces"


def long(one: Found) -> str:
    """Return how long a teacher's rationales are."""
    return f"{one['teacher']}, {one['style']}: half have {one['median']:,} words or fewer, the longest {one['most']:,}"


def lengths_said(one: Found) -> str:
    """Return in words what the histogram of a teacher draws."""
    bars = (f"{bar['from']} to {bar['to']} words: {bar['rows']:,}" for bar in one["histogram"] if bar["rows"])
    return f"Rationales of {one['teacher']} by length. {'; '.join(bars)}"


def grounded(one: Found) -> str:
    """Return how many claims of a teacher are borne out, and the lift."""
    total = one["total"]
    judged = total["supported"] + total["contradicted"]
    if not judged:
        return f"{one['teacher']}: none of {counted(total['claims'], 'claim')} could be judged"
    start = f"{one['teacher']}: {share(total['supported'], judged)} of the claims judged are borne out"
    return start if total["lift"] is None else f"{start}; the lift is {signed(total['lift'])} points"


def copied(one: Found) -> str:
    """Return how many rows show one photograph with another row."""
    if not one["groups"]:
        return "No two of the rows show one photograph"
    dropped = f"{sum(one['dropped'].values()):,} dropped"
    return f"{one['rows']:,} rows show the photograph of another one, in {counted(one['groups'], 'group')}: {dropped}"


def doubted(one: Found) -> str:
    """Return how many labels a teacher calls into question."""
    return f"{one['suspects']:,} of {one['looked_at']:,} labels are called into question"


def paid(found: Found) -> str:
    """Return what asking took, all teachers together."""
    parts = [counted(found["requests"], "request")]
    costs = [one["cost"] for one in found["teachers"] if one["cost"] is not None]
    tokens = sum(sum(one["tokens"].values()) for one in found["teachers"])
    parts += [f"{tokens:,} tokens"] + ([f"${sum(costs):,.2f}"] if costs else [])
    return listed(parts)


def busiest(time: Found) -> str:
    """Return how many replies came in the fullest span."""
    most = max(time["bins"], key=lambda one: one["replies"])
    return f"At most {counted(most['replies'], 'reply').replace('replys', 'replies')} in {spanned(time)}"


def spanned(time: Found) -> str:
    """Return what a bar of the chart over time spans: "an hour"."""
    return {"hour": "an hour", "four weeks": "four weeks"}.get(time["bin"], f"a {time['bin']}")


def over_time_said(time: Found) -> str:
    """Return in words what the chart over time draws."""
    return f"{busiest(time)}, from {time['from']} to {time['to']} UTC, the spans from left to right"


def best(one: Found) -> str:
    """Return which model scores best, and how surely."""
    if not one["models"]:
        return "No result could be used"
    first = one["models"][0]
    return (
        f"{first['model']} has the highest accuracy: {percent(first['accuracy'])} % of {counted(first['rows'], 'row')}"
    )


def reviewed(one: Found) -> str:
    """Return what reviewers came to, and what their sample says of all rows."""
    results = one["results"]
    said = f"{counted(one['rows'], 'row')} reviewed, {results.get('reject', 0):,} rejected"
    overall = one["estimate"]["overall"] if one["estimate"] else None
    if overall and overall["share"] is not None:
        ends = span((overall["low"], overall["high"]))
        said += f"; {percent(overall['share'])} % acceptable ({ends})"
    return said + (f"; {left:,} in dispute" if (left := results.get("disagree", 0)) else "")


def sampled(one: Found) -> list[Found]:
    """Return the shares that a sample gives, the overall one first; classes of which nothing is decided have none."""
    found = [{"name": "all", **one["estimate"]["overall"]}]
    found += [{"name": name, **row} for name, row in one["estimate"]["classes"].items()]
    return [row for row in found if row["decided"]]


def share(part: int, whole: int) -> str:
    """Return a part of a whole: "62 of 264 (23.5 %)"."""
    return f"{part:,} of {whole:,} ({percent(part / whole if whole else None)} %)"


def summary(found: Found) -> Iterator[str]:
    """Yield the lines that the terminal shows."""
    yield way(found)
    for one in found["stages"]:
        counts = f"in {one['in']:,} = kept {one['kept']:,} + dropped {one['dropped']:,}" if "in" in one else ""
        yield f"  {SIGNS[one['state']]} {one['stage']:<16} {one['state']:<11} {counts or one['command']}".rstrip()
    for one in found["problems"]:
        yield f"  {one['where']}: {one['problem']}"
