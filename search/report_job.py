"""report.html again, from what a run has stored; neither TensorFlow nor the images are needed."""

from __future__ import annotations

from pathlib import Path

from reports.page.html import write_report
from reports.page.summary_file import SUMMARY_NAME, read_summary
from search.config.reading import load_config
from search.errors import RunError
from search.export.describe import read_metrics
from search.files.digests import content_checksum
from search.run_folder.directory import RunDirectory
from search.run_folder.lock import owned
from search.run_folder.trial_log import read_records


def write_report_again(run: RunDirectory, *, embed_images: bool = False) -> Path:
    """Make report.html of a complete run again.

    Args:
        run: The run.
        embed_images: Put pictures of held-out images into it; also where the run's configuration says so.

    Returns:
        The file.

    Raises:
        RunError: If the run is not complete, another process works in it, or a file has changed since.
        ReportError: If what the page is made of is not there.
    """
    if not run.is_complete:
        raise RunError(
            expected="a run that is finished",
            found=f"{run.path}, which is not",
            remedy="See what it is doing with `mammo-search status`; its report is written at the end.",
        )
    for name in (SUMMARY_NAME, "metrics.json"):
        if (run.best / name).is_file():
            run.check_output(run.best / name)
    config = load_config(run.check_output(run.config_file))
    with owned(run.path):
        summary = read_summary(
            run.best,
            trials=read_records(run.check_output(run.trials_file)),
            metrics=read_metrics(run),
            config_toml=run.config_file.read_text(encoding="utf-8"),
            embed_images=embed_images or config.report.embed_images,
        )
        write_report(summary, run.report_file)
        # The manifest has the checksum of every output; without its new one the page would pass for a damaged file.
        manifest = run.read_manifest()
        if "outputs" in manifest:
            run.write_manifest(
                manifest | {"outputs": manifest["outputs"] | {run.report_file.name: content_checksum(run.report_file)}}
            )
    return run.report_file
