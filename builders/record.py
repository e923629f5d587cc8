"""Rows and their Arrow schemas: the words every stage shares.

A row is a plain mapping; a batch of rows is a `pyarrow.Table` in one of the schemas below. Names are
given once, here; a stage may add columns, it never renames one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

Row = Mapping[str, Any]

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""An encoded picture and its file name, as `datasets.Image` stores it."""

BOX = pa.list_(pa.float32())
"""Four numbers, x0 y0 x1 y1, in pixels of the picture file, the last pair exclusive."""

ALIGNED = pa.list_(pa.float64())
"""Six numbers, row by row: the 2 x 3 map from pixels of the file, upright, to pixels of `image`."""

UNITS = pa.list_(pa.struct([("unit", pa.string()), ("side", pa.string()), ("intensity", pa.float32())]))
"""Action units known of a face: its name in `units.yaml`; left, right or both; 0..1, null where only presence was
coded. Left and right are the person's own. Null: nobody coded them; an empty list: coded, and none was seen."""

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

DETECTOR = pa.struct([("name", pa.string()), ("sha256", pa.string()), ("terms", pa.string())])
"""What found a face: its name, the hash of its weights, and what these may be used for."""

VOTE_WORDS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
"""The order of the ten numbers in `votes`: the columns of the FERPlus vote files."""

SPLITS = ("train", "validation", "test")
"""What a release's splits are called, whatever it calls them; a manifest says which is its benchmark's."""

CANONICAL = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The label words shared by all sources; a row keeps its source's own word beside it."""

LISTED = pa.schema(
    [
        ("id", pa.string()),  # xxh3-64 of source, rel_path and box: the join between all datasets
        ("source", pa.string()),  # key of its manifest
        ("split", pa.string()),  # train, validation or test, as the release names it
        ("rel_path", pa.string()),  # picture address below the folder in which the layout was recognised
        ("name", pa.string()),  # the picture's own file name in the release
        ("size", pa.int64()),  # bytes of the picture; null where it is missing
        ("label", pa.string()),  # the source's own word
        ("canonical", pa.string()),  # the label word shared by all sources
        ("label_rule", pa.string()),  # how the label follows from what the release writes
        (
            "votes",
            pa.list_(pa.int32()),
        ),  # ten counts: neutral happiness surprise sadness anger disgust fear contempt unknown NF
        ("valence", pa.float32()),  # -1..1
        ("arousal", pa.float32()),  # -1..1
        ("box", BOX),
        ("units", UNITS),  # action units the release knows
        ("licence", pa.string()),  # its name
        ("synthetic", pa.bool_()),  # the release marks itself as rendered or warped
    ]
)
"""What a source says of a picture before anyone opens it."""

DROPS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("rel_path", pa.string()),
        ("label", pa.string()),
        ("reason", pa.string()),  # from the stage's closed vocabulary
        ("detail", pa.string()),  # ids, texts, numbers
    ]
)
"""A row that left the way, at the stage that dropped it."""

