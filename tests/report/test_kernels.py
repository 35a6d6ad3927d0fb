"""The report of kernel benchmarks shows the numbers of the JSON it is made from, and refuses a broken one."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_session import GPU, benchmark_session
from click.testing import CliRunner
from matplotlib.image import imread

from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.jobs import write_pages
from mlpbench.report import kernel_benchmarks, kernel_report
from mlpbench.report.figures import theme
from mlpbench.report.kernel_report import COLOURS, roofline


def on_two_devices() -> dict[str, Any]:
    given = benchmark_session()
    twins = copy.deepcopy(given["benchmarks"])
    for twin in twins:
        twin["extra_info"] |= GPU
    return given | {"benchmarks": given["benchmarks"] + twins}


def written(given: Any, folder: Path) -> Path:
    path = folder / kernel_benchmarks.FILE
    path.write_text(given if isinstance(given, str) else json.dumps(given))
    return path


def cells(markdown: str, phase: str) -> list[list[str]]:
    """Return the rows of a phase's table, head and rule left out."""
    section = re.split(r"^## ", markdown, flags=re.MULTILINE)
    (chosen,) = (s for s in section if s.startswith(f"{phase}\n"))
    return [[c.strip() for c in line.strip("|").split("|")] for line in chosen.splitlines() if line.startswith("|")][2:]


def test_the_table_has_the_numbers_of_the_json(tmp_path: Path) -> None:
    markdown = kernel_report.render(kernel_benchmarks.read(written(benchmark_session(), tmp_path))).markdown
    assert cells(markdown, "Forward") == [
        ["32, relu", "from scratch", "1", "2.50 ms", "2.50 ms", "10.0", "40.0", "4.00", "40%"],
        ["32, relu", "torch.nn", "1", "2.00 ms", "2.00 ms", "10.0", "50.0", "5.00", "50%"],
        ["32, relu", "stacked", "8", "12.8 ms", "1.60 ms", "10.0", "62.5", "6.25", "62%"],
    ]
    # Below 5 FLOP/byte the copy is the limit: 1/6 FLOP/byte at 20 GB/s are 3.33 GFLOP/s.
    assert cells(markdown, "Update") == [
        ["32, relu", "torch.nn", "1", "100 µs", "100 µs", "0.167", "1.00", "6.00", "30%"],
        ["32, relu", "stacked", "8", "200 µs", "25.0 µs", "0.167", "4.00", "24.0", "120%"],
    ]
    assert [row[0] for row in cells(markdown, "Step")] == ["32, relu, dropout 0.5"] * 2 + ["32 x 3, relu"] * 2
    assert cells(markdown, "Limits") == [
        ["square product, n = 512", "12.5 ms", "80.0", "0.800"],
        ["square product, n = 1024 (a roof)", "20.0 ms", "100", "0.500"],
        ["copy of 256 MiB (a roof)", "26.8 ms", "-", "20.0"],
    ]
    assert cells(markdown, "Machine") == [
        ["processor", "Acme 9000"],
        ["torch", "2.13.0"],
        ["threads", "1"],
        ["commit", "0123456789ab"],
        ["work", "batch 256, inputs 784, classes 10"],
    ]


def test_every_kernel_is_in_the_table_once(tmp_path: Path) -> None:
    given = benchmark_session()
    markdown = kernel_report.render(kernel_benchmarks.read(written(given, tmp_path))).markdown
    rows = [row for phase in kernel_report.PHASES for row in cells(markdown, phase.capitalize())]
    rates = sorted(b["extra_info"]["gflops"] for b in given["benchmarks"] if b["extra_info"]["phase"] != "limit")
    assert sorted(float(row[6]) for row in rows) == pytest.approx(rates, rel=5e-3)


def test_the_sentence_compares_a_stacked_run_with_torch_nn(tmp_path: Path) -> None:
    """Of steps the ends, 0.03/8/0.005 and 0.0104/2/0.005; the median also over 0.8 (forward) and 0.25 (update)."""
    given = benchmark_session()
    told = (
        "In a stack, a training step of one run takes 0.75 times (hidden layers 32, relu, dropout 0.5, stack of 8) to "
        "1.04 times (hidden layers 32 x 3, relu, stack of 2) as long as by `torch.nn`; over all phases the median of "
        "4 pairs is 0.78 times."
    )
    assert kernel_report.sentence(kernel_benchmarks.read(written(given, tmp_path)).kernels) == told
    given["benchmarks"] = given["benchmarks"][:6]
    assert kernel_report.sentence(kernel_benchmarks.read(written(given, tmp_path)).kernels) == (
        "In a stack, the same work of one run takes 0.80 times (forward, hidden layers 32, relu, stack of 8) as long as "
        "by `torch.nn`; over all phases the median of 1 pair is 0.80 times."
    )
    given["benchmarks"].pop()
    alone = kernel_report.sentence(kernel_benchmarks.read(written(given, tmp_path)).kernels)
    assert alone == "No work was timed both stacked and by `torch.nn`."


def test_a_device_has_its_own_roofs_tables_and_panels(tmp_path: Path) -> None:
    given = on_two_devices()
    for benchmark in given["benchmarks"][13:]:
        info = benchmark["extra_info"]
        info |= {"seconds": info["seconds"] / 10, "gflops": info["gflops"] * 10}
        info["gbytes_per_s"] *= 10 if info["phase"] != "limit" else 100
    measured = kernel_benchmarks.read(written(given, tmp_path))
    markdown = kernel_report.render(measured).markdown
    assert [r[-1] for r in cells(markdown, "Forward on cpu")] == ["40%", "50%", "62%"]
    assert [r[-1] for r in cells(markdown, "Forward on cuda")] == ["40%", "50%", "62%"]
    # Its copy is a hundred times as fast, its kernels are but ten times.
    assert [r[-1] for r in cells(markdown, "Update on cuda")] == ["3%", "12%"]
    assert ["GPU", "Acme Tensor"] in cells(markdown, "Machine")
    titles = [ax.get_title(loc="left") for ax in roofline(measured.kernels, measured.limits).axes]
    assert [t for t in titles if "cuda" in t] == titles[2:]
    assert len(titles) == 4


