"""The report in a real browser, opened from disk; skipped, saying so, where no Chromium is found."""

from pathlib import Path
from typing import Any

import pytest
from tests.report.runs import Made, attempt, story
from tests.report.test_report import watched

from tutelage.report import writing
from tutelage.types import Question

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

HOSTILE = "<script>document.title='gone'</script></div><b>bold</b> \"' &amp; שלום"


def shown(page: Any, run: Path) -> Any:
    page.goto(writing.write_report([run]).as_uri())
    page.wait_for_selector("#questions > li")
    return page


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_from_a_mistake_that_was_mended_to_all_that_was_said_of_it(page: Any, tmp_path: Path) -> None:
    shown(page, story(tmp_path / "it").end())
    page.select_option("#outcome", "fixed")
    assert page.inner_text("#count") == "2 of 12 questions"
    entry = page.locator("#questions details[data-question=train-0]")
    entry.locator("summary").first.click()
    playwright.expect(entry.locator(".page")).to_be_visible()
    text = entry.inner_text()
    order = ["A bad step", 'The step "A bad step" is wrong', "lesson: feedback", "taught questions again", "good"]
    assert [text.find(words) for words in order] == sorted(text.find(words) for words in order)
    assert -1 not in [text.find(words) for words in order]
    assert entry.locator("mark").inner_text() == "A bad step"
    assert entry.locator("del").first.inner_text().strip() == "bad"
    assert entry.locator("ins").first.inner_text().strip() == "good"
    entry.get_by_text("The teacher's request and its whole reply").click()
    assert "Please look." in entry.inner_text()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if "light" in str(page.evaluate("matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'")) else "rgb(20, 23, 28)")  # fmt: skip


def test_a_repair_shows_which_steps_are_the_student_s_own(page: Any, tmp_path: Path) -> None:
    kept = "Good."
    mended = story(tmp_path / "it", lesson={"kept": len(kept), "mistaken": "Good. Bad. --> no"})
    shown(page, mended.end())
    entry = page.locator("#questions details[data-question=train-0]")
    entry.locator("summary").first.click()
    playwright.expect(entry.locator(".kept")).to_have_text(kept)
    assert "underlined: the student's own steps" in entry.inner_text()
    assert page.evaluate("getComputedStyle(document.querySelector('.kept')).textDecorationLine") == "underline"


def test_hostile_text_is_shown_as_text(page: Any, tmp_path: Path) -> None:
    shown(page, story(tmp_path / "it", text=HOSTILE).end())
    page.locator("#questions summary").first.click()
    playwright.expect(page.locator("#questions .text").first).to_be_visible()
    assert "gone" not in page.title()
    assert page.locator("#questions b").count() == 0
    assert "<script>document.title" in page.locator("#questions .text").first.inner_text()


def test_a_keyboard_reaches_a_question_and_the_search_finds_it(page: Any, tmp_path: Path) -> None:
    shown(page, story(tmp_path / "it", count=80).end())
    assert page.locator("#questions > li").count() == 50
    page.locator("#more").press("Enter")
    assert page.locator("#questions > li").count() == 100
    page.locator("#words").fill("coin 77. flips")
    playwright.expect(page.locator("#questions > li")).to_have_count(2)
    page.locator("#taught").press("Space")
    playwright.expect(page.locator("#questions > li")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#questions details[open]").get_attribute("data-question") == "train-77"


def test_two_runs_share_a_page(page: Any, tmp_path: Path) -> None:
    runs = [story(tmp_path / name, text=f"In {name}.").end() for name in ("it", "other")]
    page.goto(writing.write_report(runs, tmp_path / "both").as_uri())
    page.wait_for_selector("#questions > li")
    page.select_option("#run", "1")
    assert "In other." in page.inner_text("#questions")
    assert "In it." not in page.inner_text("#questions")


def test_the_live_page_grows_by_itself(browser: Any, tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [Question(id="test-0", text="Heads?", answer="no", split="test")])
    page = browser.new_page()
    with watched(made.path) as address:
        page.goto(address)
        playwright.expect(page.locator(".state")).to_contain_text("Running")
        made.exam("1-test", [attempt("test-0", "right", "one")])
        playwright.expect(page.locator("#s1 table")).to_contain_text("tailored, round 1", timeout=20_000)
        page.close()
    made.run.close()


def test_samples_of_one_exam_stand_side_by_side(page: Any, tmp_path: Path) -> None:
    made = story(tmp_path / "it", count=1)
    made.exam("3-exam", [attempt("train-0", "wrong", "A bad step", sample=i) for i in range(2)])
    made.exam("3-test", [attempt("test-0", "right", "Quite another text")])
    shown(page, made.end())
    page.select_option("#split", "train")
    entry = page.locator("#questions details")
    entry.locator("summary").first.click()
    playwright.expect(entry.get_by_text("3-exam/train-0#1")).to_be_visible()
    texts = entry.locator("h3:has-text('after round 2') ~ p:has-text('3-exam/') + .text")
    assert texts.count() == 2
    assert texts.nth(0).locator("del").count() > 0  # against the exam before
    assert texts.nth(1).locator("del").count() == 0  # not against its neighbour
    assert texts.nth(1).locator("mark").inner_text() == "A bad step"
