"""What the page shows of one row: its facts in a fixed order, the votes, the rationale cut where its claims begin.

Stands behind the catalogue; the page only lays out what is worded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ferbuild.builders import reasons
from ferbuild.builders.evaluation.review_sheet import pieces
from ferbuild.builders.record import VOTE_WORDS, Row
from ferbuild.builders.reviewing.catalogue import Catalogue
from ferbuild.builders.reviewing.pictures import Joined, other_of
from ferbuild.filters.grounding import Checked, Claim

PICTURES = ("image", "images")
FACTS: Mapping[str, str] = {
    "kind": "kind", "source": "source", "split": "split", "rel_path": "path", "label_rule": "label rule",
    "teacher": "teacher", "model": "model", "style": "style", "hinted": "told the label", "agreement": "agreement",
    "samples": "samples", "majority": "most samples say", "pass_rate": "pass rate", "verdicts": "checks passed",
    "findings": "findings", "valence": "valence", "arousal": "arousal", "group_id": "group", "licence": "licence",
    "synthetic": "synthetic",
}  # fmt: skip
"""Columns that are told of as they are, in this order, and what they are called."""
MEASURED: Mapping[str, str] = {
    "faces_found": "faces found", "det_score": "detection score", "presence": "mesh presence",
    "eye_distance": "eye distance, px", "yaw": "yaw, °", "pitch": "pitch, °", "roll": "roll, °",
    "second_face": "second face",
}  # fmt: skip
Facts = list[tuple[str, str]]


def detail(catalogue: Catalogue, number: int, measures: Joined) -> dict[str, Any]:
    """Return what the page shows of a row, as JSON holds it; IndexError where there is no such row."""
    row = catalogue.row(number, without=PICTURES)
    if catalogue.kind == "drops":
        return _of_drop(row, catalogue, number)
    shown = _faces(row)
    return {
        "id": row["id"],
        "label": row.get("label") or row.get("answer") or "",
        "canonical": row["canonical"] or "",
        "pictures": [_told(face) for face in shown],
        "facts": facts({**shown[0], **row}),
        "votes": votes(row.get("votes")),
        "rationale": rationale(row),
        "question": _said(row.get("prompt")),
        "choices": [{"text": word, "right": word == row["answer"]} for word in row.get("choices") or []],
        "answer": row.get("solution") or row.get("answer") or "",
        "measures": [
            (f"{at}: {title}" if len(shown) > 1 else title, word)
            for at, face in enumerate(shown, 1)
            for title, word in measured_of(face["id"], measures)
        ],
        "drop": None,
    }


def _of_drop(row: Row, catalogue: Catalogue, number: int) -> dict[str, Any]:
    other = other_of(row)
    pictures = ["dropped: " + row["rel_path"], *([f"kept in its place: {other}"] if other else [])]
    thought = "<" in row["detail"] or len(row["detail"]) > 200
    return {
        "id": row["id"],
        "label": row["label"],
        "canonical": str(catalogue.rows["canonical"][number] or ""),
        "pictures": pictures,
        "facts": facts(row),
        "votes": [],
        "rationale": [{"text": row["detail"], "verdict": None, "told": ""}] if thought else [],
        "question": "",
        "choices": [],
        "answer": "",
        "measures": [],
        "drop": {
            "stage": str(catalogue.rows["stage"][number]),
            "reason": row["reason"],
            "about": about(row["reason"]),
            "detail": "" if thought else row["detail"],
        },
    }


def faces_of(catalogue: Catalogue, number: int) -> tuple[str, ...]:
    """Return the ids of the faces that a row shows."""
    row = catalogue.row(number, without=PICTURES)
    return (row["id"],) if catalogue.kind in ("faces", "drops") else tuple(face["id"] for face in row["faces"])


def facts(row: Row) -> Facts:
    """Return the columns of FACTS that say something, in words."""
    told = ((title, _word(row[name])) for name, title in FACTS.items() if name in row)
    return [(title, word) for title, word in told if word]


def votes(given: Sequence[int] | None) -> list[dict[str, Any]]:
    """Return the annotators' votes that were given, in their fixed order, with the share of each."""
    total = sum(given or ())
    pairs = zip(VOTE_WORDS, given or (), strict=False)
    return [{"word": word, "count": count, "share": count / total} for word, count in pairs if count]


def rationale(row: Row) -> list[dict[str, Any]]:
    """Return a rationale in pieces, each with the verdict on the claims it is part of; none of a row without one."""
    text = _said(row.get("completion"))
    claims = [_checked(claim, text) for claim in row.get("claims") or []]
    return [piece._asdict() for piece in pieces(text, claims)] if text else []


def measured_of(face: str, measures: Joined) -> Iterator[tuple[str, str]]:
    """Yield what was measured on a face; nothing where nobody measured it."""
    found = measures.find(face) or {}
    yield from ((title, word) for name, title in MEASURED.items() if (word := _word(found.get(name))))
    yield from ((name, word) for name, value in (found.get("measures") or {}).items() if (word := _word(value)))


def about(reason: str) -> str:
    """Return what a drop reason means; empty of one that a manifest names."""
    known = {name.partition("<")[0]: meaning for stage in reasons.STAGES.values() for name, meaning in stage.items()}
    return next((meaning for name, meaning in known.items() if reason == name or _begins(reason, name)), "")


def _begins(reason: str, name: str) -> bool:
    return name.endswith("/") and reason.startswith(name)


def _faces(row: Row) -> list[Row]:
    return list(row["faces"]) if "faces" in row else [row]


def _told(face: Row) -> str:
    return f"{face['source']}/{face['split']}: {face['rel_path']}"


def _said(messages: Sequence[Row] | None) -> str:
    return "\n\n".join(message["content"] or "" for message in messages or ())


def _checked(claim: Row, text: str) -> Checked:
    """Return an entry of `record.CLAIMS` as the check made it."""
    own = {name: claim[name] for name in Claim._fields if name != "text"} | {"units": tuple(claim["units"])}
    return Checked(Claim(text=text[claim["start"] : claim["end"]], **own), claim["verdict"], claim["why"])


def _word(value: Any) -> str:
    """Return a value as people read it; empty where it says nothing."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
