"""What an edition says of itself: `edition.json`, read with suspicion, since it may come from anywhere.

An edition is a dataset as it may leave the machine. `making` writes this file, the card and the checks read it, and
`rehydrate` follows it back to the local dataset's very bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ferbuild.builders.errors import FerError
from ferbuild.manifests.recipe import Picture

FILE = "edition.json"
SUMS = "SHA256SUMS"
"""Written last: a folder without it is none that is whole."""
FOLDER = "edition"
"""Of the work folder: every edition is a folder in it, called as its dataset."""

Images = Literal["none", "bytes"]
Split = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
ShardName = Annotated[str, Field(pattern=r"^\w[\w.-]*/data-\d{5}-of-\d{5}\.arrow$")]
"""`<split>/data-00000-of-00003.arrow`: nothing that leads out of the folder."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Shard(_Frozen):
    rows: int = Field(ge=0)
    sha256: Sha256


class Terms(_Frozen):
    """What a source of the rows allows, and how many rows show one of its pictures."""

    title: str
    licence: str
    terms: str
    images: Literal["open", "closed"]
    labels: Literal["open", "unsettled", "closed"]
    rows: int = Field(ge=0)
    label_rule: str
    synthetic: bool = False
    """Its release marks itself as synthetic: the release's own licence counts, not that of the set it is made like."""


class Teacher(_Frozen):
    """Who wrote the rationales."""

    name: str
    model: str
    baseline: bool
    sampling: dict[str, Any]
    terms: str
    """What the provider says on using its output; empty where nothing is known."""


class Counts(_Frozen):
    """What a stage did with its rows: `rows_in` = `kept` + the sum of `dropped`."""

    rows_in: int = Field(alias="in")
    kept: int
    dropped: dict[str, int]


class Edition(_Frozen):
    """The content of `edition.json`: no path of the machine, no time."""

    form: Literal[1] = 1
    dataset: str = Field(pattern=r"^\w[\w.-]*$")
    """Folder of the local dataset: cot, an arm of it such as cot-direct, rlvr, ferbench."""
    key: str
    """Stage key of the local dataset."""
    images: Images
    rows: dict[Split, int]
    schema_sha256: str
    """See `schema_sha256`."""
    shards: dict[ShardName, Shard]
    """Of this edition, by their path in the folder."""
    local: dict[ShardName, Shard]
    """Of the local dataset, with every picture: what `rehydrate` arrives at."""
    sources: dict[str, Terms]
    picture: Picture
    """The policy by which pictures were cut out and enlarged."""
    rows_in: int = Field(alias="in")
    kept: int
    dropped: dict[str, int]
    findings: dict[str, int] = Field(default_factory=dict)
    """Faults of rows that had to be kept: a benchmark's picture that cannot be read."""
    tables: dict[str, list[dict[str, str | float | int]]]
    """The stage's figures by their title, such as `keep rate`."""
    upstream: dict[str, Counts]
    """Stage to counts, of the stages that the rows came through before."""
    teacher: Teacher | None
    prompts: dict[str, str]
    """Version to template; of prompts that are no template's, to one of them."""
    recipe: str
    policy: dict[str, Any]
    """The recipe's other keys: its checks, and what it does about duplicates."""
    flags: dict[str, str]
    """What the stage was told on the command line."""
    tool: dict[str, str]
    """fer-build to its version."""
    baseline: bool
    """Whether rationales are the embedded geometry baseline's."""
    checked: list[str]
    """Sources for which the user answers that labels and text may be published."""
    synthetic: bool
    """Whether every picture is rendered or otherwise synthetic."""

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    def as_text(self) -> str:
        return json.dumps(self.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(folder: Path) -> Edition:
    """Return what the edition in `folder` says of itself; FerError where it is none, or its edition.json is damaged."""
    path = folder / FILE
    try:
        data = path.read_bytes()
    except OSError as err:
        hint = "`fer-build publish DATASET` builds one; a downloaded one is the whole repository"
        raise FerError(folder, f"is no edition: {FILE}: {err.strerror or err}", hint) from None
    try:
        return Edition.model_validate_json(data)
    except ValidationError as err:
        fault = err.errors()[0]
        spot = ".".join(str(part) for part in fault["loc"])
        hint = "download it again, or build it again with `fer-build publish`"
        raise FerError(path, f"{spot}: {fault['msg']}" if spot else fault["msg"], hint) from None


def schema_sha256(schema: pa.Schema) -> str:
    """Return the hash of column names and types, in order; metadata does not enter."""
    named: Sequence[list[str]] = [[field.name, str(field.type)] for field in schema]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()
