"""Moving the bytes of a checkpoint by a plan: no Keras, no TensorFlow, no libhdf5."""
