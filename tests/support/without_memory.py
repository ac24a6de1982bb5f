"""Tails that find no memory on their device, as TensorFlow tells it of a GPU; a child process can be given them."""

from search.trials.worker import TrainerPool

GPU_OUT_OF_MEMORY = (
    "OOM when allocating tensor with shape[32,56,56,256] and type float on "
    "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc [Op:Conv2D]"
)


class PoolWithoutMemory(TrainerPool):
    """None for configurations with a learning rate of 0.01."""

    def __call__(self, configuration, optimizer=None):
        import tensorflow as tf

        if configuration.learning_rate == 0.01:
            raise tf.errors.ResourceExhaustedError(None, None, GPU_OUT_OF_MEMORY)
        return super().__call__(configuration, optimizer)
