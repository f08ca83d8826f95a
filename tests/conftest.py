"""What every test runs in: a quiet, single-threaded, seeded and freshly cleared Keras."""

from __future__ import annotations

import os
import sys

# Before anything imports TensorFlow. Whoever sets one of these has the last word.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # the workers of pytest-xdist are the threads
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "surgeon",
    deadline=None,  # building a model takes as long as it takes
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(
        os.environ.get("CI")
    ),  # a build must not fail by a new example that nobody changed code for
    print_blob=True,
)
# `HYPOTHESIS_PROFILE=thorough pytest tests/test_properties.py`: 1,000 random models for each property.
settings.register_profile("thorough", settings.get_profile("surgeon"), max_examples=1_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "surgeon"))


@pytest.fixture(autouse=True)
def fresh_keras(request: pytest.FixtureRequest) -> None:
    """Give each test its own seeds, names and dtype policy.

    A test that has nothing to do with Keras does not pay for its import.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        return
    # A collection takes a quarter of a second: worth it only where the models before were large.
    keras.backend.clear_session(free_memory=request.node.get_closest_marker("slow") is not None)
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