FACES = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("rel_path", pa.string()),
        ("image", IMAGE),  # the file as it is, or the face cut out of it
        ("width", pa.int32()),  # pixels of `image`
        ("height", pa.int32()),  # pixels of `image`
        ("sha256", pa.string()),  # of the picture file
        ("pixel_hash", pa.string()),  # xxh3-128 of the decoded RGB pixels of `image`
        ("hash64", pa.uint64()),  # signs of the 8 x 8 lowest cosine coefficients; null where there is no picture
        ("hash256", pa.binary()),  # 32 bytes: signs of the 16 x 16 lowest ones
        ("descriptor", pa.binary()),  # 64 signed bytes: weighted coefficients and the contrast; finds new crops too
        ("group_id", pa.string()),  # id of the row that stands for all that show the same; its own where it does
        ("findings", pa.list_(pa.string())),  # what is wrong with a benchmark's picture, which is kept all the same
        ("label", pa.string()),
        ("canonical", pa.string()),
        ("label_rule", pa.string()),
        ("votes", pa.list_(pa.int32())),
        ("valence", pa.float32()),
        ("arousal", pa.float32()),
        ("box", BOX),  # the source's own
        ("units", UNITS),  # action units the release knows
        ("crop", BOX),  # what was cut out; null where the picture is the file's own bytes
        ("aligned", ALIGNED),  # how the face was brought upright; null where it was not
        ("faces_found", pa.int32()),  # on the picture, or around the source's box; null: nobody looked for faces
        ("second_face", pa.float32()),  # how large and central the next face is, as a share of this one; 0..1
        ("det_score", pa.float32()),  # 0..1
        ("landmarks", pa.list_(pa.float32())),  # x y of the five points, pixels of `image`
        ("yaw", pa.float32()),  # degrees; positive: turned to the person's left; null where nothing asked for the pose
        ("pitch", pa.float32()),  # degrees; positive: looking up
        ("roll", pa.float32()),  # degrees; positive: clockwise in `image`
        ("detector", DETECTOR),
        ("licence", pa.string()),
        ("synthetic", pa.bool_()),
    ]
)

PROVENANCE = pa.list_(
    pa.struct(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("split", pa.string()),
            ("rel_path", pa.string()),
            ("box", BOX),
            ("crop", BOX),
            ("aligned", ALIGNED),
            ("sha256", pa.string()),
            ("pixel_hash", pa.string()),
        ]
    )
)
"""One entry a picture: where it came from, and what a later `rehydrate` needs."""

CLAIMS = pa.list_(
    pa.struct(
        [
            ("units", pa.list_(pa.string())),  # of units.yaml; empty where the claim names none
            ("need", pa.string()),  # any or all of them
            ("region", pa.string()),
            ("direction", pa.string()),
            ("side", pa.string()),  # left, right (the person's own), one, either, both, or empty
            ("strength", pa.string()),  # slight, strong, or empty
            ("negated", pa.bool_()),
            ("start", pa.int32()),  # characters of the completion
            ("end", pa.int32()),
            ("verdict", pa.string()),  # supported, contradicted, not judged
            ("why", pa.string()),  # of a claim that was not judged
        ]
    )
)
"""What a rationale says of the face, and whether the measurements bear it out."""

COT = pa.schema(
    [
        ("id", pa.string()),
        ("images", pa.list_(IMAGE)),  # one picture
        ("prompt", MESSAGES),  # one user message
        ("completion", MESSAGES),  # one assistant message: the reasoning and the answer
        ("answer", pa.string()),  # the teacher's answer, in the source's own words
        ("label", pa.string()),
        ("canonical", pa.string()),
        ("faces", PROVENANCE),  # where each picture comes from
        ("style", pa.string()),  # think: reason, then answer; answer-first; direct: the answer alone
        ("teacher", pa.string()),  # entry of teachers.yaml
        ("model", pa.string()),  # the served model's name; empty for the baseline
        ("baseline", pa.bool_()),  # true for the embedded geometry teacher: not a model's reasoning
        ("sampling", pa.string()),  # JSON
        ("prompt_version", pa.string()),  # hash of the question template
        ("hinted", pa.bool_()),  # the teacher was told the label, after it had answered otherwise
        ("evidence", pa.bool_()),  # the teacher was told what was measured
        ("samples", pa.int32()),  # replies that came to this face
        ("agreement", pa.float32()),  # share of the samples whose answer equals the label, 0..1
        ("majority", pa.string()),  # the answer most samples give
        ("keep_weight", pa.float32()),  # inverse of the keep rate of the row's label and source; null in `hinted`
        ("verdicts", pa.list_(pa.string())),  # the checks this row passed
        ("claims", CLAIMS),  # null where claims were not checked
        ("supported", pa.int32()),  # claims that the measurements bear out
        ("contradicted", pa.int32()),  # claims of which the measurements show the opposite
        ("not_judged", pa.int32()),  # claims beyond what the calibration can judge
        ("supported_elsewhere", pa.int32()),  # of the same claims, on another face with the same label
        ("contradicted_elsewhere", pa.int32()),  # null where there is none that can be judged
        ("elsewhere", pa.string()),  # id of that other face; null where there is none
        ("grounding_version", pa.string()),  # hash of calibration, lexicon and units
        ("votes", pa.list_(pa.int32())),
        ("label_rule", pa.string()),
        ("licence", pa.string()),
        ("synthetic", pa.bool_()),
    ]
)

