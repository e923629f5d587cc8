"""Reads FERPlus: votes of ten people a face beside pictures, or beside the pixels of fer2013.csv.

The votes lie in a label.csv for each split, in the older fer2013new.csv, or are already spent on class folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ferbuild.builders.errors import FerError
from ferbuild.builders.record import VOTE_WORDS
from ferbuild.builders.sources import folders, pixel_rows
from ferbuild.builders.sources.lines import no_column
from ferbuild.builders.sources.listing import FOUND, Found
from ferbuild.builders.sources.pixels import address, find_table, split_of
from ferbuild.builders.sources.tree import UNSAFE, Tree, tidy
from ferbuild.builders.sources.vote_rules import Votes, decide, tied, voteless
from ferbuild.manifests.schema import Source

SPLITS = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}
"""A folder of the votes to its split."""

LISTS = ("fer2013new.csv", "*/fer2013new.csv")
TABLES = ("fer2013.csv", "icml_face_data.csv", "*/fer2013.csv", "*/icml_face_data.csv")

OLD_VOTES = (
    "the votes come from fer2013new.csv, which differ from the published label.csv files on 282 test, 1,073 train and"
    " 246 validation names; under the benchmark's rule 47 of its 3,573 test labels come out otherwise. Add"
    " FER2013Train, FER2013Valid and FER2013Test with their label.csv from the FERPlus repository"
)
NO_LIST = "there is {}, but no fer2013new.csv, which tells the row of a picture: names are no row numbers"


def read(
    tree: Tree, source: Source, *, rule: str, labels: Mapping[str, str] | None, places: Sequence[str] = ("",)
) -> Found:
    """Return a row for every line of the label.csv files.

    The picture is the PNG beside label.csv, else the row of fer2013.csv that fer2013new.csv pairs with the name.
    places: patterns of the folders that may hold FER2013Train and so on; the first that does is read.
    """
    files = _label_files(tree, places)
    if not files:
        raise FerError(tree.root, "no label.csv of the votes", "looked for FER2013{Train,Valid,Test}/label.csv")
    parts = [
        label_lines(tree.text(file)).with_columns(split=pl.lit(SPLITS[file.split("/")[-2]]), file=pl.lit(file))
        for file in files
    ]
    rows = _beside(tree, _located(pl.concat(parts)))
    rows, more, notes = _from_table(tree, rows)
    rows, told = _judge(rows, rule)
    return Found(rows, (*files, *more), (*notes, *told))


def read_list(tree: Tree, source: Source, *, rule: str, labels: Mapping[str, str] | None) -> Found:
    """Return a row for every line of fer2013new.csv, its picture the same row of fer2013.csv."""
    file, table = find_table(tree, LISTS), find_table(tree, TABLES)
    if file is None or table is None:
        raise FerError(tree.root, "no fer2013new.csv with fer2013.csv", f"looked for {', '.join((*LISTS, *TABLES))}")
    lines = list_lines(tree.text(file), where=tree.root / file)
    rows = _located(_with_pixels(tree, table, lines).with_columns(file=pl.lit(file)))
    rows = rows.with_columns(rel_path=pl.coalesce("rel_path", address(table)))
    again = pl.col("reason").is_null() & ~pl.struct("split", "name", "reason").is_first_distinct()
    rows = rows.with_columns(
        reason=pl.when(again).then(pl.lit("duplicate row")).otherwise("reason"),
        detail=pl.when(again).then(pl.format("{} occurs again in row {}", "name", "row")).otherwise("detail"),
    )
    rows, told = _judge(rows, rule)
    return Found(rows, (file,), (OLD_VOTES, *told))


def class_folders(
    tree: Tree, source: Source, *, rule: str, labels: Mapping[str, str] | None, pattern: str, splits: Mapping[str, str]
) -> Found:
    """Return a row for every picture in the class folders, as `folders.read` does.

    The folders are the answer of one rule, the source's first: FerError for another. A training picture named after
    a test picture is a drop, `copy of a test picture`.
    """
    if rule != source.rules[0]:
        hint = f"take rule {source.rules[0]}, or add the label.csv files of the FERPlus repository"
        raise FerError(tree.root, f"class folders hold no votes to apply the rule {rule!r} to", hint)
    found = folders.read(tree, source, rule=rule, labels=labels, pattern=pattern, splits=splits)
    face = pl.col("name").str.extract(r"(?i)(fer\d{7})").str.to_lowercase()
    rows = found.rows.with_columns(face=face)
    test = rows.filter(pl.col("split") == "test")["face"].drop_nulls().unique()
    copy = (pl.col("split") == "train") & pl.col("face").is_in(test.implode()).fill_null(False)
    rows = rows.with_columns(
        reason=pl.when(copy).then(pl.coalesce("reason", pl.lit("copy of a test picture"))).otherwise("reason")
    )
    known = pl.col("raw").str.to_lowercase().is_in(list(labels or source.labels))
    own = rows.filter((pl.col("split") == "train") & known & pl.col("reason").is_null())
    extra = own.height - own.filter(pl.col("name").str.contains(r"^fer\d{7}\.\w+$"))["face"].n_unique()
    notes = [f"{extra:,} of {own.height:,} training pictures are further copies of a face (augmented)"] if extra else []
    return Found(rows.drop("face"), found.label_files, (*found.notes, *notes))


def label_lines(text: bytes) -> pl.DataFrame:
    """Return `row` (from 0), `name` and `votes` of every line of a label.csv that is not blank.

    A line is `name,"(x0, y0, x1, y1)",<ten votes>`, without a header; what is not has null votes and its `text`.
    """
    rows = _lines(text)
    parts = pl.col("text").str.extract_groups(r'^\s*"?([^",]*)"?\s*,\s*"?\([^()"]*\)"?\s*,(.*)$')
    rows = rows.with_columns(name=tidy(parts.struct[0]), cells=parts.struct[1].str.split(","))
    return _count(rows, width=len(VOTE_WORDS))


def list_lines(text: bytes, *, where: object) -> pl.DataFrame:
    """Return `row` (from 0 below the header), `split`, `name` and `votes` of the lines of a fer2013new.csv.

    FerError where the header lacks a column; a line that does not fit it has null votes and its `text`.
    """
    rows = _lines(text)
    if rows.is_empty():
        raise FerError(where, "is empty", "copy it again from the FERPlus repository")
    header = [name.strip(' "').casefold() for name in rows["text"][0].split(",")]
    for name in ("Usage", "Image name", *VOTE_WORDS):
        if name.casefold() not in header:
            raise no_column(where, name, header)
    places = [header.index(word.casefold()) for word in VOTE_WORDS]
    cells = pl.col("text").str.replace_all('"', "", literal=True).str.split(",")
    rows = rows.slice(1).with_columns(cells=cells, row=pl.col("row") - rows["row"][0] - 1)

    def cell(name: str) -> pl.Expr:
        return pl.col("cells").list.get(header.index(name), null_on_oob=True).str.strip_chars()

    rows = rows.with_columns(
        name=cell("image name"),
        usage=cell("usage"),
        cells=pl.when(pl.col("cells").list.len() == len(header)).then(
            pl.col("cells").list.gather(places, null_on_oob=True)
        ),
    )
    return _count(rows.with_columns(split=split_of(pl.col("usage"))), width=len(VOTE_WORDS))


def _lines(text: bytes) -> pl.DataFrame:
    """Return `row` and `text` of the lines that are not blank; blank ones count."""
    lines = pl.DataFrame({"text": text.decode("utf-8").split("\n")}, schema={"text": pl.String})
    return lines.with_columns(pl.col("text").str.strip_chars()).with_row_index("row").filter(pl.col("text") != "")


def _count(rows: pl.DataFrame, *, width: int) -> pl.DataFrame:
    """Return `rows` with `cells` read as whole votes of at least 0, null where there is anything else."""
    counts = pl.col("cells").list.eval(pl.element().str.strip_chars().cast(pl.Float64, strict=False))
    rows = rows.with_columns(counts=counts, row=pl.col("row").cast(pl.Int64)).with_columns(
        votes=pl.col("counts").cast(pl.List(pl.Int32), strict=False)
    )
    votes, counts = pl.col("votes"), pl.col("counts")
    whole = (votes.list.len() == width) & (votes.list.drop_nulls().list.len() == width) & (votes.list.min() >= 0)
    whole &= votes.list.sum() == counts.list.sum()  # a fraction, or a number too great, would be lost in the cast
    return rows.with_columns(votes=pl.when(whole).then("votes")).drop("cells", "counts")


def _label_files(tree: Tree, places: Sequence[str]) -> list[str]:
    """Return the label.csv files in the first of `places` that has any; FerError where it is more than one folder."""
    for place in places:
        found = tree.glob("/".join(filter(None, (place, "FER2013*/label.csv"))))
        found = [file for file in found if file.split("/")[-2] in SPLITS]
        homes = sorted({file.rpartition("/FER2013")[0] for file in found})
        if len(homes) > 1:
            raise FerError(tree.root, f"votes in {len(homes)} folders: {', '.join(homes)}", "name one of them as root")
        if found:
            return sorted(found, key=lambda file: list(SPLITS).index(file.split("/")[-2]))
    return []


def _located(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with the drop reason of those that name no face, and an address where no picture can be named."""
    line = pl.format("{}#{}", "file", "row")
    reason = (
        pl.when(pl.col("votes").is_null()).then(pl.lit("malformed row"))
        .when(pl.col("split").is_null()).then(pl.lit("split outside the table"))
        .when(pl.col("name").fill_null("") == "").then(pl.lit("no face name"))
    )  # fmt: skip
    rows = rows.with_columns(reason=reason, detail=pl.lit(None, pl.String))
    bad = pl.col("reason").is_not_null()
    return rows.with_columns(
        detail=pl.when(bad).then(pl.format("{}: {}", line, pl.col("text").str.slice(0, 80))),
        rel_path=pl.when(bad).then(line).when(pl.col("name").str.contains(UNSAFE)).then("name"),
    )