def test_the_figure_has_every_point_and_the_measured_roofs(tmp_path: Path) -> None:
    measured = kernel_benchmarks.read(written(benchmark_session(), tmp_path))
    whole, close = roofline(measured.kernels, measured.limits).axes
    assert (whole.get_xscale(), whole.get_yscale()) == ("log", "log")

    def points(ax: Any) -> list[float]:
        return sorted(y for line in ax.lines if line.get_linestyle() == "None" for y in line.get_ydata())

    assert points(whole) == pytest.approx(sorted(measured.kernels["gflops"]))
    products = measured.kernels["phase"] != "update"
    assert points(close) == pytest.approx(sorted(measured.kernels.loc[products, "gflops"]))
    (roof,) = (line for line in whole.lines if line.get_linestyle() == "-")
    x, y = np.asarray(roof.get_xdata(), dtype=float), np.asarray(roof.get_ydata(), dtype=float)
    assert (x[1], y[1], y[2]) == pytest.approx((5, 100, 100))
    assert y[0] / x[0] == pytest.approx(20)
    colours = {line.get_color() for line in whole.lines if line.get_linestyle() == "None" and np.size(line.get_ydata())}
    assert colours == set(COLOURS.values())


@pytest.mark.slow
def test_the_report_is_the_same_bytes_again_and_the_command_writes_it(tmp_path: Path) -> None:
    written(on_two_devices(), tmp_path)
    first = CliRunner().invoke(main, ["report", str(tmp_path)], catch_exceptions=False)
    assert (first.exit_code, first.output) == (0, f"report: {tmp_path}/report.md\n")
    files = [tmp_path / "report.md", tmp_path / "figures" / "roofline.png"]
    before = [f.read_bytes() for f in files]
    for f in files:
        f.unlink()
    write_pages.write(tmp_path)
    assert [f.read_bytes() for f in files] == before
    picture = imread(io.BytesIO(before[1]))
    assert picture.shape[1] == theme.WIDTH * theme.DPI
    assert "](figures/roofline.png)" in before[0].decode()


def test_a_folder_with_a_spec_is_an_experiments(tmp_path: Path) -> None:
    assert not kernel_benchmarks.is_folder(tmp_path)
    written(benchmark_session(), tmp_path)
    assert kernel_benchmarks.is_folder(tmp_path)
    (tmp_path / "spec.yaml").touch()
    assert not kernel_benchmarks.is_folder(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "must be JSON"),
        ('{"benchmarks": [', "must be JSON"),
        ("\udcff", "must be JSON"),
        ([], "must have a list of benchmarks"),
        ({"benchmarks": []}, "must have a list of benchmarks"),
        ({"benchmarks": [3]}, "benchmark 0 must have extra_info"),
        ({"benchmarks": [{"name": "a"}]}, "benchmark a must have extra_info"),
        ({"benchmarks": benchmark_session()["benchmarks"][3:]}, "must have a benchmark of the limit 'sgemm' on cpu"),
        ({"benchmarks": benchmark_session()["benchmarks"][:2]}, "must have a benchmark of the limit 'copy' on cpu"),
        ({"benchmarks": benchmark_session()["benchmarks"][:3]}, "must have a benchmark beside the limits"),
    ],
    ids=str,
)
def test_broken_json_is_told_by_its_file(given: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / kernel_benchmarks.FILE
    path.write_bytes(given.encode(errors="surrogateescape") if isinstance(given, str) else json.dumps(given).encode())
    with pytest.raises(InputError) as error:
        kernel_benchmarks.read(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("position", [0, 2, 3], ids=["product", "copy", "kernel"])
def test_no_key_of_extra_info_may_be_missing(position: int, tmp_path: Path) -> None:
    for key in benchmark_session()["benchmarks"][position]["extra_info"]:
        given = benchmark_session()
        del given["benchmarks"][position]["extra_info"][key]
        path = written(given, tmp_path)
        with pytest.raises(InputError, match=rf"{re.escape(str(path))}: extra_info\.\w+ must be there, no such key"):
            kernel_benchmarks.read(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("flops", 0), ("flops", 1.5), ("bytes", True), ("seconds", 0.0), ("seconds", float("nan")), ("gflops", -1.0),
        ("gbytes_per_s", float("inf")), ("phase", "fordward"), ("implementation", "jax"), ("stack", 0), ("device", "tpu"),
        ("dropout", 1.0), ("width", "32"), ("cpu", None),
    ],
)  # fmt: skip
def test_wrong_values_are_told_with_key_and_benchmark(key: str, value: Any, tmp_path: Path) -> None:
    given = benchmark_session()
    given["benchmarks"][4]["extra_info"][key] = value
    path = written(given, tmp_path)
    with pytest.raises(InputError) as error:
        kernel_benchmarks.read(path)
    assert f"{path}: extra_info.{key} must be " in str(error.value)
    assert f"got {value!r} (benchmark forward-torch.nn)" in str(error.value)


def test_a_folder_without_benchmarks_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kernels\.json can't be read: no such file"):
        kernel_benchmarks.read(tmp_path / kernel_benchmarks.FILE)
    written("{", tmp_path)
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{tmp_path}/kernels.json must be JSON" in result.output
