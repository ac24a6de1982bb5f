"""The cohort of a job: prepared films, the split of their patients, and the images or crops that a search is given.

The demonstration has films of its own: synthetic mammograms for a whole job in minutes and offline.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammo_data import (
    CaseTable,
    ImageSource,
    PreparedSet,
    Split,
    check,
    cut_regions,
    film_settings,
    open_source,
    patient_split,
    prepare,
    write_phantom,
)
from mammo_data.split_table import patients_listed
from mammo_data.truth.cases_csv import require_each_class
from mammo_data.truth.patient_key import patient_key, spelled
from search.config.reading import load_config
from search.config.schema import Config, cache_directory
from search.errors import ConfigError, RunError
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import cache_folder
from search.screen.progress import RunProgress

ROI_NOTICE = (
    "regions of interest: an easier task than whole images, for the annotations say where to look; "
    "not to be compared with whole-image figures"
)
PATIENTS = 160
FILM_SIZE = 256
PHANTOM_SEED = 0
NOTICE = "DEMONSTRATION on synthetic images and random weights; its figures say nothing about mammography."


@dataclass(frozen=True)
class Cohort:
    """Who a search is about.

    Attributes:
        films: All images whole, in the order of the case table; the split is of their patients in either mode.
        prepared: What the search is given: ``films`` themselves, or crops of them.
        split: Which patients are held out, and the folds of the others.
    """

    films: PreparedSet
    prepared: PreparedSet
    split: Split

    @property
    def noun(self) -> str:
        """What a row of ``prepared`` is: "images" or "crops"."""
        return "images" if self.prepared is self.films else "crops"

    def describe(self) -> str:
        """The counts in one line."""
        table, noun = self.prepared.table, self.noun
        test, development = self.split.test_rows(table), self.split.development_rows(table)
        return (
            f"{len(table)} {noun} of {len(set(table.patient_ids))} patients: {len(development)} {noun} for development "
            f"in {len(self.split.folds)} folds, {len(test)} {noun} of {len(self.split.test_patients)} patients held out"
        )


def job_source(config: Config, *, demo: bool = False) -> ImageSource:
    """The films of a job: those that the configuration names, or the demonstration's, drawn once into the cache folder.

    Raises:
        DataError: If there is no set of films.
    """
    if not demo:
        source = open_source(config.data.path, config.data.info, config.data.classes)
        if config.data.classes and source.case_table is None:
            raise ConfigError(
                expected="data.classes for a set with a cases.csv only",
                found=f"it beside {source.location}, whose Info.txt has classes of its own",
                remedy="Leave data.classes out.",
            )
        if source.case_table is not None and config.data.classes:
            require_each_class(config.data.classes, source.case_table.class_names, source.location)
        return source
    folder = cache_directory(config) / f"phantom-{PATIENTS}-{FILM_SIZE}-{PHANTOM_SEED}"
    return open_source(write_phantom(folder, patients=PATIENTS, seed=PHANTOM_SEED, image_size=FILM_SIZE))


def require_sound(source: ImageSource, config: Config, progress: RunProgress) -> None:
    """The integrity check before the work: a search on damaged or mislabelled images is worth nothing.

    Args:
        source: The images.
        config: Says whether problems are to be accepted.
        progress: Shows how far it is, and in one line what was found.

    Raises:
        DataError: If the set has a problem that would make a search on it wrong, and they are not accepted.
    """
    with progress.station("check", brief=True) as moved:
        report = check(source, progress=moved)
    if not config.data.accept_problems:
        report.require_sound()
    if report.problems:
        more = f" and {len(report.problems) - 1} more" if report.problems[1:] else ""
        progress.fact("check", f"{report.problems[0]}{more} (`mammo-search data check`)", style="yellow")
    else:
        known = f", {report.matching_checksums} with the known SHA-256" if report.mias else ""
        progress.fact("check", f"no problems in {report.images} images{known}")


def prepare_films(source: ImageSource, config: Config, progress: RunProgress) -> PreparedSet:
    """All images whole, as the search or the cutting of crops takes them.

    Raises:
        DataError: If the images can't be used.
    """
    settings = config.preparation.settings()
    if config.data.mode == "roi":
        settings = film_settings(source, remove_labels=settings.remove_labels)
    with progress.station("prepare") as moved:
        return prepare(source, settings, cache_directory(config) / "prepared", progress=moved)


def search_data(films: PreparedSet, split: Split, config: Config, progress: RunProgress) -> Cohort:
    """What a search is given under a split: the films, or crops whose normal centres follow its development patients.

    Raises:
        DataError: If crops are asked for and no development patient has a lesion that can be located.
    """
    if config.data.mode != "roi":
        return Cohort(films, films, split)
    prepared = cut_regions(films, split, config.roi.settings(), config.preparation.settings())
    progress.say(f"[yellow]{ROI_NOTICE}[/yellow]")
    if prepared.unlocatable:
        progress.say(f"no crop of findings that can't be located: {', '.join(prepared.unlocatable)}")
    return Cohort(films, prepared, split)


def holdout_split(config: Config, table: CaseTable) -> Split:
    """Who is held out, and the folds of the others: as the configured file says, or drawn.

    Raises:
        DataError: If there are too few patients, or the file is no split.
        ConfigError: If the file is of other patients.
    """
    wanted = config.split
    if wanted.file is None:
        return patient_split(table, test_fraction=wanted.test_fraction, folds=wanted.folds, seed=wanted.seed)
    split = split_from_file(wanted.file, table)
    if not split.test_patients:
        raise ConfigError(
            expected=f"{wanted.file} to name test patients",
            found="none",
            remedy="Use the split.csv of a hold-out run, or --protocol nested with an outer_split.csv.",
        )
    if len(split.folds) != wanted.folds:
        raise ConfigError(
            expected=f"{wanted.file} to deal the others into split.folds = {wanted.folds} folds",
            found=str(len(split.folds)),
            remedy=f"Add --set split.folds={len(split.folds)}, or leave --split out.",
        )
    return split


def finished_config(run: RunDirectory) -> Config:
    """The configuration of a finished run; without the cache that it names where there is none.

    The run may be somebody else's: nothing is written where its settings say, but into a cache that is there.

    Raises:
        RunError: If the file has changed since.
        ConfigError: If it is no longer valid.
    """
    config = load_config(run.check_output(run.config_file))
    if (cache_directory(config) / "prepared").is_dir():
        return config
    return config.model_copy(update={"output": config.output.model_copy(update={"cache": None})})


def cache_for(run: RunDirectory | None) -> Path:
    """Where films are prepared for a run's model: as ./tuner_config.toml says, else where the run did it.

    Raises:
        UserError: If one of these files is damaged.
    """
    return cache_folder() or cache_directory(finished_config(run) if run is not None else Config())


def finished_cohort(run: RunDirectory, progress: RunProgress) -> tuple[Config, Cohort]:
    """The configuration of a finished run and who it was about, from the data that the configuration names.

    Args:
        run: The run's folder.
        progress: Shows how far it is.

    Raises:
        RunError: If the data, or a file of the run, have changed since.
        DataError: If the data are not there any more.
    """
    manifest = run.read_manifest()
    config = finished_config(run)
    source = job_source(config, demo=manifest.demo)
    films = prepare_films(source, config, progress)
    split = split_from_file(run.check_output(run.split_file), films.table)
    cohort = search_data(films, split, config, progress)
    if cohort.prepared.fingerprint != manifest.fingerprints.get("prepared"):
        raise RunError(
            expected=f"the images that {run.path} was made with",
            found=f"others, or another version of the code that prepares them, at {source.location}",
            remedy="Restore them, or evaluate on a labelled set with --data FOLDER.",
        )
    return config, cohort


def split_from_file(file: Path, table: CaseTable) -> Split:
    """The split of an earlier run on the same patients.

    Raises:
        DataError: If the file is no split.
        ConfigError: If it is of other patients.
    """
    split, listed = Split.read_csv(file), patients_listed(file)
    present = set(table.patient_ids)
    ids = {patient_key(patient): patient for patient in sorted(present - listed)}
    changed = [(patient, ids[key]) for patient in sorted(listed - present) if (key := patient_key(patient)) in ids]
    if changed:
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise ConfigError(
            expected=f"{file} to spell the patients' ids as the data do",
            found=f"{spelled(changed[0][0])} for {spelled(changed[0][1])}{more}",
            remedy="A spreadsheet drops leading zeros and rewrites numbers: use the split.csv as the run wrote it, or "
            "read its columns as text.",
        )
    if listed != present:
        raise ConfigError(
            expected=f"{file} to list the patients of the data",
            found=f"{len(present - listed)} that it lacks and {len(listed - present)} that are not there",
            remedy="Use the split.csv of a run on the same data, or leave --split out.",
        )
    return split
