"""What `auto` stands for is said before anything is trained on it, and what no GPU test has passed on is called so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pretend_gpu
import pytest
from click.testing import CliRunner, Result
from windows_gpu import lend_gpu

from mlpbench.base import environment
from mlpbench.cli.main import main
from mlpbench.executors import devices
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs import run as runner
from mlpbench.jobs.options import Options
from mlpbench.jobs.verify import verify
from mlpbench.results.folder_check import open_folder

RECORDS = Path(__file__).parents[2] / "results" / "gpu"
CARD, TORCH = next(iter(devices.TESTED.items()))
SPEC = """name: on_card
question: Which device trains?
dataset: mnist1d
fixed: {train_size: 60, steps: 4, batch_size: 20, width: 8}
factors: {lr: [0.1]}
replicates: 1
"""


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "driver").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\n")
    monkeypatch.setattr(environment, "GPU_DRIVER", tmp_path / "driver")


def test_cards_that_are_called_tested_have_a_record_of_tests_that_passed() -> None:
    records = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    passed = {
        r["facts"]["card"]: r["facts"]["torch"].partition("+")[0]
        for r in records
        if r["tests"]["status"] == 0 and not r["tests"]["failed"] and r["company"]["differing"] == 0
    }
    assert passed == dict(devices.TESTED)


@pytest.mark.parametrize(
    ("product", "torch", "doubt"),
    [
        (CARD, f"{TORCH}+cu130", ""),
        (CARD, TORCH, ""),
        (CARD, "9.0.0+cu999", "have not been run on this card with torch 9.0.0:"),
        ("NVIDIA A100", TORCH, f"have passed on {CARD} with torch {TORCH}, and have not been run on this card:"),
    ],
)
def test_a_card_and_a_torch_that_never_passed_are_called_so(
    product: str, torch: str, doubt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "version", lambda package: torch)
    said = devices.untested(product)
    assert doubt in said
    assert bool(said) == bool(doubt)
    words = devices.gpu_words("cuda:0", product, is_chosen=True)
    assert words.startswith(f"cuda:0, {product} (--device auto takes it; --device cpu trains on the processor)")
    assert words.endswith(said)
    assert "auto" not in devices.gpu_words("cuda:0", product, is_chosen=False)


@pytest.mark.usefixtures("driver")
def test_plan_and_doctor_say_which_gpu_auto_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("on_card.yaml").write_text(SPEC)
    with pretend_gpu.gpu():
        plan, as_json = invoke("plan", "on_card.yaml"), invoke("plan", "on_card.yaml", "--json")
        on_cpu = invoke("plan", "on_card.yaml", "--device", "cpu")
        doctor = json.loads(invoke("doctor", "--no-test", "--json").stdout)
    (line,) = [line for line in plan.stdout.splitlines() if line.startswith("device ")]
    assert "cuda:0, Pretend GPU (--device auto takes it;" in line
    assert "have not been run on this card" in line
    assert json.loads(as_json.stdout)["device"].startswith("cuda:0, Pretend GPU")
    assert "device" not in on_cpu.stdout
    found = {(f["what"], f["state"]): f for f in doctor["findings"]}
    assert "--device cuda:0, Pretend GPU" in found["choice", "fine"]["seen"]
    assert "on this kind of card" in found["choice", "fine"]["seen"]
    assert "have not been run on this card" in found["GPU", "note"]["seen"]


def test_auto_takes_the_gpu_that_windows_lends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch is asked there, and has the last word."""
    monkeypatch.setattr(environment, "GPU_DRIVER", tmp_path / "none")
    with pretend_gpu.gpu():
        assert devices.device_name("auto") == "cpu"
        lend_gpu(monkeypatch, tmp_path)
        assert devices.device_name("auto") == "cuda:0"
    assert devices.device_name("auto") == "cpu"


@pytest.mark.usefixtures("driver")
def test_run_and_verify_say_which_gpu_they_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("on_card.yaml").write_text(SPEC)
    said: list[str] = []
    of_verify: list[str] = []
    with pretend_gpu.gpu():
        options = Options(executor="inline", report=False)
        runner.run(yaml_reader.read(Path("on_card.yaml")), options, said.append)
        experiment, store = open_folder(Path("results/on_card"), said.append)
        verify(experiment, store, options, None, of_verify.append)
    for lines in ([line for line in said if "training on" in line], of_verify):
        assert len(lines) == 1
        assert lines[0].startswith("on_card: training on cuda:0, Pretend GPU (--device auto takes it;")


def test_without_torch_nothing_is_trained_or_written_and_the_way_is_named(tmp_path: Path) -> None:
    """Plans do without it, and what is predicted does not."""
    (tmp_path / "on_card.yaml").write_text(SPEC)
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'torch' else find(name, *more)\n"
        "sys.path.insert(0, '.'); from mlpbench.cli.main import main; main(sys.argv[1:], prog_name='mlpbench')"
    )
    said = {}
    for command in ("plan on_card.yaml", "run on_card.yaml", "doctor", "predict model.safetensors on_card.yaml"):
        ran = subprocess.run(
            [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, cwd=tmp_path
        )
        said[command.split()[0]] = (ran.returncode, " ".join((ran.stdout + ran.stderr).split()))
    assert said["plan"][0] == 0
    assert said["run"] == (3, f"mlpbench: {devices.WITHOUT_TORCH}")
    assert not (tmp_path / "results").exists()
    assert said["doctor"][0] == 1
    assert "WRONG torch is not installed" in said["doctor"][1]
    assert said["predict"] == (3, f"mlpbench: {devices.WITHOUT_TORCH}")
    assert all("Traceback" not in text for _, text in said.values())