RLVR = pa.schema(
    [
        ("id", pa.string()),
        ("images", pa.list_(IMAGE)),  # one picture, or the two that the question compares
        ("prompt", MESSAGES),  # one user message
        ("solution", pa.string()),  # <answer>…</answer>
        ("kind", pa.string()),  # what is asked, and how an answer is verified: see rlvr.md
        ("choices", pa.list_(pa.string())),  # what may be answered, as it is shown
        ("answer", pa.string()),  # one of `choices`; of `distribution`: words with per cents
        ("label", pa.string()),  # of the first picture
        ("canonical", pa.string()),  # of the first picture
        ("faces", PROVENANCE),  # where each picture comes from
        ("prompt_version", pa.string()),  # hash of the question template
        ("votes", pa.list_(pa.int32())),  # of the one picture; null where there are two
        ("soft", pa.list_(pa.float32())),  # share of the annotators' votes for each of `choices`; null without votes
        ("pass_rate", pa.float32()),  # share of a student's replies that were right, 0..1; null: nobody was asked
        ("difficulty", pa.float32()),  # 1 - pass_rate
        ("curriculum", pa.int32()),  # 0: the easiest; null: nobody was asked
        ("label_rule", pa.string()),
        ("licence", pa.string()),
        ("synthetic", pa.bool_()),
    ]
)

FERBENCH = pa.schema(
    [
        ("id", pa.string()),
        ("images", pa.list_(IMAGE)),  # null where the picture cannot be read
        ("prompt", MESSAGES),  # one user message
        ("choices", pa.list_(pa.string())),  # the source's own words, in the published order
        ("answer", pa.string()),  # the source's own word
        ("canonical", pa.string()),
        ("image_path", pa.string()),  # the published pattern
        ("faces", PROVENANCE),  # where the picture comes from
        ("prompt_version", pa.string()),  # hash of the question template, or of the published prompt files
        ("label_rule", pa.string()),
        ("licence", pa.string()),
        ("synthetic", pa.bool_()),
    ]
)


class Batch(NamedTuple):
    """What a stage function returns for its rows: every one is kept in a split, or dropped."""

    kept: Mapping[str, pa.Table]
    """Split name to rows."""
    drops: pa.Table
    findings: Mapping[str, int] = MappingProxyType({})
    """Faults of rows that had to be kept (a benchmark's): what, and how many."""
    unanswered: int = 0
    """Dropped rows that another run may still keep, since a teacher gave up on them."""
    made_of: int | None = None
    """Rows that were kept, where one of them becomes several rows or none; default: the rows of `kept`."""

    @property
    def taken(self) -> int:
        """Rows that went in and were kept."""
        return sum(table.num_rows for table in self.kept.values()) if self.made_of is None else self.made_of


def face_id(source: str, rel_path: str, box: Sequence[float] | None) -> str:
    """Return the stable id of a face: 16 hex digits (xxh3-64) of source, picture address and box.

    It is the key of every cache and the join between faces, traces and questions.
    """
    spot = "" if box is None else ",".join(f"{value:g}" for value in box)
    return xxhash.xxh3_64_hexdigest(f"{source}\0{rel_path}\0{spot}".encode())


def drop(row: Row, reason: str, detail: str = "") -> dict[str, str]:
    """Return the DROPS row for `row`."""
    keys = ("id", "source", "split", "rel_path", "label")
    return {key: row.get(key) or "" for key in keys} | {"reason": reason, "detail": detail}


def drops_table(rows: Sequence[Mapping[str, str]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=DROPS)
