"""Files of results, whoever wrote them: `fer-build eval --responses FILE…` reads them into one table of answers.

Stands where replies come in that this tool did not ask for. A file's form is told by what it holds, never by its
name; a row or line that cannot be read costs none of the others.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.evaluation import lmms_eval, vlmevalkit
from ferbuild.builders.evaluation.answers import ANSWERS, Loaded
from ferbuild.builders.evaluation.gathering import WANTED, Gathering
from ferbuild.builders.evaluation.known import Sets, known_sets, set_of
from ferbuild.builders.evaluation.said import RESPONSES, Said, Unread, of_row

Form = Callable[[Mapping[str, Any]], Said | Unread]
"""A row as a file has it, read."""

INSTALL = "pip install fastexcel"
_SHEET = b"PK\x03\x04"
_MARK = b"\xef\xbb\xbf"
_FIELD = 1 << 30  # characters of a cell; the csv module stops at 131,072 by itself, and replies may be longer
_BETWEEN = re.compile(r"[\s,]*")
_COMMON = {"results", "result", "responses", "response", "samples", "predictions", "answers", "eval", "qa", "ferbench"}


def load(files: Sequence[Path], *, set_name: str = "", bench: Sequence[Path] = (), name: str = "") -> Loaded:
    """Read files of one model's results. FerError where one cannot be opened, or nothing in them can be scored.

    `set_name`: of all rows, where the files do not tell it; `bench`: published JSON files or built ferbench folders,
    against which every row is held; `name`: of the model, else it is guessed from the files' names.
    """
    if not files:
        raise FerError("--responses", "names no file", WANTED)
    sets = known_sets(bench, set_name)
    forced = set_of(set_name, sets)
    if set_name and forced is None:
        raise FerError("--set", f"no set {set_name!r}", did_you_mean(set_name, sets))
    found = Gathering(sets, forced)
    for file in files:
        found.take(file, _said(file))
    return found.loaded(name or name_of(files[0], sets), files)


def name_of(file: Path, sets: Sets) -> str:
    """Return what a file's model is called: its name without the words for a set and for results.

    A log of lmms-eval lies in a folder that has the model's name, and so do our own answers.
    """
    if file.is_dir() or "_samples_" in file.name:
        return (file if file.is_dir() else file.parent).absolute().name or file.stem
    known = {alias for one in sets.values() for alias in one.aliases} | _COMMON
    words = "|".join(r"[\W_]*".join(word) for word in sorted(known, key=len, reverse=True))
    left = re.sub(rf"(?<![^\W_])(?:{words})(?![^\W_])", "", file.stem, flags=re.IGNORECASE)
    return re.sub(r"([_-])[_-]+", r"\1", left).strip("_-. ") or file.stem


def _said(file: Path) -> Iterator[Said | Unread]:
    """Yield what a file says, row by row."""
    if file.is_dir():
        yield from map(of_row, _own(file))
        return
    try:
        data = file.read_bytes().removeprefix(_MARK)
    except OSError as err:
        raise FerError(file, "cannot be read", err.strerror or str(err)) from None
    yield from _formed(_objects(file, data))


def _own(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a folder of answers that `eval` wrote."""
    if not (folder / "dataset_dict.json").exists():
        raise FerError(folder, "is a folder without answers of `fer-build eval`", "name the files of results in it")
    for path in chain.from_iterable(shards.split_files(folder).values()):
        table = shards.read_stream(path)
        if not {"set", "texts", "true_label"} <= set(table.column_names):
            raise FerError(folder, "is a dataset, but holds no answers", WANTED)
        yield from table.select([one for one in ANSWERS.names if one in table.column_names]).to_pylist()


def _objects(file: Path, data: bytes) -> Iterable[Any]:
    """Return what a file holds, an object or an Unread a row."""
    start = data.lstrip()[:1]
    if data.startswith(_SHEET):
        return _sheet(file, data)
    if data.startswith(b"\x80"):
        return [Unread("a pickle, which is not opened: it may run anything; PRED_FORMAT=tsv writes a table instead")]
    if start == b"[":
        return _listed(data)
    if start == b"{" or (b"\n{" in data and not _is_table(data)):
        return _lines(data)
    if _is_table(data):
        return _table(data)
    return [Unread("neither JSON nor a table with the columns index and prediction" if start else "the file is empty")]


def _listed(data: bytes) -> Iterator[Any]:
    """Yield the elements of a JSON list; of one that is cut or broken, those before that."""
    try:
        yield from orjson.loads(data)
    except orjson.JSONDecodeError:
        yield from _as_far_as_it_goes(data.decode(errors="replace"))


