"""Mammograms of any packaging: opened, checked, split by patients, prepared, cropped and fed to a network.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither OpenCV nor scikit-learn nor TensorFlow. What is not named here may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mammo_data.cases import MIAS_CLASSES as MIAS_CLASSES
    from mammo_data.cases import Case as Case
    from mammo_data.cases import CaseTable as CaseTable
    from mammo_data.cases import Finding as Finding
    from mammo_data.checks.duplicates import DuplicatePair as DuplicatePair
    from mammo_data.checks.duplicates import duplicate_pairs as duplicate_pairs
    from mammo_data.checks.integrity import IntegrityReport as IntegrityReport
    from mammo_data.checks.integrity import check as check
    from mammo_data.checks.preview import contact_sheet as contact_sheet
    from mammo_data.checks.preview import write_contact_sheet as write_contact_sheet
    from mammo_data.checks.shortcuts import Shortcut as Shortcut
    from mammo_data.checks.shortcuts import grouped_scores as grouped_scores
    from mammo_data.checks.shortcuts import shortcuts as shortcuts
    from mammo_data.decoding.decode import decode_grey as decode_grey
    from mammo_data.decoding.decode import encode_pgm as encode_pgm
    from mammo_data.errors import DataError as DataError
    from mammo_data.fetch.download import fetch_mias as fetch_mias
    from mammo_data.phantom.dataset import write_phantom as write_phantom
    from mammo_data.preparation.breast import BreastRegion as BreastRegion
    from mammo_data.preparation.breast import find_breast as find_breast
    from mammo_data.preparation.film_check import require_film as require_film
    from mammo_data.preparation.prepared import PreparedSet as PreparedSet
    from mammo_data.preparation.prepared import prepare as prepare
    from mammo_data.preparation.roi import RoiSet as RoiSet
    from mammo_data.preparation.roi import RoiSettings as RoiSettings
    from mammo_data.preparation.roi import cut_regions as cut_regions
    from mammo_data.preparation.roi import film_settings as film_settings
    from mammo_data.preparation.standardise import PreparationSettings as PreparationSettings
    from mammo_data.preparation.standardise import standardise as standardise
    from mammo_data.sources.base import ImageSource as ImageSource
    from mammo_data.sources.image_files import ImageFile as ImageFile
    from mammo_data.sources.image_files import image_files as image_files
    from mammo_data.sources.open import load_cases as load_cases
    from mammo_data.sources.open import open_source as open_source
    from mammo_data.splits import Split as Split
    from mammo_data.splits import patient_split as patient_split
    from mammo_data.training.augmentation import AugmentationSettings as AugmentationSettings
    from mammo_data.training.augmentation import augment as augment
    from mammo_data.training.pipeline import evaluation_dataset as evaluation_dataset
    from mammo_data.training.pipeline import training_dataset as training_dataset
    from mammo_data.training.pipeline import view_dataset as view_dataset
    from mammo_data.truth.cases_csv import parse_cases as parse_cases
    from mammo_data.truth.info_txt import parse_info as parse_info

_HOMES = {
    "cases": "MIAS_CLASSES Case CaseTable Finding",
    "checks.duplicates": "DuplicatePair duplicate_pairs",
    "checks.integrity": "IntegrityReport check",
    "checks.preview": "contact_sheet write_contact_sheet",
    "checks.shortcuts": "Shortcut grouped_scores shortcuts",
    "decoding.decode": "decode_grey encode_pgm",
    "errors": "DataError",
    "fetch.download": "fetch_mias",
    "phantom.dataset": "write_phantom",
    "preparation.breast": "BreastRegion find_breast",
    "preparation.film_check": "require_film",
    "preparation.prepared": "PreparedSet prepare",
    "preparation.roi": "RoiSet RoiSettings cut_regions film_settings",
    "preparation.standardise": "PreparationSettings standardise",
    "sources.base": "ImageSource",
    "sources.image_files": "ImageFile image_files",
    "sources.open": "load_cases open_source",
    "splits": "Split patient_split",
    "training.augmentation": "AugmentationSettings augment",
    "training.pipeline": "evaluation_dataset training_dataset view_dataset",
    "truth.cases_csv": "parse_cases",
    "truth.info_txt": "parse_info",
}
"""Module to its names."""

_HOME = {name: f"mammo_data.{module}" for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
