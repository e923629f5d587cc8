"""Logs of lmms-eval (`--log_samples`, `<date>_samples_<task>.jsonl`): one JSON object a row, read as it is written.

Stands beside the other forms that a file of results has. The replies that count are `resps`, the raw ones:
`filtered_resps` went through the task's filters, which may cut out an answer or the thinking, and one parser has to
decide for all models what an answer is. The writer leaves `resps` out where the filters changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ferbuild.builders.evaluation.said import CHOICES, TRUE, Said, Unread, asks_for_no_tags, of_row, text_of

FAILED = "[LMMS_EVAL_REQUEST_FAILED"
"""What its clients write in the place of a reply that never came."""
REPLIES = ("resps", "filtered_resps")
_OF_THE_ROW = ("image_path", "set", "id", *TRUE, *CHOICES)


def is_form(row: Mapping[str, Any]) -> bool:
    return any(name in row for name in REPLIES)


def read(row: Mapping[str, Any]) -> Said | Unread:
    """Read one line.

    Since 0.4 the writer leaves the dataset's row (`doc`) out. It is also taken from a figure of the task that carries
    its `image_path`, as `process_results` may return one; else the picture is the first of `input_media`; else
    `doc_id` alone says where the row stands in its set.
    """
    at = row.get("doc_id")
    at = at if isinstance(at, int) and not isinstance(at, bool) else None
    texts = list(_flat(next((row[name] for name in REPLIES if row.get(name) is not None), [])))
    doc = _doc(row)
    path = text_of(doc, ("image_path",)) or _medium(row)
    if not path and at is None:
        return Unread("a row has neither doc_id nor image_path")
    known = {name: doc[name] for name in _OF_THE_ROW if name in doc}
    said = of_row({"true_label": row.get("target"), **known, "image_path": path or "?"})
    if isinstance(said, Unread):
        return said
    failed = [text for text in texts if text.startswith(FAILED)]
    counts = _tokens(row.get("token_counts"), len(texts))
    return said._replace(
        texts=["" if text in failed else text for text in texts],
        path=path,
        at=None if "image_path" in doc else at,
        error=failed[0] if failed and len(failed) == len(texts) else None,
        fault=_fault(row, texts),
        bare=asks_for_no_tags(row.get("input")),
        tokens_read=counts[0],
        tokens_written=counts[1],
    )


def _doc(row: Mapping[str, Any]) -> Mapping[str, Any]:
    places = (row.get("doc"), *row.values())
    return next((one for one in places if isinstance(one, dict) and isinstance(one.get("image_path"), str)), {})


def _medium(row: Mapping[str, Any]) -> str:
    """Return the first picture's address; "" where the log has none, or the picture itself."""
    media = row.get("input_media")
    found = (one for one in media if isinstance(one, str)) if isinstance(media, list) else ()
    return next((one for one in found if not one.startswith("data:")), "")


def _flat(found: Any) -> Iterator[str]:
    """Yield all texts of nested lists: a request a list, and in it a text a sample, where the writer kept both."""
    if isinstance(found, list):
        for one in found:
            yield from _flat(one)
    else:
        yield "" if found is None else str(found)


def _fault(row: Mapping[str, Any], texts: Sequence[str]) -> str:
    if not texts:
        return "it has no reply"
    if len(texts) % 2 == 0 and all(flag in ("True", "False") and _is_number(number)
                                   for number, flag in zip(texts[::2], texts[1::2], strict=True)):  # fmt: skip
        return "it holds log-likelihoods of the choices, not a reply"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tokens(counts: Any, samples: int) -> tuple[int | None, int | None]:
    """Return the tokens read and written by all samples; None where the log does not count each of them."""
    if not isinstance(counts, list) or len(counts) != samples or not all(isinstance(one, dict) for one in counts):
        return None, None
    read, written = ([one.get(name) for one in counts] for name in ("input_tokens", "output_tokens"))
    return _sum(read), _sum(written)


def _sum(counts: Sequence[Any]) -> int | None:
    return sum(counts) if counts and all(isinstance(one, int) for one in counts) else None
