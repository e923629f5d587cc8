"""The how-to pages work as they stand: files are put where they say, commands run, and what these print compared.

A fenced block with a `title` is a file of the checkout: whole, put `(at its end)`, or, as a `diff`, changed. A comment
`<!-- test: serve 8123 NAME -->` starts the stub server from there on.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from asked import stub
from conftest import REPO

sys.path.insert(0, str(REPO / "docs"))
import newcomer

pytestmark = pytest.mark.network

PAGES = sorted(path.stem for path in (REPO / "docs" / "howto").glob("*.md"))
STEP = re.compile(
    r'^```(?P<kind>\w+) title="(?P<title>[^"]+)"\n(?P<body>.*?)^```$'
    r"|^<!-- test: serve (?P<port>\d+) (?P<model>\S+) -->$",
    re.M | re.S,
)
END = " (at its end)"
SAID = (
    "<think>The lip corners are pulled up, the cheeks are raised, and there are wrinkles beside the eyes.</think>"
    "<answer>happiness</answer>"
)


def put(home: Path, kind: str, title: str, body: str) -> None:
    """Do with a file of the checkout what a block says."""
    path = home / title.removesuffix(END)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "diff":
        old, new = ("".join(line[1:] for line in body.splitlines(True) if line[0] != mark) for mark in "+-")
        text = path.read_text()
        assert text.count(old) == 1, f"{title} holds {text.count(old)} times:\n{old}"
        path.write_text(text.replace(old, new))
    elif title.endswith(END):
        path.write_text(f"{path.read_text().rstrip()}\n\n\n{body}")
    else:
        assert not (path.exists() and kind == "python"), f"{title} is there already: say where the block goes"
        path.write_text(body)


@pytest.fixture
def checkout(demo, tmp_path) -> Path:
    """A copy of the checkout beside a built demo, with this environment."""
    home = tmp_path / "fer-build"
    home.mkdir()
    newcomer.copy_to(home)
    (home / "fer-demo").symlink_to(demo.home)
    (home / ".venv-train").symlink_to(REPO / ".venv-train")
    return home


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page, checkout, tmp_path):
    text = (checkout / "docs" / "howto" / f"{page}.md").read_text().replace("8123", free_port())
    if ".venv-train/" in text and not (REPO / ".venv-train" / "bin" / "python").exists():
        pytest.skip("the training environment is not there: make train-env")
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    env |= {"PYTHONPATH": str(checkout / "typings"), "HF_HOME": str(tmp_path / "hf")}
    shell, at, count = newcomer.Shell(checkout, env), 0, 0
    with ExitStack() as stack:
        stack.callback(shell.close)
        for step in [*STEP.finditer(text), None]:
            until = step.start() if step else len(text)
            for command in newcomer.commands(page, "\n" * text.count("\n", 0, at) + text[at:until]):
                if command.left_out is None:
                    newcomer.compared(command, shell.run(command))
                    count += 1
            if step and step["port"]:
                stack.enter_context(stub(port=step["port"], model=step["model"], key="secret", say=SAID))
            elif step:
                put(checkout, step["kind"], step["title"], step["body"])
            at = step.end() if step else at
    assert count >= 2


def test_a_page_that_is_wrong_is_found(checkout, tmp_path):
    shell = newcomer.Shell(checkout, {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"})
    [right, wrong, failing] = newcomer.commands("page", "```console\n$ echo 1\n1\n$ echo 2\n3\n$ false\n```\n")
    newcomer.compared(right, shell.run(right))
    with pytest.raises(newcomer.Difference, match="prints something else"):
        newcomer.compared(wrong, shell.run(wrong))
    with pytest.raises(newcomer.Difference, match="ends with 1"):
        shell.run(failing)
    with pytest.raises(AssertionError, match="holds 0 times"):
        put(checkout, "diff", "filters/verify.py", " no such line\n+new\n")
    shell.close()
