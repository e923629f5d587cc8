"""What a reviewer sits down to: a dataset opened, its sample drawn, and where pictures and measures are looked for.

Stands before the desk; it alone knows the settings.
"""

from __future__ import annotations

from ferbuild.builders import faces, measure
from ferbuild.builders.config import Settings
from ferbuild.builders.reviewing import figures, log, sample
from ferbuild.builders.reviewing.catalogue import Catalogue, find, open_dataset
from ferbuild.builders.reviewing.desk import Desk, Setup, checked_reviewer
from ferbuild.builders.reviewing.figures import DROPS, Summary
from ferbuild.builders.reviewing.pictures import Gallery, Joined
from ferbuild.builders.reviewing.sample import Sample


def desk_of(settings: Settings, named: str, reviewer: str, count: int | None) -> Desk:
    """Return a reviewer's desk at a dataset, with `count` drawn rows of it or all; FerError where there is none.

    A sample is drawn by the seed of the settings and kept beside the log, so that figures can be told later.
    """
    reviewer = checked_reviewer(reviewer)
    catalogue = open_dataset(settings.work, named, canonical_words(settings))
    places = sample.draw(catalogue.rows["id"].to_list(), count, settings.seed) if count else None
    drawn = None
    if places is not None:
        rows = {catalogue.id(at): catalogue.class_of(at) for at in map(int, places)}
        drawn = Sample(seed=settings.seed, key=_key(catalogue), of=len(catalogue), rows=rows)
        sample.write(sample.path_of(settings.work, catalogue.dataset), drawn)
    return Desk(
        Setup(
            catalogue=catalogue,
            gallery=_gallery(settings),
            measures=Joined(settings.work / measure.FOLDER),
            log=log.path_of(settings.work, catalogue.dataset),
            reviewer=reviewer,
            sample=drawn,
            order=places,
        )
    )


def summary_of(settings: Settings, named: str) -> Summary:
    """Return the figures of what was decided about a dataset; FerError where there is no such dataset, nor a log."""
    known = named == DROPS or log.path_of(settings.work, named).exists()
    return figures.summary(settings.work, named if known else find(settings.work, named).name)


def canonical_words(settings: Settings) -> dict[tuple[str, str], str]:
    """Return source and its own word to the canonical one, of every label of every source."""
    sources = [release.source for release in settings.releases]
    return {(one.name, word): one.canonical.get(word, word) for one in sources for word in one.candidates}


def _gallery(settings: Settings) -> Gallery:
    return Gallery(Joined(settings.work / faces.FOLDER), settings.releases, settings.recipe.picture.max_pixels)


def _key(catalogue: Catalogue) -> str:
    """Return the key of what is reviewed; of drops those of all stages."""
    return " ".join(sorted(catalogue.keys.values()))
