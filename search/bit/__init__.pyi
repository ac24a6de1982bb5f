from .architecture import R50X1 as R50X1
from .architecture import R101X1 as R101X1
from .architecture import SMALL as SMALL
from .architecture import BitArchitecture as BitArchitecture
from .architecture import DepthRow as DepthRow
from .backbone import (
    assign_official as assign_official,
)
from .backbone import (
    boundary_key as boundary_key,
)
from .backbone import (
    build_backbone as build_backbone,
)
from .backbone import (
    build_export_backbone as build_export_backbone,
)
from .backbone import (
    build_tail as build_tail,
)
from .backbone import (
    build_trunk as build_trunk,
)
from .backbone import (
    official_variables as official_variables,
)
from .carried import (
    load_weights as load_weights,
)
from .family import (
    FAMILY as FAMILY,
)
from .family import (
    BackboneSource as BackboneSource,
)
from .family import (
    Verification as Verification,
)
from .family import (
    architecture_of as architecture_of,
)
from .family import (
    verify as verify,
)
from .family import (
    verify_backbone as verify_backbone,
)
from .layers import (
    ChannelMomentsGroupNorm as ChannelMomentsGroupNorm,
)
from .resolve import (
    backbone_weights as backbone_weights,
)
from .resolve import (
    resolve_weights as resolve_weights,
)
from .weights import (
    BitWeights as BitWeights,
)
from .weights import (
    random_weights as random_weights,
)
from .weights import (
    read_stored as read_stored,
)
from .weights import (
    write_stored as write_stored,
)
