"""The one exception a user ever sees, and the helper that guesses what a mistyped name meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FerError(Exception):
    """Work cannot go on: `where` it stopped, the `problem`, and the `hint` that says what to do.

    The command line prints `where: problem` and the hint without a traceback, and exits with 2.
    A fault of a single row is never an error: it is a drop with a reason.
    """

    def __init__(self, where: object, problem: str, hint: str = "") -> None:
        super().__init__(f"{where}: {problem}" + (f" ({hint})" if hint else ""))
        self.where = str(where)
        self.problem = problem
        self.hint = hint

    def __reduce__(self) -> tuple[type[FerError], tuple[str, str, str]]:
        """Keep the three parts when the error crosses a process border."""
        return FerError, (self.where, self.problem, self.hint)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for a close match, else the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
