"""Runs the commands of the tutorial and the README as after a fresh clone, and compares what they print.

    python docs/newcomer.py [--check | --write] [--into DIR | --here] [PAGE ...]

All in order, in a copy of the checkout's files (in DIR, or a folder that is removed again) or, with --here, in the
checkout itself; the first that fails or prints something else ends it. --write puts into the pages what was printed.

A ```console block holds `$ command` lines (continued by `> `), each with its output below it. `…` in a line stands for
anything, a line of nothing else for any lines. Only stdout is compared. A ```bash block holds a command a line, without
output. A comment in the line before a block says where it runs and what is not for a newcomer:

    <!-- newcomer: in fer-demo; leave out --teacher qwen72b, suspects: need a served model -->

The words after `leave out` are looked for in the commands; `leave out all` leaves out the block.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
PAGES = ("docs/tutorial.md", "README.md")
ANY = "…"
SHOWN = 40
"""Lines of an output that --write puts down."""
BLOCK = re.compile(
    r"^(?:<!-- newcomer:(?P<said>[^\n]*?)-->\n+)?```(?P<kind>console|bash)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S
)
SAID = re.compile(r"(?:\s*in (?P<folder>[^;\s]+);?)?(?:\s*leave out (?P<words>[^:]+?)(?:: (?P<why>.+?))?)?\s*")


class Command(NamedTuple):
    """A command of a page."""

    page: str
    line: int
    """Of the page, from 1: where it stands."""
    text: str
    expected: str | None = None
    """What it prints, by the page; None: the page does not say."""
    folder: str | None = None
    """Where it runs, below the top; None: where the one before it ended."""
    left_out: str | None = None
    """Why it is not run; None: it is."""


class Difference(Exception):  # noqa: N818
    """A command failed, or did not print what its page says."""


def commands(page: str, text: str) -> Iterator[Command]:
    """Yield the commands of a page, in order."""
    for block in BLOCK.finditer(text):
        said = SAID.fullmatch(block["said"] or "")
        if said is None:
            raise Difference(f"{page}: cannot read the comment `newcomer:{block['said']}`")
        words = [word.strip() for word in (said["words"] or "").split(",") if word.strip()]
        line = text.count("\n", 0, block.start("body")) + 1
        found = _console(block["body"]) if block["kind"] == "console" else _plain(block["body"])
        for at, command, expected in found:
            out = any(word == "all" or word in command for word in words)
            folder = (said["folder"] or ".") if block["kind"] == "bash" else said["folder"]
            yield Command(page, line + at, command, expected, folder, (said["why"] or "left out") if out else None)


def _console(body: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield the line, the command and the output of every `$` of a block."""
    at, lines = 0, body.splitlines()
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise Difference(f"a console block begins with {lines[at]!r}, not with `$ command`")
        start, said = at, [lines[at][2:]]
        while at + 1 < len(lines) and re.match(r">( |$)", lines[at + 1]):
            at += 1
            said.append(lines[at][2:])
        at += 1
        output = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        yield start, "\n".join(said), "\n".join(lines[output:at])


def _plain(body: str) -> Iterator[tuple[int, str, str | None]]:
    for at, line in enumerate(body.splitlines()):
        words = shlex.split(line, comments=True)
        if words:
            yield at, re.sub(r"\s+#.*$", "", line).strip(), None


def matches(expected: str, printed: str) -> bool:
    """Tell whether an output is what the page says, `…` standing for anything."""
    parts = []
    for line in expected.strip("\n").splitlines():
        inner = "[^\n]*".join(re.escape(part) for part in line.rstrip().split(ANY))
        parts.append(r"(?:[^\n]*\n)*?" if line.strip() == ANY else f"{inner}[ \t]*\n")
    return re.fullmatch("".join(parts), printed.strip("\n") + "\n" if printed.strip() else "") is not None


