"""What a place of somebody's machine looks like in a text: an absolute path, a home, a drive letter, a share."""

from __future__ import annotations

import re
from pathlib import Path

_ROOTS = (
    "home|root|Users|mnt|tmp|var|opt|media|srv|usr|etc|Volumes|private|scratch|nfs|lustre|gpfs|workspace|work|data"
    "|datasets|storage|content|kaggle|project|projects|autofs"
)
_BEFORE = r"(?:^|[\s\"'`(\[=:,;<])"
_HOME = re.escape(str(Path.home()))
PATTERN = (
    rf"(?m){_BEFORE}(?:/(?:{_ROOTS})/[\w.~-]|{_HOME}(?:[/\\\s\"'`)\],;]|$)|~/\w|[A-Za-z]:[\\/][\w.]|\\\\[\w.-]+\\\w)"
    r"|file:///"
)
"""In the syntax that RE2 and Python share. A path of the web has a host before its first slash and is no such place;
nor is `/RAF-DB/aligned/…`, the published form of a benchmark's picture paths."""
PLACE = re.compile(PATTERN)
OUTWARD = r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)"
"""A path below a release's folder that leads out of it."""
