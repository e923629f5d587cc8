"""A teacher's API key: read from the environment when it is needed, never stored and never logged."""

from __future__ import annotations

import os

from ferbuild.builders.errors import FerError
from ferbuild.manifests.schema import TeacherEntry


def found_key(entry: TeacherEntry) -> str:
    """Return the key of an entry; "" where it names no variable, or one that is not set."""
    return os.environ.get(entry.key or "", "").strip()


def api_key(entry: TeacherEntry) -> str:
    """Return the key of an entry, "" where it names no variable; FerError where the variable is not set."""
    secret = found_key(entry)
    if entry.key and not secret:
        hint = f"export {entry.key}=… in this shell; it is neither stored nor logged"
        raise FerError(f"teacher {entry.name}", f"the API key is not set: {entry.key}", hint)
    return secret


def hushed(text: str, secret: str) -> str:
    """Return what a server said without the key, which some quote."""
    return text.replace(secret, "…") if secret else text
