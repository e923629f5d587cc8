"""What the command line says of itself: examples that parse, completion by a real shell, no colours in a pipe."""

from __future__ import annotations

import ast
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from conftest import REPO, fer_build

from ferbuild.builders.cli import COMMANDS, cli

FER_BUILD = Path(sys.executable).with_name("fer-build")
EXAMPLE = re.compile(r"^ *fer-build ([a-z-]+)(.*?)(?: {2,}.*)?$", re.MULTILINE)
COLOUR = re.compile(rb"\x1b\[(\d+;)*(3\d|9\d)[;m]")
"""What sets the colour of letters; bars also move the cursor, which is none."""


def helped(name: str) -> click.Command:
    with click.Context(cli, info_name="fer-build") as ctx:
        command = cli.get_command(ctx, name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_shows_examples_whose_options_are_taken(name):
    examples = [(found[1], found[2]) for found in EXAMPLE.finditer(helped(name).help or "")]
    assert examples and {command for command, _ in examples} == {name}
    for _, words in examples:
        command = words.partition(" > ")[0].partition(" | ")[0]
        given = [word for word in shlex.split(command) if not word.startswith("–")]
        with click.Context(helped(name), info_name=name) as ctx:
            helped(name).make_parser(ctx).parse_args(args=given)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_gives_json(name):
    assert "--json" in {word for param in helped(name).params for word in param.opts}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fer-build sta", {"status"}),
        ("fer-build cot --teacher qwen7b", {"qwen7b", "qwen7b-local"}),
        ("fer-build export co", {"cot"}),
        ("fer-build export cot --t", {"--to"}),
    ],
)
def test_bash_completes_by_the_printed_script(demo, words, offered):
    """The script of `fer-build completion bash`, in bash, where the demo's fer-build.yaml lies."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    count = len(words.split()) - 1
    script = f"""
        eval "$({shlex.quote(str(FER_BUILD))} completion bash)"
        fer-build() {{ {shlex.quote(str(FER_BUILD))} "$@"; }}
        COMP_WORDS=({words}); COMP_CWORD={count}
        _fer_build_completion {shlex.quote(str(FER_BUILD))}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, cwd=demo.config.parent)
    assert {*done.stdout.split()} == offered, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell):
    done = fer_build("completion", shell, cwd=REPO)
    assert (done.code, f"_FER_BUILD_COMPLETE={shell}_complete" in done.out) == (0, True)
    assert fer_build("completion", shell, "--json", cwd=REPO).json["script"].strip() == done.out.strip()


def test_the_shell_at_hand_is_taken_and_an_unknown_one_told(tmp_path):
    plain = dict(os.environ)
    assert "zsh_complete" in fer_build("completion", cwd=tmp_path, env=plain | {"SHELL": "/usr/bin/zsh"}).out
    done = fer_build("completion", cwd=tmp_path, env=plain | {"SHELL": "/bin/tcsh"})
    assert done.code == 2 and "no completion for tcsh" in done.err and "bash, zsh, fish" in done.err


def test_a_mistyped_option_names_the_near_one(tmp_path):
    done = fer_build("cot", "--teachr", "qwen7b", cwd=tmp_path)
    assert (done.code, "Did you mean '--teacher'?" in done.err) == (2, True)


def on_a_terminal(words: list[str], cwd: Path, env: dict[str, str]) -> bytes:
    """Return what a command prints where all of its output goes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += (more := os.read(ours, 65536))
        except OSError:  # the way Linux tells that the other end is closed
            more = b""
        if not more:
            break
    process.wait()
    os.close(ours)
    return said


@pytest.mark.skipif(os.name != "posix", reason="a terminal of the POSIX kind")
def test_colours_are_for_terminals_and_no_color_is_heeded(demo):
    words = [str(FER_BUILD), "verify", "rlvr", "--config", str(demo.config)]
    env = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm-256color"}
    assert COLOUR.search(on_a_terminal(words, demo.config.parent, env))
    assert not COLOUR.search(on_a_terminal(words, demo.config.parent, env | {"NO_COLOR": "1"}))
    piped = subprocess.run(words, cwd=demo.config.parent, env=env, capture_output=True)
    assert not COLOUR.search(piped.stdout + piped.stderr)


def test_help_lists_every_command_with_what_it_does():
    done = fer_build("--help", cwd=REPO)
    text = " ".join(done.out.split())
    assert done.code == 0
    for name, entry in COMMANDS.items():
        assert f"{name} {entry.about}" in text


def test_only_the_asked_command_is_loaded():
    """`--help` must come at once: nothing but the group itself is imported at its top level."""
    tree = ast.parse((REPO / "builders" / "cli" / "__init__.py").read_text())
    modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {one for one in modules if one and one.startswith("ferbuild")} == {"ferbuild.builders.errors"}
