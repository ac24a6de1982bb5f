"""The feed of training from a prepared set: balanced order, augmented views, tf.data."""
