"""Arrow schemas as `datasets` and the Hub describe them: the metadata of a shard, and the front matter of a README.

Stands beside `shards`, which writes the files that hold it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ferbuild.builders.record import IMAGE


def features(schema: pa.Schema) -> dict[str, Any]:
    """Return the `datasets` features of `schema` in the legacy list form.

    A list is written `[feature]`: the newer `List` type is unknown to datasets 3.x, this form loads in all.
    """
    return {field.name: _feature(field.type) for field in schema}


def front_matter(schema: pa.Schema, splits: Sequence[str], key: str) -> dict[str, Any]:
    """Return the README keys that `load_dataset` reads.

    The stage key stands as the configuration's description: it enters the fingerprint by which `datasets`
    names its cache, which would otherwise serve the rows of an earlier build.
    """
    globs = [{"split": split, "path": f"{split}/data-*.arrow"} for split in splits]
    config = {"config_name": "default", "description": key, "data_files": globs}
    return {"configs": [config], "dataset_info": {"features": _yaml_fields(features(schema))}}


def with_features(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with the metadata without which Image columns decay to plain structs."""
    info = {"info": {"features": features(schema)}}
    return schema.with_metadata({"huggingface": json.dumps(info)})


def _feature(kind: pa.DataType) -> Any:
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": _DTYPES.get(str(kind), str(kind)), "_type": "Value"}


_DTYPES = {"float": "float32", "double": "float64"}


def _yaml_fields(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **_yaml_field(feature)} for name, feature in found.items()]


def _yaml_field(feature: Any) -> dict[str, Any]:
    """Return the README form of one feature: `dtype`, `list` or `struct` and what is in it."""
    if isinstance(feature, list):
        inner = _yaml_field(feature[0])
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    if "_type" not in feature:
        return {"struct": _yaml_fields(feature)}
    return {"dtype": "image" if feature["_type"] == "Image" else feature["dtype"]}
