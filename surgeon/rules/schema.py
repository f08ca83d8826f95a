"""The form of rule files, for the JSON Schema that editors use.

`load_rules` does not go through these classes: its errors name lines, near misses and the next
step, which is more than a schema can say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

_ONLY_THESE = ConfigDict(extra="forbid", strict=True)

Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(gt=0, le=1, description="A fraction, rounded, at least one.")]
Count = Annotated[int, Field(ge=1, description="A count.")]
Positions = Annotated[
    list[int], Field(min_length=1, description="Positions; negative ones count from the end.")
]
Flags = Annotated[list[Any], Field(min_length=1, description="A boolean mask, nested like the weight.")]

Slice = TypedDict("Slice", {"from": int | None, "to": int | None, "step": int | None}, total=False)
Slice.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
    extra="forbid", strict=True, json_schema_extra={"minProperties": 1}
)


class PackedMask(TypedDict):
    """A boolean mask as `dump_rules` writes it."""

    __pydantic_config__ = _ONLY_THESE  # type: ignore[misc]

    shape: list[int]
    bits: str


Which = Fraction | Count | Positions | Flags | Slice | PackedMask


_KINDS = ("channels", "rows", "elements", "along", "blocks", "n_of_m")


class SelectionForm(TypedDict, total=False):
    """Which part of one weight: one of channels, rows, elements, along, blocks, n_of_m."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        extra="forbid",
        strict=True,
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in _KINDS]},
    )

    channels: Which
    rows: Which
    elements: Which
    along: Which
    axis: Annotated[int, Field(description="The axis of along and n_of_m.")]
    blocks: Which
    of: Annotated[list[int], Field(min_length=1, description="Size of a block along the last axes.")]
    n_of_m: Annotated[list[int], Field(min_length=2, max_length=2, description="n of every m elements.")]
    by: Literal[
        "magnitude",
        "random",
        "fisher",
        "gradient",
        "snip",
        "movement",
        "relative_gradient_norm",
        "activation",
    ]
    seed: Annotated[int, Field(ge=0)]
    over: Literal["weight", "layer", "model"]
    keep: Annotated[float, Field(ge=0, le=1)]
    samples: Annotated[int, Field(ge=1)]
    batches: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: float
    loss: Text


SelectorMapping = TypedDict(
    "SelectorMapping",
    {
        "name": Annotated[
            Text, Field(description="A glob over the path: * within a part, ** for any depth.")
        ],
        "regex": Annotated[str, Field(description="A regular expression that matches the whole path.")],
        "flags": Annotated[str, Field(pattern="^[aimsx]*$", description="Flags of the regular expression.")],
        "isa": Annotated[Text, Field(description="The name of a class; subclasses count.")],
        "all": Annotated[list["SelectorForm"], Field(min_length=1, description="All of these match.")],
        "any": Annotated[list["SelectorForm"], Field(min_length=1, description="One of these matches.")],
        "not": Annotated["SelectorForm", Field(description="This does not match.")],
    },
    total=False,
)
SelectorMapping.__doc__ = "Which layers: all of the keys must match."
SelectorMapping.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
    extra="forbid", strict=True, json_schema_extra={"minProperties": 1}
)

SelectorForm: TypeAlias = Text | SelectorMapping


class _RuleForm(BaseModel):
    """A rule. Any other key is the name of a weight, with the part of it that is meant."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, SelectionForm] = Field(init=False)

    weights: Annotated[
        list[Text], Field(default_factory=list, min_length=1, description="Weights as a whole.")
    ]


class FreezeForm(_RuleForm):
    """Freeze layers, weights, or parts of weights."""

    freeze: SelectorForm
    stats: Annotated[bool, Field(description="Moving statistics hold still beside the named weights.")] = (
        False
    )


class TrainForm(_RuleForm):
    """Train layers, weights, or only parts of weights."""

    train: SelectorForm


LayerForm: TypeAlias = Text | Annotated[dict[Text, dict[str, Any] | None], Field(min_length=1, max_length=1)]
Layers = Annotated[
    LayerForm | Annotated[list[LayerForm], Field(min_length=1)],
    Field(description="A class of keras.layers with its settings, or several to call one after another."),
]
Scope = Annotated[Literal["layer", "call"], Field(description="All calls of a layer, or the matched ones.")]


class _StructureForm(BaseModel):
    model_config = _ONLY_THESE


class ReplaceForm(_StructureForm):
    """Put other layers in the place of some."""

    replace: SelectorForm
    with_: Annotated[Layers, Field(alias="with")]
    keep: Annotated[
        list[Text], Field(default_factory=list, min_length=1, description="Settings of the old one.")
    ]
    scope: Scope = "layer"


class InsertBeforeForm(_StructureForm):
    """Insert layers before others."""

    insert_before: SelectorForm
    layer: Layers
    argument: int = 0
    scope: Scope = "layer"


class InsertAfterForm(_StructureForm):
    """Insert layers after others."""

    insert_after: SelectorForm
    layer: Layers
    output: int = 0
    scope: Scope = "layer"


class RemoveForm(_StructureForm):
    """Remove layers."""

    remove: SelectorForm
    keep: Annotated[int, Field(description="Which of the tensors that it reads goes on.")] = 0
    any_shape: bool = False
    scope: Scope = "layer"


class ConfigureForm(_StructureForm):
    """Change settings of layers."""

    configure: SelectorForm
    set: Annotated[dict[str, Any], Field(min_length=1)]


class RenameForm(_StructureForm):
    """Give a layer another name."""

    rename: SelectorForm
    to: Text


class RewireForm(_StructureForm):
    """Let layers read another tensor."""

    rewire: SelectorForm
    source: Text
    argument: int = 0
    scope: Scope = "layer"


class DuplicateForm(_StructureForm):
    """Call a copy of a layer on its output."""

    duplicate: SelectorForm
    times: Annotated[int, Field(ge=1)] = 1


class ShareForm(_StructureForm):
    """Let layers be the first of them."""

    share: SelectorForm


class UnshareForm(_StructureForm):
    """Give each call a layer of its own."""

    unshare: SelectorForm


class InlineForm(_StructureForm):
    """Take nested models apart."""

    inline: SelectorForm


class ChangeInputForm(_StructureForm):
    """Give the model an input of another shape."""

    change_input: SelectorForm
    shape: list[int | None]
    channels: Literal["mean", "repeat", "zero"] = "mean"


class PruneForm(_StructureForm):
    """Remove channels for real."""

    prune: SelectorForm
    channels: Annotated[float, Field(gt=0, lt=1)] | list[int | bool]


class LoraForm(_StructureForm):
    """Add low-rank adapters."""

    lora: SelectorForm
    rank: Annotated[int, Field(ge=1)]
    alpha: float | None = None


RuleForm: TypeAlias = (
    FreezeForm
    | TrainForm
    | ReplaceForm
    | InsertBeforeForm
    | InsertAfterForm
    | RemoveForm
    | ConfigureForm
    | RenameForm
    | RewireForm
    | DuplicateForm
    | ShareForm
    | UnshareForm
    | InlineForm
    | ChangeInputForm
    | PruneForm
    | LoraForm
)


class RuleFile(BaseModel):
    """Rules of Surgeon; later ones win, weight by weight."""

    model_config = _ONLY_THESE

    rules: Annotated[list[RuleForm], Field(min_length=1)]
