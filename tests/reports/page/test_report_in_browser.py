"""report.html as a reader's browser shows it, at the width of a desktop and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reports.page.report import write_report
from reports.page.run_summary import RunSummary
from tests.support.browser import Browser, chromium
from tests.support.example import unhappy_summary

WIDTHS = {"desktop": (1200, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(embedding: RunSummary, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pages")
    long = replace(embedding, name="a" * 90, command=f"mammo-search run --data {'/long' * 40}")
    summaries = {"happy": embedding, "unhappy": unhappy_summary(embedding), "long": long}
    files = [write_report(summary, folder / f"{name}.html") for name, summary in summaries.items()]
    return files + [unfolded(file) for file in files]


def unfolded(page: Path) -> Path:
    """The same page with its box ticked, so that all of it is laid out."""
    ticked = page.with_stem(f"{page.stem}-unfolded")
    ticked.write_text(page.read_text().replace('id="all"', 'id="all" checked'))
    return ticked


@pytest.mark.parametrize("device", WIDTHS)
def test_the_report_is_quiet_asks_for_nothing_and_fits(browser: Browser, pages: list[Path], device: str) -> None:
    for page in pages:
        width, height = WIDTHS[device]
        visit = browser.visit(page, width=width, height=height)
        assert visit.complaints == [], page.name
        assert visit.requests == [], page.name
        assert visit.width == width
        assert visit.content_width <= visit.width, page.name
        assert visit.cut == [], page.name
        assert visit.sideways == [], (page.name, visit.sideways)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_answer_the_winner_and_its_baselines_are_on_the_first_screen(
    browser: Browser, pages: list[Path], width: int, height: int
) -> None:
    visit = browser.visit(pages[0], width=width, height=height, ends="h1, .leading tr")
    assert len(visit.bottoms) == 6  # the sentence, the table's head, the winner, three baselines
    assert max(visit.bottoms) <= height


def test_folded_the_report_prints_on_two_pages_and_ticked_with_all_that_is_in_it(
    browser: Browser, pages: list[Path]
) -> None:
    folded = browser.visit(pages[0], width=1280, height=800, on_paper=True)
    assert folded.printed == 2
    ticked = browser.visit(unfolded(pages[0]), width=1280, height=800, ends="details figure", on_paper=True)
    assert ticked.printed > 6
    assert min(ticked.bottoms) > 800


def test_the_check_sees_what_it_is_for(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<img src='http://127.0.0.1:9/pixel.png'><div style='width: 2000px'>wide</div>"
        "<div style='overflow: auto'><table style='width: 5000px'><caption>broad</caption></table></div>"
        "<script>console.error('x')</script>"
    )
    visit = browser.visit(page, width=390, height=844)
    assert visit.requests == ["http://127.0.0.1:9/pixel.png"]
    assert any("x" in complaint for complaint in visit.complaints)
    assert visit.cut
    assert visit.sideways == ["broad"]
