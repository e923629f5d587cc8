"""The command line over the stages: one module a group of commands, loaded when it is asked for."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import NamedTuple

import click

from ferbuild.builders.errors import FerError, did_you_mean


class Entry(NamedTuple):
    module: str
    about: str
    function: str = ""
    """In the module, where it is not called as the command is."""


COMMANDS = {
    "demo": Entry("demo", "Build every dataset from small synthetic releases, and show the funnel."),
    "init": Entry("init", "Write fer-build.yaml; find releases under a folder."),
    "check": Entry("check", "Show what the releases hold against what they should."),
    "faces": Entry("stages", "Decode, cut out and hash the faces."),
    "duplicates": Entry("duplicates", "Tell which faces show one photograph, and what became of them."),
    "contamination": Entry(
        "contamination", "Find training faces that show pictures of a benchmark, or of any other set."
    ),
    "measure": Entry("stages", "Detect the training faces and measure their meshes."),
    "cot": Entry("stages", "Ask a teacher for reasoning; keep what agrees with the label."),
    "suspects": Entry("suspects", "List the faces whose labels a confident teacher contradicts."),
    "grounding": Entry("grounding", "Tell which claims of the rationales the measurements bear out."),
    "counterfactual": Entry("counterfactual", "Test whether a model's reasoning follows the picture."),
    "fairness": Entry("fairness", "Tell whom a model fails on: gaps between groups, and changed looks."),
    "rlvr": Entry("stages", "Make one question a training face, with a checkable answer."),
    "bench": Entry("stages", "Build FERBench from the benchmark splits."),
    "eval": Entry("evaluate", "Score a model, or a file of its results, on FERBench.", "evaluate"),
    "leaderboard": Entry("leaderboard", "One table over many results, beside the published figures."),
    "calibrate": Entry("calibrate", "Find out, on rendered faces, which action units may be judged."),
    "render": Entry("render", "Render synthetic faces whose action units are known."),
    "teachers": Entry("teachers", "List who can write the rationales, and who answers now."),
    "replies": Entry("replies", "Show what was asked, what came of it and what it cost."),
    "export": Entry("export", "Rewrite a built dataset for another tool."),
    "publish": Entry("publish", "Build the edition that may leave the machine; upload it."),
    "verify": Entry("verify", "Check what a dataset folder promises, your own or a downloaded one."),
    "rehydrate": Entry("rehydrate", "Fill an edition's pictures in from your own releases."),
    "review": Entry("review", "Look at rows in the browser: accept, reject, relabel, note."),
    "apply-review": Entry("apply_review", "Make the dataset that a review leaves, with its own drops.", "apply_review"),
    "report": Entry("report", "Show what became of every row, on one page."),
    "status": Entry("status", "Tell what is built, stale, incomplete or missing."),
    "doctor": Entry("doctor", "Tell what this machine lacks, for which command, and what to install."),
    "completion": Entry("completion", "Print the script that completes commands in your shell."),
}
"""Every command, its module below this package, and its line in the help and the README."""


class Lazy(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        entry = COMMANDS[cmd_name]
        module = importlib.import_module(f"{__name__}.{entry.module}")
        command: click.Command = getattr(module, entry.function or cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}: {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.about) for name, entry in COMMANDS.items()])


@click.group(cls=Lazy)
@click.version_option(package_name="fer-build")
def cli() -> None:
    """Build chain-of-thought, RLVR and benchmark datasets from facial-expression releases.

    Start with `fer-build demo`. With releases of your own: `fer-build init --find DIR`, then `fer-build check`.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line. Exit codes: 0 done, 1 done in part, 2 wrong use or a fault that stopped the work."""
    words = (sys.argv[1:] if args is None else args) or ["--help"]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(cli.main(words, prog_name="fer-build", standalone_mode=False, color=_coloured()) or 0)
    except FerError as err:
        _fail(words, err.where, err.problem, err.hint)
    except click.UsageError as err:
        command = err.ctx.command_path if err.ctx else "fer-build"
        _fail(words, command, err.format_message(), f"{command} --help")
    except click.ClickException as err:
        _fail(words, "fer-build", err.format_message(), "")
    except OSError as err:
        where = str(err.filename or "the file system")
        _fail(words, where, err.strerror or str(err), "mend it and run the same command again")
    except ImportError as err:
        _fail(words, "import", str(err), _import_hint(err))
    except (click.Abort, KeyboardInterrupt):
        _fail(words, "stopped", "what was finished is kept, and the same command goes on from there", "", code=130)
    except Exception as err:
        if os.environ.get("FER_BUILD_TRACE"):
            raise
        hint = "this is a fault of fer-build, please report it; FER_BUILD_TRACE=1 shows where it happened"
        _fail(words, "fer-build", f"{type(err).__name__}: {err}"[:500], hint)


def _coloured() -> bool | None:
    """Return False where the user wants no colours (https://no-color.org); None: only on a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _interrupt(number: int, frame: object) -> None:
    """Take SIGTERM for Ctrl-C, whoever handles that now: finished work is kept and no worker is left behind."""
    signal.raise_signal(signal.SIGINT)


def _import_hint(err: ImportError) -> str:
    """Say what to install: OpenCV's wheel counts on two libraries that a bare system lacks."""
    if ".so" in str(err):
        return "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
    return f"pip install {err.name}" if err.name else "install fer-build again: pip install --force-reinstall fer-build"


def _fail(words: list[str], where: str, problem: str, hint: str, *, code: int = 2) -> None:
    if "--json" in words:
        click.echo(json.dumps({"error": {"where": where, "problem": problem, "hint": hint}}))
    click.echo(click.style(f"{where}: ", bold=True, fg="red") + problem, err=True, color=_coloured())
    if hint:
        click.echo(f"  {hint}", err=True)
    sys.exit(code)
