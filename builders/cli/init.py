"""`fer-build init`: writes fer-build.yaml."""

from __future__ import annotations

from pathlib import Path

import click

from ferbuild.builders.cli.common import Options, common, emit
from ferbuild.builders.config import FILE, config_text
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text
from ferbuild.builders.finding import find_releases


@click.command()
@click.option("--find", type=click.Path(path_type=Path), help="Look for releases at and below this folder.")
@click.option("--force", is_flag=True, help="Overwrite a fer-build.yaml that is there.")
@common
def init(options: Options, find: Path | None, force: bool) -> int:
    """Write fer-build.yaml, with every release found under --find DIR.

    \b
    fer-build init --find /data/faces            looks at and below the folder
    fer-build init --force --find /data/faces    writes it anew
    """
    path = options.config or Path(FILE)
    if path.exists() and not force:
        raise FerError(path, "is there already", "edit it, or overwrite it with --force")
    found = find_releases(find) if find else []
    values: dict[str, object] = {"sources": {one.source: str(one.root.resolve()) for one in found}}
    write_text(path, config_text(values | ({"work": str(options.work)} if options.work else {})))
    if options.as_json:
        rows = [{"source": one.source, "root": str(one.root), "layout": one.layout} for one in found]
        emit({"stage": "init", "out": str(path), "found": rows})
        return 0
    for one in found:
        click.echo(f"found {one.source} ({one.layout}) in {one.root}")
    if find and not found:
        click.echo(f"found no release of a known layout in {find}")
    click.echo(f"wrote {path}" + ("; next: fer-build check" if found else "; name your releases under `sources:`"))
    return 0
