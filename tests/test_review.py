"""A review: the log survives what may happen to it, rows are found as asked, and nobody else gets at them."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from itertools import product

import pytest
from conftest import fer_build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reviewed import copy_of, decided, drops_of, rows_of, serving

from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.intervals import wilson
from ferbuild.builders.record import CANONICAL
from ferbuild.builders.reviewing import figures, log, sample
from ferbuild.builders.reviewing.choosing import query_of
from ferbuild.builders.reviewing.log import Entry
from ferbuild.builders.reviewing.setting import desk_of
from ferbuild.builders.reviewing.standing import standing

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def entries(draw) -> Entry:
    verb = draw(st.sampled_from(["accept", "reject", "relabel", "note", "undo"]))
    return Entry(
        at="2026-01-02T03:04:05.678+00:00",
        reviewer=draw(TEXT.filter(bool)),
        dataset="cot",
        key=draw(TEXT),
        id=draw(TEXT),
        faces=tuple(draw(st.lists(TEXT, max_size=2))),
        decision=verb,
        label=draw(st.sampled_from(CANONICAL)) if verb == "relabel" else None,
        note=draw(TEXT) if verb == "note" else draw(st.none() | TEXT),
        settles=draw(st.booleans()),
    )


def entry(row: str, verb: str = "accept", who: str = "anna", **more) -> Entry:
    return Entry(at=log.now(), reviewer=who, dataset="cot", key="k", id=row, faces=(row,), decision=verb, **more)


# The log


@given(some=st.lists(entries(), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path, some):
    path = tmp_path / "log.jsonl"
    path.unlink(missing_ok=True)
    for one in some:
        log.append(path, one)
    assert log.read_on(path) == (some, path.stat().st_size if some else 0, 0)
    assert path.read_bytes().count(b"\n") == len(some) if some else not path.exists()


def test_a_write_that_was_cut_anywhere_costs_that_line_alone(tmp_path, caplog):
    path = tmp_path / "log.jsonl"
    first, second, third = entry("one"), entry("two", note="ä\u2028b"), entry("three")
    lines = [one.model_dump_json().encode() + b"\n" for one in (first, second)]
    for cut in range(len(lines[1]) + 1):
        path.write_bytes(lines[0] + lines[1][:cut])
        whole = [second] if cut >= len(lines[1]) - 1 else []  # without its end of line alone it is all there
        caplog.clear()
        assert log.read(path) == [first, *whole]
        assert ("damaged" in caplog.text) == bool(0 < cut < len(lines[1]) - 1)
        log.append(path, third)
        assert log.read(path) == [first, *whole, third], cut


def test_what_another_writes_meanwhile_is_read_once_it_is_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    one, two = (found.model_dump_json().encode() + b"\n" for found in (entry("one"), entry("two")))
    path.write_bytes(one + two[:30])
    tail = log.read_on(path)
    assert [found.id for found in tail.entries] == ["one"] and tail.stop == len(one)
    path.write_bytes(one + two)
    assert [found.id for found in log.read_on(path, tail.stop).entries] == ["two"]


def test_two_processes_write_one_log(tmp_path):
    path = tmp_path / "log.jsonl"
    script = (
        "import sys\nfrom pathlib import Path\nfrom ferbuild.builders.reviewing import log\n"
        "for at in range(60):\n"
        "    log.append(Path(sys.argv[1]), log.Entry(at=log.now(), reviewer=sys.argv[2], dataset='cot', key='k',\n"
        "        id=str(at), faces=(), decision='accept', note='x' * 500))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, path, who]) for who in ("anna", "ben")]
    assert [one.wait(timeout=60) for one in writers] == [0, 0]
    tail = log.read_on(path)
    assert tail.damaged == 0 and len(tail.entries) == 120
    for who in ("anna", "ben"):
        assert [one.id for one in tail.entries if one.reviewer == who] == [str(at) for at in range(60)]


@pytest.mark.parametrize("line", [b"{}", b"[1]", b"nonsense", b'{"at": "now"}', b"\xff\xfe"])
def test_a_line_that_is_no_decision_is_left_out_and_told(tmp_path, caplog, line):
    path = tmp_path / "log.jsonl"
    good = entry("one").model_dump_json().encode()
    path.write_bytes(b"\n".join([line, good, b"", good]) + b"\n")
    assert len(log.read(path)) == 2
    assert "1 damaged lines" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "relabel"}, {"verb": "relabel", "label": "joy"}, {"label": "fear"}, {"verb": "note"},
        {"note": "x" * 2001}, {"who": ""}, {"who": "x" * 65},
    ],
)  # fmt: skip
def test_what_means_nothing_is_not_written(wrong):
    with pytest.raises(ValueError, match=r"1 validation error"):
        entry("one", **wrong)


# What stands, and its figures


def test_undo_takes_back_the_last_of_the_same_reviewer():
    said = [entry("a"), entry("a", "reject"), entry("b"), entry("a", who="ben"), entry("a", "undo", note=None)]
    found = standing(said)
    assert found.verdicts("a")["anna"].decision == "accept"
    assert found.verdicts("a")["ben"].decision == "accept"
    assert found.last_of("anna") == "b"
    found.add([entry("b", "undo"), entry("a", "undo"), entry("a", "undo")])
    assert found.verdicts("b") == {} and found.last_of("anna") is None
    assert [*found.verdicts("a")] == ["ben"]


def test_a_note_decides_nothing_and_an_empty_one_takes_it_away():
    found = standing([entry("a", "reject"), entry("a", "note", note="blurred")])
    assert found.outcome("a") == ("reject", None, "blurred", False)
    found.add([entry("a", "note", note="")])
    assert found.outcome("a") == ("reject", None, "", False) and found.notes("a") == {}
    assert standing([entry("b", "note", note="hm")]).outcome("b") is None


def test_what_settles_is_final_whoever_said_it_and_whatever_others_say_later():
    fear, anger = {"verb": "relabel", "label": "fear"}, {"verb": "relabel", "label": "anger"}
    found = standing([entry("a", **fear), entry("a", who="ben", **anger)])
    assert found.outcome("a")[:2] == ("disagree", None)
    assert "anna: relabel fear; ben: relabel anger" in found.outcome("a").note
    found.add([entry("a", who="cleo", settles=True, **anger)])
    assert found.outcome("a") == ("relabel", "anger", "", True)
    found.add([entry("a", "reject", who="dan")])
    assert found.outcome("a").result == "relabel"
    found.add([entry("a", "reject", who="cleo")])  # she thought better of it
    assert found.outcome("a").result == "disagree"


def test_kappa_agreement_and_the_estimate_are_what_they_are_by_hand(tmp_path):
    rows = [f"row{at}" for at in range(10)]
    anna, ben = "aaaaarrrrf", "aaaarrrrra"
    words = {"a": "accept", "r": "reject", "f": "relabel fear"}
    for who, all_said in (("anna", anna), ("ben", ben)):
        decided(tmp_path, "cot", *((who, row, words[said]) for row, said in zip(rows, all_said, strict=True)))
    drawn = dict.fromkeys(rows[:7], "fear") | dict.fromkeys(rows[8:], "anger") | {"other": "anger"}
    sample.write(sample.path_of(tmp_path, "cot"), sample.Sample(seed=3, key="k", of=500, rows=drawn))
    found = figures.summary(tmp_path, "cot")
    # Same: rows 0-3, 5-8. By chance: accept .5 x .5, reject .4 x .5, relabel .1 x 0.
    assert found.agreement[0].rows == 10 and found.agreement[0].observed == pytest.approx(0.8)
    assert found.agreement[0].kappa == pytest.approx((0.8 - 0.45) / (1 - 0.45))
    assert found.results == {"accept": 4, "disagree": 2, "reject": 4}
    assert found.reviewers["anna"] == {"accept": 5, "reject": 4, "relabel": 1}
    estimate = found.estimate
    assert (estimate.asked, estimate.of, estimate.undecided, estimate.disagreed) == (10, 500, 1, 2)
    assert (estimate.overall.accepted, estimate.overall.decided) == (4, 7)
    assert estimate.overall[3:] == pytest.approx(wilson(4 / 7, 7))
    assert {name: share[:2] for name, share in estimate.classes.items()} == {"fear": (4, 6), "anger": (0, 1)}
    assert json.loads(json.dumps(found.as_json()))["agreement"][0]["kappa"] == 0.6364


def test_reviewers_who_always_say_the_same_have_no_kappa(tmp_path):
    decided(tmp_path, "cot", ("anna", "a", "accept"), ("ben", "a", "accept"))
    one = figures.summary(tmp_path, "cot").agreement[0]
    assert (one.rows, one.observed, one.kappa) == (1, 1.0, None)
    assert [summary.dataset for summary in figures.summaries(tmp_path)] == ["cot"]


def test_a_sample_depends_on_ids_and_seed_alone():
    ids = [f"{at:04d}" for at in range(1000)]
    first = {ids[at] for at in sample.draw(ids, 50, seed=1)}
    backwards = ids[::-1]
    assert {backwards[at] for at in sample.draw(backwards, 50, seed=1)} == first
    assert {ids[at] for at in sample.draw(ids, 50, seed=2)} != first
    assert {ids[at] for at in sample.draw(ids, 20, seed=1)} < first
    assert len(sample.draw(ids[:5], 50, seed=1)) == 5


# Rows and filters


@pytest.fixture(scope="module")
def world(demo, tmp_path_factory):
    """A copy of the demo's datasets, which nothing of this module decides about."""
    return copy_of(demo, tmp_path_factory.mktemp("review") / "fer-data")


