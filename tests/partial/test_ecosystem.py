"""What the rest of Keras does with a partly frozen model: callbacks, export, adapters, quantization."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import callbacks, layers

import surgeon as sg
from tests.helpers import assert_same_outputs, same_bits, to_numpy
from tests.partial import matrix
from tests.zoo import jitter

ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a format of TensorFlow's")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype("float32")
Y = RNG.normal(size=(32, 2)).astype("float32")


@pytest.fixture
def model():
    start = keras.Input((6,))
    x = layers.Dense(4, activation="relu", name="hidden")(start)
    stock = jitter(keras.Model(start, layers.Dense(2, name="head")(x)))
    made = sg.rewrite(stock, [sg.train("hidden", kernel=sg.channels([1])), sg.freeze("head", "kernel")])
    made.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
    return made


def fit(model, epochs, *more):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, "callbacks": [*more]}
    return model.fit(X, Y, epochs=epochs, validation_data=(X, Y), **options)


class StopAfter(callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise InterruptedError


def test_early_stopping_puts_the_best_weights_back(model):
    kept = {}
    keep = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.update({epoch: matrix.values(model)})
    )
    best = callbacks.EarlyStopping("val_loss", mode="max", patience=2, restore_best_weights=True)
    fit(model, 4, keep, best)  # the largest loss is that of the first epoch
    now = matrix.values(model)
    assert all(same_bits(now[path], kept[0][path]) for path in now)
    assert not np.array_equal(kept[0]["hidden/kernel"], kept[1]["hidden/kernel"])


def test_checkpoints_of_a_run_load_into_it_and_into_the_stock_model(model, tmp_path):
    fit(
        model,
        1,
        callbacks.ModelCheckpoint(tmp_path / "c.keras"),
        callbacks.ModelCheckpoint(tmp_path / "c.weights.h5", save_weights_only=True),
    )
    # Not compiled, because the slots in the file do not fit the stock model's optimizer.
    stock = keras.Model.from_config(sg.restore(model).get_config())
    loaded = keras.models.load_model(tmp_path / "c.keras")
    assert_same_outputs(loaded(X), model(X))
    before = to_numpy(model(X))
    fit(model, 1)
    for other in (model, stock):
        other.load_weights(tmp_path / "c.weights.h5")
        assert np.array_equal(to_numpy(other(X)), before)


def test_a_run_that_was_backed_up_resumes_where_it_was(model, tmp_path):
    straight = keras.models.clone_model(model)
    straight.set_weights(model.get_weights())
    straight.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
    fit(straight, 3)
    with pytest.raises(InterruptedError):
        fit(model, 3, callbacks.BackupAndRestore(tmp_path / "backup"), StopAfter(2))
    fit(model, 3, callbacks.BackupAndRestore(tmp_path / "backup"))
    ours, theirs = matrix.values(model), matrix.values(straight)
    assert all(np.array_equal(ours[path], theirs[path]) for path in ours)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:(currentThread|getName):DeprecationWarning",  # keras-tuner asks for its thread the old way
    "ignore:Skipping variable loading for optimizer:UserWarning",  # as of any model that has not trained yet
)
def test_keras_tuner_searches_how_much_of_a_trained_model_trains(tmp_path):
    import keras_tuner

    start = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="hidden")(start)
    trained = jitter(keras.Model(start, layers.Dense(2, name="head")(x)))
    source = matrix.values(trained)

    def build(hp):
        share = sg.channels(hp.Choice("share", [0.25, 0.5]), by="magnitude")
        tuned = sg.rewrite(trained, [sg.train("hidden", kernel=share), sg.freeze("head", "kernel")])
        eager = keras.backend.backend() != "jax"  # for a handful of steps, tracing costs ten times as much
        tuned.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), "mse", run_eagerly=eager)
        return tuned

    tuner = keras_tuner.RandomSearch(build, "val_loss", max_trials=2, seed=1, directory=tmp_path)
    tuner.search(X, Y, epochs=1, batch_size=8, validation_data=(X, Y), verbose=0)
    assert {trial.hyperparameters["share"] for trial in tuner.oracle.trials.values()} == {0.25, 0.5}
    (best,) = tuner.get_best_models()
    (trial,) = tuner.oracle.get_best_trials()
    assert best.evaluate(X, Y, batch_size=8, verbose=0) == pytest.approx(trial.score)
    now, where = matrix.values(best), matrix.masks(best)
    assert where["hidden/kernel"].sum() == 6 * 8 * trial.hyperparameters["share"]
    for path, before in source.items():
        trains = where.get(path, np.full(before.shape, True))
        assert same_bits(now[path][~trains], before[~trains]), path
        assert (now[path] != before)[trains].all(), path


@ON_TENSORFLOW
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_whole_weights_and_what_trains(model, tmp_path):
    import tensorflow as tf

    fit(model, 1, callbacks.TensorBoard(tmp_path, histogram_freq=1))
    files = map(str, (tmp_path / "train").glob("*tfevents*"))
    shown = {value.tag for event in tf.data.TFRecordDataset([*files]) for value in _summary(event)}
    assert {"hidden/kernel/histogram", "hidden/kernel_trainable/histogram", "head/kernel/histogram"} <= shown


def _summary(record):
    from tensorboard.compat.proto.event_pb2 import Event

    return Event.FromString(record.numpy()).summary.value


@ON_TENSORFLOW
def test_a_checkpoint_of_tensorflows_own_fits_the_model_and_the_stock_one(model, tmp_path):
    import tensorflow as tf

    copy, stock = sg.rewrite(model, []), sg.restore(model)
    fit(model, 1)
    path = tf.train.Checkpoint(model=model).save(tmp_path / "c")
    for other in (copy, stock):
        assert not np.array_equal(to_numpy(other(X)), to_numpy(model(X)))
        tf.train.Checkpoint(model=other).restore(path)
        assert_same_outputs(other(X), model(X))


def test_adapters_train_beside_the_chosen_channels_and_the_rest_of_the_kernel_stays(model):
    hidden = model.get_layer("hidden")
    mask, before = hidden.kernel.part.to_mask(), to_numpy(hidden.kernel)
    hidden.enable_lora(2)
    model.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
    fit(model, 1)
    stored = to_numpy(hidden._kernel)
    assert np.array_equal(stored[~mask], before[~mask])
    assert (stored[mask] != before[mask]).all()
    assert to_numpy(hidden.lora_kernel_b).any()
    assert np.allclose(to_numpy(sg.restore(model)(X)), to_numpy(model(X)), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_quantizing_passes_over_partly_frozen_layers_and_takes_restored_ones(model):
    restored = sg.restore(model)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.quantize("int8")
    assert any(str(each.message).startswith("'hidden': frozen by Surgeon") for each in told)
    restored.quantize("int8")
    assert keras.backend.standardize_dtype(model.get_layer("hidden").kernel.dtype) == "float32"
    assert keras.backend.standardize_dtype(restored.get_layer("hidden")._kernel.dtype) == "int8"
    assert np.allclose(to_numpy(restored(X)), to_numpy(model(X)), atol=0.1)


def test_counts_list_the_trainable_part_beside_the_whole_weight(model):
    stock = sg.restore(model)
    assert stock.count_params() == 6 * 4 + 4 + 4 * 2 + 2
    assert model.count_params() == stock.count_params() + 6
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 6 + 4 + 2
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert any("Trainable params: 12 " in line for line in "\n".join(lines).splitlines())


def test_names_that_weight_decay_leaves_out_mean_the_trainable_part(model):
    optimizer = keras.optimizers.AdamW(0.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.learning_rate = 0.1
    variables = model.trainable_variables
    optimizer.build(variables)
    before = [to_numpy(variable) for variable in variables]
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in variables], variables)
    moved = {
        v.path for v, value in zip(variables, before, strict=True) if not np.array_equal(to_numpy(v), value)
    }
    assert moved == {"hidden/kernel_trainable"}


@pytest.mark.parametrize("stats", [False, True])
def test_statistics_hold_still_beside_a_named_weight_if_asked(stats):
    start = keras.Input((6,))
    x = layers.BatchNormalization(name="bn")(start)
    stock = jitter(keras.Model(start, layers.Dense(2, name="head")(x)))
    plan = sg.plan(stock, sg.freeze("bn", "gamma", stats=stats))
    tuned = sg.Plan.from_json(plan.to_json()).apply(stock)
    before = matrix.values(tuned)
    tuned.compile("adam", "mse")
    tuned.fit(X, Y, verbose=0)
    after = matrix.values(tuned)
    held = {path for path in before if np.array_equal(before[path], after[path])}
    statistics = {"bn/moving_mean", "bn/moving_variance"}
    assert held == ({"bn/gamma"} | (statistics if stats else set()))
