"""The documents say what the code does: tables are generated, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import REPO

from ferbuild.builders.cli import COMMANDS, cli
from ferbuild.builders.reasons import STAGES

DOCUMENTS = sorted([REPO / "README.md", *(REPO / "docs").rglob("*.md")])


def test_the_tables_are_what_the_code_says():
    done = subprocess.run([sys.executable, REPO / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_every_command_in_the_documents_exists(path):
    for line in re.findall(r"^(?:\$ )?fer-build (.+)$", path.read_text(), re.MULTILINE):
        words = line.partition("#")[0].split()
        assert words[0] in COMMANDS or words[0].startswith("--"), line
        if words[0] in COMMANDS:
            known = {
                opt for param in cli.get_command(None, words[0]).params for opt in [*param.opts, *param.secondary_opts]
            }
            assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_links_lead_to_files(path):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("reason", sorted({reason for known in STAGES.values() for reason in known}))
def test_no_drop_reason_is_only_on_paper(reason):
    text = "".join(
        path.read_text()
        for room in ("builders", "filters", "manifests")
        for path in [*(REPO / room).rglob("*.py"), *(REPO / room).rglob("*.yaml")]
        if path.name != "reasons.py"
    )
    assert reason.partition("<")[0] in text


def test_the_changelog_knows_the_version():
    version = re.search(r"^version = (.+)$", (REPO / "setup.cfg").read_text(), re.MULTILINE)[1]
    assert f"## {version}" in (REPO / "CHANGELOG.md").read_text()


def test_the_readme_shows_the_two_commands():
    text = (REPO / "README.md").read_text()
    assert "make demo" in text and "make test" in text
