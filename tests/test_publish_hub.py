"""An edition goes through the real client to a hub of the tests' own, and comes back as it went."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Ran, fer_build
from hub_stub import serving
from test_publish import make, project
from test_publish_rehydrate import dataset_files

from ferbuild.builders.errors import FerError
from ferbuild.builders.publishing import hub, sums

REPO = "my-lab/fer-rlvr"
BIN = Path(sys.executable).parent
UPLOAD = """
import sys
from pathlib import Path
from ferbuild.builders.errors import FerError
from ferbuild.builders.publishing import hub
try:
    hub.upload(Path(sys.argv[1]), sys.argv[2], private=True, create_pr=False)
except FerError as err:
    print(err)
"""


class World:
    """A project and a hub."""

    def __init__(self, home: Path, hub: Path, url: str) -> None:
        self.home, self.hub, self.url = home, hub, url
        self.out = home / "fer-data" / "edition" / "rlvr"
        self.repo = hub / "repos" / REPO

    def env(self, **more: str) -> dict[str, str]:
        home = str(self.hub.parent / "hf")
        return {"HF_ENDPOINT": self.url, "HF_HOME": home, "HF_TOKEN": "hf_writer", "HF_HUB_OFFLINE": "0",
                "HF_HUB_DISABLE_XET": "1"} | more  # fmt: skip

    def publish(self, *words: str, **env: str) -> Ran:
        return fer_build("publish", "rlvr", "--repo", REPO, *words, "--json", cwd=self.home, env=self.env(**env))

    def upload(self, **env: str) -> str:
        """Upload the edition that is there, without building it first; return the fault, or nothing."""
        done = subprocess.run([sys.executable, "-c", UPLOAD, str(self.out), REPO], env=os.environ | self.env(**env),
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def break_off(self, where: str, status: int) -> None:
        (self.hub / "fault.json").write_text(json.dumps({"where": where, "status": status}))

    def calls(self, word: str) -> list[str]:
        path = self.hub / "log.txt"
        return [line for line in path.read_text().splitlines() if word in line] if path.exists() else []

    def committed(self) -> dict[str, bytes]:
        return {path.relative_to(self.repo).as_posix(): path.read_bytes()
                for path in sorted(self.repo.rglob("*")) if path.is_file()}  # fmt: skip

    def edition(self) -> dict[str, bytes]:
        return {name: (self.out / name).read_bytes() for name in sorted(sums.files(self.out))}


@pytest.fixture(scope="module")
def home(demo, tmp_path_factory) -> Path:
    home = project(demo, tmp_path_factory.mktemp("hub"))
    make(home, "rlvr")
    return home


@pytest.fixture
def there(home, tmp_path):
    with serving(tmp_path / "hub") as url:
        yield World(home, tmp_path / "hub", url)


def test_the_whole_way_by_plain_transfer(there, tmp_path):
    ran = there.publish()
    assert ran.code == 0, ran.err
    assert there.committed() == there.edition()
    assert ran.json["uploaded"]["files"] == len(there.edition()) and len(there.calls("/commit/")) == 1
    assert json.loads((there.hub / "created.json").read_text())["visibility"] == "private"
    script = (
        "import sys, datasets\n"
        "found = datasets.load_dataset(sys.argv[1])\n"
        "print({split: len(rows) for split, rows in found.items()}, found['train'][0]['images'])\n"
    )
    env = os.environ | there.env(HF_HOME=str(tmp_path / "other"))
    done = subprocess.run([sys.executable, "-c", script, REPO], env=env, capture_output=True, text=True)
    assert done.stdout.endswith(f"{ran.json['rows']} None\n"), done.stderr
    ran = fer_build("rehydrate", REPO, "--json", cwd=there.home, env=env)
    assert ran.code == 0 and ran.json["equal"], ran.err
    assert dataset_files(Path(ran.json["out"])) == dataset_files(there.home / "fer-data" / "rlvr")


def test_the_whole_way_by_xet(there):
    ran = there.publish(HF_HUB_DISABLE_XET="0")
    assert ran.code == 0, ran.err
    want = {name: f"xet:{hashlib.sha256(data).hexdigest()}".encode() if name.endswith(".arrow") else data
            for name, data in there.edition().items()}  # fmt: skip
    assert there.committed() == want
    assert there.calls("xet-write-token") and not there.calls("PUT /lfs/")
    stored = sum(path.stat().st_size for path in (there.hub / "cas").rglob("*") if path.is_file())
    assert stored > 10_000


FAULTS = [("commit", 503), ("commit", 0), ("put", 507), ("preupload", 403)]


@pytest.mark.parametrize(("where", "status", "off"), [*((*one, "1") for one in FAULTS), ("commit", 503, "0")])
def test_a_server_that_fails_in_the_middle_publishes_nothing_and_the_rerun_goes_on(there, where, status, off):
    there.break_off(where, status)
    fault = there.upload(HF_HUB_DISABLE_XET=off)
    assert fault.startswith(REPO) and ("run the same command again" in fault or status == 403)
    assert there.committed() == {}
    assert there.upload(HF_HUB_DISABLE_XET=off) == ""
    assert set(there.committed()) == set(there.edition())
    assert len(there.calls("PUT /lfs/")) == (off == "1") * (
        2 if where == "put" else 1
    )  # what arrived is not sent again


def test_shards_of_an_earlier_edition_go_in_the_same_commit(there):
    for name in ("train/data-00001-of-00002.arrow", "suspects/state.json", "notes/mine.txt", ".gitattributes"):
        path = there.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    assert there.upload() == ""
    assert set(there.committed()) == {*there.edition(), "notes/mine.txt", ".gitattributes"}
    assert len(there.calls("/commit/")) == 1


def test_a_second_upload_of_the_same_edition_changes_nothing(there):
    assert there.upload() == there.upload() == ""
    assert len(there.calls("/commit/")) == 1 and len(there.calls("PUT /lfs/")) == 1


def test_a_pull_request_leaves_the_dataset_as_it_is(there):
    ran = there.publish("--create-pr", "--public")
    assert ran.code == 0 and ran.json["uploaded"]["url"].endswith("/discussions/1"), ran.err
    assert there.committed() == {}
    assert json.loads((there.hub / "created.json").read_text())["visibility"] == "public"
    proposed = {path.relative_to(there.hub / "repos" / f"{REPO}.pr").as_posix()
                for path in (there.hub / "repos" / f"{REPO}.pr").rglob("*") if path.is_file()}  # fmt: skip
    assert proposed == set(there.edition())


@pytest.mark.parametrize("xet", ["0", "1"])
def test_the_line_that_is_told_uploads_the_same(there, xet):
    assert there.upload() == ""
    line, want = shlex.split(hub.lines("fer-data/edition/rlvr", REPO)[0]), there.committed()
    shutil.rmtree(there.repo)
    there.repo.mkdir()
    assert line == ["hf", "upload", REPO, "fer-data/edition/rlvr", ".", "--repo-type", "dataset"]
    env = os.environ | there.env(HF_HUB_DISABLE_XET=xet)
    done = subprocess.run([BIN / "hf", *line[1:]], cwd=there.home, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert there.committed().keys() == want.keys()
    assert xet == "0" or there.committed() == want


def test_nobody_logged_in_stops_before_any_work(there):
    before = sorted(there.out.parent.rglob("*"))
    ran = there.publish(HF_TOKEN="")
    assert ran.code == 2 and ran.json["error"]["problem"] == "nobody is logged in"
    assert "`hf auth login`" in ran.json["error"]["hint"] and "HF_TOKEN" in ran.json["error"]["hint"]
    assert sorted(there.out.parent.rglob("*")) == before and not there.calls("")


def test_a_token_that_may_only_read_is_told(there):
    fault = there.upload(HF_TOKEN="hf_reader")
    assert "HTTP 403" in fault and "a token that may write" in fault
    assert "hf_reader" not in fault and there.committed() == {}


@pytest.mark.parametrize("repo", ["fer-cot", "a/b/c", "my lab/fer", "-x/y", "x/y.git", "x/a--b", "", "x/..", "é/y"])
def test_a_wrong_repository_name_says_the_form(repo):
    with pytest.raises(FerError, match="write ORG/NAME") as err:
        hub.check_repo(repo)
    assert err.value.where == f"--repo {repo}"


def test_a_wrong_repository_name_stops_before_any_work(run):
    ran = run("publish", "rlvr", "--repo", "fer-cot", "--json", env={"HF_TOKEN": "hf_writer"})
    assert ran.code == 2 and ran.json["error"]["where"] == "--repo fer-cot"


@pytest.mark.parametrize("repo", ["my-lab/fer-cot", "a/b", "Org1/x.y_z-1"])
def test_a_right_repository_name_is_taken(repo):
    hub.check_repo(repo)


def test_a_hub_that_is_not_there_is_told(home, tmp_path):
    nowhere = World(home, tmp_path / "hub", "http://127.0.0.1:9")
    assert "the Hub cannot be reached" in nowhere.upload()
    assert nowhere.upload(HF_HUB_OFFLINE="1").endswith("(unset HF_HUB_OFFLINE)")


def test_a_card_that_the_hub_refuses_stops_before_the_repository_is_made(there):
    there.break_off("validate", 400)
    assert there.upload().startswith("README.md: the Hub does not take its front matter")
    assert not there.repo.exists()


def test_a_repository_that_is_not_there_cannot_be_rehydrated(there):
    ran = fer_build("rehydrate", "my-lab/nothing", "--json", cwd=there.home, env=there.env())
    assert ran.code == 2 and "there is no such dataset" in ran.json["error"]["problem"]


def test_an_edition_that_is_not_whole_is_not_uploaded(there, tmp_path, monkeypatch):
    shutil.copytree(there.out, tmp_path / "cut")
    (tmp_path / "cut" / "SHA256SUMS").unlink()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    with pytest.raises(FerError, match="SHA256SUMS"):
        hub.upload(tmp_path / "cut", REPO, private=True, create_pr=False)
    assert not there.calls("")
