"""Teach a trained network something new while nine tenths of it stay as they are, bit for bit.

A small CNN learns the digits 0 to 4. A rule file then freezes it but for a few channels and single weights,
and that part learns the digits 5 to 9. Everything that is claimed on the way is checked, and a claim that
fails ends the run.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import surgeon

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "docs" / "examples" / "digits.yaml"
SEEDS = (0, 1, 2)
console = Console()


@dataclass(frozen=True)
class Digits:
    """Pictures `(count, 8, 8, 1)` between 0 and 1, and classes from 0 to 4, to learn from and to test on."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def digits(first: int) -> Digits:
    """Return five of scikit-learn's digits, `first` as class 0."""
    pictures, labels = load_digits(return_X_y=True)
    chosen = (labels >= first) & (labels < first + 5)
    x = (pictures[chosen] / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    x, x_test, y, y_test = train_test_split(x, labels[chosen] - first, test_size=0.25, random_state=0)
    return Digits(x, y, x_test, y_test)


def build() -> Any:
    """Return the network, untrained."""
    layers = keras.layers
    x = image = keras.Input((8, 8, 1), name="image")
    for number, filters in ((1, 16), (2, 32)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(5, activation="softmax", name="head")(x), name="digits")


def learn(model: Any, data: Digits, epochs: int) -> None:
    """Train with AdamW, whose weight decay pulls at every variable that it owns."""
    model.compile(keras.optimizers.AdamW(2e-3, weight_decay=0.02), "sparse_categorical_crossentropy")
    model.fit(data.x, data.y, batch_size=64, epochs=epochs, verbose=0)


def predict(model: Any, data: Digits) -> NDArray[np.float32]:
    """Return the probabilities of the test pictures, `(count, 5)`."""
    return np.asarray(keras.ops.convert_to_numpy(model(data.x_test, training=False)))


def accuracy(model: Any, data: Digits) -> float:
    """Return the share of test pictures that are told right."""
    return float((predict(model, data).argmax(axis=-1) == data.y_test).mean())


def trainable_elements(model: Any) -> int:
    """Return how many numbers an optimizer would own."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def check(condition: bool, claim: str) -> None:
    """End the run if a claim does not hold."""
    if not condition:
        console.print(f"[bold red]not true:[/] {claim}")
        sys.exit(1)
    console.print(f"  [green]✓[/] {claim}")


def train_seeds(folder: Path, data: Digits) -> Any:
    """Train one network for each seed, save them as checkpoints, return the first."""
    first = None
    for seed in SEEDS:
        keras.utils.clear_session()  # Keras counts optimizers on, and names in files would differ
        keras.utils.set_random_seed(seed)
        model = build()
        learn(model, data, epochs=12)
        model.save(folder / f"seed-{seed}.keras")
        console.print(f"  seed {seed}: {accuracy(model, data):.1%} of the digits 0 to 4 told right")
        first = first or model
    return first


def fine_tune(model: Any, plan: Any, data: Digits) -> tuple[Any, float, float]:
    """Rewrite the model, train what may train, and show that the rest did not move."""
    tuned = plan.apply(model)
    same = np.array_equal(predict(model, data), predict(tuned, data))
    check(same, "the rewritten model predicts the same as before, bit for bit")
    total, train = trainable_elements(model), trainable_elements(tuned)
    check(0 < train <= total / 10, f"{train:,} of {total:,} weights train: {train / total:.1%}")

    before = accuracy(tuned, data)
    seal = surgeon.seal(tuned)
    learn(tuned, data, epochs=25)
    seal.verify(tuned)
    check(True, "the seal is whole: no frozen weight changed under AdamW with weight decay")
    after = accuracy(tuned, data)
    check(after > before, f"digits 5 to 9 told right: {before:.1%} before, {after:.1%} after")
    return tuned, before, after


def restore(model: Any, tuned: Any, data: Digits, path: Path) -> Any:
    """Give the trained values back as stock layers, and count what moved without Surgeon's help."""
    plain = surgeon.restore(tuned)
    same = np.array_equal(predict(plain, data), predict(tuned, data))
    check(same, "restored to stock layers, it predicts the same")
    classes = [type(layer) for layer in plain.layers]
    check(classes == [type(layer) for layer in model.layers], "the restored model has no trace of Surgeon")
    pairs = zip(model.weights, plain.weights, strict=True)
    moved = sum(int((one.numpy() != other.numpy()).sum()) for one, other in pairs)
    check(
        0 < moved <= trainable_elements(tuned), f"{moved:,} weights differ from the model that we began with"
    )
    plain.save(path)
    return plain


def convert(sources: Path, out: Path, data: Digits) -> None:
    """Apply the rules to every checkpoint of a folder."""
    surgeon.convert(sources, surgeon.load_rules(RULES), out)
    for source in sorted(sources.glob("*.keras")):
        stock, converted = (keras.models.load_model(path) for path in (source, out / source.name))
        same = np.array_equal(predict(stock, data), predict(converted, data))
        share = trainable_elements(converted) / trainable_elements(stock)
        check(same and share <= 0.1, f"{source.name}: converted, same predictions, {share:.1%} trains")


def draw(model: Any, plan: Any, tuned: Any, out: Path) -> list[Path]:
    """Draw before, after and both."""
    paths = [
        out / f"{name}.{kind}" for name in ("before", "after", "before-after") for kind in ("svg", "png")
    ]
    for path in paths:
        if path.stem == "before-after":
            plan.diagram(path)
        else:
            surgeon.diagram(model if path.stem == "before" else tuned, path)
    return paths


def main() -> None:
    """Run the job."""
    start = time.monotonic()
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "demo-output").resolve()
    checkpoints, converted = out / "checkpoints", out / "converted"
    for folder in (checkpoints, converted):
        shutil.rmtree(folder, ignore_errors=True)
    checkpoints.mkdir(parents=True)

    console.rule("1. Train on the digits 0 to 4")
    model = train_seeds(checkpoints, digits(0))
    console.rule(f"2. Plan by {RULES.name}")
    plan = surgeon.plan(model, surgeon.load_rules(RULES))
    console.print(str(plan), markup=False, highlight=False)
    console.rule("3. Learn the digits 5 to 9")
    new = digits(5)
    tuned, before, after = fine_tune(model, plan, new)
    tuned.save(out / "tuned.keras")
    console.rule("4. Back to stock layers")
    restore(model, tuned, new, out / "restored.keras")
    console.rule("5. The same rules on a folder of checkpoints")
    convert(checkpoints, converted, digits(0))
    console.rule("6. Pictures")
    pictures = draw(model, plan, tuned, out)

    total, train = trainable_elements(model), trainable_elements(tuned)
    table = Table(title=f"Done in {time.monotonic() - start:.0f} s", title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_row("weights in the network", f"{total:,}")
    table.add_row("of which trained", f"{train:,} ({train / total:.1%})")
    table.add_row("frozen weights that changed", "0")
    table.add_row("digits 5 to 9 told right, before", f"{before:.1%}")
    table.add_row("digits 5 to 9 told right, after", f"{after:.1%}")
    table.add_row("checkpoints converted", f"{len(list(converted.glob('*.keras')))} of {len(SEEDS)}")
    console.print(table)
    written = [checkpoints, converted, out / "tuned.keras", out / "restored.keras", *pictures]
    for path in written:
        console.print(str(path), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