def _as_far_as_it_goes(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_constant=lambda _: None)  # VLMEvalKit writes NaN for an empty cell
    at = text.index("[") + 1
    while True:
        at = _end(_BETWEEN.match(text, at), at)
        if text[at : at + 1] == "]":
            if text[at + 1 :].strip():
                yield Unread(f"there is more behind the end of the list, at character {at + 1:,}")
            return
        try:
            value, at = decoder.raw_decode(text, at)
            value = _whole(value)
        except (ValueError, RecursionError):
            yield Unread(f"the list is cut or broken at character {at:,} of {len(text):,}")
            return
        yield value


def _end(found: re.Match[str] | None, at: int) -> int:
    return found.end() if found else at


def _lines(data: bytes) -> Iterator[Any]:
    """Yield the objects of JSON lines; a line that is none costs only itself."""
    lines = data.split(b"\n")
    if len(lines) > 1 and isinstance(_line(lines[0], 1), Unread) and isinstance(_line(data, 1), dict):
        yield Unread("one JSON object, where a list of rows or a row a line is wanted")
        return
    for at, line in enumerate(lines):
        if line and not line.isspace():
            yield _line(line, at + 1)


def _line(line: bytes, number: int) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return _whole(json.loads(line, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        return Unread(f"line {number:,} is no JSON")


def _whole(value: Any) -> Any:
    """Return a JSON value in which all text is Unicode: half of a surrogate pair becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return {_whole(name): _whole(one) for name, one in value.items()} if isinstance(value, dict) else value


def _head(data: bytes) -> bytes:
    return data.partition(b"\n")[0]


def _is_table(data: bytes) -> bool:
    return all(name in _head(data) for name in (b"index", b"prediction"))


def _table(data: bytes) -> Iterator[Any]:
    """Yield the rows of a table with tabs or commas between its cells; of one that is cut, those before that."""
    text = data.decode(errors="replace")
    csv.field_size_limit(_FIELD)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if b"\t" in _head(data) else ",", strict=True)
    names = next(rows)
    try:
        for row in rows:
            fits = len(row) == len(names)
            yield dict(zip(names, row, strict=True)) if fits else Unread(f"line {rows.line_num:,} has {len(row)} cells")
    except csv.Error as err:
        yield Unread(f"line {rows.line_num:,}: {err}")


def _sheet(file: Path, data: bytes) -> Iterator[Any]:
    """Yield the rows of the first sheet of an .xlsx file. FerError where the package that reads it is missing."""
    import polars as pl

    try:
        table = pl.read_excel(io.BytesIO(data), engine="calamine", infer_schema_length=0, raise_if_empty=False)
    except ImportError:
        raise FerError(file, "an .xlsx file needs the package fastexcel", INSTALL) from None
    except Exception as err:  # the package's own, which cannot be named without it
        yield Unread(f"not an .xlsx file that can be read: {str(err).splitlines()[0]}")
        return
    yield from table.iter_rows(named=True)


def _formed(objects: Iterable[Any]) -> Iterator[Said | Unread]:
    """Yield the rows of a file, read in the form that the first of them has which has one."""
    waiting, rest = list[Any](), iter(objects)
    for one in rest:
        waiting.append(one)
        if form := _form(one) if isinstance(one, dict) else None:
            yield from (_read(each, form) for each in chain(waiting, rest))
            return
    yield from _formless(waiting or [Unread("the file holds no rows")])


def _form(row: Mapping[str, Any]) -> Form | None:
    if any(name in row for name in RESPONSES):
        return of_row
    if lmms_eval.is_form(row):
        return lmms_eval.read
    if vlmevalkit.is_form(row):
        return vlmevalkit.read
    return of_row if row.get("error") and "image_path" in row else None  # nothing but errors: the published form


def _read(row: Any, form: Form) -> Said | Unread:
    if isinstance(row, Unread):
        return row
    return form(row) if isinstance(row, dict) else Unread(f"a row is no object, but {row!r:.40}")


def _formless(rows: Sequence[Any]) -> Iterator[Unread]:
    """Yield why none of the rows can be read, one each."""
    first = next((one for one in rows if isinstance(one, dict)), {})
    why = f"no reply in its keys {', '.join(map(str, first))}"
    if "candidate_labels" in first:
        why = "the benchmark itself: no row has a `model_response`"
    if "strict" in first:
        why = "what was read of replies, not the replies"
    for one in rows:
        told = why if isinstance(one, dict) else f"a row is no object, but {one!r:.40}"
        yield one if isinstance(one, Unread) else Unread(told)