def _beside(tree: Tree, rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with the address and size of the pictures beside label.csv; null size where there is none."""
    folder = pl.col("file").str.strip_suffix("/label.csv")
    rows = rows.with_columns(rel_path=pl.coalesce("rel_path", pl.format("{}/{}", folder, "name")))
    files = tree.files(*rows.select(folder.unique().sort()).to_series())
    return rows.join(files, on="rel_path", how="left", maintain_order="left")


def _from_table(tree: Tree, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str], list[str]]:
    """Return `rows` with rows of fer2013.csv for missing pictures, the file that paired them, and notes."""
    lost = pl.col("reason").is_null() & pl.col("size").is_null() & ~pl.col("rel_path").str.contains(UNSAFE)
    table, file = find_table(tree, TABLES), find_table(tree, LISTS)
    if table is None or rows.filter(lost).is_empty():
        return rows, [], []
    if file is None:
        return rows, [], [NO_LIST.format(table)]
    lines = list_lines(tree.text(file), where=tree.root / file)
    paired = _with_pixels(tree, table, lines).filter(pl.col("name") != "", pl.col("size").is_not_null())
    paired = paired.unique(["split", "name"], keep="first").select(
        "split", "name", address(table).alias("pixels"), "size"
    )
    rows = rows.join(paired, on=["split", "name"], how="left", maintain_order="left", suffix=" of pixels")
    found = lost & pl.col("pixels").is_not_null()
    rows = rows.with_columns(
        rel_path=pl.when(found).then("pixels").otherwise("rel_path"),
        size=pl.when(found).then("size of pixels").otherwise("size"),
    )
    count = rows.filter(pl.col("rel_path") == pl.col("pixels")).height
    return rows, [file], [f"{count:,} pictures are rows of {table}, paired with their names through {file}"]


def _with_pixels(tree: Tree, table: str, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of fer2013new.csv with the `size` of the same row of fer2013.csv, null where it ends before.

    FerError where the usage of a row is not the same in both: they do not hold the same rows.
    """
    pixels = pixel_rows.columns(tree.label_file(table), "Usage")
    both = lines.join(pixels, on="row", how="left", maintain_order="left")
    odd = both.filter(split_of(pl.col("Usage")) != pl.col("split"))
    if not odd.is_empty():
        row = odd.row(0, named=True)
        raise FerError(
            tree.root / table,
            f"row {row['row']} is {row['Usage']} but {row['usage']} in fer2013new.csv: not the same rows",
            "copy fer2013.csv again as published; a sorted or cleaned one cannot be paired",
        )
    return both


def _judge(rows: pl.DataFrame, rule: str) -> tuple[pl.DataFrame, list[str]]:
    """Return `rows` with what the rule makes of their votes, and what a user should know of it."""
    good = pl.col("reason").is_null()
    none = pl.lit([0] * len(VOTE_WORDS), pl.List(pl.Int32))
    counted = rows.select(pl.when(good).then("votes").otherwise(none).explode())
    votes: Votes = counted.to_series().to_numpy().reshape(-1, len(VOTE_WORDS))
    rows = rows.with_columns(
        detail=pl.coalesce("detail", pl.format("votes {}", pl.col("votes").cast(pl.List(pl.String)).list.join(" "))),
        raw=pl.when(good).then(pl.Series(decide(votes, rule), dtype=pl.String)),
        tied=good & pl.Series(tied(votes, rule)),
        voteless=good & pl.Series(voteless(votes)) & pl.lit(rule == "argmax8"),
    )
    notes = []
    if ties := _by_split(rows, "tied"):
        notes.append(f"rule {rule}: ties, decided by the order of the vote columns: {ties}")
    if voteless_ones := _by_split(rows, "voteless"):
        notes.append(f"rule {rule}: no vote for any expression, so the first column, neutral: {voteless_ones}")
    names = [name for name in FOUND if name in rows.columns]
    return rows.select(names), notes


def _by_split(rows: pl.DataFrame, flag: str) -> str:
    """Return the flagged rows of each split as text; empty where there is none."""
    counts = rows.filter(pl.col(flag)).group_by("split", maintain_order=True).len()
    return ", ".join(f"{count:,} {split}" for split, count in counts.iter_rows())
