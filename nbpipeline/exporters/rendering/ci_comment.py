"""Puts a summary on a pull request of GitHub, a merge request of GitLab: `comment.py summary.md [PIPELINE]`.

It is one comment a pipeline, which every later run changes; a mark tells it from others. Where it cannot be
put, that is said. The standard library alone: an export has this file as it stands here.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

LONGEST = 60_000
"""GitHub takes 65,536 characters, GitLab a million."""
PAGE = 100
SECONDS = 30


class Place(NamedTuple):
    """Where comments are."""

    all: str
    """The address that lists them, and takes new ones."""
    one: str
    """The address of one, before its id."""
    change: str
    """The method that changes one."""
    headers: Mapping[str, str]
    own: Callable[[Mapping[str, Any]], bool]
    """Whether a comment is by the user that this program is."""


class NowhereError(Exception):
    """There is no comment, or no place for one; its text says why."""


def main() -> int:
    """Put the comment there; the exit code is 1 where the service refuses it."""
    summary, *named = sys.argv[1:]
    mark = f"<!-- {' '.join(['nbpipeline', *named])} -->"
    try:
        place = _gitlab(os.environ) if "GITLAB_CI" in os.environ else _github(os.environ)
        body = {"body": f"{mark}\n{_text(Path(summary))}"}
        found = next((one for one in _comments(place) if place.own(one) and _marked(one, mark)), None)
        if found is None:
            _asked(place.all, place.headers, "POST", body)
        else:
            _asked(f"{place.one}/{found['id']}", place.headers, place.change, body)
    except NowhereError as why:
        sys.stdout.write(f"{why}\n")
    except (URLError, TimeoutError) as error:
        sys.stderr.write(f"The summary is no comment: {error}. It stands in the artifact.\n")
        return 1
    return 0


def _github(environment: Mapping[str, str]) -> Place:
    root = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/issues"
    return Place(
        all=f"{root}/{environment['NUMBER']}/comments",
        one=f"{root}/comments",
        change="PATCH",
        headers={"Authorization": f"Bearer {environment['GITHUB_TOKEN']}"},
        own=lambda one: bool(one["user"]["type"] == "Bot"),
    )


def _gitlab(environment: Mapping[str, str]) -> Place:
    number = environment.get("CI_MERGE_REQUEST_IID")
    project = environment.get("CI_MERGE_REQUEST_PROJECT_ID")
    token = environment.get("NBPIPELINE_GITLAB_TOKEN")
    if not number:
        raise NowhereError("There is no merge request to tell: the summary is in the artifact, summary.md.")
    if environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID") != project:
        raise NowhereError("The merge request comes from a fork: the summary is in the artifact, summary.md.")
    if not token:
        raise NowhereError(
            "The variable NBPIPELINE_GITLAB_TOKEN is not set: the summary is in the artifact, summary.md."
        )
    api, headers = environment["CI_API_V4_URL"], {"PRIVATE-TOKEN": token}
    notes = f"{api}/projects/{project}/merge_requests/{number}/notes"
    me = _asked(f"{api}/user", headers)["id"]
    return Place(notes, notes, "PUT", headers, own=lambda one: bool(one["author"]["id"] == me))


def _text(summary: Path) -> str:
    try:
        text = summary.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NowhereError("There is no summary: the job that writes it did not come so far.") from None
    if len(text) > LONGEST:
        text = f"Its beginning; the artifact has all of it, in summary.md.\n\n{text[:LONGEST]}"
    return text


def _marked(comment: Mapping[str, Any], mark: str) -> bool:
    return str(comment["body"]).startswith(f"{mark}\n")


def _comments(place: Place) -> Iterator[Mapping[str, Any]]:
    page = 1
    while True:
        found = _asked(f"{place.all}?per_page={PAGE}&page={page}", place.headers)
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _asked(
    address: str, headers: Mapping[str, str], method: str = "GET", data: Mapping[str, str] | None = None
) -> Any:
    body = None if data is None else json.dumps(data).encode()
    sent = {**headers, "Content-Type": "application/json"}
    asked = Request(address, body, sent, method=method)  # noqa: S310 - the runner says where its service is
    with urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
