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
    return [write_report(summary, folder / f"{name}.html") for name, summary in summaries.items()]


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