class Shell:
    """Bash whose folder and variables carry over from command to command."""

    def __init__(self, home: Path, more: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.state = Path(tempfile.mkdtemp(prefix="newcomer-"))
        plain = {"COLUMNS": "120", "PYTHONUNBUFFERED": "1", "VIRTUAL_ENV_DISABLE_PROMPT": "1"}
        self.env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
        self.env |= plain | dict(more or {})
        (self.state / "before").write_text(f"cd {shlex.quote(str(home))}\n")

    def run(self, command: Command) -> str:
        """Return what the command printed; Difference where it fails."""
        place = f"cd {shlex.quote(str(self.home / command.folder))}\n" if command.folder else ""
        before = shlex.quote(str(self.state / "before"))
        after = f'code=$?\n{{ export -p; echo "cd $(printf %q "$PWD")"; }} > {before}\nexit $code\n'
        script = f". {before}\n{place}{command.text}\n{after}"
        done = subprocess.run(["bash", "-c", script], env=self.env, capture_output=True, text=True)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-4000:]
            raise Difference(f"{command.page}:{command.line}: `{command.text}` ends with {done.returncode}\n{said}")
        return done.stdout

    def close(self) -> None:
        shutil.rmtree(self.state)


def compared(command: Command, printed: str) -> None:
    """Raise Difference, with what differs, where a command printed something else than its page says."""
    if command.expected is None or matches(command.expected, printed):
        return
    wanted, got = (text.strip("\n").splitlines() for text in (command.expected, printed))
    told = "\n".join(difflib.unified_diff(wanted, got, command.page, "printed", lineterm=""))
    raise Difference(f"{command.page}:{command.line}: `{command.text}` prints something else\n{told}")


def written(page: Path, command: Command, printed: str, home: Path) -> None:
    """Put what a command printed into its page; what already matches stays as it is, with its `…`."""
    if command.expected is None or matches(command.expected, printed):
        return
    steady = re.sub(r"\d+\.\d+ ?s\b", f"{ANY} s", printed.replace(str(home), ANY))
    lines = steady.strip("\n").splitlines()
    fresh = "\n".join([*lines[:SHOWN], ANY] if len(lines) > SHOWN else lines)
    typed = "$ " + command.text.replace("\n", "\n> ")
    typed = re.sub(r"^> $", ">", typed, flags=re.M)
    text = page.read_text(encoding="utf-8")
    old, new = (f"{typed}\n{output}".rstrip("\n") + "\n" for output in (command.expected, fresh))
    if text.count(old) != 1:
        raise Difference(f"{page}: `{command.text}` and its output stand there {text.count(old)} times")
    page.write_text(text.replace(old, new), encoding="utf-8")


def copy_to(folder: Path) -> None:
    """Copy the checkout's files, but nothing that git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = TOP / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def walk(shell: Shell, pages: Sequence[str], *, write: bool = False) -> int:
    """Run the commands of some pages; return how many were run."""
    count = 0
    for page in pages:
        for command in commands(page, (TOP / page).read_text(encoding="utf-8")):
            told = command.text.splitlines()[0]
            if command.left_out:
                print(f"{page}:{command.line}: left out: {told} ({command.left_out})", flush=True)
                continue
            print(f"{page}:{command.line}: $ {told}", flush=True)
            printed = shell.run(command)
            (written(TOP / page, command, printed, shell.home) if write else compared(command, printed))
            count += 1
    return count


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", default=PAGES)
    parser.add_argument("--check", action="store_true", help="compare; the default")
    parser.add_argument("--write", action="store_true", help="put what is printed into the pages")
    parser.add_argument("--into", type=Path, help="work there, and leave it")
    parser.add_argument("--here", action="store_true", help="work in this checkout")
    chosen = parser.parse_args(words)
    if (chosen.check and chosen.write) or (chosen.here and chosen.into):
        parser.error("--check and --write, and --here and --into, exclude each other")
    with tempfile.TemporaryDirectory(prefix="newcomer-") as spare:
        home = TOP if chosen.here else (chosen.into or Path(spare) / "fer-build").resolve()
        if not chosen.here:
            if home.exists() and any(home.iterdir()):
                parser.error(f"{home} is not empty")
            home.mkdir(parents=True, exist_ok=True)
            copy_to(home)
        shell = Shell(home, {"PATH": f"{home / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"})
        try:
            count = walk(shell, chosen.pages, write=chosen.write)
        except Difference as err:
            print(err, file=sys.stderr)
            return 1
        finally:
            shell.close()
    print(f"{count} commands did what the pages say")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
