"""One experiment as frozen data, read from TOML: every default of the toolkit lives here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alma_cli.core.languages import Direction, language
from alma_cli.core.prompt import PromptStyle
from alma_cli.errors import AlmaError

Method = Literal["full", "lora", "qlora"]
StageName = Literal["mono", "parallel"]
Split = Literal["train", "valid", "test"]
Format = Literal[
    "auto", "alma", "jsonl", "tsv", "csv", "lines", "tmx", "xliff", "po", "parquet", "text", "oscar", "hub", "sacrebleu"
]
SignificanceTest = Literal["bootstrap", "randomization", "none"]
CometName = Literal["comet", "cometkiwi", "xcomet"]
Metric = Literal["bleu", "chrf", "chrf++", "spbleu", "ter", "comet", "cometkiwi", "xcomet"]

STAGES: tuple[StageName, ...] = ("mono", "parallel")
ZERO_SHOT = "zero-shot"
"""What the translations of a recipe's base model are called."""

# The paper's learning rates (arXiv 2309.11674 section 4.2 and the released scripts): a LoRA needs a hundred times more.
PAPER_LEARNING_RATE: dict[Method, float] = {"full": 2e-5, "lora": 2e-3, "qlora": 2e-3}


def _known_language(code: str) -> str:
    try:
        return language(code).code
    except AlmaError as error:
        raise ValueError(str(error)) from None


def _known_direction(text: str) -> str:
    try:
        return str(Direction.parse(text))
    except AlmaError as error:
        raise ValueError(str(error)) from None


def _known_pool(name: str) -> str:
    return name if name in ("replay", "parallel") else _known_language(name)


LanguageCode = Annotated[str, AfterValidator(_known_language)]
DirectionText = Annotated[str, AfterValidator(_known_direction)]
Pool = Annotated[str, AfterValidator(_known_pool)]
Probability = Annotated[float, Field(gt=0, le=1)]
Portion = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """A section of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PromptSettings(Settings):
    """How a source sentence becomes the text before its translation."""

    style: PromptStyle = "alma"
    """`alma`: the released checkpoints' format; `chat`: the same text inside the model's own chat template."""


class MonoSource(Settings):
    """One corpus of monolingual text: a document a line, or a JSON object a line."""

    path: str
    """A file, or several as in `news/*.txt.zst`; relative to the recipe's file. With format `hub`, a dataset's id."""
    language: LanguageCode
    """The language of every document in it."""
    format: Format = "auto"
    """`text`, `jsonl`, `parquet`, `oscar`; `auto` decides by the file's ending; `hub` reads a Hugging Face dataset."""
    field: str = "text"
    """The JSON key or Parquet column that holds a document's text."""
    config: str | None = None
    """The hub dataset's configuration."""
    replay: bool = False
    """General text that keeps what the base model knew: drawn from as the pool `replay`, whatever its language."""
    share: Probability | None = None
    """Share of the documents of its pool (its language, or `replay`) that come from here. None: the sources without
    one take turns for what is left."""


class ParallelSource(Settings):
    """One corpus of sentence pairs."""

    path: str
    """A file, several as in `*.tmx`, or an ALMA directory; `{lang}` stands for the language code in line-aligned files.
    With `hub`, a dataset's id; with `sacrebleu`, a test set's name; `preset:` names a known collection."""
    pair: DirectionText | None = None
    """The two languages, such as `de-en`; for TSV, in the order of the columns. None: read from the file's name."""
    split: Split | None = None
    """What the pairs are for. None: by the file's name (`train.`, `valid.`, `test.`), else train."""
    format: Format = "auto"
    """`alma`, `jsonl`, `tsv`, `csv`, `lines`, `tmx`, `xliff`, `po`, `parquet`; `auto` decides by the ending; `hub`
    reads a Hugging Face dataset, `sacrebleu` a test set of sacreBLEU's."""
    config: str | None = None
    """The hub dataset's configuration."""
    fields: tuple[str, str] | None = None
    """Names of the JSON keys or columns (or the columns' numbers, from 1) with the texts, in the order of `pair`."""


class Filters(Settings):
    """What is taken out of training data, each for a reason that is counted; test data is never filtered."""

    characters: bool = True
    """Take out what is no text: mojibake, control characters, mostly symbols."""
    min_tokens: int = Field(default=1, ge=0)
    """Fewest tokens of a text under the recipe's tokenizer."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Most tokens of a text under the recipe's tokenizer. None: any number."""
    language: bool = True
    """Take out text that is clearly in another language than it should be."""
    repetition: bool = True
    """Take out text that says the same over and over."""
    boilerplate: bool = True
    """Take out the lines of menus, cookie notices and the like; a text of nothing else goes with them."""
    near_duplicates: float | None = Field(default=0.8, gt=0, le=1)
    """Of texts with at least this much in common (Jaccard similarity of their character 5-grams) the first is kept.
    None: only of equal ones."""