@pytest.fixture(scope="module")
def desks(demo, world):
    """Every dataset's desk."""
    known = read_settings(demo.config, work=world)
    return {name: desk_of(known, name, "anna", None) for name in ("faces", "cot", "rlvr", "ferbench", "drops")}


def ids(desk, **words) -> list[str]:
    query = query_of({name: [value] if isinstance(value, str) else value for name, value in words.items()})
    return [desk.catalogue.id(int(number)) for number in desk.found(query)]


@pytest.mark.parametrize("name", ["faces", "cot", "rlvr", "ferbench"])
def test_every_row_is_there_in_order_and_filters_find_what_a_loop_finds(desks, world, name):
    rows, desk = rows_of(world / name, "image" if name == "faces" else "images"), desks[name]
    assert ids(desk) == [row["id"] for row in rows]
    source = "source" if name == "faces" else None
    for word in ("rafdb", "ferplus"):
        wanted = [row["id"] for row in rows if (row[source] if source else row["faces"][0]["source"]) == word]
        assert ids(desk, source=word) == wanted and wanted
    for split in {row["split"] for row in rows}:
        assert ids(desk, split=split, canonical=["fear", "happiness"]) == [
            row["id"] for row in rows if row["split"] == split and row["canonical"] in ("fear", "happiness")
        ]
    assert ids(desk, source="nowhere") == [] == ids(desk, reason="blurred")


