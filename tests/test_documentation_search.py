"""The site's own search, in a real browser: whole questions lead to the page that answers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.browsers import CHROMIUM
from tests.test_documentation import QUESTIONS

pytest.importorskip("mkdocs", reason="mkdocs is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

ROOT = Path(__file__).resolve().parent.parent
# What a newcomer may ask, and the pages that answer it. The third list was written before weights
# and pages were changed for the first two, and nothing was changed for it; nor for the fifth, which
# was written after all else. Questions were added to the first page for the fourth.
LISTS = (
    """
Which strategy should I start with? choose
How do I run it against my vLLM server? how_to servers index
Can I use it with an OpenAI API key? index servers
How do I stop a run from costing too much? how_to
Why did majority voting pick the wrong answer? viewer how_to
How can I see the tree that was searched? viewer
What is stored in the run folder? runs
My run was killed, how do I continue it? runs
How do I compare self-consistency with a single sample? how_to strategies notebooks/compare
How do I write my own strategy? how_to
How do I use my own dataset? how_to
Does it work without a GPU? index
How do I use a process reward model? reference/verifiers choose models
What do I do when I have no reward model? heads choose how_to
Is it safe to run generated code? programs
How do I spread a run over several GPUs or machines? cluster servers
How do I make a plot for my paper? how_to
How do I log results to Weights & Biases? how_to
How do I change the temperature? how_to reference/yaml
How do I call it from Python code? reference/python notebooks/start
How do I use it from a chat client? serve
What does ets do differently from rebase? search choose
How do I make a reasoning model think longer? sequential
How do I give hard problems more samples than easy ones? auto
How do I tune the parameters of a preset automatically? tuning
""",
    """
What is self-consistency? reference/strategies reference/presets
Which model can I try on a laptop? models index
How do I run several seeds and average them? suites
How do I set the API key for the endpoint? index servers
What happens when the server returns a rate limit error? servers
How do I load balance over multiple vLLM servers? servers cluster
How do I limit the number of tokens per problem? how_to
Where can I read what the model answered? viewer how_to
How do I share results with a colleague? viewer
How do I train a verifier on my own model? heads
What is the difference between best of n and weighted voting? reference/strategies strategies choose
Does it support AIME? reference/benchmarks
Which command line flags does eval have? reference/cli
How do I write a preset file? how_to reference/yaml
How much KV cache does a tree search use? search kernels
Can I reuse samples that were already drawn? how_to models
How do I build a pipeline out of operators? notebooks/own_pipeline reference/operators
How do I evolve a program like AlphaEvolve? programs
How do I use tools inside a plan? graphs
How do I stop sampling once the vote is settled? reference/strategies reference/operators choose
How do I fit a scaling law to my runs? laws
Can the model remember earlier problems? memory
Does sparse attention hurt accuracy? kernels
How do I export the samples to a table? how_to
What do the lines of trace.jsonl mean? reference/events runs
""",
    """
Is there a quick demo I can run? index
Which benchmarks can I run out of the box? reference/benchmarks index
How do I point it at a local Hugging Face checkpoint? models
What if my server does not return log-probabilities? servers
How many requests are sent at the same time? servers reference/cli
How do I retry failed requests? servers
Can I put a limit in dollars on an evaluation? how_to
How do I find the problems that were solved wrong? viewer how_to
How do I tell whether one preset is really better than another? how_to strategies choose
Can I use several samples of different temperature? reference/operators reference/strategies
What does the auto preset do? auto reference/presets
When should I not use auto? auto
How do I train on hidden states? heads
How is Ray used? cluster
Does the order of problems matter? cluster
How can other programs call my preset through an API? serve
How do I stream the answer? serve
Which options can I give to an engine? reference/engines servers
How do I add few-shot examples to the prompt? reference/yaml
How do I add a benchmark of my own? how_to reference/benchmarks
What verifiers are available? reference/verifiers
How do I run a beam search? reference/strategies reference/presets search
How much faster is it with several servers? servers cluster
How do I make LaTeX tables? how_to
Where can I see the exact prompt? viewer
""",
    """
