"""The first stage: listed rows become faces, decoded, cut out, checked and told apart, or drops with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from ferbuild.builders import duplicates, looking, nets
from ferbuild.builders.build import Build
from ferbuild.builders.columns import own_copy
from ferbuild.builders.facing import Facing, Listed, face_batch
from ferbuild.builders.mark import Report, read_mark
from ferbuild.builders.record import FACES
from ferbuild.builders.sources.listing import Listing
from ferbuild.builders.stage import JOB_BYTES, PART_ROWS, Job, Plan, portions
from ferbuild.filters import bind, face
from ferbuild.manifests.recipe import Picture

VERSION = 4
FOLDER = "faces"
ABOUT = "Faces from facial-expression releases, decoded, cut out, hashed and told apart; one row a face."


def plan(build: Build, *, align: str | None = None) -> Plan:
    """Return what the faces stage would make of the releases now; `align` as `picture_of` takes it."""
    recipe, picture = build.settings.recipe, picture_of(build, align)
    crops = [listing.crop for listing in build.listings]
    looking_with = nets.sums(build.settings, looking.nets_needed(build.settings, picture, crops))
    return Plan(
        stage="faces",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT,
        schema=FACES,
        options={
            "picture": picture.model_dump(),
            "crop": crops,
            "nets": looking_with,
            "checks": recipe.face_checks,
            "duplicates": recipe.duplicates.model_dump(),
            "limit": build.settings.limit,
        },
        inputs=build.digests,
        flags={} if picture == recipe.picture else {"align": picture.align},
        shard_bytes=recipe.shard_bytes,
    )


def run(build: Build, *, align: str | None = None) -> Report:
    """Bring the faces up to date and return what was done; `align` as `picture_of` takes it."""
    bind.bind(face, build.settings.recipe.face_checks)
    picture = picture_of(build, align)
    return build.bring_up_to_date(
        plan(build, align=align),
        lambda: _jobs(build, picture),
        face_batch,
        early=lambda: build.listed_drops(build.listings),
        settle=partial(duplicates.settle, build=build),
        engine=build.engine,
    )


def picture_of(build: Build, align: str | None) -> Picture:
    """Return the recipe's picture policy, with the alignment that the command line asks for.

    Empty: the recipe's own. None, of every later stage: the one that the faces on disk were made with, so that a flag
    given to `fer-build faces` once is no reason to make them anew.
    """
    policy = build.settings.recipe.picture
    if align is None:
        mark = read_mark(build.settings.work / FOLDER)
        align = mark.flags.get("align", "") if mark else ""
    return policy.model_copy(update={"align": align}) if align else policy


def _jobs(build: Build, picture: Picture) -> list[Job]:
    jobs = []
    for listing in build.listings:
        mark = listing.source.benchmark
        how, rows = facing(build, listing, picture), build.chosen(listing.rows)
        for piece in _pieces(rows):
            jobs.append(Job(piece.num_rows, Listed(piece, how, mark.split if mark else None)))
    return jobs


def _pieces(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield rows, PART_ROWS at a time, and fewer where their files are large."""
    for start, stop in portions(rows["size"].to_pylist(), PART_ROWS, JOB_BYTES):
        yield own_copy(rows, start, stop - start)


def facing(build: Build, listing: Listing, picture: Picture) -> Facing:
    """Return how the pictures of a release become faces; nets that this takes are fetched where they are missing."""
    checks, look = build.settings.recipe.face_checks, looking.look_of(build.settings, picture, listing.crop)
    return Facing(listing.base, listing.crop, picture, tuple(checks), look)