def test_texts_are_searched_as_they_stand(desks, world):
    rows = rows_of(world / "cot", "images")
    said = {row["id"]: row["completion"][0]["content"] for row in rows}
    for word in ("JAW IS DROPPED", "°", "no movement stands out", "(au26)"):
        assert ids(desks["cot"], text=word) == [
            row["id"] for row in rows if word.casefold() in said[row["id"]].casefold()
        ]
    assert 0 < len(ids(desks["cot"], text="jaw is dropped")) < len(rows)
    assert ids(desks["cot"], text="decide which expression") == [row["id"] for row in rows]  # of the prompt
    path = rows[7]["faces"][0]["rel_path"]
    assert ids(desks["cot"], text=path) == [rows[7]["id"]] == ids(desks["cot"], text=rows[7]["id"])
    assert ids(desks["cot"], text=".*") == [] == ids(desks["rlvr"], text="<think>The")
    assert ids(desks["rlvr"], text="prompt" * 50) == []


def test_agreement_is_a_range(desks, world):
    known = [row["agreement"] for row in rows_of(world / "cot", "images")]
    assert len(ids(desks["cot"], low="0.5", high="1")) == sum(0.5 <= value <= 1 for value in known) == 62
    assert ids(desks["cot"], low="0", high="0.9") == [] == ids(desks["faces"], low="0")
    for wrong in ({"low": "2"}, {"low": "x"}, {"state": "maybe"}, {"dispute": "1"}):
        with pytest.raises(ValueError, match=r"share|convert|one of"):
            ids(desks["cot"], **wrong)


