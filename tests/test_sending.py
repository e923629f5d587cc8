"""Sending is publishing: what may not leave the machine is refused before anything is sent, and what the user
answers for is kept."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from conftest import fer_build
from test_cot_served import MODEL, answered, stub

from ferbuild.builders import replies, sending
from ferbuild.builders.errors import FerError
from ferbuild.builders.hosts import is_third_party
from ferbuild.manifests import load

STRANGER = "http://models.invalid/v1"
HOME = "http://127.0.0.1:8000/v1"


def listing(name, *, synthetic=False):
    return SimpleNamespace(source=load.load_source(name), rows=pa.table({"synthetic": [synthetic] * 3}))


def terms(name):
    return load.load_source(name).licence.terms


CLOSED = [listing("rafdb"), listing("affectnet")]


def refused(*words, **options):
    with pytest.raises(FerError) as caught:
        sending.refuse_closed_pictures(*words, **options)
    return caught.value


def test_every_source_that_may_not_be_sent_is_named_with_its_term():
    err = refused([HOME, STRANGER], [*CLOSED, listing("ferplus", synthetic=True)], ())
    assert err.where == STRANGER
    assert err.problem.startswith("pictures of RAF-DB (basic), AffectNet may not be sent there: ")
    assert terms("rafdb") in err.problem and terms("affectnet") in err.problem
    assert err.hint.endswith("--i-may-send rafdb --i-may-send affectnet")


def test_an_override_holds_for_its_own_source_alone():
    err = refused([STRANGER], CLOSED, (), ("rafdb",))
    assert err.problem == f"pictures of AffectNet may not be sent there: {terms('affectnet')}"
    assert "--i-may-send affectnet" in err.hint and "rafdb" not in err.hint


def test_what_is_answered_for_is_told_host_by_host():
    urls = [HOME, "https://a.invalid:8443/v1", STRANGER]
    found = sending.refuse_closed_pictures(urls, [*CLOSED, listing("sfew", synthetic=True)], (), ("affectnet", "rafdb"))
    assert [(one.source, one.host) for one in found] == [
        ("rafdb", "a.invalid"), ("affectnet", "a.invalid"), ("rafdb", "models.invalid"), ("affectnet", "models.invalid")
    ]  # fmt: skip
    assert {one.terms for one in found} == {terms("rafdb"), terms("affectnet")}


@pytest.mark.parametrize(
    ("urls", "own", "listings"),
    [
        ([HOME, "http://localhost:1/v1", "http://[::1]:1/v1"], (), CLOSED),
        ([STRANGER], ("models.invalid",), CLOSED),
        ([STRANGER], (), [listing("rafdb", synthetic=True)]),
    ],
)
def test_nothing_to_answer_for_where_nothing_is_published(urls, own, listings):
    assert sending.refuse_closed_pictures(urls, listings, own, ("rafdb",)) == []


@pytest.mark.parametrize(("name", "hint"), [("rafbd", "did you mean 'rafdb'?"), ("zzz", "known: affectnet, rafdb")])
def test_a_misspelt_source_is_told_even_where_nothing_leaves(name, hint):
    err = refused([HOME], CLOSED, (), (name,))
    assert (err.where, err.hint) == (f"--i-may-send {name}", hint)


@pytest.mark.parametrize("url", ["http://0.0.0.0:1/v1", "http://127.1:1/v1", "https://10.0.0.7/v1", "http://gpu1/v1"])
def test_another_spelling_of_home_is_no_home(url):
    assert is_third_party(url)


def noted(store: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(store) as db:
        return db.execute("select source, host, terms from sent order by source").fetchall()


def test_what_is_answered_for_is_kept_durably_and_told(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    store = tmp_path / "deep" / "replies.sqlite"
    sending.note_sent(store, [])
    assert not store.exists(), "nothing to answer for, nothing to keep"
    sending.note_sent(store, sending.refuse_closed_pictures([STRANGER], CLOSED, (), ("rafdb", "affectnet")))
    assert noted(store) == [
        ("affectnet", "models.invalid", terms("affectnet")), ("rafdb", "models.invalid", terms("rafdb"))
    ]  # fmt: skip
    told = f"pictures of RAF-DB (basic) go to models.invalid on your own word; their terms: {terms('rafdb')}"
    assert told in caplog.text
    assert replies.recall(store, ["x"]) == {}


@pytest.fixture
def project(demo, tmp_path):
    """A release that is none of the tool's synthetic ones, a stub server's address that is not loopback."""
    closed = tmp_path / "releases" / "rafdb"
    closed.parent.mkdir()
    for path in (demo.home / "releases" / "rafdb").rglob("*"):
        if path.is_file() and path.name != "RELEASE.yaml":
            target = closed / path.relative_to(demo.home / "releases" / "rafdb")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
    recipe = "name: mine\nsources: [rafdb]\ntrace_checks: [answered]\nclaims: {check: false}\n"
    (tmp_path / "mine.yaml").write_text(recipe)
    config = {"teacher": "qwen7b", "recipe": "mine.yaml", "sources": {"rafdb": str(closed)}}
    (tmp_path / "fer-build.yaml").write_text(json.dumps(config))
    return tmp_path


def reachable(port: str) -> bool:
    """Tell whether 0.0.0.0, which is no loopback name, leads to this machine; it does on Linux."""
    try:
        socket.create_connection(("0.0.0.0", int(port)), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.mark.network
def test_a_third_party_gets_pictures_on_the_users_word_alone(project):
    log = project / "log"
    store = project / "fer-data" / "replies.sqlite"
    with stub(log, "--model", MODEL) as url:
        if not reachable(url.rpartition(":")[2].removesuffix("/v1")):
            pytest.skip("0.0.0.0 does not lead home on this system")
        stranger = url.replace("127.0.0.1", "0.0.0.0")
        words = ("cot", "--endpoint", stranger, "--limit", 3, "--json")
        env = {"NO_PROXY": "*", "no_proxy": "*"}
        ran = fer_build(*words, cwd=project, env=env)
        assert (ran.code, answered(log), store.exists()) == (2, 0, False)
        assert ran.json["error"]["problem"] == f"pictures of RAF-DB (basic) may not be sent there: {terms('rafdb')}"
        ran = fer_build(*words, "--i-may-send", "rafbd", cwd=project, env=env)
        assert (ran.code, answered(log), ran.json["error"]["hint"]) == (2, 0, "did you mean 'rafdb'?")
        ran = fer_build(*words, "--i-may-send", "rafdb", cwd=project, env=env)
        assert (ran.code, answered(log)) == (0, ran.json["in"]), ran.err
        assert ran.json["in"] > 0
        assert "on your own word" in ran.err and terms("rafdb")[:40] in " ".join(ran.err.split())
    assert noted(store) == [("rafdb", "0.0.0.0", terms("rafdb"))]
