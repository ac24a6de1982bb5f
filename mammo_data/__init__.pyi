from .cases import MIAS_CLASSES as MIAS_CLASSES
from .cases import Case as Case
from .cases import CaseTable as CaseTable
from .cases import Finding as Finding
from .checks.duplicates import DuplicatePair as DuplicatePair
from .checks.duplicates import duplicate_pairs as duplicate_pairs
from .checks.integrity import IntegrityReport as IntegrityReport
from .checks.integrity import check as check
from .checks.preview import contact_sheet as contact_sheet
from .checks.preview import write_contact_sheet as write_contact_sheet
from .checks.shortcuts import Shortcut as Shortcut
from .checks.shortcuts import grouped_scores as grouped_scores
from .checks.shortcuts import shortcuts as shortcuts
from .decoding.decode import decode_grey as decode_grey
from .decoding.decode import encode_pgm as encode_pgm
from .errors import DataError as DataError
from .fetch.download import fetch_mias as fetch_mias
from .phantom.dataset import write_phantom as write_phantom
from .preparation.breast import BreastRegion as BreastRegion
from .preparation.breast import find_breast as find_breast
from .preparation.film_check import require_film as require_film
from .preparation.prepared import PreparedSet as PreparedSet
from .preparation.prepared import prepare as prepare
from .preparation.roi import RoiSet as RoiSet
from .preparation.roi import cut_regions as cut_regions
from .preparation.roi import film_settings as film_settings
from .preparation.settings import (
    AugmentationSettings as AugmentationSettings,
)
from .preparation.settings import (
    PreparationSettings as PreparationSettings,
)
from .preparation.settings import (
    RoiSettings as RoiSettings,
)
from .preparation.standardise import standardise as standardise
from .sources.base import ImageSource as ImageSource
from .sources.image_files import ImageFile as ImageFile
from .sources.image_files import image_files as image_files
from .sources.open import load_cases as load_cases
from .sources.open import open_source as open_source
from .splits import Split as Split
from .splits import patient_split as patient_split
from .training.augmentation import augment as augment
from .training.pipeline import (
    evaluation_dataset as evaluation_dataset,
)
from .training.pipeline import (
    training_dataset as training_dataset,
)
from .training.pipeline import (
    view_dataset as view_dataset,
)
from .truth.cases_csv import parse_cases as parse_cases
from .truth.info_txt import parse_info as parse_info
