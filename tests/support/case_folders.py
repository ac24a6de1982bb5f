"""Sets of one's own for tests: films of any depth and size, described by a cases.csv."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from mammo_data import decode_grey, load_cases, open_source

CLASSES = {
    2: {"normal": "negative", "benign": "negative", "malignant": "positive"},
    3: {"normal": "normal", "benign": "benign", "malignant": "malignant"},
    5: {"normal": "BI-RADS 1", "benign": "BI-RADS 2", "malignant": "BI-RADS 5"},
}


def write_case_folder(phantom: Path, folder: Path, *, classes: int = 3, split: bool = False) -> Path:
    """The phantom's films in four formats, depths and two sizes, with their table."""
    source = open_source(phantom)
    table = load_cases(source)
    (folder / "films").mkdir(parents=True)
    patients = sorted(set(table.patient_ids))
    rows = []
    for position, case in enumerate(table.cases):
        film = decode_grey(source.read(case.image_id), case.image_id)
        scale = 2 if position % 5 == 0 else 1
        film = np.repeat(np.repeat(film, scale, axis=0), scale, axis=1)
        name = f"films/{case.image_id}" + (".pgm", ".png", ".tif", ".dcm")[position % 4]
        write_film(folder / name, film)
        label = CLASSES[classes][case.label]
        if classes == 5 and case.label == "benign" and position % 3 == 0:
            label = "BI-RADS 3"
        if classes == 5 and case.label == "malignant" and position % 2 == 0:
            label = "BI-RADS 4"
        side = "test" if patients.index(case.patient_id) % 4 == 0 else "training"
        place = ("", "", "")
        finding = case.findings[0] if case.findings else None
        if finding is not None and None not in (finding.x, finding.y, finding.radius):
            place = tuple(f"{value * scale:.1f}" for value in (finding.x, finding.y, finding.radius))
        kind = finding.abnormality if finding else ""
        rows.append((name, case.patient_id, label, case.tissue, kind, *place, side if split else ""))
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "patient", "label", "tissue", "finding", "x", "y", "radius", "split"))
        writer.writerows(rows)
    return folder


def write_film(path: Path, film: np.ndarray) -> None:
    """8 bits as PGM, 12 as PNG, 16 as TIFF, 14 as DICOM with black and white exchanged."""
    if path.suffix == ".pgm":
        path.write_bytes(b"P5\n%d %d\n255\n" % film.shape[::-1] + film.tobytes())
    elif path.suffix == ".png":
        cv2.imwrite(str(path), ((film.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16))
    elif path.suffix == ".tif":
        cv2.imwrite(str(path), film.astype(np.uint16) * 257)
    else:
        write_dicom(path, 16383 - (film.astype(np.uint32) * 16383 // 255).astype(np.uint16), bits=14)


def write_dicom(path: Path, pixels: np.ndarray, *, bits: int, photometric: str = "MONOCHROME1") -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns = pixels.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, photometric, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, bits, bits - 1
    file.PixelData = pixels.astype("<u2").tobytes()
    file.save_as(path, enforce_file_format=True)
