"""The finished jobs of a stage on disk: what a killed run has already done, and what the next one goes on from."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text
from ferbuild.builders.record import DROPS, Batch


class Note(BaseModel):
    """What one part holds. It is written last: a part without it is not done."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: dict[str, int]
    """Split to rows kept there."""
    dropped: int
    taken: int
    findings: dict[str, int]
    unanswered: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts in one folder, each a stream a split, a stream of drops and a note."""

    folder: Path
    schema: pa.Schema

    def write(self, name: str, batch: Batch) -> None:
        """Write a part whole; the note makes it count."""
        rows = {split: table.num_rows for split, table in batch.kept.items() if table.num_rows}
        for split in rows:
            shards.write_stream(self.kept_file(name, split), [batch.kept[split]], self.schema)
        shards.write_stream(self.drops_file(name), [batch.drops], DROPS)
        note = Note(
            rows=rows,
            dropped=batch.drops.num_rows,
            taken=batch.taken,
            findings=dict(batch.findings),
            unanswered=batch.unanswered,
        )
        write_text(self.folder / f"{name}.json", note.model_dump_json())

    def note(self, name: str) -> Note | None:
        """Return a part's note; None where the part is not there or its streams are not what the note says."""
        try:
            note = Note.model_validate_json((self.folder / f"{name}.json").read_bytes())
            kept = {split: shards.read_stream(self.kept_file(name, split)).num_rows for split in note.rows}
            whole = kept == note.rows and shards.read_stream(self.drops_file(name)).num_rows == note.dropped
        except (OSError, ValidationError, FerError):
            return None
        return note if whole else None

    def done(self, name: str) -> bool:
        """Tell whether a job need not run again; one that a teacher left rows of unanswered must."""
        note = self.note(name)
        return note is not None and not note.unanswered

    def notes(self, names: Iterable[str]) -> Iterator[tuple[str, Note]]:
        """Yield the notes of parts that must all be there; FerError where one is not."""
        for name in names:
            note = self.note(name)
            if note is None:
                raise FerError(self.folder, f"part {name} is damaged", "run the same command again")
            yield name, note

    def kept_file(self, name: str, split: str) -> Path:
        return self.folder / f"{name}.kept.{split}.arrow"

    def drops_file(self, name: str) -> Path:
        return self.folder / f"{name}.drops.arrow"

    def remove(self) -> None:
        """Remove these parts and those that an earlier, other plan left beside them."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
