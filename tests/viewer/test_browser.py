"""The pages in a real browser: every view opened, clicked and read back."""

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.browsers import CHROMIUM
from tts.viewer.page import save_page
from tts.viewer.runs import Library
from tts.viewer.server import serve

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    """A server of the runs, for as long as the tests of this file take."""
    with served(runs) as where:
        yield where


@contextmanager
def served(runs: Path) -> Iterator[str]:
    """Serve a folder in another thread."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    found: list[str] = []

    def started(where: str) -> None:
        found.append(where)
        ready.set()

    async def work() -> None:
        tasks.append(asyncio.create_task(serve(Library([runs]), port=0, started=started)))
        await asyncio.gather(*tasks, return_exceptions=True)

    tasks: list[asyncio.Task[None]] = []
    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    assert ready.wait(20)
    yield found[0]
    loop.call_soon_threadsafe(tasks[0].cancel)
    thread.join(20)
    loop.close()


@pytest.fixture(scope="module")
def browser(chose: Path) -> Iterator[Any]:  # made before a loop runs here
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page on a telephone's width, whose complaints fail the test."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.extend([line.text] if line.type == "error" else []))
    page.set_default_timeout(10_000)
    yield page
    assert said == []
    assert page.evaluate("window.stolen") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_three_clicks_lead_from_all_runs_to_why_a_vote_went_wrong(page: Any, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="self_consistency", exact=True).click()
    page.get_by_label("Status", exact=True).select_option("lost")
    page.get_by_role("link", name="s0", exact=True).click()
    page.get_by_text("A right answer had 1 of 4 samples").wait_for()
    page.wait_for_function("document.querySelector('main').offsetHeight > innerHeight")
    assert page.evaluate("scrollY") == 0  # the outcome stands above what happened
    votes = page.locator("table.votes tr")
    assert [row.split() for row in votes.all_inner_texts()] == [
        ["3", "3", "wrongchosen"],
        ["2", "1", "right"],
    ]
    votes.nth(1).get_by_role("button").click()
    assert page.locator(".attempt").count() == 1
    page.keyboard.press("j")
    page.wait_for_url("**/s1/0**")
    page.get_by_role("heading", name="s1").wait_for()
    page.keyboard.press("u")
    page.get_by_text(re.compile(r"^\d of 5$")).wait_for()  # the list of the run's problems


def test_keys_that_are_pressed_while_a_page_loads_are_not_lost(
    page: Any, address: str, voted: Path
) -> None:
    page.goto(f"{address}#/run/{quote(voted.name)}/s0/0")
    page.get_by_role("heading", name="s0").wait_for()
    held: list[Any] = []
    is_slow = True
    page.route("**/api/problem?**", lambda r: held.append(r) if is_slow else r.continue_())
    page.keyboard.press("j")
    page.wait_for_url("**/s1/0**")
    page.get_by_text("Reading…").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("u")
    while not held:
        page.wait_for_timeout(10)
    is_slow = False
    held[0].continue_()
    page.get_by_text(re.compile(r"^\d of 5$")).wait_for()  # by way of s2
    page.go_back()
    page.wait_for_url("**/s2/0**")
    page.keyboard.press("k")
    page.get_by_role("heading", name="s1").wait_for()


def test_what_a_model_wrote_is_text_and_mathematics(page: Any, address: str, voted: Path) -> None:
    page.goto(f"{address}#/run/{quote(voted.name)}/s0/0")
    attempt = page.locator(".attempt").first
    assert "<script>window.stolen = 1</script>" in attempt.inner_text()
    assert attempt.locator("script, img, a").count() == 0
    attempt.locator(".katex").nth(1).wait_for()  # x^2 and the boxed answer
    thought = attempt.locator(".thought")
    assert "<b>bold</b>" not in thought.inner_text()
    thought.locator("summary").click()
    assert "<b>bold</b>" in thought.inner_text()


def test_long_answers_and_many_scores_stay_on_a_telephone(
    page: Any, address: str, voted: Path
) -> None:
    def lengthen(route: Any) -> None:
        response = route.fetch()
        view = response.json()
        for number, answer in enumerate(view["answers"]):
            answer |= {"answer": "12+34=46, " * 20, "score": 10.0 - number}
        view["chosen_by"] = "tests"
        view["attempts"][0]["steps"] = [{"text": "", "score": 1.0}] * 40
        view["attempts"][0]["scores"] = {"tests": 24.0}
        view["attempts"][1]["scores"] = {"tests": 6.0}
        route.fulfill(response=response, json=view)

    page.route("**/api/problem?**", lengthen)
    page.goto(f"{address}#/run/{quote(voted.name)}/s0/0")
    page.get_by_text("Answers by their best tests").wait_for()
    assert page.locator(".strip .score").count() == 40
    # What is no share of one is coloured between the least and the best.
    pills = page.locator("summary .score")
    assert [pills.nth(i).get_attribute("class") for i in (0, 1)] == [
        "score score-9",
        "score score-0",
    ]
    card = page.locator("section.card", has=page.locator("table.votes"))
    inner = "all => all.map(one => one.getBoundingClientRect().right)"
    assert max(card.locator("table.votes *").evaluate_all(inner)) <= 390


def test_nothing_is_seen_twice_beside_mathematics_on_lines_of_its_own(
    page: Any, address: str, voted: Path
) -> None:
    page.goto(f"{address}#/run/{quote(voted.name)}/s0/0")
    page.locator(".attempt").first.wait_for()
    text = "We add:\n\n\\[1 + 1\\]\n\n**So \\(x = 2\\)**:\n\n```python\nx = 2\n```\n\nDone."
    texts = page.evaluate(
        """async (text) => {
            const { written } = await import("./text.js");
            const made = written(text);
            return [...made.childNodes].filter(one => one.nodeType === 3).map(one => one.data)
                .concat(made.querySelector("strong .katex") ? ["mathematics in bold"] : []);
        }""",
        text,
    )
    assert texts == ["We add:", "", ":", "Done.", "mathematics in bold"]


@pytest.mark.parametrize(
    ("tab", "held"),
    [
        ("timeline", "rect.call.finished"),
        ("pipeline", "rect.node"),
        ("pipeline", "td:text-is('stop_at')"),
        ("prompt", "pre.code"),
        ("events", "table td"),
    ],
)
def test_every_part_of_a_problem_opens(
    page: Any, address: str, voted: Path, tab: str, held: str
) -> None:
    page.goto(f"{address}#/run/{quote(voted.name)}/s0/0")
    page.locator(f"#tab-{tab}").click()
    page.locator(held).first.wait_for(state="attached")
    assert f"tab={tab}" in page.url


def test_a_tree_is_replayed_and_its_nodes_are_read(page: Any, address: str, searched: Path) -> None:
    page.goto(address)
    page.get_by_role("link", name="rebase", exact=True).click()
    page.locator("td.main a").first.click()
    page.get_by_role("tab", name="Search tree").click()
    shown = page.locator(".treenode:not([data-state=none])")
    number = page.locator(".treenode").count()
    assert shown.count() == number > 10
    slider = page.get_by_label("Moment of the search")
    slider.fill("0")
    assert shown.count() == 1
    slider.fill(slider.get_attribute("max"))
    assert shown.count() == number
    page.locator(".treenode").nth(1).click()
    assert "From the prompt to here" in page.locator(".tree-detail").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".tree-detail .steps li").count() == 2


def test_a_prompt_leads_to_the_attempts_that_were_written_to_it(
    page: Any, address: str, voted: Path
) -> None:
    page.goto(f"{address}#/run/{quote(voted.name)}/s0/0?tab=prompt")
    page.get_by_role("button", name="#2").click()
    page.locator("#attempt-2[open]").wait_for()
    assert "attempt=2" in page.url


def test_two_runs_stand_side_by_side(page: Any, address: str, voted: Path) -> None:
    page.goto(f"{address}#/run/{quote(voted.name)}")
    page.get_by_label("Compare with").select_option(label="single, 100.0 %")
    page.wait_for_url("**with=**")
    page.get_by_label("Status", exact=True).select_option("differ")
    page.get_by_text("5 of 5").wait_for()
    assert page.locator("tbody tr").count() == 5
    assert "with=" in page.url and "status=differ" in page.url


def test_a_run_that_chooses_says_what_that_bought(page: Any, chose: Path) -> None:
    with served(chose) as address:
        page.goto(address)
        page.get_by_role("link", name="auto", exact=True).click()
        rows = page.get_by_role("region", name="Choices").locator("tbody tr")
        rows.first.wait_for()
        # Of the probe of two the first is right, and so is each that is drawn alone.
        cells = rows.first.locator("td").all_inner_texts()
    assert cells[1].endswith("samples") and cells[3:6] == ["100.0 %", "100.0 %", "+0.0"]


def test_a_run_that_goes_on_is_followed(page: Any, voted: Path, tmp_path: Path) -> None:
    shutil.copytree(voted, tmp_path / "running")
    (tmp_path / "running" / "summary.json").unlink()
    problems = tmp_path / "running" / "problems.jsonl"
    whole = problems.read_bytes()
    problems.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with served(tmp_path) as address:
        page.goto(f"{address}#/run/running")
        page.get_by_text("running 2/5").wait_for()
        assert page.locator("tbody .badge.live").count() == 3
        problems.write_bytes(whole)
        page.locator("tbody .badge.live").first.wait_for(state="detached")
        assert page.locator("tbody .badge.bad").count() == 5


def test_one_file_shows_the_same_without_a_server(page: Any, runs: Path, tmp_path: Path) -> None:
    assert save_page([runs], tmp_path / "page.html") == 0
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_role("link", name="self_consistency", exact=True).click()
    page.get_by_role("link", name="s0", exact=True).click()
    page.locator(".attempt .katex").nth(1).wait_for()
    page.get_by_role("tab", name="Prompt").click()
    assert "What is 0 plus 2?" in page.locator("pre.code").first.inner_text()