def test_all_drops_of_all_stages_are_there(desks, world):
    known = {name: drops_of(world / name) for name in ("cot", "faces", "ferbench", "measures", "rlvr")}
    wanted = [f"{stage}/{row['id']}/{row['reason']}" for stage, rows in known.items() for row in rows]
    assert ids(desks["drops"]) == wanted
    reasons = Counter(row["reason"] for rows in known.values() for row in rows)
    for reason, count in reasons.items():
        assert len(ids(desks["drops"], reason=reason)) == count
    assert len(ids(desks["drops"], stage="faces", split="train")) == sum(
        row["split"] == "train" for row in known["faces"]
    )
    happy = desks["drops"].catalogue.rows.filter(source="ferplus", canonical="happiness")
    assert happy.height == sum(
        row["source"] == "ferplus" and row["label"] == "happy" for some in known.values() for row in some
    )


def test_pages_hold_fifty_rows_and_a_row_names_its_page(desks):
    desk, every = desks["faces"], query_of({})
    first, last = desk.page(every), desk.page(every, page=7)
    assert (first["total"], first["pages"], len(first["rows"]), len(last["rows"])) == (369, 8, 50, 19)
    assert desk.page(every, row=120)["page"] == 2 and desk.page(every, page=99)["rows"] == []
    assert first["next"] == 0 and first["decided"] == 0


def test_a_row_is_told_with_its_claims_votes_and_measures(desks, world):
    rows = rows_of(world / "cot", "images")
    at = next(at for at, row in enumerate(rows) if row["claims"])
    row, told = rows[at], desks["cot"].detail(at)
    text = row["completion"][0]["content"]
    assert "".join(piece["text"] for piece in told["rationale"]) == text
    for claim in row["claims"]:
        inside = [piece for piece in told["rationale"] if piece["text"] in text[claim["start"] : claim["end"]]]
        assert any(piece["verdict"] == claim["verdict"] for piece in inside)
    voted = next(at for at, row in enumerate(rows) if row["votes"])
    assert sum(vote["count"] for vote in desks["cot"].detail(voted)["votes"]) == sum(rows[voted]["votes"])
    assert dict(told["measures"])["faces found"] == "1"
    assert dict(told["facts"])["path"] == row["faces"][0]["rel_path"]
    assert (told["mine"], told["others"], told["dispute"]) == (None, [], "")


def test_pictures_are_the_very_bytes(desks, world):
    for name, column in (("faces", "image"), ("rlvr", "images")):
        row = rows_of(world / name)[200]
        known = row[column] if column == "image" else row[column][0]
        assert desks[name].picture(200, 0).data == known["bytes"]
        assert desks[name].picture(200, 1) is None


def test_a_dropped_row_shows_what_there_is_of_it(desks, demo):
    drops = desks["drops"]
    reasons = ("near duplicate", "missing picture", "disagrees with the label", "contaminates:ferbench/rafdb")
    rows = {reason: int(drops.found(query_of({"reason": [reason]}))[0]) for reason in reasons}
    twin = rows["near duplicate"]
    name = drops.catalogue.row(twin)["rel_path"]
    file = next((demo.home / "releases" / "rafdb").rglob(name.rpartition("/")[2])).read_bytes()
    assert drops.picture(twin, 0).data == file  # of the release: it never became a face
    assert drops.picture(twin, 1) is not None and drops.picture(twin, 1).data != file
    assert drops.picture(rows["missing picture"], 0) is None
    told = drops.detail(rows["disagrees with the label"])
    assert "<think>" in told["rationale"][0]["text"] and told["drop"]["about"] == "check `agrees`"
    assert drops.detail(rows["contaminates:ferbench/rafdb"])["drop"]["about"]


