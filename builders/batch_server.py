"""The Batch API as this tool uses it, by the openai package: files up and down, batches made, found and looked at.

Every call is repeated while the server is busy or out of reach; a batch is never made twice, since after a doubtful
answer it is first looked for by its tag.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ferbuild.builders.api_keys import hushed
from ferbuild.builders.errors import FerError
from ferbuild.builders.hosts import is_third_party

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch

T = TypeVar("T")
log = logging.getLogger(__name__)

INSTALL = "pip install 'fer-build[openai]'"
ENDPOINT: Final = "/v1/chat/completions"
TAG = "fer_build"
"""Key of the metadata that holds a batch's tag."""
SKEW_S = 3600
"""By which the server's clock may differ from this one's."""


class Patience(NamedTuple):
    """Seconds that the client waits."""

    settle: float = 30.0
    """Until a batch that was asked for must be in the server's list."""
    poll: float = 5.0
    """Between two looks at a batch, at first; the wait grows."""
    poll_most: float = 60.0
    outage: float = 3600.0
    """For which the server may be out of reach before the run ends."""
    request: float = 600.0
    """Of one call, a file's upload included."""


@dataclass(slots=True)
class BatchServer:
    """One account at one server."""

    url: str
    key: str
    """Name of the variable that holds the secret."""
    secret: str
    patience: Patience = field(default_factory=Patience)
    _api: OpenAI = field(init=False)

    def __post_init__(self) -> None:
        import openai

        self._api = openai.OpenAI(
            api_key=self.secret,
            base_url=self.url,
            max_retries=0,
            timeout=self.patience.request,
            http_client=openai.DefaultHttpxClient(trust_env=is_third_party(self.url)),
        )

    def answers(self) -> None:
        """FerError where the server is out of reach or refuses the key."""
        self._patiently("is out of reach", lambda: self._api.batches.list(limit=1), outage=0.0)

    def upload(self, path: Path) -> str:
        """Send a file of requests; return its id."""

        def send() -> str:
            with path.open("rb") as file:
                return self._api.files.create(file=(path.name, file), purpose="batch").id

        return self._patiently("takes no file", send)

    def create(self, file: str, tag: str, since: float) -> Batch:
        """Have a batch made of an uploaded file, or return the one that an earlier try has made."""

        def make() -> Batch:
            try:
                return self._api.batches.create(
                    input_file_id=file, endpoint=ENDPOINT, completion_window="24h", metadata={TAG: tag}
                )
            except Exception as err:
                if not _passing(err):
                    raise
                time.sleep(self.patience.settle)
                found = self._find(tag, since)
                if found is None:
                    raise
                return found

        return self._patiently("makes no batch", make)

    def find(self, tag: str, since: float) -> Batch | None:
        """Return the batch with this tag that did not fail, made after `since` (Unix seconds) by anybody's clock."""
        return self._patiently("lists no batches", lambda: self._find(tag, since))

    def look(self, batch: str) -> Batch | None:
        """Return a batch as it is now; None where the server has none of that id."""

        def retrieve() -> Batch | None:
            import openai

            try:
                return self._api.batches.retrieve(batch)
            except openai.NotFoundError:
                return None

        return self._patiently("tells nothing of a batch", retrieve)

    def download(self, file: str, path: Path) -> None:
        """Bring a file of the server's to `path`, whole."""

        def bring() -> None:
            with self._api.files.with_streaming_response.content(file) as response, path.open("wb") as out:
                for piece in response.iter_bytes():
                    out.write(piece)

        self._patiently("gives no file", bring)

    def remove(self, file: str) -> None:
        """Delete a file, which holds pictures; one that stays ends by the server's own rule."""
        try:
            self._api.files.delete(file)
        except Exception as err:  # nothing rests on it
            log.debug("%s: file %s stays there: %s", self.url, file, err)

    def remove_named(self, name: str) -> None:
        """Delete the input files of this name, of which no id was noted."""
        files = self._patiently("lists no files", lambda: list(self._api.files.list(purpose="batch", limit=1000)))
        for file in files:
            if file.filename == name:
                self.remove(file.id)

    def _find(self, tag: str, since: float) -> Batch | None:
        for batch in self._api.batches.list(limit=100):  # the newest first; further pages come by themselves
            if batch.created_at < since - SKEW_S:
                return None
            if (batch.metadata or {}).get(TAG) == tag and batch.status != "failed":
                return batch
        return None

    def _patiently(self, problem: str, call: Callable[[], T], *, outage: float | None = None) -> T:
        """Call until it works; FerError where the server refuses, or stays out of reach for `outage` seconds."""
        began, attempt = time.monotonic(), 0
        most = self.patience.outage if outage is None else outage
        while True:
            try:
                return call()
            except Exception as err:
                if not _passing(err):
                    raise self._refusal(problem, err) from None
                if time.monotonic() - began >= most:
                    hint = "what is at the server goes on there; the same command collects it later"
                    raise FerError(self.url, f"{problem}: {self._told(err)}", hint) from None
                log.info("%s: %s; trying again", self.url, self._told(err))
            attempt += 1
            time.sleep(random.uniform(0, min(self.patience.poll_most, self.patience.poll * 2**attempt)))

    def _refusal(self, problem: str, err: Exception) -> FerError:
        status = getattr(err, "status_code", None)
        if status in (401, 403):
            return FerError(self.url, f"refuses the API key (HTTP {status})", f"check the value of {self.key}")
        return FerError(self.url, f"{problem}: {self._told(err)}", "what is stored is kept, and is not asked for again")

    def _told(self, err: Exception) -> str:
        return self.hush(f"{type(err).__name__}: {err}")[:300]

    def faults(self, batch: Batch) -> list[tuple[str, str]]:
        """Return (code, message) of what made a batch fail."""
        errors = (batch.errors and batch.errors.data) or []
        return [(error.code or "", self.hush(error.message or "")) for error in errors]

    def hush(self, text: str) -> str:
        """Return a text of the server's without the key, which some quote."""
        return hushed(text, self.secret)


def _passing(err: Exception) -> bool:
    """Tell whether another try may help: the server is busy, out of reach, or was cut off."""
    import openai

    if isinstance(err, openai.APIStatusError):
        return err.status_code in (408, 409, 425, 429) or err.status_code >= 500
    # A body that is cut off comes as whatever the transport beneath the package raises, which is not its own.
    return isinstance(err, openai.APIConnectionError) or type(err).__module__.split(".")[0] in _TRANSPORTS


_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2")
