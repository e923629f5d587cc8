"""What a finished batch brought: its output and error files, read line by line into replies.

A line may be in any order; a request without one was not answered, and is owed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from ferbuild.builders.batch_server import BatchServer
from ferbuild.builders.chat import Said, read_fault, read_reply
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import GAVE_UP, Reply

if TYPE_CHECKING:
    from openai.types import Batch

UNTRIED = ("batch_expired", "batch_cancelled")
"""Codes of requests that the server never got to."""


class Result(NamedTuple):
    key: str
    said: Said


def collect(server: BatchServer, batch: Batch, folder: Path) -> Iterator[Result]:
    """Yield what a batch brought; outcome "gave up" for a request that the server refused.

    FerError where fewer replies come than the server counts: nothing is then known of the others, and the batch
    has to be collected again.
    """
    read = 0
    for file in (batch.output_file_id, batch.error_file_id):
        if file is None:
            continue
        path = folder / f"{batch.id}.{file}.part"
        try:
            server.download(file, path)
            with path.open("rb") as lines:
                for line in lines:
                    result = _result(server, batch.id, line)
                    read += file == batch.output_file_id
                    if result:
                        yield result
        finally:
            with suppress(OSError):
                path.unlink()
    counts = batch.request_counts
    if counts and read < counts.completed:
        raise _short(server, f"gives {read} replies of batch {batch.id}, and counts {counts.completed}")


def _result(server: BatchServer, batch: str, line: bytes) -> Result | None:
    """Read one line; None for a request that was not tried."""
    try:
        data = orjson.loads(line)
        key, response, error = str(data["custom_id"]), data.get("response") or {}, data.get("error") or {}
        body, status = response.get("body") or {}, int(response.get("status_code") or 0)
        code = str(error.get("code") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        raise _short(
            server, server.hush(f"gives a line of batch {batch} that cannot be read: {line[:100]!r}")
        ) from None
    if code in UNTRIED:
        return None
    return Result(key, _said(server, status, body, error))


def _said(server: BatchServer, status: int, body: Mapping[str, Any], error: Mapping[str, Any]) -> Said:
    if status == 200 and not error:
        said = read_reply(orjson.dumps(body))
        if isinstance(said, Said):
            return said
        detail = said.detail
    else:
        detail = read_fault(status, orjson.dumps(body or error), None).detail
    return Said(Reply("", "", GAVE_UP, server.hush(detail)), {})


def _short(server: BatchServer, problem: str) -> FerError:
    return FerError(server.url, problem, "run the same command again: it collects the batch anew")