def test_others_are_told_of_only_once_one_has_decided_oneself(demo, tmp_path):
    work = copy_of(demo, tmp_path / "fer-data")
    first, second = (row["id"] for row in rows_of(work / "cot", "images")[:2])
    decided(work, "cot", ("ben", first, "reject"), ("ben", first, "note no jaw"), ("ben", second, "accept"))
    desk = desk_of(read_settings(demo.config, work=work), "cot", "anna", None)
    assert desk.detail(0)["others"] == []
    desk.decide(0, "accept")
    assert desk.detail(0)["others"] == [
        {"reviewer": "ben", "decision": "reject", "label": None, "note": "no jaw", "settles": False}
    ]
    assert desk.detail(0)["dispute"] == "open" and ids(desk, dispute="open") == [first]
    assert ids(desk, state="decided") == [first] == ids(desk, decision="accept")
    assert len(ids(desk, state="undecided")) == 61
    desk.decide(0, "reject", settles=True)
    assert (ids(desk, dispute="open"), ids(desk, dispute="settled")) == ([], [first])
    assert desk.undo() == 0 and desk.undo() == 0 and desk.undo() is None
    assert desk.detail(0)["mine"] is None and desk.detail(1)["others"] == []


def test_the_next_row_is_the_next_undecided_one_that_the_filter_takes(demo, tmp_path):
    work = copy_of(demo, tmp_path / "fer-data")
    desk = desk_of(read_settings(demo.config, work=work), "cot", "anna", 20)
    query = query_of({"canonical": ["happiness"]})
    taken = [int(number) for number in desk.found(query)]
    assert len(desk.found(query_of({}))) == 20 and len(taken) > 2
    assert desk.next_of(query, taken[0]) == taken[1]
    desk.decide(taken[1], "accept")
    assert desk.next_of(query, taken[0]) == taken[2]
    assert desk.next_of(query, taken[-1]) == taken[0]
    for number in taken:
        desk.decide(number, "reject")
    assert desk.next_of(query, taken[0]) is None
    kept = sample.read(sample.path_of(work, "cot"))
    assert (kept.seed, kept.of, len(kept.rows)) == (0, 62, 20)
    assert [desk.catalogue.id(int(number)) for number in desk.found(query_of({}))] == [*kept.rows]


def test_what_cannot_be_reviewed_is_said(demo, world):
    known = read_settings(demo.config, work=world)
    for named, problem in (("cott", "did you mean 'cot'"), ("measures", "no dataset that can be reviewed")):
        with pytest.raises(FerError, match=problem):
            desk_of(known, named, "anna", None)
    with pytest.raises(FerError, match="is no name"):
        desk_of(known, "cot", " ", None)
    assert desk_of(known, str(world / "cot"), "anna", None).catalogue.dataset == "cot"


# The server


@pytest.fixture(scope="module")
def server(demo, world):
    with serving(demo.config, world, "cot", "--reviewer", "anna") as running:
        yield running


