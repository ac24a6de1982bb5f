"""BiT, Google's pretrained ResNet-v2, in Keras 3: architectures, network, weights, and whether they are genuine.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither Keras nor TensorFlow. What is not named here may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.bit.architecture import R50X1 as R50X1
    from search.bit.architecture import R101X1 as R101X1
    from search.bit.architecture import SMALL as SMALL
    from search.bit.architecture import BitArchitecture as BitArchitecture
    from search.bit.backbone import assign_official as assign_official
    from search.bit.backbone import boundary_key as boundary_key
    from search.bit.backbone import build_backbone as build_backbone
    from search.bit.backbone import build_export_backbone as build_export_backbone
    from search.bit.backbone import build_tail as build_tail
    from search.bit.backbone import build_trunk as build_trunk
    from search.bit.backbone import official_variables as official_variables
    from search.bit.family import FAMILY as FAMILY
    from search.bit.family import BackboneSource as BackboneSource
    from search.bit.family import Verification as Verification
    from search.bit.family import architecture_of as architecture_of
    from search.bit.family import verify as verify
    from search.bit.family import verify_backbone as verify_backbone
    from search.bit.resolve import backbone_weights as backbone_weights
    from search.bit.resolve import load_npz as load_npz
    from search.bit.resolve import load_saved_model as load_saved_model
    from search.bit.resolve import resolve_weights as resolve_weights
    from search.bit.weights import BitWeights as BitWeights
    from search.bit.weights import random_weights as random_weights
    from search.bit.weights import read_stored as read_stored
    from search.bit.weights import write_stored as write_stored

_HOMES = {
    "architecture": "R50X1 R101X1 SMALL BitArchitecture",
    "backbone": "assign_official boundary_key build_backbone build_export_backbone build_tail build_trunk "
    "official_variables",
    "family": "FAMILY BackboneSource Verification architecture_of verify verify_backbone",
    "resolve": "backbone_weights load_npz load_saved_model resolve_weights",
    "weights": "BitWeights random_weights read_stored write_stored",
}
"""Module to its names."""

_HOME = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
