"""What the pages of the documentation show is what commands print, their snippets run, and the site is whole."""

from __future__ import annotations

import importlib.util
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

import pytest
from blank_figures import blank_drawn
from click.testing import CliRunner
from page_sessions import ELSEWHERE, LANGUAGES, PAGES, agrees, commands, is_long, played, prepare, snippets
from repository import EXPERIMENTS, REFERENCE, ROOT
from ruamel.yaml import YAML

from mlpbench.cli.main import main
from mlpbench.experiment.claims.claim_form import FORMS
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file import glossary, yaml_reader
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.jobs import progress
from mlpbench.report.answer.claim_cards import counted
from mlpbench.report.summary import read_summary

WITH_COMMANDS = [page for page in PAGES if any(s.language == "console" for s in snippets(page))]
SKIP = "the extra 'docs' is not installed: pip install '.[docs]'"


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer than half a minute, after which `run` and `verify` say how far they are."""
    monkeypatch.setattr(progress, "PRINTED_EVERY_S", math.inf)


def blocks(language: str) -> list[tuple[str, str]]:
    return [(page, s.text) for page in PAGES for s in snippets(page) if s.language == language]


def one(language: str, beginning: str) -> str:
    """Return the only block of all pages that begins so."""
    (text,) = {text for _, text in blocks(language) if text.startswith(beginning)}
    return text


@pytest.mark.parametrize("page", [pytest.param(p, marks=[pytest.mark.slow] * is_long(p)) for p in WITH_COMMANDS])
def test_commands_print_what_a_page_shows(
    page: str, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is printed does not depend on pictures, but where they are compared with those that are there.
    if not any("--check" in command for command, _ in commands(page)):
        monkeypatch.setattr("mlpbench.report.report.Report._drawn", property(blank_drawn))
        monkeypatch.setattr("mlpbench.report.pages.page._drawn", lambda report: {})
    seen = [(command, shown, printed) for command, shown, printed in played(page, tmp_path)]
    assert [(c, s, p) for c, s, p in seen if not agrees(s, p)] == []


def test_what_is_shown_is_compared_line_by_line() -> None:
    assert agrees("a\n...\nd\n", "a\nb\nc\nd\n")
    assert agrees("1234.567\n", "1234.561\n")
    assert agrees("", "")
    assert not agrees("", "a\n")
    assert not agrees("a\nd\n", "a\nb\nd\n")
    assert not agrees("...\nb\n", "a\nb\nc\n")
    assert not agrees("1234.567\n", "1254.567\n")


def test_every_snippet_is_of_a_language_that_is_tried(tmp_path: Path) -> None:
    named = {language for page in PAGES.values() for language in re.findall(r"^```(\S+)$", page, flags=re.MULTILINE)}
    assert named <= LANGUAGES
    # What stands in these is for a machine to be set up, or takes minutes: each line begins with such a command.
    shell = [line for _, text in blocks("sh") for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    known = re.compile(rf"{ELSEWHERE.pattern}|mlpbench run |head=")
    assert [line for line in shell if not known.match(line)] == []
    options = {o for p in main.commands["run"].params for o in p.opts}
    runs = [line.partition("#")[0].split() for line in shell if line.startswith("mlpbench run ")]
    assert {word for words in runs for word in words if word.startswith("--")} <= options
    # What is set is what the experiment can have.
    changed = [words for words in runs if "--set" in words]
    assert changed
    for words in changed:
        sets = [word for pair in pairwise(words) if pair[0] == "--set" for word in pair]
        result = CliRunner().invoke(main, ["plan", words[2], *sets, "--results", str(tmp_path)])
        assert (result.exit_code, result.stderr.count("\n")) == (0, 1), result.stderr


def test_whole_experiments_are_read_and_pieces_of_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXPERIMENTS / "own_data")  # where the files of own data lie
    texts = [YAML(typ="safe", pure=True).load(text) for _, text in blocks("yaml")]
    assert len(texts) > 3
    base = {"name": "x", "question": "Which?", "dataset": "digits", "factors": {"width": [8, 16]}}
    for tree in texts:
        whole = tree if "name" in tree else base | tree
        assert yaml_reader.from_mapping(whole).name


def test_python_of_a_page_runs_and_prints_what_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], in_process: None
) -> None:
    pages = sorted({page for page, _ in blocks("python")})
    assert "docs/results.md" in pages
    for page in pages:
        folder = tmp_path / Path(page).stem
        folder.mkdir()
        prepare(page, folder)
        monkeypatch.chdir(folder)
        of_page = [*snippets(page), None]
        for snippet, after in pairwise(of_page):
            if snippet is not None and snippet.language == "python":
                exec(compile(snippet.text, page, "exec"), {})
                printed = capsys.readouterr().out
                assert printed == (after.text if after is not None and after.language == "text" else "")
                assert all((folder / name).exists() for name in re.findall(r"savefig\(\"(.+)\"\)", snippet.text))


def test_an_error_reads_as_a_page_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    message = one("text", "mlpbench: experiments/x.yaml")
    place, wrong, _ = message.split("\n", 2)
    (tmp_path / "experiments").mkdir()
    lines = ["name: x", "question: Which?", "dataset: digits", wrong.strip(), "factors: {width: [8, 16]}"]
    (tmp_path / "experiments" / "x.yaml").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plan", "experiments/x.yaml"])
    assert (result.exit_code, result.stderr) == (2, message)
    assert place.startswith("mlpbench: experiments/x.yaml:4:")


def test_a_file_is_read_with_the_notes_that_a_page_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wine.data").write_text(one("csv", "14,23") * 8)
    (tmp_path / "w.yaml").write_text('name: w\nquestion: Which?\ndataset: {file: wine.data, target: "5"}\n')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plan", "w.yaml"])
    assert (result.exit_code, result.stderr) == (0, one("text", "wine.data: "))


@pytest.mark.parametrize("name", ["iris", "penguins"])
def test_an_example_of_own_data_is_the_one_that_ships(name: str) -> None:
    assert one("yaml", f"name: {name}\n") == (EXPERIMENTS / "own_data" / f"{name}.yaml").read_text()


def test_the_main_job_prints_the_verdicts_of_the_reference_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (shown,) = (output for command, output in commands("README.md") if command == "make run")
    printed = CliRunner().invoke(main, ["claims", "results/reference/width"], catch_exceptions=False).output
    verdicts = re.compile(r"^claim  .*?(?=\n\n)", flags=re.MULTILINE | re.DOTALL)
    found = [match[0] for text in (shown, printed) if (match := verdicts.search(text))]
    assert len(found) == 2
    assert found[0] == found[1]


def test_the_findings_of_the_readme_are_those_of_the_reference_results() -> None:
    pattern = r"^- \*(.+?)\* \*\*(.+?)\*\*: (.+?), n = (\d+)\n  \(\[(\w+)\]"
    findings = re.findall(pattern, PAGES["README.md"], flags=re.MULTILINE)
    assert len(findings) == 3
    for says, verdict, estimate, n, name in findings:
        summary = read_summary(REFERENCE / name)
        assert summary is not None
        (answer,) = (a for a in summary.answers if a.says == says)
        assert (answer.verdict, answer.estimate, str(answer.n)) == (verdict, estimate, n)


def test_the_report_that_a_page_goes_through_has_the_verdicts_it_names() -> None:
    """What stands between the figure of a claim and the next one names its verdict in italics; sections are named as the report has them."""
    text = PAGES["docs/reports.md"]
    pattern = r"reference/(\w+)/figures/claim_(\d+)\.png\)(.+?)(?=!\[|\*\*\"What)"
    of_claims = re.findall(pattern, text, flags=re.DOTALL)
    assert len(of_claims) == 3
    for name, number, told in of_claims:
        summary = read_summary(REFERENCE / name)
        assert summary is not None
        named = [word for word in re.findall(r"(?<!\*)\*([a-z ]+)\*(?!\*)", told) if word in get_args(Decision)]
        assert named == [summary.answers[int(number) - 1].verdict], number
    report = (REFERENCE / "width" / "report.md").read_text()
    named = re.findall(r"\*\*([A-Z][\w ]+)\*\*", text.partition("## The figures")[2])
    sections = {"Error against capacity": "Train and test error"}
    assert len(named) >= 6
    assert [n for n in named if f"\n## {sections.get(n, n)}\n" not in report] == []


def test_the_course_has_every_claim_with_its_verdict_and_estimate(made: dict[str, str]) -> None:
    """As the summaries have them; a sentence above says how many have which."""
    from site_pages.prose import prose

    for folder in sorted(REFERENCE.glob("*/summary.json")):
        summary = read_summary(folder.parent)
        assert summary is not None
        (section,) = re.findall(
            rf"^### {summary.name}\n(.*?)(?=^##|\Z)", made["course.md"], flags=re.MULTILINE | re.DOTALL
        )
        listed = re.findall(r"^- \*\*([a-z ]+)\*\*: ", section, flags=re.MULTILINE)
        assert Counter(listed) == Counter(summary.verdicts)
        assert [a.id for a in summary.answers if a.estimate != "-" and str(prose(a.estimate)) not in section] == []
        assert not summary.verdicts or counted(summary.verdicts) in section


def test_commands_of_make_are_targets() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = {target for page in PAGES.values() for target in re.findall(r"(?:`|\$ )make ([a-z]+)", page)}
    assert {"run", "test", "prove", "docs"} <= named <= set(targets)


def test_the_readme_fits_two_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 100


def test_links_of_pages_are_to_files_that_are_there() -> None:
    missing = []
    for page, text in PAGES.items():
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
            path = (ROOT / page).parent / link
            # The pages that are made are there once the site is built: that they are is seen there.
            if "generated/" not in link and not path.exists():
                missing.append((page, link))
    assert missing == []


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, str]]:
    """Return the pages that nobody writes."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from site_pages import pages

        yield dict(pages(ROOT))
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_made_pages_have_everything_there_is(made: dict[str, str]) -> None:
    """Settings, keys, metrics, forms, data sets, words, commands and experiments: each where a reader looks for it."""
    groups = glossary.groups()
    assert set(SETTINGS) <= set(re.findall(r"^## (\w+)$", made["settings.md"], flags=re.MULTILINE))
    assert {form for form in FORMS if form in dict.fromkeys(e.name for e in groups["forms of claims"])} <= set(
        re.findall(r"^## (\w+)$", made["claim_forms.md"], flags=re.MULTILINE)
    )
    commands = set(re.findall(r"^##+ mlpbench (.+)$", made["commands.md"], flags=re.MULTILINE))
    assert set(main.commands) <= commands
    assert {"data list", "data describe"} <= commands
    where = {
        "metrics.md": ("metrics", "metrics of layers"),
        "data_sets.md": ("data sets", "options of data sets"),
        "words.md": ("words of settings", "numerics modes"),
        "experiment_file.md": ("keys of an experiment file", "keys under other keys", "random streams and shifts"),
        "claim_forms.md": ("keys of claims",),
    }
    for page, titles in where.items():
        names = [e.name for title in titles for e in groups[title]]
        assert [n for n in names if f"`{n}`" not in made[page] and f"## {n}\n" not in made[page]] == [], page
    assert set(METRICS) <= set(re.findall(r"^\| `(\w+)` ", made["metrics.md"], flags=re.MULTILINE))
    for path in EXPERIMENTS.glob("*.yaml"):
        assert f"### {path.stem}\n" in made["course.md"]
        assert f"**[{path.stem}](" in made["gallery.md"] or not (REFERENCE / path.stem).exists()


def test_made_pages_are_the_same_each_time_and_on_each_machine(
    made: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They don't say what is in the cache of the machine, nor how wide its terminal is."""
    from site_pages import pages

    monkeypatch.setenv("MLPBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "40")
    assert dict(pages(ROOT)) == made


class _Links(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {v for k, v in attrs if k == "id" and v}
        self.links += [v for k in ("href", "src") if (v := values.get(k)) is not None]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None or importlib.util.find_spec("furo") is None, reason=SKIP)
def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    """What is not found, or no heading, is a warning to Sphinx, which ends it; no page asks the network for anything."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path)]
    built = subprocess.run([*command, "-d", str(tmp_path / ".doctrees")], cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    pages = {path: _Links(path.read_text()) for path in tmp_path.rglob("*.html")}
    written = {f"{Path(page).stem}.html" for page in PAGES if page.startswith("docs/")}
    assert written <= {path.name for path in pages}
    assert len(pages) > len(written) + 40
    broken, loaded = [], []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            to = to / "index.html" if to.is_dir() else to
            if not to.exists() or (parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].anchors):
                broken.append((path.relative_to(tmp_path).as_posix(), link))
        loaded += re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", path.read_text())
    assert broken == []
    assert loaded == []