class PairFilters(Filters):
    """What is taken out of sentence pairs."""

    max_length_ratio: float | None = Field(default=4.0, gt=1)
    """How many times longer one side may be than is usual beside the other, for sides that are long enough to tell."""
    copied_source: bool = True
    """Take out pairs whose target is their source."""
    numbers: bool = True
    """Take out pairs whose sides have different numbers."""
    urls: bool = True
    """Take out pairs whose sides have different links or addresses."""
    targets_per_source: int | None = Field(default=1, gt=0)
    """How many translations of one source sentence are kept, in either direction. None: all."""
    same_target: int | None = Field(default=None, gt=0)
    """How often one sentence may be the target of different sources. None: any number."""


class Decontamination(Settings):
    """Test and validation sentences are taken out of training data."""

    enabled: bool = True
    """Compare training data with the recipe's own test and validation sets."""
    against: tuple[ParallelSource, ...] = ()
    """More sets that must not be trained on, beside the recipe's own."""
    ngram_words: int = Field(default=8, ge=4)
    """So many words in a row in common with one of their sentences are an overlap (twice as many characters where
    words are not separated by spaces); a shorter sentence of at least 4 words counts when it is there as a whole."""


class MonoData(Settings):
    """Stage 1's corpora and how they are mixed."""

    sources: tuple[MonoSource, ...] = ()
    """The corpora."""
    filters: Filters = Filters()
    """What is taken out."""
    mixture: dict[Pool, Probability] = {}
    """Probability of a language, of `replay` or of `parallel` (stage 2's pairs as text) for the next document.
    Languages without one share what is left, in proportion to their documents to the power of 1 / `temperature`."""
    temperature: float = Field(default=1.0, ge=1)
    """Above 1, small languages get more than their share; the paper has 6, with English fixed at 1/6."""
    held_out_documents: int = Field(default=100, ge=0)
    """Documents kept for validation, at most one in twenty."""
    max_documents: int | None = Field(default=None, gt=0)
    """Stop after so many documents; None: all there are. Needed for a corpus that is read from the hub."""


class ParallelData(Settings):
    """Stage 2's corpora."""

    sources: tuple[ParallelSource, ...] = ()
    """The corpora."""
    filters: PairFilters = PairFilters()
    """What is taken out."""
    held_out_pairs: int = Field(default=200, ge=0)
    """Training pairs kept for validation, at most one in twenty, where no source has the split `valid`."""


class DataSettings(Settings):
    """The corpora of both stages and what holds for both."""

    mono: MonoData = MonoData()
    """Stage 1."""
    parallel: ParallelData = ParallelData()
    """Stage 2."""
    decontamination: Decontamination = Decontamination()
    """What must not be trained on."""
    shard_megabytes: int = Field(default=256, gt=0)
    """Prepared text is written in files of about this size, before compression."""

    @property
    def shard_bytes(self) -> int:
        """Bytes of a file of prepared text, before compression."""
        return self.shard_megabytes * 10**6


