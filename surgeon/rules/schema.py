"""The form of rule files, for the JSON Schema that editors use.

`load_rules` does not go through these classes: its errors name lines, near misses and the next
step, which is more than a schema can say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, Union

from pydantic import BaseModel, ConfigDict, Field, create_model
from typing_extensions import TypedDict

from surgeon.rules.structure_data import BLOCKS, FORMS, Form

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
        "inside": Annotated[Text, Field(description="What is inside of this model or layer.")],
        "has_weight": Annotated[str, Field(description="The name of a weight, a glob.")],
        "shape": Annotated[list[int | None], Field(min_length=1, description="The shape of has_weight.")],
        "upstream_of": Annotated["SelectorForm", Field(description="All that these depend on.")],
        "downstream_of": Annotated["SelectorForm", Field(description="All that depends on these.")],
        "producers_of": Annotated["SelectorForm", Field(description="What these read.")],
        "consumers_of": Annotated["SelectorForm", Field(description="What reads these.")],
        "between": Annotated[
            list["SelectorForm"],
            Field(min_length=2, max_length=2, description="What lies on a way from one to the other."),
        ],
        "first": Annotated["SelectorForm", Field(description="The first of these, or the first count.")],
        "last": Annotated["SelectorForm", Field(description="The last of these, or the last count.")],
        "count": Annotated[int, Field(ge=1, description="How many, for first and last.")],
        "nth": Annotated["SelectorForm", Field(description="The one at a position of these.")],
        "position": Annotated[int, Field(description="Of nth, from 0; negative from the end.")],
        "every": Annotated["SelectorForm", Field(description="Every step-th of these.")],
        "step": Annotated[int, Field(ge=1, description="Of every.")],
        "start": Annotated[int, Field(description="Of every: the position of its first.")],
        "depth": Annotated[int, Field(description="The least number of layers before these.")],
        "at_most": Annotated[int, Field(description="The greatest depth.")],
        "from_output": Annotated[bool, Field(description="Depth counts from the last layer.")],
        "called": Annotated[int, Field(ge=1, description="Layers that are called so many times.")],
        "ends": Annotated[Literal[True], Field(description="Layers whose outputs the model returns.")],
        "expect": Annotated[int, Field(description="How many layers the other keys must select.")],
    },
    total=False,
)
SelectorMapping.__doc__ = "Which layers: all of the keys must match."
SelectorMapping.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
    extra="forbid", strict=True, json_schema_extra={"minProperties": 1}
)

SelectorForm: TypeAlias = Text | SelectorMapping


class _Strict(BaseModel):
    model_config = _ONLY_THESE


class OptionalForm(_Strict):
    """A layer of a chain that may be missing."""

    optional: SelectorForm


class ChainForm(_Strict):
    """Layers that follow one another, by name."""

    chain: Annotated[dict[Text, OptionalForm | SelectorForm], Field(min_length=1)]


class TensorForm(_Strict):
    """A tensor from anywhere; the same name is the same tensor."""

    any_tensor: str | None


class EitherForm(_Strict):
    """A tensor that one of several makes."""

    either: Annotated[list[OperandForm], Field(min_length=1)]


class NodeForm(_Strict):
    """A node of a pattern; its name alone stands for one that came before."""

    node: Text
    selector: Annotated[SelectorForm, Field(default_factory=str)]
    reads: Annotated[list[OperandForm], Field(default_factory=list, min_length=1)]
    commutative: bool = False
    optional: bool = False


OperandForm: TypeAlias = NodeForm | TensorForm | EitherForm


class PatternForm(_Strict):
    """A small graph of named nodes."""

    pattern: Annotated[list[NodeForm], Field(min_length=1, description="The nodes that it ends in.")]
    exclusive: bool = True


TargetForm: TypeAlias = ChainForm | PatternForm | SelectorForm


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


Gone = (
    Annotated[float, Field(gt=0, lt=1, description="A fraction.")]
    | Annotated[list[int | bool], Field(min_length=1, description="Positions, or true and false for each.")]
)

_VALUES: dict[str, Any] = {
    "with": Layers,
    "layer": Layers,
    "keep": Annotated[list[Text], Field(min_length=1, description="Settings of the old one.")],
    "remove keep": Annotated[int, Field(description="Which of the tensors that it reads goes on.")],
    "scope": Scope,
    "argument": int,
    "output": int,
    "any_shape": bool,
    "set": Annotated[dict[str, Any], Field(min_length=1)],
    "to": Text,
    "source": Text,
    "times": Annotated[int, Field(ge=1)],
    "shape": list[int | None],
    "change_input channels": Literal["mean", "repeat", "zero"],
    "channels": Gone,
    "heads": Gone,
    "rank": Annotated[int, Field(ge=1)],
    "alpha": float | None,
}
"""What may stand at the keys of rules that change the structure; of one rule, where its verb comes first."""


def _nothing() -> None:
    """Return what stands for a key that is not there; as a default it would be part of the schema."""


def _structure_form(verb: str, form: Form) -> type[BaseModel]:
    """Return the form of a rule that changes the structure."""
    # Python has a word "with" already.
    names = {key: f"{key}_" if key == "with" else key for key in (*form.needs, *form.may)}
    fields: dict[str, Any] = {verb: (TargetForm if verb in BLOCKS else SelectorForm, ...)}
    for key, name in names.items():
        kind = _VALUES.get(f"{verb} {key}", _VALUES.get(key))
        alias = key if name != key else None
        needed = key in form.needs
        fields[name] = (kind, Field(alias=alias) if needed else Field(alias=alias, default_factory=_nothing))
    words = "".join(part.capitalize() for part in verb.split("_"))
    config = ConfigDict(extra="forbid", strict=True)
    if form.one_of:
        config["json_schema_extra"] = {"oneOf": [{"required": [key]} for key in form.one_of]}
    return create_model(f"{words}Form", __config__=config, __doc__=form.what, **fields)


_FORMS = (FreezeForm, TrainForm, *(_structure_form(verb, form) for verb, form in FORMS.items()))
RuleForm: TypeAlias = Union[_FORMS]  # type: ignore[valid-type]  # noqa: UP007 - made of a tuple


class RuleFile(BaseModel):
    """Rules of Surgeon; later ones win, weight by weight."""

    model_config = _ONLY_THESE

    rules: Annotated[list[RuleForm], Field(min_length=1)]
