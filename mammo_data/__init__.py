"""MIAS mammograms, from the files as they are packaged to a cached, patient-honest tf.data pipeline."""
