"""Which model is meant: an entry of teachers.yaml, a server that no entry knows, a checkpoint on disk, or a baseline.

Stands before the asking of the benchmark. Whoever it is, it is asked greedily unless several samples are wanted.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from ferbuild.builders.build import Build
from ferbuild.builders.cot import entry_of
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.evaluation.baselines import NAMES, Program, program_of
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry

MOST_TOKENS = 1024
"""Of a reply, where nothing else is said: what the published evaluation allows."""
WARM = 0.7
"""Temperature of several samples, where the entry says none or 0."""


class Model(NamedTuple):
    """Who answers: exactly one of `entry` and `program` is there."""

    name: str
    """Also the name of its folder."""
    entry: TeacherEntry | None
    program: Program | None


def model_of(
    build: Build,
    name: str = "",
    *,
    model_id: str = "",
    endpoints: Sequence[str] = (),
    samples: int = 1,
    flag: str = "--model",
) -> Model:
    """Return the model of that name; without one, that of `model_id`, else fer-build.yaml's teacher.

    `model_id` is what a server calls it: in the place of the entry's, or of an entry where none is named. `flag` is
    the option that named it, for the FerError where there is no such model.
    """
    if model_id and not name:
        return _of(_unlisted(model_id, endpoints), samples)
    wanted = name or build.settings.teacher
    if (Path(wanted) / "config.json").is_file():
        return _of(_checkpoint(Path(wanted)), samples)
    if program := program_of(wanted, build):
        if model_id or endpoints:
            flag = "--endpoint" if endpoints else f"--model-id {model_id}"
            hint = "say what the server calls its model, --model-id ID, and no --model"
            raise FerError(flag, f"is a server's, and {wanted} answers without one", hint)
        if samples > 1:
            raise FerError(f"{flag} {wanted}", "always says the same of a face", "leave --samples out")
        return Model(program.name, None, program)
    entry = _listed(build, wanted, flag)
    return _of(entry.model_copy(update={"model": model_id}) if model_id else entry, samples)


def _listed(build: Build, name: str, flag: str) -> TeacherEntry:
    if not name.endswith((".yaml", ".yml")) and name not in (known := load.entries("teachers.yaml")):
        raise FerError(f"{flag} {name}", "is no teacher and no baseline", did_you_mean(name, {*known, *NAMES}))
    return entry_of(build, name)


def _of(entry: TeacherEntry, samples: int) -> Model:
    return Model(re.sub(r"[^\w.-]+", "-", entry.name).strip("-."), sampled(entry, samples), None)


def sampled(entry: TeacherEntry, samples: int) -> TeacherEntry:
    """Return the entry, to be asked greedily for one sample and warmly for several.

    An entry without a temperature stays as it is: its server refuses one.
    """
    sampling: dict[str, Any] = dict(entry.sampling)
    if "temperature" not in sampling:
        return entry
    sampling["temperature"] = 0.0 if samples == 1 else sampling["temperature"] or WARM
    return entry.model_copy(update={"sampling": sampling})


def _unlisted(model_id: str, endpoints: Sequence[str]) -> TeacherEntry:
    if not endpoints:
        raise FerError(f"--model-id {model_id}", "no server is named", "add --endpoint URL, or --model NAME")
    sampling = {"temperature": 0.0, "max_tokens": MOST_TOKENS, "seed": 0}
    return TeacherEntry(name=model_id, kind="http", model=model_id, endpoints=list(endpoints), sampling=sampling)


def _checkpoint(folder: Path) -> TeacherEntry:
    """Return an entry that runs a checkpoint in this process; FerError with a server's line where vLLM is not here."""
    if importlib.util.find_spec("vllm") is None:
        hint = f"serve it, and ask the server:\n{serve_line(folder)}\n{_ask_line(folder)}"
        raise FerError(folder, "is a checkpoint, and runs in this process only with fer-build[vllm]", hint)
    sampling = {"temperature": 0.0, "max_tokens": MOST_TOKENS, "seed": 0}
    engine = {"max_model_len": 8192, "limit_mm_per_prompt": {"image": 1, "video": 0}}
    return TeacherEntry(name=folder.resolve().name, kind="vllm", model=str(folder), sampling=sampling, engine=engine)


def serve_line(folder: Path) -> str:
    """Return the command that serves a checkpoint for the benchmark."""
    limits = """--max-model-len 8192 --limit-mm-per-prompt '{"image": 1, "video": 0}' --port 8000"""
    return f"vllm serve {quote(str(folder))} {limits}"


def _ask_line(folder: Path) -> str:
    return f"fer-build eval --endpoint http://127.0.0.1:8000/v1 --model-id {quote(str(folder))}"
