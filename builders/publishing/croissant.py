"""croissant.json of an edition: the same facts for machines, in MLCommons' Croissant 1.0 (JSON-LD).

Arrow streams are no format that Croissant's own reader opens: files and fields are described, so that a search engine
and a person know what there is, and rows are loaded by `datasets`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ferbuild.builders import shards
from ferbuild.builders.publishing import licence
from ferbuild.builders.publishing.card import ABOUT
from ferbuild.builders.publishing.card_head import TITLES, as_read, kind_of, schema_of, tags
from ferbuild.builders.publishing.edition import Edition
from ferbuild.builders.publishing.statements import OUT_OF_SCOPE, UNIFER
from ferbuild.builders.record import IMAGE

FILE = "croissant.json"
ARROW = "application/vnd.apache.arrow.stream"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The standard's own, whole: its validator warns of any other."""


def text(edition: Edition) -> str:
    """Return the file's content; it depends on `edition` alone, and holds no date, so that it is the same each time."""
    return json.dumps(as_json(as_read(edition)), indent=2, ensure_ascii=False) + "\n"


def as_json(edition: Edition) -> dict[str, Any]:
    kind = kind_of(edition)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"ferbuild-{edition.dataset}",
        "alternateName": TITLES[kind],
        "description": f"{ABOUT[kind]} {sum(edition.rows.values()):,} rows.",
        "version": "1.0.0",
        "identifier": edition.key,
        "keywords": tags(edition),
        "inLanguage": "en",
        "license": f"Under the terms of its sources, see {licence.FILE}: {'; '.join(_licences(edition))}",
        "isAccessibleForFree": True,
        "citeAs": UNIFER,
        "rai:dataLimitations": "Labels are annotators' reading of a picture, not what the person felt.",
        "rai:dataUseCases": f"Training and evaluating models of facial expressions. Not for:\n{OUT_OF_SCOPE}",
        "rai:personalSensitiveInformation": _sensitive(edition),
        "distribution": [*_splits(edition), *_files(edition)],
        "recordSet": [_records(edition, split) for split in shards.ordered(edition.rows)],
    }


def _licences(edition: Edition) -> list[str]:
    return sorted({f"{one.title}: {one.licence}" for one in edition.sources.values()})


def _sensitive(edition: Edition) -> str:
    if edition.synthetic:
        return "None: every picture is synthetic."
    pictures = "holds" if edition.images == "bytes" else "names by path and hash, but does not hold,"
    return (
        f"The dataset {pictures} pictures of people. It has no names, embeddings or other data that tells them apart."
    )


def _splits(edition: Edition) -> Iterator[dict[str, Any]]:
    """Yield every split's shards as one set of files; which they are the globs say, as in the card."""
    for split in shards.ordered(edition.rows):
        yield {
            "@type": "cr:FileSet",
            "@id": f"{split}-shards",
            "name": f"{split}-shards",
            "description": f"Arrow IPC streams with the rows of the split {split}.",
            "encodingFormat": ARROW,
            "includes": f"{split}/data-*.arrow",
        }


def _files(edition: Edition) -> Iterator[dict[str, Any]]:
    """Yield every shard with its sum."""
    for name, shard in sorted(edition.shards.items()):
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "description": f"{shard.rows:,} rows.",
            "contentUrl": name,
            "encodingFormat": ARROW,
            "sha256": shard.sha256,
        }


def _records(edition: Edition, split: str) -> dict[str, Any]:
    columns = schema_of(edition)
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"{edition.rows[split]:,} rows.",
        "key": {"@id": f"{split}/id"},
        "field": [_field(f"{split}/{one.name}", one, f"{split}-shards") for one in columns],
    }


def _field(name: str, column: pa.Field, files: str) -> dict[str, Any]:
    """Return one column; what is inside lists of structs stands below it as sub-fields."""
    kind, repeated = column.type, False
    while pa.types.is_list(kind):
        kind, repeated = kind.value_type, True
    found: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name, "dataType": _data_type(kind)}
    if repeated:
        found["repeated"] = True
    if pa.types.is_struct(kind) and kind != IMAGE:
        found.pop("dataType")
        found["subField"] = [_field(f"{name}/{one.name}", one, files) for one in kind]
    found["source"] = {"fileSet": {"@id": files}, "extract": {"column": name.split("/")[1]}}
    return found


def _data_type(kind: pa.DataType) -> str:
    if kind == IMAGE:
        return "sc:ImageObject"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
