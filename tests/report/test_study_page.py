"""The page of a study in a real browser, opened from disk; skipped, saying so, where no Chromium is found."""

from pathlib import Path
from typing import Any

from tests.report.test_report import get, watched
from tests.studies import pupils

from tutelage.report import writing
from tutelage.studies.study_folder import OpenStudy, open_study
from tutelage.studies.working import HowToWork, work

HOSTILE = "<script>document.title='gone'</script><b>bold</b> \"' &amp; שלום"


def made(folder: Path, **more: Any) -> OpenStudy:
    opened = open_study(pupils.study(**more), folder)
    work(opened, HowToWork(launcher=pupils.launcher()))
    return opened


def test_what_was_found_stands_first_and_every_seed_has_a_dot(page: Any, tmp_path: Path) -> None:
    page.goto(writing.write_study(made(tmp_path, note=HOSTILE, margin=0.02)).as_uri())
    assert page.title() == "Study: short – Tutelage study"
    first = page.locator(".headline").first.inner_text()
    assert first.startswith("Found: twice is above once by ")
    assert HOSTILE in page.locator(".state").first.inner_text()
    figure = page.locator("section", has_text="The comparisons").locator("svg").first
    assert figure.locator("circle.single").count() == 3
    row = page.locator("tbody tr", has_text="once → twice").first.inner_text()
    assert "\t3\t150\t" in row
    assert page.locator("section", has_text="The arms").locator("svg").nth(0).locator("circle.single").count() > 0
    for heading in ("What it costs", "By kind of question", "Run by run", "How it was made"):
        assert page.locator("h2", has_text=heading).count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_study_of_bills_shows_the_ratio(page: Any, tmp_path: Path) -> None:
    page.goto(writing.write_study(made(tmp_path, vary={"feedback.questions": [4, 8, 16]})).as_uri())
    costs = page.locator("section", has_text="What it costs").last
    assert costs.locator("polygon.band").count() == 2
    assert page.locator("h2", has_text="The bill at equal accuracy").count() in (0, 1)


def test_values_of_one_bill_have_a_page_too(page: Any, tmp_path: Path) -> None:
    page.goto(writing.write_study(made(tmp_path, vary={"later.learning_rate": [1e-4, 1.0]})).as_uri())
    assert page.locator("h2", has_text="The bill at equal accuracy").count() == 0


def test_a_study_with_nothing_finished_says_so(page: Any, tmp_path: Path) -> None:
    page.goto(writing.write_study(open_study(pupils.study(), tmp_path)).as_uri())
    assert "No run is finished yet." in page.inner_text("body")
    assert "0 of 6 runs are finished; not there: once/0, twice/0" in page.inner_text("body")


def test_the_live_page_of_a_study(tmp_path: Path) -> None:
    made(tmp_path, seeds=[0])
    with watched(tmp_path) as address:
        code, text = get(address)
        assert code == 200
        assert 'http-equiv="refresh"' in text
        assert "2 of 2 runs are finished" in text
