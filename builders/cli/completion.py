"""`fer-build completion`: what the Tab key needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from ferbuild.builders.errors import FerError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_FER_BUILD_COMPLETE"
"""By which the script asks fer-build what could come next."""


@click.command()
@click.argument("shell", required=False, type=click.Choice(SHELLS))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def completion(shell: str | None, as_json: bool) -> int:
    """Print the script that completes commands, options, teachers and datasets in a SHELL; default: yours.

    \b
    fer-build completion bash > ~/.local/share/bash-completion/completions/fer-build
    fer-build completion zsh > ~/.zfunc/_fer-build     with `fpath+=~/.zfunc; autoload -Uz compinit; compinit`
    fer-build completion fish > ~/.config/fish/completions/fer-build.fish
    """
    from ferbuild.builders.cli import cli
    from ferbuild.builders.cli.common import emit

    name = shell or Path(os.environ.get("SHELL", "")).name
    kind: Any = get_completion_class(name) if name in SHELLS else None
    if kind is None:
        raise FerError("SHELL", f"no completion for {name or 'an unknown shell'}", f"name one: {', '.join(SHELLS)}")
    text = kind(cli, {}, "fer-build", VARIABLE).source()
    if as_json:
        emit({"stage": "completion", "shell": name, "script": text})
    else:
        click.echo(text)
    return 0