def test_every_answer_is_for_this_page_alone(server):
    for path, kind in (
        ("/", "text/html"), ("/static/review.js", "text/javascript"), ("/static/review.css", "text/css"),
        ("/api/about", "application/json"), ("/api/rows?page=1", "application/json"), ("/picture/0/0", "image/jpeg"),
        ("/picture/0/7", "image/svg+xml"), ("/nothing", "application/json"),
    ):  # fmt: skip
        status, headers, body = server.ask(path)
        assert status == (404 if path == "/nothing" else 200) and body
        assert headers["Content-Type"].startswith(kind) and headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", "", "[::1",
             "10.0.0.1:{port}"]
)  # fmt: skip
def test_another_name_is_refused(server, host):
    status, _, body = server.ask("/api/about", headers={"Host": host.format(port=server.port)})
    assert status in (400, 403) and b"anna" not in body


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_names_of_this_machine_are_taken(server, host):
    assert server.ask("/api/about", headers={"Host": host.format(port=server.port)})[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1"}, 403), ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
    ],
)  # fmt: skip
def test_nothing_else_may_decide(server, world, headers, status):
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    found = server.ask("/api/decide", method="POST", body={"row": 0, "decision": "accept"}, headers=sent)
    assert found[0] == status
    assert not log.path_of(world, "cot").exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), ({"row": 0}, 400), ({"row": "0", "decision": "accept"}, 400),
        ({"row": 0, "decision": "maybe"}, 400), ({"row": 0, "decision": "undo"}, 400),
        ({"row": 0, "decision": "relabel"}, 400), ({"row": 0, "decision": "relabel", "label": "joy"}, 400),
        ({"row": 0, "decision": "relabel", "label": "surprise"}, 400),
        ({"row": 62, "decision": "accept"}, 404), ({"row": -1, "decision": "accept"}, 404),
        ({"row": 0, "decision": "note", "note": "x" * 2001}, 400), ({"row": 0, "decision": "accept", "more": 1}, 400),
        ({"row": 0, "decision": "accept", "query": {"low": ["x"]}}, 400), (b"[" * 70_000, 413),
        (b'{"row": 0, "decision": "note", "note": "\\ud800"}', 400),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_and_not_written(server, world, body, status):
    found = server.ask("/api/decide", method="POST", body=body)
    assert found[0] == status and json.loads(found[2])["error"]
    assert not log.path_of(world, "cot").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "/static/review.html",
        "/static/missing.svg", "/static/", "//etc/passwd", "/picture/0/../../../etc/passwd", "/picture/-1/0",
        "/picture/99999/0", "/picture/0/x", "/picture/%D9%A3/0", "/api/row/99999", "/api/row/99999999999999999999",
    ],
)  # fmt: skip
def test_no_path_leads_elsewhere(server, path):
    status, _, body = server.ask(path)
    assert status in (400, 404) and b"root:" not in body and b"import" not in body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_do_nothing(server, method):
    for path in ("/", "/api/decide", "/api/row/0"):
        assert server.ask(path, method=method, body={})[0] in (400, 405)
        assert server.ask(path, method=method)[0] in (400, 403, 405)
    assert server.ask("/api/decide")[0] == 405 and server.ask("/api/rows", method="POST", body={})[0] == 405


def test_a_token_is_asked_for_once_and_then_kept_as_a_cookie(demo, world):
    with serving(demo.config, world, "cot", "--token", "s3cret") as running:
        assert running.url.endswith("/?token=s3cret")
        for path in ("/", "/api/about", "/picture/0/0", "/?token=s3cre", "/?token=", "/api/about?token=s3cret"):
            assert running.ask(path)[0] == 403
        status, headers, _ = running.ask("/?token=s3cret&source=sfew")
        assert (status, headers["Location"]) == (303, "/?source=sfew")
        cookie, _, flags = headers["Set-Cookie"].partition(";")
        assert "HttpOnly" in flags and "SameSite=Strict" in flags
        assert running.ask("/api/about", headers={"Cookie": cookie})[0] == 200
        assert running.ask("/api/about", headers={"Cookie": cookie[:-1]})[0] == 403
        assert running.ask("/api/about", headers={"Cookie": cookie, "Host": "evil.example"})[0] == 403


def test_off_the_loopback_a_token_is_made_and_foreign_names_are_refused(demo, world):
    with serving(demo.config, world, "cot", "--host", "0.0.0.0") as running:
        assert running.ask("/api/about")[0] == 403
        token = running.url.partition("?token=")[2]
        assert len(token) >= 32
        status, headers, _ = running.ask(f"/?token={token}")
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert status == 303
        own, foreign = (f"{name}:{running.port}" for name in ("192.0.2.7", "evil.example"))
        assert running.ask("/api/about", headers={"Cookie": cookie, "Host": own})[0] == 200
        assert running.ask("/api/about", headers={"Cookie": cookie, "Host": foreign})[0] == 403
        running.process.send_signal(signal.SIGINT)
        _, said = running.process.communicate(timeout=20)
        assert running.process.returncode == 0 and "unencrypted" in said and "Traceback" not in said


