"""What made a result is recorded as far as it can be found out, names nobody, and never ends a run."""

from __future__ import annotations

import getpass
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from windows_gpu import SMI, lend_gpu

from mlpbench.base import environment, machine
from mlpbench.results.schemas import ENVIRONMENT


@pytest.fixture
def fresh() -> Iterator[None]:
    environment.environment.cache_clear()
    yield
    environment.environment.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_git_the_commit_is_unknown_and_the_rest_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = environment.environment()
    assert (found["env_commit"], found["env_dirty"]) == (None, None)
    assert found["env_python"] == platform.python_version()
    assert found["env_cpu"]


@pytest.mark.usefixtures("fresh")
def test_a_git_that_fails_or_a_processor_that_is_not_told_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nexit 128\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "nowhere")
    found = environment.environment()
    assert (found["env_commit"], found["env_dirty"]) == (None, None)
    assert found["env_cpu"] == (platform.processor() or platform.machine())


@pytest.mark.usefixtures("fresh")
def test_the_commit_is_that_of_the_package_also_in_a_hook_of_another_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = environment.environment()["env_commit"]
    other = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*other, "init", "-q"], check=True)
    subprocess.run([*other, "commit", "-q", "--allow-empty", "-m", "other"], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    environment.environment.cache_clear()
    assert environment.environment()["env_commit"] == before


def test_a_changed_tree_is_dirty(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    tree = tmp_path / "mlpbench"
    (tree / "base").mkdir(parents=True)
    package = Path(environment.__file__).parents[1]
    for name in ("__init__.py", "base/environment.py", "base/machine.py", "base/__init__.py"):
        shutil.copy(package / name, tree / name)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    ask = "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
    ask += (
        "from mlpbench.base import environment as p; e = p.environment(); print(len(e['env_commit']), e['env_dirty'])"
    )
    command = [sys.executable, "-c", ask, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "40 False\n"
    changed = tree / "base" / "environment.py"
    changed.write_text(changed.read_text() + "# changed\n")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "40 True\n"


def test_the_driver_is_the_version_in_the_kernels_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12\n"
    opened = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\n"
    for text, version in ((line, "550.54.15"), (opened, "570.86.10"), ("something else", None)):
        (tmp_path / "version").write_text(text)
        monkeypatch.setattr(environment, "GPU_DRIVER", tmp_path / "version")
        assert environment.gpu_driver() == version
    monkeypatch.setattr(environment, "GPU_DRIVER", tmp_path / "nowhere")
    assert environment.gpu_driver() is None


def test_neither_host_nor_user_is_recorded() -> None:
    told = " ".join(str(v) for v in environment.environment().values()).split()
    assert platform.node() not in told
    assert getpass.getuser() not in told
    assert not any(name in column for column in ENVIRONMENT for name in ("host", "user", "node"))


def test_the_libraries_of_a_gpu_are_named_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"nvidia-cuda-runtime": "13.0.96", "nvidia-cublas-cu12": "12.4.5", "triton": "3.6.0"}
    monkeypatch.setattr(environment, "version", installed.get)
    environment.gpu_libraries.cache_clear()
    assert environment.gpu_libraries() == "CUDA 13.0.96, cuBLAS 12.4.5, Triton 3.6.0"
    installed.clear()
    environment.gpu_libraries.cache_clear()
    assert environment.gpu_libraries() == "unknown"
    environment.gpu_libraries.cache_clear()


@pytest.mark.parametrize(
    ("device", "then", "differs"),
    [
        ("Acme Tensor", "CUDA 13, cuBLAS 13.1", True),
        ("Acme Tensor", "CUDA 13, cuBLAS 13.2", False),
        ("Acme Tensor", None, False),  # a row of an earlier release
        ("cpu", "CUDA 13, cuBLAS 13.1", False),
    ],
)
def test_runs_of_a_gpu_with_other_libraries_are_others(device: str, then: str | None, differs: bool) -> None:
    here = dict.fromkeys(environment.KIND, "same") | {"env_device": device, "env_numerics": "fast"}
    here["env_gpu_libraries"] = "CUDA 13, cuBLAS 13.2"
    found = list(environment.differences(here | {"env_gpu_libraries": then}, here))
    assert found == ["GPU libraries"] * differs


@pytest.mark.parametrize(
    ("maker", "smi", "there", "version"),
    [
        ("nvidia", SMI, True, "555.99"),
        ("nvidia", "", True, None),
        ("nvidia", "#!/bin/sh\nexit 9\n", True, None),
        ("another", "", False, None),
    ],
)
def test_windows_lends_linux_a_card_of_nvidia_alone(
    maker: str, smi: str, there: bool, version: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "GPU_DRIVER", tmp_path / "none")
    monkeypatch.setattr(environment, "WSL_DEVICE", tmp_path / "none")
    assert not environment.has_gpu_driver()
    lend_gpu(monkeypatch, tmp_path, maker=maker, smi=smi)
    assert (environment.has_gpu_driver(), environment.gpu_driver()) == (there, version)
