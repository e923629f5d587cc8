"""Why rows leave the way: the closed vocabulary of drop reasons, stage by stage, with what each means.

Further reasons come from manifests: what a source's `not_labels` and readers' options name.
"""

from __future__ import annotations

from collections.abc import Mapping

SOURCES: Mapping[str, str] = {
    "duplicate row": "the same picture, and box where there are boxes, was listed before",
    "contaminates:ferbench/<set>": "the picture is listed in the benchmark split of the same release too",
    "label outside the table": "the release writes a label that its manifest does not know",
    "malformed row": "a line or annotation that cannot be read",
    "bad box": "a face box without area, or out of all pictures",
    "path leaves the release": "an absolute path or one with `..`",
    "foreign file name": "a name that this split of the release never had",
    "outside the class folders": "a picture in no class folder",
    "split outside the table": "nothing tells which split the picture is in",
    "missing annotation": "a picture without its annotation file",
    "no face name": "a FERPlus row with an empty file name: no face was found there",
    "no votes": "eight vote columns that are all zero",
    "no majority": "rule majority: no label has over half of the votes; RAF-AU: two emotions were judged equally often",
    "unknown": "rules majority and argmax10: most annotators could not tell",
    "no face": "rules majority and argmax10: most annotators saw no face",
    "copy of a test picture": "a training picture that bears a test picture's name",
    "no emotion label": "a CK+ sequence without an emotion file; a picture coded in action units without a label",
    "label none": "AffectNet code 8; a rendered face of single units, which shows no label",
    "label uncertain": "AffectNet code 9",
    "label no face": "AffectNet code 10",
    "pose": "KDEF pictures that are not frontal",
    "unsafe path": "an archive member with an absolute name or `..`",
    "unreadable archive": "a damaged ZIP archive, or a link to none",
    "unreadable folder": "a folder that cannot be listed",
    "unreadable name": "a file name that is no UTF-8",
}

PICTURES: Mapping[str, str] = {
    "contaminates:ferbench/<set>": "the benchmark shows it too: the same file, the same pixels or a near duplicate",
    "duplicate": "another row has the same file or the same pixels, and stands for it",
    "near duplicate": "another row shows the same photograph, and stands for it",
    "labels disagree": "another row shows the same photograph, and bears another label",
    "missing picture": "the release lists it, but it is not on disk",
    "empty file": "a file of zero bytes",
    "file too large": "a file of more than 256 MiB, which is not read",
    "unreadable": "no picture, or one that cannot be decoded",
    "truncated": "a picture file that ends too early; the recipe's `picture: {truncated: keep}` takes what there is",
    "too many pixels": "more than the recipe's `max_pixels`",
    "box outside the picture": "the box and the picture do not meet",
    "detector failed": "the detector or the mesh raised an error on this picture",
    "no face": "check `no_face`, or a source whose faces a detector cuts out (`crop: detect`) and none was found",
    "too small": "check `too_small`",
    "extreme aspect": "check `extreme_aspect`",
    "blank": "check `blank`: all of one grey",
    "blurred": "check `blurred`",
    "several faces": "check `several_faces`",
    "extreme pose": "check `extreme_pose`",
}

TRACES: Mapping[str, str] = {
    "teacher gave up": "no reply came in the end; the next run asks again",
    "not asked": "the asking ended before, as at a budget's end; the next run goes on there",
    "empty": "a reply without any text",
    "no answer": "no answer tag, or nothing between the tags",
    "truncated": "a reply that was cut off",
    "refused": "the teacher declined, or the baseline found nothing to measure",
    "malformed tags": "tags nested, stray or in the wrong order",
    "several answers": "more than one answer",
    "not a candidate": "an answer that is none of the choices",
    "no reasoning": "check `reasons`: nothing between the think tags",
    "too short": "check `reasons`: fewer words than asked for",
    "disagrees with the label": "check `agrees`",
    "too long": "check `too_long`: more words than asked for",
    "repetition": "check `repetitive`: a loop, or much of the text said before",
    "other language": "check `other_language`: not in English all through",
    "concludes otherwise": "check `concludes_otherwise`: it reasons its way to one label and answers another",
    "label leak": "check `leaks`: it shows that its writer knew the label",
    "names a person": "check `names_person`: somebody is called by name",
    "speaks of age": "check `personal`: of the person's age",
    "speaks of ethnicity": "check `personal`: of the person's ethnicity",
    "speaks of gender": "check `personal`: of the person's gender",
    "speaks of health": "check `personal`: of the person's health",
    "talks about the prompt": "check `prompt_talk`: of the question, its list, its tags or who asks",
    "agreement too low": "fewer samples answer with the label than the recipe's `consistency` asks for",
    "near copy of many others": "nearly the text of many other rows; the recipe's `copies` says of how many",
    "contradicted": "more claims that the measurements contradict than the recipe's `claims` allows",
}

QUESTIONS: Mapping[str, str] = {
    "low consensus": "`--min-consensus`: the expression that leads among a face's votes has a smaller share of them",
    "too easy": "`--pass-rate`: the student is right more often than `--keep` says",
    "too hard": "`--pass-rate`: the student is right less often, and does not always err alike",
    "balanced away": "`--balance`: its label or source has many more questions than the smallest",
    **{reason: TRACES[reason] for reason in ("teacher gave up", "not asked")},
}

COMPARED: Mapping[str, str] = {
    "no such pair": "no face could be drawn that lacks the unit on one picture and shows it on the other",
    "not in English": "a reply in which no claim can be read",
    **{
        reason: TRACES[reason]
        for reason in (
            "teacher gave up", "not asked", "empty", "no answer", "truncated", "refused", "malformed tags",
            "several answers", "not a candidate",
        )
    },
}  # fmt: skip

DISAGREE = "reviewers disagree"
REVIEWED: Mapping[str, str] = {
    "rejected in review": "a reviewer rejected it; the detail holds the note, where there is one",
    "relabelled in review": "a reviewer says that it shows another label, so its text no longer fits; see the detail",
    "its face was rejected in review": "the face that it shows, or one of them, was rejected; the detail names it",
    "its face was relabelled in review": "the face that it shows, or one of them, got another label; see the detail",
    DISAGREE: "`--on-disagreement drop`: reviewers decided otherwise, of the row or its face, and nobody settled it",
}

FAULTS = frozenset(
    {
        "missing picture", "empty file", "file too large", "unreadable", "truncated", "too many pixels",
        "box outside the picture", "detector failed",
    }
)  # fmt: skip
"""Of PICTURES what leaves a row without its picture: in a benchmark work left to do, which a blurred face is not."""

STAGES: Mapping[str, Mapping[str, str]] = {
    "faces and bench, before a picture is opened": SOURCES,
    "faces": PICTURES,
    "cot": TRACES,
    "rlvr": QUESTIONS,
    "pairs and counterfactual, either picture of a pair": COMPARED,
    "faces, cot and rlvr after a review": REVIEWED,
}