class StageSettings(Settings):
    """How one stage trains. The defaults are the paper's (arXiv 2309.11674, section 4.2 and the released scripts)."""

    method: Method = "full"
    """`full` weights, `lora` adapters, or `qlora`: adapters over 4-bit weights."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate. None: the paper's for the method, 2e-5 for full weights and 2e-3 for LoRA."""
    schedule: Literal["cosine", "inverse_sqrt", "constant"] = "inverse_sqrt"
    """How the learning rate falls after warm-up."""
    warmup_ratio: float = Field(default=0.01, ge=0, lt=1)
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled weight decay."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    epochs: int = Field(default=1, gt=0)
    """Passes over the training data."""
    max_steps: int | None = Field(default=None, gt=0)
    """Stop after so many optimizer steps; None: after the epochs."""
    examples_per_step: int = Field(default=256, gt=0)
    """Examples (blocks, in stage mono) in one optimizer step, over all micro-batches."""
    tokens_per_micro_batch: int | None = Field(default=None, gt=0)
    """Tokens that go through the model at once; results stay the same. None: 1,024 on a CPU, 8,192 on a GPU."""
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    """`adamw8bit` keeps AdamW's two moments in 8 bits: 2 bytes a trained weight instead of 8."""
    lora_rank: int = Field(default=16, gt=0)
    """Rank of the LoRA matrices."""
    lora_alpha: int = Field(default=32, gt=0)
    """LoRA scale: the update is multiplied by alpha / rank."""
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before the LoRA matrices."""
    lora_targets: tuple[str, ...] = ("all-linear",)
    """Names of the layers that get a LoRA; the paper's script had only `down_proj`, its authors' code now has all."""
    loss_vocabulary: Literal["whole", "sampled"] = "whole"
    """`sampled`: in training the tokens that the stage's data has, and as many others, another sample in each step,
    stand for the model's vocabulary, whose output layer is most of a small model's work. Validation has the whole."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto`: bf16 where the device computes in it, else fp32."""
    validations: int = Field(default=10, ge=0)
    """How many times in a run the validation loss is measured and a checkpoint written (at the end in any case)."""
    validation_examples: int | None = Field(default=None, gt=0)
    """Only the first so many validation examples (blocks, in stage mono) are measured each time. None: all."""
    validate_by: Literal["loss", "bleu", "chrf"] = "loss"
    """What the best weights have: the lowest validation loss, or the highest BLEU or chrF of greedy translations."""
    validation_sentences: int = Field(default=200, gt=0)
    """Validation pairs that are translated each time, with `bleu` or `chrf`."""
    checkpoint_minutes: float = Field(default=15, gt=0)
    """A checkpoint is written when the last one is so many minutes old; what came after it is lost to a power cut."""
    keep_checkpoints: int = Field(default=1, gt=0)
    """How many of the newest checkpoints stay on disk, beside the best one."""
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where the metrics go beside `metrics.jsonl`, by accelerate's trackers."""

    @model_validator(mode="after")
    def _learning_rate_of_the_method(self) -> StageSettings:
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", PAPER_LEARNING_RATE[self.method])
        return self

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up: as set, or the paper's for the method."""
        assert self.learning_rate is not None
        return self.learning_rate


class MonoStage(StageSettings):
    """Stage 1: causal language modelling on blocks of monolingual text."""

    schedule: Literal["cosine", "inverse_sqrt", "constant"] = "cosine"
    """How the learning rate falls after warm-up."""
    block_tokens: int = Field(default=512, gt=1)
    """Documents are joined and cut into blocks of exactly so many tokens, BOS before each where the model's texts have
    it; the paper's code has it before documents only."""


class ParallelStage(StageSettings):
    """Stage 2: sentence pairs, with the loss on the target's tokens only."""

    max_prompt_tokens: int = Field(default=256, gt=0)
    """Pairs with a longer prompt are left out, and counted."""
    max_target_tokens: int = Field(default=256, gt=0)
    """Pairs with a longer target are left out, and counted; none is cut, which would teach stopping mid-sentence."""


class Stages(Settings):
    """The stages of the recipe, in the order they run; a stage that is absent is not part of it."""

    mono: MonoStage | None = None
    """Stage 1."""
    parallel: ParallelStage | None = None
    """Stage 2."""


class DecodingSettings(Settings):
    """How translations are searched for. The defaults are the paper's."""

    beams: int = Field(default=5, gt=0)
    """Beams of the search; 1 is greedy."""
    length_penalty: float = 1.0
    """Exponent of the length by which a hypothesis's log-probability is divided."""
    rerank: Literal["mbr", "qe"] | None = None
    """Choose among several hypotheses: `mbr`, the one that is most like all of them; `qe`, the one that a metric
    without references likes best. None: the one that the model likes best."""
    rerank_metric: Literal["chrf", "bleu", "comet"] = "chrf"
    """How alike two hypotheses are, with `mbr`."""
    rerank_model: str | None = None
    """COMET checkpoint or hub id, with `comet` or `qe`. None: wmt22-comet-da, or wmt22-cometkiwi-da."""
    context_sentences: int = Field(default=0, ge=0)
    """So many sentences of the document before a sentence are in its prompt, with their translations."""
    max_new_tokens: int = Field(default=256, gt=0)
    """No translation is longer than this."""
    max_new_tokens_per_source_token: float = Field(default=4.0, gt=0)
    """Nor longer than this times its source (plus 32 tokens): a loop ends early."""
    max_source_letters: int = Field(default=600, ge=40)
    """Longer segments of documents are translated sentence by sentence; a Chinese or Thai character counts as three."""
    n_best: int = Field(default=1, gt=0)
    """How many hypotheses of each sentence are kept for reranking; no more than `beams`."""
    samples: int = Field(default=0, ge=0)
    """Above 0: so many translations are drawn at random, in place of the search."""
    temperature: float = Field(default=1.0, gt=0)
    """Of sampling: below 1 the likely words become likelier."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Of sampling: only the likeliest words that together have this probability are drawn."""
    sampling_seed: int = Field(default=0, ge=0)
    """Seeds sampling; each sentence has random numbers of its own, whatever its neighbours are."""
    engine: Literal["native", "ctranslate2", "vllm"] = "native"
    """What generates: alma itself, or one of the extras `ct2` and `vllm`."""
    sentences_at_once: int | None = Field(default=None, gt=0)
    """Sentences that are translated together. None: as many as are fast and fit into memory."""
    precision: Literal["auto", "bf16", "fp32", "4bit"] = "auto"
    """`auto`: bf16 where the device computes in it, else fp32; `4bit`: NF4 weights."""

    @model_validator(mode="after")
    def _no_more_hypotheses_than_beams(self) -> DecodingSettings:
        if not self.samples and self.n_best > self.beams:
            raise ValueError(f"n_best = {self.n_best} is more than beams = {self.beams}")
        return self


