"""The report: readable, the same bytes twice, and right about every experiment it may meet."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import WIDTH_CLAIMS, WIDTHS, Tables, make, spec, width_tables
from dataset_tables import make_status
from reports import report_of, section_text

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import claims_table
from mlpbench.report.answer.claim_figure import ONE_PANEL
from mlpbench.report.figures import theme
from mlpbench.report.number_text import short_exponent
from mlpbench.report.pages.page import write
from mlpbench.report.report import Report
from mlpbench.report.verdict_tables import terminal_table

COMPARE = {"metric": "test_accuracy", "a": {"lr": 1.0}, "b": {"lr": 0.1}, "expect": "greater"}
LR_CLAIM = [{"id": "faster", "says": "A larger lr is better.", "compare": COMPARE}]
BELOW = [{"id": "b", "says": "It gets low.", "bound": {"metric": "test_loss", "below": 1.0}}]
SOME = {(0, 0): "missing", (1, 1): "failed", (1, 2): "diverged"}
EVERY = {(i, r): "diverged" for i in range(2) for r in range(5)}


def made(status: Mapping[tuple[int, int], str] | None = None, **keys: Any) -> Tables:
    return make(spec(**keys), status=status)


EDGES: dict[str, Tables] = {
    "width": width_tables(),
    "no factors": made(name="baseline", claims=BELOW),
    "no claims": made(factors={"width": [8, 16]}),
    "one replicate": made(factors={"lr": [0.1, 1.0]}, replicates=1, claims=LR_CLAIM),
    "one run": made(replicates=1),
    "incomplete": made(SOME, factors={"lr": [0.1, 1.0]}, claims=LR_CLAIM),
    "all diverged": made(EVERY, factors={"lr": [0.1, 1.0]}, claims=LR_CLAIM),
    "nothing ran": made(dict.fromkeys(EVERY, "missing"), factors={"lr": [0.1, 1.0]}, claims=LR_CLAIM),
    "words": made(factors={"activation": ["relu", "tanh", "sigmoid"]}),
    "two factors": made(factors={"lr": [0.1, 1.0], "activation": ["relu", "tanh"]}, validation=0.1, claims=LR_CLAIM),
    "many conditions": made(factors={"width": WIDTHS, "lr": [0.1, 0.2, 0.5]}, replicates=2),
    "listed": made(factors={"conditions": [{"label": "a | b", "depth": 0}, {"label": "deep", "depth": 2}]}),
    "no epochs": make(spec(fixed={"steps": 0}, factors={"width": [8, 16]})),
}  # fmt: skip


@functools.cache
def rendered(name: str) -> Report:
    return report_of(EDGES[name])


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> tuple[Tables, Report]:
    """Every kind of experiment with its report."""
    return EDGES[request.param], rendered(request.param)


def test_every_report_is_whole(edge: tuple[Tables, Report]) -> None:
    tables, report = edge
    text = report.markdown
    assert text.startswith(f"# {tables.experiment.question}\n\n")
    lead = text.partition("\n\n## Verdicts\n")[0]
    assert f"Experiment `{tables.experiment.name}`, on Fashion-MNIST: " in lead
    for title in ("Conditions", "Cost", "Provenance"):
        assert f"\n## {title}\n" in text
    assert not re.search(r"\bnan\b|\bNone\b|<NA>|\binf\b", text)
    assert "\n\n\n" not in text


def test_every_picture_is_linked_with_words_for_it(edge: tuple[Tables, Report]) -> None:
    _, report = edge
    links = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)\n", report.markdown)
    assert sorted(path for _, path in links) == sorted(report.drawings)
    assert all(len(words) > 30 for words, _ in links)


def test_tables_have_equally_many_cells_in_every_row(edge: tuple[Tables, Report]) -> None:
    _, report = edge
    for block in re.findall(r"(?:^\|.*\n)+", report.markdown, flags=re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1, block


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in ("words", "one run"))) for n in EDGES]
)
def test_pictures_are_readable_png(name: str) -> None:
    for path, content in rendered(name).pictures.items():
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        width = int.from_bytes(content[16:20]) / theme.DPI
        assert width == theme.WIDTH or (path.startswith("figures/claim_") and width == ONE_PANEL)
        assert b"Software" not in content
        assert b"tEXt" not in content


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["width", *(pytest.param(n, marks=pytest.mark.slow) for n in ("incomplete", "two factors"))]
)
def test_rendering_twice_gives_the_same_bytes(name: str) -> None:
    tables = EDGES[name]
    again = replace(tables, runs=tables.runs.sample(frac=1, random_state=1), curves=tables.curves.iloc[::-1])
    one, two = rendered(name), report_of(again)
    assert one.markdown == two.markdown
    assert dict(one.pictures) == dict(two.pictures)


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from arithmetic_tables import width_tables; from reports import report_of; "
        "from mlpbench.report.pages.page import write; "
        f"write(report_of(width_tables()), pathlib.Path({str(tmp_path)!r}))"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}
    )
    report = rendered("width")
    assert (tmp_path / "report.md").read_text() == report.markdown
    for name, content in report.pictures.items():
        assert (tmp_path / name).read_bytes() == content


def test_written_files_are_those_rendered(tmp_path: Path) -> None:
    report = rendered("words")
    assert write(report, tmp_path) == tmp_path / "report.md"
    found = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    expected = {"report.md": report.markdown.encode(), "summary.json": report.summary.content, **report.pictures}
    sealed = set(json.loads(found.pop("seal.json"))["files"])
    assert report.summary.figure is not None
    assert sealed == {"summary.json", report.summary.figure.file}
    assert found == expected


def open_figures() -> list[int]:
    """Return the figures that pyplot has, which need not be loaded."""
    return sys.modules["matplotlib.pyplot"].get_fignums() if "matplotlib.pyplot" in sys.modules else []


def test_no_state_of_matplotlib_changes() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    opened = open_figures()  # by other tests, in what users write
    report_of(EDGES["words"])
    assert dict(mpl.rcParams) == before
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    assert open_figures() == opened


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import mlpbench.jobs.judge, mlpbench.report.words; from arithmetic_tables import width_tables; "
            "from mlpbench.evidence.judging.claim_verdicts import judge_claims; judge_claims(*width_tables().parts)",
            ("torch", "matplotlib", "seaborn", "scipy.stats"),
        ),
        pytest.param(
            "from arithmetic_tables import width_tables; from reports import report_of; report_of(width_tables())",
            ("torch",),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_not_needed_is_not_imported(code: str, absent: tuple[str, ...]) -> None:
    check = f"{code}; import sys; print([m for m in {absent!r} if m in sys.modules])"
    env = {"PYTHONPATH": ":".join(sys.path)}
    printed = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True, env=env).stdout
    assert printed.strip() == "[]"


def test_verdicts_come_first_with_their_numbers() -> None:
    report, verdicts = rendered("width"), judge_claims(*width_tables().parts)
    text, method = section_text(report, "Verdicts"), section_text(report, "How this was judged")
    table = claims_table(verdicts)
    assert len(table) == len(WIDTH_CLAIMS)
    for row in table.to_dict("records"):
        assert f"| {row['says']} (`{row['id']}`) | **{row['verdict']}** |" in method
    counts = table["verdict"].value_counts()
    assert report.markdown.split("\n\n")[1].startswith(
        f"**{counts['supported']} of 6 claims are supported and {counts['undecided']} are undecided.**"
    )
    fixed = "depth=1, activation=relu, init=normal(0.01), optimizer=sgd, lr=0.1, batch_size=256, epochs=10"
    assert f"Compared at fixed settings, not tuned for each condition: `{fixed}`." in method
    first = table.iloc[0]
    assert f"{100 * first['estimate']:+.2f} pp ({100 * first['low']:+.2f} to {100 * first['high']:+.2f})" in method
    ends = f"95% interval {100 * first['low']:+.2f} to {100 * first['high']:+.2f}"
    assert f"Estimated {100 * first['estimate']:+.2f} pp ({ends}), claimed > 0.2 pp; " in text
    assert "Source: Dive into Deep Learning, MLP implementation, exercise 1." in method


def test_the_table_of_conditions_has_the_means_and_sds_of_the_runs() -> None:
    tables = width_tables()
    lines = section_text(rendered("width"), "Conditions").splitlines()
    for width in WIDTHS:
        (line,) = (x for x in lines if x.startswith(f"| {width} |"))
        values = tables.runs.loc[tables.runs["width"] == width, "test_accuracy"]
        assert f"| {values.mean():.4f} ± {values.std(ddof=1):.4f} |" in line
        assert line.endswith("| 5 |"), "no column of zeros"
    assert "No run diverged." in "\n".join(lines)
    lost = section_text(report_of(make_status(tables, {(1, 2): "diverged"})), "Conditions")
    assert "No run diverged." not in lost
    assert "| n | diverged |" in lost
    assert "| 4 | 1 of 5 |" in lost


def test_sentences_say_what_the_numbers_say() -> None:
    tables = width_tables()
    report = rendered("width")
    accuracy = tables.runs.groupby("width")["test_accuracy"]
    means = {int(str(w)): float(m) for w, m in accuracy.mean().items()}
    best, worst = max(means, key=lambda w: means[w]), min(means, key=lambda w: means[w])
    curves = section_text(report, "Learning curves")
    found = re.search(r"highest with width=(\d+), ([\d.]+) ± [\d.]+, and lowest with width=(\d+), ([\d.]+)", curves)
    assert found is not None
    assert (int(found[1]), int(found[3])) == (best, worst)
    assert float(found[2]) == pytest.approx(means[best], abs=5e-5)
    assert float(found[4]) == pytest.approx(means[worst], abs=5e-5)
    errors = section_text(report, "Train and test error")
    gap = tables.runs.groupby("width")["gap_accuracy"].mean()[best]
    assert f"lowest with width={best} ({1 - means[best]:.2%}, {100 * gap:.2f} pp above" in errors
    spread, span = accuracy.std(ddof=1), np.ptp(accuracy.mean())
    told = section_text(report, "Replicates")
    assert f"{100 * spread.min():.2f} pp to {100 * spread.max():.2f} pp in test accuracy" in told
    assert f"the means of conditions span {100 * span:.2f} pp." in told


def test_failed_and_diverged_runs_are_listed_where_there_are_any() -> None:
    text = section_text(rendered("incomplete"), "Failed and diverged runs")
    assert "7 of 10 runs finished; 1 diverged, 1 failed, 1 not run." in text
    assert "- lr=1, replicate 2: diverged at step 300" in text
    assert "- lr=1, replicate 1: failed (MemoryError: no room)" in text
    assert "- lr=0.1: 1 not run" in text
    assert "Failed and diverged runs" not in rendered("width").markdown


def test_cost_is_the_sum_over_runs() -> None:
    tables = width_tables()
    text = section_text(rendered("width"), "Cost")
    seconds, flops = tables.runs["train_seconds"].sum(), tables.runs["flops"].sum()
    assert (
        f"Training took {seconds:.3g} worker-seconds for {short_exponent(f'{flops:.3g}')} floating-point operations"
        in text
    )
    assert f"{flops / seconds / 1e9:.3g} GFLOP/s per worker" in text


def test_provenance_names_versions_and_says_where_runs_differ() -> None:
    tables = EDGES["width"]
    text = section_text(rendered("width"), "Provenance")
    assert "| commit | 0123456789ab |" in text
    assert "differ" not in text
    assert "mlpbench run spec.yaml --results again\n" in text
    threads = tables.runs["env_threads"].where(tables.runs["replicate"] > 0, 2)
    mixed = replace(tables, runs=tables.runs.assign(env_threads=threads, env_dirty=True, env_numerics="portable"))
    text = section_text(report_of(mixed), "Provenance")
    assert "| threads per worker | 1 (32 runs), 2 (8 runs) |" in text
    assert "The runs differ in threads per worker" in text
    assert "| uncommitted changes | in 40 of 40 runs |" in text
    assert "mlpbench run spec.yaml --results again --numerics portable\n" in text
    assert "GPU libraries" not in text
    on_gpu = replace(tables, runs=tables.runs.assign(env_gpu_libraries="CUDA 13.0, cuBLAS 13.1, Triton 3.6"))
    assert "| GPU libraries | CUDA 13.0, cuBLAS 13.1, Triton 3.6 |" in section_text(report_of(on_gpu), "Provenance")


def test_streams_that_replicates_share_are_named() -> None:
    report = report_of(made(factors={"lr": [0.1, 1.0]}, claims=LR_CLAIM, vary=["init", "dropout"]))
    assert "All replicates share order: verdicts are about that one draw." in report.markdown


def test_the_terminal_table_fits_and_is_aligned() -> None:
    long = WIDTH_CLAIMS[0] | {"id": "a-name-that-goes-on-and-on-" * 6}
    tables = made({(7, 1): "diverged"}, factors={"width": WIDTHS}, claims=[long, *WIDTH_CLAIMS])
    lines = terminal_table(judge_claims(*tables.parts)).splitlines()
    assert max(map(len, lines)) <= 110
    rows = [line for line in lines if not line.startswith("    ")]
    assert len(rows) == 1 + len(tables.experiment.claims)
    start = rows[0].index("verdict")
    assert all(re.match(r"(verdict|supported|refuted|undecided) ", row[start:]) for row in rows)
    assert terminal_table(()) == "no claims"