How do I get started quickly? index
Which command solves one single problem? index how_to reference/cli
Can I use a reasoning model that writes thoughts in think tags? sequential servers
How much does a run cost in dollars? how_to laws
Which presets work on an endpoint without logprobs? servers
How can I see what happened in a run in my browser? viewer
Is there a dark mode? viewer
What is a verifier? reference/verifiers heads
How do I grade code? programs how_to
Where are the results written? runs how_to
How do I continue a run that crashed? runs
How do I choose the number of samples? choose auto laws
What is beam search's width and how do I set it? reference/strategies search reference/presets
How do I write a tool of my own? graphs how_to
Which papers are implemented? reference/strategies reference/presets
How do I set max_tokens? how_to reference/yaml
How do I use a GGUF model? models
Can I see the tokens per second? serve viewer models kernels
How do I run several presets in one command? how_to suites index
What does pass@k mean and where is it shown? laws models viewer strategies
How do I load a run into pandas? runs how_to
How do I stop early when the model is confident? sequential choose reference/strategies
Is there an API compatible with OpenAI? serve
How do I compare with lm-eval or inspect? how_to
How many GPUs do I need? index models
""",
    """
Where do I begin if I only have an API? index servers
How do I see the answers of two presets next to each other? viewer how_to
How do I rerun only the failed problems? runs how_to servers
Can the viewer follow a run while it is going on? viewer
What do the colours of the steps mean? viewer
How do I filter the problems that one run solved and another did not? viewer
Which strategy is best for code? choose programs models
Which strategy is best for mathematics? choose models strategies
Does best of n beat majority voting? choose strategies models
How do I use a judge model as a verifier? reference/verifiers models choose
What is the difference between beam search and REBASE? search strategies reference/strategies
Does it work with Ollama or llama.cpp? servers
How do I pass an extra field to the server? reference/yaml servers
How can I run on a cluster? cluster
How do I get the confidence interval of the accuracy? how_to index strategies
How do I count FLOPs instead of tokens? laws
What is an eFLOP? laws
How do I make a model stop overthinking? sequential
How do I write a prompt template with examples? reference/yaml
How do I evaluate a CSV file of questions? how_to
How do I open the results in a notebook? notebooks/compare runs notebooks/start
Is the code that a model writes sandboxed? programs
How much memory does the big run need in the viewer? viewer
How do I make a preset of my own? how_to reference/yaml
What are heads and how accurate are they? heads
""",
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *said: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The built site, served for as long as the tests of this file take."""
    site = tmp_path_factory.mktemp("site")
    build = (sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(site))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/runs.html")
        page.locator(".md-search__input").click()
        yield page
        browser.close()


def search(page: Any, query: str) -> list[str]:
    """Type a query; return the pages of the first ten links that are to be seen."""
    field, links = page.locator(".md-search__input"), page.locator(".md-search-result__link")
    field.fill("")
    field.press("Backspace")
    links.first.wait_for(state="detached")
    field.fill(query)
    field.press("End")  # the page listens to keys
    links.first.wait_for()
    shown: list[str] = links.evaluate_all(
        "all => all.filter(link => link.checkVisibility()).map(link => link.pathname)"
    )
    return [path.lstrip("/") for path in shown[:10]]


# Nothing is ever changed for the third list and the fifth, so that each new page may move one of
# their answers.
@pytest.mark.parametrize(
    ("questions", "most_missed"),
    list(zip(LISTS, (3, 3, 5, 3, 5), strict=True)),
    ids=["first", "second", "third", "fourth", "fifth"],
)
def test_whole_questions_lead_to_the_page_that_answers_them(
    page: Any, questions: str, most_missed: int
) -> None:
    asked = [line.partition("? ") for line in questions.strip().splitlines()]
    missed = [
        question
        for question, mark, answers in asked
        if not {f"{name}.html" for name in answers.split()} & set(search(page, question + mark))
    ]
    assert len(asked) == 25
    assert len(missed) <= most_missed, missed


def test_every_question_of_the_first_page_leads_to_its_answer(page: Any) -> None:
    missed = [
        question
        for question, answer, *_ in QUESTIONS
        if answer.replace(".md", ".html") not in search(page, question)[:3]
    ]
    assert missed == []


def test_a_readers_own_signs_are_kept(page: Any) -> None:
    assert search(page, '"killed run"')[0] == "runs.html"
    assert "programs.html" in search(page, "sandbox")
    assert "programs.html" not in search(page, "sandbox -program")