class ScoringSettings(Settings):
    """What `alma score` measures."""

    metrics: tuple[Metric, ...] = ("bleu", "chrf")
    """Metrics, in the order of the table."""
    test_sentences: int | None = Field(default=None, gt=0)
    """Only the first so many sentences of each direction's test set are translated and scored. None: all. The others
    are kept out of training, too."""
    significance: SignificanceTest = "bootstrap"
    """How systems are compared: by paired bootstrap, by approximate randomization, or not at all, without intervals."""
    resamples: int | None = Field(default=None, gt=0)
    """How many resamples or trials; none: 1,000 for the bootstrap, 10,000 for randomization, as sacreBLEU has them."""
    resampling_seed: int = Field(default=12345, ge=0)
    """Seeds the resampling; sacreBLEU's own default."""
    comet_model: str = "Unbabel/wmt22-comet-da"
    """What `comet` is: a hub id, or the path of a checkpoint (its folder, or the .ckpt in it). The paper's."""
    cometkiwi_model: str = "Unbabel/wmt22-cometkiwi-da"
    """What `cometkiwi` is, which needs no references; gated on the hub."""
    xcomet_model: str = "Unbabel/XCOMET-XL"
    """What `xcomet` is; gated on the hub, 3.5 billion parameters."""
    comet_precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is faster on a GPU, and differs in the third digit."""
    comet_batch_size: int = Field(default=16, gt=0)
    """Sentences that COMET reads at once; halved where memory runs out."""
    comet_of_empty: Literal["0", "model"] = "0"
    """COMET of an empty translation: 0, or what the model says, which is about 34 of 100."""


class AblationSettings(Settings):
    """What `alma run --ablate` compares beside the base model and the recipe's stages, alone and together."""

    shots: int = Field(default=5, ge=0)
    """Examples of validation data in every prompt of the base model, as one more system; 0: without it."""
    mono_portions: tuple[Portion, ...] = ()
    """Stage 1 again with such shares of its steps, each with the whole stage 2 after it: the worth of its text."""
    parallel_portions: tuple[Portion, ...] = ()
    """Stage 2 again with such shares of its steps: the worth of its pairs."""


class Recipe(Settings):
    """One experiment, from corpora to scores."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the work directory, `runs/<name>/`."""
    description: str = ""
    """One line for the table of recipes."""
    model: str
    """The base model: a known name, a directory, a hub id or a GGUF file."""
    directions: tuple[DirectionText, ...] = Field(min_length=1)
    """The directions to train and to evaluate, such as `de-en`."""
    seed: int = Field(default=42, ge=0)
    """Seeds the order of the data, the adapters' start and dropout."""
    prompt: PromptSettings = PromptSettings()
    """The prompt."""
    data: DataSettings = DataSettings()
    """The corpora."""
    stages: Stages = Stages(parallel=ParallelStage())
    """Training."""
    decoding: DecodingSettings = DecodingSettings()
    """Translating."""
    scoring: ScoringSettings = ScoringSettings()
    """Scoring."""
    ablation: AblationSettings = AblationSettings()
    """Comparing the stages."""

    @property
    def direction_pairs(self) -> tuple[Direction, ...]:
        """The directions, parsed."""
        return tuple(Direction.parse(text) for text in self.directions)

    @property
    def stage_names(self) -> tuple[StageName, ...]:
        """The stages this recipe has, in the order they run."""
        return tuple(name for name in STAGES if self.stage(name) is not None)

    def stage(self, name: StageName) -> StageSettings | None:
        """One stage's settings, None where the recipe does without it."""
        return self.stages.mono if name == "mono" else self.stages.parallel


class LoadedRecipe(BaseModel):
    """A recipe with where it came from: relative paths in it are relative to `directory`."""

    model_config = ConfigDict(frozen=True)

    recipe: Recipe
    origin: str
    directory: Path

    def resolve(self, path: str) -> Path:
        """A source's path as the recipe means it."""
        return self.directory / Path(path).expanduser()
