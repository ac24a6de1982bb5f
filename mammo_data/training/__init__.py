"""What training draws from a prepared set: balanced order, augmented views, tf.data."""