def test_a_kill_in_the_middle_loses_nothing_that_was_answered_for(demo, tmp_path):
    work = copy_of(demo, tmp_path / "fer-data")
    answered = []
    with serving(demo.config, work, "cot", "--reviewer", "anna") as running:
        stopper = threading.Timer(0.5, running.kill)
        stopper.start()
        with suppress(OSError, http.client.HTTPException):
            for row, verb in product(range(62), ("accept", "reject", "accept", "reject")):
                running.json("/api/decide", {"row": row, "decision": verb})
                answered.append((row, verb))
        stopper.join()
        assert running.process.wait() == -signal.SIGKILL
    assert answered
    with serving(demo.config, work, "cot", "--reviewer", "anna") as again:
        for row, verb in dict(answered[:-1]).items():
            assert again.json(f"/api/row/{row}")["mine"]["decision"] in (verb, dict(answered).get(row))
        kept = [(one.id, one.decision) for one in log.read(log.path_of(work, "cot"))]
        known = [row["id"] for row in rows_of(work / "cot", "images")]
        assert kept[: len(answered)] == [(known[row], verb) for row, verb in answered]
        assert len(kept) - len(answered) in (0, 1)  # at most the one that was on its way


def test_two_servers_share_a_log_and_see_each_other(demo, tmp_path):
    work = copy_of(demo, tmp_path / "fer-data")
    with (
        serving(demo.config, work, "cot", "--reviewer", "anna") as one,
        serving(demo.config, work, "cot", "--reviewer", "ben") as other,
    ):
        assert one.json("/api/decide", {"row": 3, "decision": "accept"}) == {"next": 4}
        other.json("/api/decide", {"row": 3, "decision": "relabel", "label": "fear"})
        assert one.json("/api/row/3")["dispute"] == "open"
        assert one.json("/api/rows?dispute=open")["total"] == 1 == other.json("/api/rows")["disputes"]
        other.json("/api/undo", {})
        assert one.json("/api/row/3")["dispute"] == ""
        assert one.ask("/api/undo", method="POST", body={})[0] == 200
        assert one.ask("/api/undo", method="POST", body={})[0] == 409


def test_ctrl_c_ends_it_with_the_place_of_the_decisions_and_the_next_command(demo, tmp_path):
    work = copy_of(demo, tmp_path / "fer-data")
    command = [sys.executable.replace("python", "fer-build"), "review", "cot", "--no-open", "--config", demo.config]
    running = subprocess.Popen([*command, "--work", work], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = running.stdout.readline()
    assert first.startswith("cot, 62 rows, reviewed by ") and "http://127.0.0.1:" in first
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 0 and "Traceback" not in err
    assert str(log.path_of(work, "cot")) in out and "then: fer-build apply-review cot" in out


def test_the_summary_is_told_without_a_server(demo, tmp_path):
    work = copy_of(demo, tmp_path / "fer-data")
    said = ("review", "drops", "--summary", "--config", demo.config, "--work", work)
    assert fer_build(*said, cwd=tmp_path).out == "drops: nobody decided anything yet\n"
    desk = desk_of(read_settings(demo.config, work=work), "drops", "anna", 30)
    for number in map(int, desk.found(query_of({}))[:12]):
        desk.decide(number, "accept")
    with pytest.raises(ValueError, match="no label to change"):
        desk.decide(0, "relabel", label="fear")
    told = fer_build(*said, cwd=tmp_path).out
    assert "sample of 30 of 229 rows, seed 0: rightly dropped 100.0% (75.7% to 100.0%), 12 of 12" in told
    assert "disagrees with the label: " in told and "18 undecided" in told
    found = fer_build(*said, "--json", cwd=tmp_path).json
    assert (found["stage"], found["rows"], found["estimate"]["undecided"]) == ("review", 12, 18)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("cott",), "did you mean 'cot'"), (("cot", "--port", "99999"), "99999"),
        (("cot", "--reviewer", " "), "is no name"), (("cot", "--host", "192.0.2.1"), "cannot be served on"),
        (("cot", "--sample", "0"), "0"),
    ],
)  # fmt: skip
def test_wrong_use_is_told_in_a_line(demo, world, tmp_path, words, told):
    ran = fer_build("review", *words, "--no-open", "--config", demo.config, "--work", world, cwd=tmp_path)
    assert ran.code == 2 and told in ran.err
