"""An edition goes to the Hub in one commit, and comes back from it.

Large files are sent before the commit, and what arrived once is not sent again; the commit itself is made whole or not
at all, so that nothing half-published can be met. `HF_ENDPOINT` names another Hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.repocard import RepoCard

from ferbuild.builders.errors import FerError
from ferbuild.builders.publishing import sums

KIND = "dataset"
NAME = re.compile(r"(?!.*(?:--|\.\.|\.git$))(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}(?<![.-])", re.ASCII)
"""As the Hub's client checks it."""
TRANSPORT: type[Exception] = HfHubHTTPError.__bases__[0]
"""What the client's HTTP library raises where no answer comes; the client changed the library once already."""
OURS = re.compile(r"\w[\w.-]*/(?:data-\d{5}-of-\d{5}\.arrow|state\.json|dataset_info\.json)")
"""Files of an earlier edition in a repository: a shard of it that stayed would be loaded with the new ones."""
AGAIN = "run the same command again: what arrived is not sent twice, and nothing is published before all of it is there"


class Sent(NamedTuple):
    url: str
    """Of the commit, or of the pull request."""
    files: int
    removed: int
    """Files of an earlier edition."""


def check_repo(repo: str) -> None:
    """FerError where `repo` is no name of a repository, ORG/NAME."""
    hint = "write ORG/NAME: letters, digits, - _ and ., such as my-lab/fer-cot"
    if not NAME.fullmatch(repo):
        raise FerError(f"--repo {repo}", "is no name of a repository", hint)
    if repo.count("/") != 1:
        raise FerError(f"--repo {repo}", "does not say whose it is", hint)


def check_token() -> None:
    """FerError where the Hub's client knows no token."""
    if not get_token():
        hint = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"
        raise FerError("the Hub", "nobody is logged in", hint)


def upload(folder: Path, repo: str, *, private: bool, create_pr: bool) -> Sent:
    """Publish a whole edition in one commit, or propose it in a pull request; shards of an earlier one are removed.

    A repository that is not there is made, `private` or not; one that is stays as open as it is. FerError where the
    Hub refuses the card or the upload, or breaks off.
    """
    check_repo(repo)
    check_token()
    names = sorted(sums.files(folder))
    sums.read(folder)  # a folder that was not finished has none
    api = HfApi()
    with _told(repo):
        RepoCard((folder / "README.md").read_text(), ignore_metadata_errors=True).validate(KIND)
        api.create_repo(repo, repo_type=KIND, private=private, exist_ok=True)
        stale = sorted(set(filter(OURS.fullmatch, api.list_repo_files(repo, repo_type=KIND))) - set(names))
        info = api.create_commit(
            repo,
            [
                *(CommitOperationAdd(name, folder / name) for name in names),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=f"{folder.name}: edition of fer-build",
            repo_type=KIND,
            create_pr=create_pr,
        )
    return Sent(info.pr_url or info.commit_url, len(names), len(stale))


def download(repo: str) -> Path:
    """Return the folder, in the client's cache, of a repository's newest edition; FerError where there is none."""
    with _told(repo, again="run the same command again: what arrived is not fetched twice"):
        return Path(snapshot_download(repo, repo_type=KIND))


def lines(folder: str, repo: str) -> list[str]:
    """Return the command lines that upload an edition by the Hub's own client, the present one and the older one."""
    words = f"upload {repo} {folder} . --repo-type {KIND}"
    return [f"hf {words}", f"huggingface-cli {words}"]


@contextmanager
def _told(repo: str, again: str = AGAIN) -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into a FerError."""
    try:
        yield
    except OfflineModeIsEnabled:
        raise FerError("the Hub", "its client is told to stay offline", "unset HF_HUB_OFFLINE") from None
    except RepositoryNotFoundError:
        raise FerError(
            repo, "there is no such dataset, or your token does not reach it", "see `hf auth whoami`"
        ) from None
    except HfHubHTTPError as err:
        raise FerError(repo, *_refused(err, again)) from None
    except TRANSPORT as err:
        raise FerError(
            repo, f"the Hub cannot be reached: {_first(err)}", f"HF_ENDPOINT names another; {again}"
        ) from None
    except HFValidationError as err:
        raise FerError(repo, f"is no name of a repository: {_first(err)}", "write ORG/NAME") from None
    except ValueError as err:
        raise FerError("README.md", f"the Hub does not take its front matter: {_first(err)}", "report it") from None
    except RuntimeError as err:  # hf_xet, the transfer of large files, has no errors of its own
        raise FerError(repo, f"the transfer broke off: {_first(err)}", again) from None


def _refused(err: HfHubHTTPError, again: str) -> tuple[str, str]:
    status = err.response.status_code
    said = (err.server_message or _first(err)).strip()
    if status in (401, 403):
        return (
            f"the Hub refuses (HTTP {status}): {said}",
            "it takes a token that may write there: `hf auth login`, or HF_TOKEN",
        )
    return f"the Hub answers HTTP {status}: {said}", again


def _first(err: Exception) -> str:
    """Return what an exception says, on one line."""
    return " ".join(str(err).split())[:300] or type(err).__name__
