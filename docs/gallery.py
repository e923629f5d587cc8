"""Makes the pictures of docs/gallery.md anew, by the commands that the page names.

    python docs/gallery.py [--training] [DEMO]

It builds the demo in a folder of its own, or takes a copy of a built one, runs the commands there, and stores what they
made below docs/gallery/, small enough to be read on a page. Screenshots are taken by chromium. --training trains what
`make train-demo` trains, in minutes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ferbuild.builders import shards
from ferbuild.builders.mark import read_mark
from ferbuild.builders.reviewing import log, sample

TOP = Path(__file__).resolve().parent.parent
OUT = TOP / "docs" / "gallery"
MOST = 150_000
"""Bytes of a picture."""
WIDEST = 1400
"""Pixels."""
BROWSER = ("chromium", "chromium-browser", "google-chrome")
SAMPLE = 40
"""Rationales that are reviewed."""
PAIRS = ("counterfactual", "--model", "geometry", "--count", "16", "--unit", "AU12", "--size", "224", "--yes")


def main(words: Sequence[str]) -> None:
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as spare:
        home = Path(spare) / "fer-demo"
        built = [word for word in words if not word.startswith("--")]
        if built:
            shutil.copytree(built[0], home)
        else:
            fer_build("demo", "--out", str(home), cwd=Path(spare))
        fer_build("duplicates", "--sheet", "duplicates.png", cwd=home)
        store(home / "duplicates.png", "duplicates.jpg")
        contamination(home)
        counterfactual(home)
        page = home / "fer-data" / "eval" / "geometry" / "report" / "index.html"
        screenshot(page.as_uri(), "score-geometry.png", 1200, 1500)
        review(home)
        fer_build("report", cwd=home)
        screenshot((home / "fer-data" / "report" / "index.html").as_uri(), "report.png", 1000, 720)
        fer_build("leaderboard", "fer-data/eval", "--pairs", "--html", "leaderboard.html", cwd=home)
        screenshot((home / "leaderboard.html").as_uri(), "leaderboard.png", 1200, 900)
    if "--training" in words:
        curves()


def contamination(home: Path) -> None:
    """Build the faces with what a benchmark shows kept in, and look for it."""
    kept = home / "kept"
    kept.mkdir()
    (kept / "kept.yaml").write_text("name: kept\nduplicates: {contaminated: keep, same: keep}\n")
    roots = "".join(f"  {name}: ../releases/{name}\n" for name in ("rafdb", "ferplus", "affectnet", "sfew"))
    (kept / "fer-build.yaml").write_text(f"recipe: kept.yaml\nsources:\n{roots}")
    fer_build("faces", cwd=kept)
    fer_build("contamination", "--against", "ferbench", "--sheet", "contamination.png", cwd=kept)
    store(kept / "contamination.png", "contamination.jpg")


def counterfactual(home: Path) -> None:
    """Draw pairs of faces that differ in one action unit, and put some of them side by side."""
    fer_build(*PAIRS, cwd=home)
    script = (
        "from pathlib import Path\n"
        "from ferbuild.builders import images, shards\n"
        "from ferbuild.builders.sheets import write_pairs\n"
        "found = shards.split_files(Path('fer-data/counterfactual'))\n"
        "rows = [row for files in found.values() for file in files for row in shards.read_stream(file).to_pylist()]\n"
        "def seen(image, says):\n"
        "    return says, images.decode(image['bytes'], max_pixels=10**7)\n"
        "pairs = [(seen(row['images'][0], 'before'), seen(row['images'][1], row['unit'])) for row in rows[:16]]\n"
        "write_pairs(pairs, Path('pairs.png'))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=home, check=True)
    store(home / "pairs.png", "counterfactual.jpg")


def review(home: Path) -> None:
    """Have two made-up people decide most of a sample, and show the page that a third would go on with."""
    work = home / "fer-data"
    mark = read_mark(work / "cot")
    assert mark is not None
    rows = [row for piece in shards.slices(work / "cot", 1000) for row in piece.read().select(["id"]).to_pylist()]
    ids = [row["id"] for row in rows]
    for at, place in enumerate(sample.draw(ids, SAMPLE, seed=0)[: SAMPLE - 4]):
        for who in ("ada", "ben"):
            bad = at % 7 == 0 or (who == "ben" and at % 11 == 5)
            log.append(
                log.path_of(work, "cot"),
                log.Entry(
                    at=log.now(), reviewer=who, dataset="cot", key=mark.key, id=ids[place], faces=(ids[place],),
                    decision="reject" if bad else "accept",
                ),
            )  # fmt: skip
    command = [
        Path(sys.executable).with_name("fer-build"),
        "review",
        "cot",
        "--sample",
        str(SAMPLE),
        "--no-open",
        "--json",
    ]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        screenshot(json.loads(server.stdout.readline())["url"], "review.png", 1200, 900)
        server.terminate()


def curves() -> None:
    """Train the tiny model and its controls, and keep the curves."""
    with tempfile.TemporaryDirectory() as spare:
        out = Path(spare) / "train-demo"
        python = TOP / ".venv-train" / "bin" / "python"
        subprocess.run([python, TOP / "benchmarks" / "training_demo.py", "--out", out], check=True)
        store(out / "curves.png", "curves.png")


def fer_build(*words: str, cwd: Path) -> None:
    """Run a command of the page; an exit code of 1 is a finding."""
    command = [str(Path(sys.executable).with_name("fer-build")), *words]
    print("$", "fer-build", *words, flush=True)
    code = subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL).returncode
    if code > 1:
        sys.exit(f"fer-build {' '.join(words)} ended with {code}")


def screenshot(url: str, name: str, width: int, height: int) -> None:
    """Store what a page looks like in a window of this many pixels."""
    browser = next((found for one in BROWSER if (found := shutil.which(one))), None)
    if browser is None:
        sys.exit(f"{name} needs a browser: apt-get install chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    with tempfile.TemporaryDirectory() as spare:
        shot = Path(spare) / "shot.png"
        command = [browser, *flags, f"--window-size={width},{height}", f"--screenshot={shot}", url]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        store(shot, name)


def store(made: Path, name: str) -> None:
    """Keep a picture, no wider than WIDEST and no larger than MOST: drawn ones as PNG of few colours, faces as JPEG."""
    picture = Image.open(made).convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    path = OUT / name
    if path.suffix == ".png":
        picture.quantize(128).save(path, optimize=True)
    else:
        for quality in (90, 80, 70, 60, 50, 40):
            picture.save(path, quality=quality, optimize=True, progressive=True)
            if path.stat().st_size <= MOST:
                break
    if path.stat().st_size > MOST:
        sys.exit(f"{path} has {path.stat().st_size:,} bytes, more than {MOST:,}")
    print(f"{path.relative_to(TOP)}: {picture.width} x {picture.height}, {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
