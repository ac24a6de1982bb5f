"""MammoHyperModel: the searched model as KerasTuner's documentation would write it, for a user's own tuner.

``mammo-search run`` trains the same network in two parts (frozen trunk once, tail many times); here it is one compiled
Keras model from pixels to probabilities, to be fitted on `mammo_data.training.pipeline`'s data sets with any KerasTuner
tuner.
"""

from __future__ import annotations

import keras
import keras_tuner

from search.bit import BitArchitecture, BitWeights, DepthRow, assign_official, build_backbone
from search.config.schema import SpaceSection
from search.plan.space import Configuration, declare_space
from search.trials.head import plain_head
from search.trials.tail import build_optimizer


class MammoHyperModel(keras_tuner.HyperModel):
    """BiT with a head, over head width, dropout, L2, learning rate and unfreeze depth.

    Args:
        architecture: The backbone's.
        weights: Its pretrained weights.
        image_size: Side of the prepared images in pixels.
        n_classes: Number of classes.
        space: The five ranges.
        optimizer: "sgd", "adam" or "adamw".
        head_init: Start of the last layer, "glorot" or "zeros".

    A compiled Keras model has one learning rate: the backbone's isn't capped here, while `mammo-search run` caps it.

    What a depth trains is told by ``depth_table``: of R50x1, 4,466,688 parameters at depth 1, 14,962,688 at depth 3 and
    23,490,944 at depth 16, beside the head.

    Example:
        >>> hypermodel = MammoHyperModel(R50X1, weights, image_size=224)
        >>> tuner = keras_tuner.RandomSearch(hypermodel, objective="val_loss", max_trials=10)
        >>> tuner.search(training, validation_data=validation, epochs=5)
    """

    def __init__(
        self,
        architecture: BitArchitecture,
        weights: BitWeights,
        *,
        image_size: int,
        n_classes: int = 3,
        space: SpaceSection | None = None,
        optimizer: str = "sgd",
        head_init: str = "zeros",
    ) -> None:
        super().__init__(name="mammo_search")
        self.architecture = architecture
        self.weights = weights
        self.image_size = image_size
        self.n_classes = n_classes
        self.space = space or SpaceSection()
        self.optimizer = optimizer
        self.head_init = head_init

    @property
    def depth_table(self) -> tuple[DepthRow, ...]:
        """What each unfreeze depth trains of the backbone, from depth 0 to everything."""
        return self.architecture.depth_table()

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Declare the five ranges without building a model."""
        declare_space(hp, self.space)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """One compiled model.

        Args:
            hp: KerasTuner's hyperparameters.

        Returns:
            A model from pixels, float32 [batch, size, size, 3] in [−1, 1], to probabilities, float32
            [batch, classes]; compiled for integer labels, with the metric "accuracy".
        """
        declare_space(hp, self.space)
        return self.build_configuration(Configuration.from_values(hp.values))

    def build_configuration(self, configuration: Configuration) -> keras.Model:
        """The compiled model of one configuration; exactly the last ``unfreeze_depth`` units and the head train."""
        backbone = build_backbone(self.architecture, self.image_size)
        assign_official(backbone, self.weights.arrays)
        trained = self.architecture.trained_variables(configuration.unfreeze_depth)
        trained_layers = {name.rpartition("/")[0].replace("/", ".") for name in trained}
        for layer in backbone.layers:
            layer.trainable = layer.name in trained_layers
        pixels = keras.Input((self.image_size, self.image_size, 3), name="pixels")
        logits = plain_head(
            backbone(pixels),
            width=configuration.head_width,
            n_classes=self.n_classes,
            dropout=configuration.dropout,
            l2=configuration.l2,
            head_init=self.head_init,
        )
        model = keras.Model(pixels, keras.layers.Softmax(name="probabilities")(logits), name="mammo_search")
        model.compile(
            optimizer=build_optimizer(self.optimizer, configuration.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(),
            metrics=["accuracy"],
        )
        if isinstance(model.optimizer, keras.optimizers.AdamW):
            # Pretrained weights aren't pulled to zero, as in `search.trials.tail`.
            model.optimizer.exclude_from_weight_decay(var_list=backbone.trainable_variables)
        # KerasTuner loads a checkpoint into a new model: an optimizer without variables could not take its own.
        model.optimizer.build(model.trainable_variables)
        return model
