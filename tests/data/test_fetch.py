"""Named data: the right bytes, from the right place, whole or not at all, and without torch once they are cached."""

import gzip
import hashlib
import json
import os
import pwd
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from repository import ROOT

from mlpbench.base.errors import InputError, MachineError
from mlpbench.cli.main import main
from mlpbench.data.data_sets import lookup
from mlpbench.data.dataset import Dataset
from mlpbench.data.named import cache, named_data, named_files
from mlpbench.data.named.catalogue import CATALOGUE

NAME = "fashion_mnist"
DATA = CATALOGUE[NAME]
LABELS = "t10k-labels-idx1-ubyte"
FETCH = f"from mlpbench.data.data_sets import lookup; lookup({NAME!r}).fetch()"


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    """The real data, from wherever this machine has it."""
    return lookup(NAME).load()


@pytest.fixture(scope="session")
def idx_folder(fashion: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The four original files, uncompressed, written back from the arrays."""
    folder = tmp_path_factory.mktemp("idx")
    for part, (name,) in DATA.parts.items():
        array = getattr(fashion, part)
        (folder / name).write_bytes(as_idx(array.reshape(-1, 28, 28) if part.startswith("x") else array))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def whole(idx_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that holds the data; tests leave its arrays alone."""
    root = tmp_path_factory.mktemp("whole")
    lookup(NAME).fetch(data_dir=idx_folder, cache_dir=root)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An empty cache, deleted afterwards: pytest would keep 55 MB per test."""
    yield tmp_path / "cache"
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


@pytest.fixture(autouse=True)
def no_user_folder(fashion: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPBENCH_DATA", raising=False)


def as_idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def links(source: Path, folder: Path, names: list[str] | None = None) -> Path:
    """A folder of links to the files: copies of 55 MB would be slow."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or DATA.files:
        (folder / name).symlink_to(source / name)
    return folder


def with_labels(source: Path, folder: Path, content: bytes, suffix: str = "") -> Path:
    links(source, folder, [name for name in DATA.files if name != LABELS])
    (folder / f"{LABELS}{suffix}").write_bytes(content)
    return folder


def flipped(content: bytes) -> bytes:
    return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


def environment(**changes: str) -> dict[str, str]:
    """This environment with the changes, the package importable, and no exception from a proxy."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    kept = {key: value for key, value in os.environ.items() if key not in ("no_proxy", "NO_PROXY", "MLPBENCH_DATA")}
    return kept | {"PYTHONPATH": path} | changes


def python(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment(**changes), capture_output=True, text=True, timeout=120, check=False)


def same(a: Dataset, b: Dataset) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in DATA.parts)


def test_the_catalogue_tells_what_the_data_are(fashion: Dataset) -> None:
    assert np.bincount(fashion.y_train).tolist() == [6000] * 10
    assert np.bincount(fashion.y_test).tolist() == [1000] * 10
    assert fashion.x_train.shape == (DATA.n_train, DATA.facts.n_features) == (60_000, 784)
    assert fashion.x_test.shape == (DATA.n_test, DATA.facts.n_features) == (10_000, 784)
    assert len(DATA.class_names) == DATA.facts.n_classes == fashion.facts.n_classes


def test_arrays_are_mapped_bytes_that_nobody_can_write(fashion: Dataset) -> None:
    for part in DATA.parts:
        array = getattr(fashion, part)
        assert isinstance(array, np.memmap)
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_fingerprint_is_that_of_the_files_and_the_scaling(fashion: Dataset, idx_folder: Path) -> None:
    lines = [f"{name}:{hashlib.sha256((idx_folder / name).read_bytes()).hexdigest()}" for name in sorted(DATA.files)]
    assert fashion.facts.fingerprint == hashlib.sha256("\n".join([*lines, "uint8/255"]).encode()).hexdigest()


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="got 'fashon_mnist'; did you mean 'fashion_mnist'"):
        lookup("fashon_mnist")


@pytest.mark.parametrize("sub", ["", "fashion_mnist", "fashion-mnist", "FashionMNIST/raw"])
def test_the_users_folder_may_be_arranged_as_is_usual(sub: str, idx_folder: Path, tmp_path: Path) -> None:
    links(idx_folder, tmp_path / sub)
    assert named_files.find_files(DATA, tmp_path) == {name: tmp_path / sub / name for name in DATA.files}


def test_the_users_folder_comes_before_the_cache_and_the_argument_before_the_environment(
    idx_folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = with_labels(idx_folder, tmp_path / "mine", gzip.compress((idx_folder / LABELS).read_bytes()), ".gz")
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path / "nowhere"))
    assert lookup(NAME).fetch(data_dir=packed, cache_dir=whole) == f"folder {packed}"
    with pytest.raises(InputError, match="MLPBENCH_DATA must be a folder .*/nowhere is not a folder"):
        lookup(NAME).fetch(cache_dir=whole)


def test_a_given_folder_that_lacks_a_file_is_never_passed_over(idx_folder: Path, whole: Path, tmp_path: Path) -> None:
    links(idx_folder, tmp_path / "mine", [name for name in DATA.files if name != LABELS])
    with pytest.raises(InputError, match=f"--data-dir must .*/mine lacks {LABELS}") as error:
        lookup(NAME).load(data_dir=tmp_path / "mine", cache_dir=whole)
    assert error.value.status == 2


@pytest.mark.parametrize(("packed", "cut"), [(False, False), (True, False), (True, True)])
def test_other_content_in_a_given_folder_names_the_file_and_is_not_cached(
    packed: bool, cut: bool, idx_folder: Path, root: Path, tmp_path: Path
) -> None:
    content = flipped((idx_folder / LABELS).read_bytes())
    content = gzip.compress(content)[: -20 if cut else None] if packed else content
    mine = with_labels(idx_folder, tmp_path / "mine", content, ".gz" if packed else "")
    with pytest.raises(InputError, match=f"{LABELS}{'.gz' if packed else ''} is {'corrupt' if cut else 'not the'}"):
        lookup(NAME).fetch(data_dir=mine, cache_dir=root)
    assert not root.exists()


def test_a_given_folder_is_read_once_and_again_when_it_changes(idx_folder: Path, root: Path, tmp_path: Path) -> None:
    content = (idx_folder / LABELS).read_bytes()
    mine = with_labels(idx_folder, tmp_path / "mine", content)
    said: list[str] = []
    for _ in range(3):
        lookup(NAME).fetch(data_dir=mine, cache_dir=root, say=said.append)
    assert said == [f"{NAME}: checking {mine}"]
    os.utime(mine / LABELS, (1, 1))
    lookup(NAME).fetch(data_dir=mine, cache_dir=root, say=said.append)
    lookup(NAME).fetch(data_dir=mine, cache_dir=root, say=said.append)
    assert len(said) == 2
    (mine / LABELS).write_bytes(flipped(content))
    with pytest.raises(InputError, match=LABELS):
        lookup(NAME).fetch(data_dir=mine, cache_dir=root)


def test_the_cache_comes_before_debians_package_and_that_before_any_download(
    idx_folder: Path, whole: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links(idx_folder, tmp_path / "system" / "fashion-mnist")
    monkeypatch.setattr(named_data, "DEBIAN_DATASETS", tmp_path / "system")
    said: list[str] = []
    assert lookup(NAME).fetch(cache_dir=whole, say=said.append) == f"folder {idx_folder}"
    assert said == []
    assert lookup(NAME).fetch(cache_dir=root, say=said.append) == "Debian package"
    assert said == [f"{NAME}: trying Debian package"]
    assert lookup(NAME).fetch(cache_dir=root) == "Debian package"


@pytest.mark.slow
@pytest.mark.parametrize("debian", ["absent", "corrupt"])
def test_when_every_way_fails_the_message_lists_each(debian: str, idx_folder: Path, root: Path, tmp_path: Path) -> None:
    if debian == "corrupt":
        with_labels(idx_folder, tmp_path / "system/fashion-mnist", flipped((idx_folder / LABELS).read_bytes()))
    closed = "http://127.0.0.1:9"
    code = (
        "from pathlib import Path\nfrom mlpbench.base.errors import MachineError\n"
        "from mlpbench.data.data_sets import lookup\nfrom mlpbench.data.named import named_data\n"
        f"named_data.DEBIAN_DATASETS = Path({str(tmp_path / 'system')!r})\n"
        f"try: lookup({NAME!r}).fetch()\nexcept MachineError as error: print(error.status, error)"
    )
    env = {"http_proxy": closed, "https_proxy": closed, "MLPBENCH_CACHE": str(root), "PATH": str(tmp_path)}
    lines = python(code, **env).stdout.splitlines()
    assert lines[0].startswith("3 fashion_mnist could not be had; tried were:")
    assert lines[1:3] == ["  user's folder: none given", f"  cache: no valid copy in {cache.folder_of(DATA, root)}"]
    reason = "is not a folder" if debian == "absent" else f"{LABELS} is not the {LABELS}"
    assert lines[3].startswith("  Debian package: ")
    assert reason in lines[3]
    assert lines[4].startswith("  torchvision download: ")
    assert "Connection refused" in lines[4]
    assert lines[5] == "  Debian archive: apt-get is not on this machine"
    assert all(word in lines[6] for word in [*DATA.files, "--data-dir", "MLPBENCH_DATA", "dataset-fashion-mnist"])
    assert len(lines) == 7
    assert not root.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "truncated": ("y_train.npy", cut),
    "truncated images": ("x_train.npy", lambda path: path.write_bytes(b"\x93NUMPY")),
    "longer": ("y_test.npy", lambda path: path.write_bytes(path.read_bytes() + b"\0")),
    "empty": ("x_test.npy", lambda path: path.write_bytes(b"")),
    "shape": ("y_test.npy", lambda path: np.save(path, np.zeros(9_999, np.uint8))),
    "dtype": ("y_test.npy", lambda path: np.save(path, np.zeros(10_000, np.int8))),
    "order": ("x_test.npy", lambda path: np.save(path, np.zeros((784, 10_000), np.uint8).T)),
    "pickle": ("y_test.npy", lambda path: np.save(path, np.array([[]], dtype=object), allow_pickle=True)),
    "absent": ("x_train.npy", lambda path: None),
    "meta": ("meta.json", cut),
    "other data": ("meta.json", lambda path: path.write_text('{"fingerprint": "0", "origin": "", "checked": {}}')),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_recognised(damage: str, whole: Path, root: Path) -> None:
    name, spoil = DAMAGES[damage]
    shutil.copytree(whole, root, copy_function=os.link)
    assert lookup(NAME).is_cached(root)
    path = cache.folder_of(DATA, root) / name
    content = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(content)
        spoil(path)
    assert not lookup(NAME).is_cached(root)


def test_a_damaged_cache_is_replaced_by_a_whole_one(fashion: Dataset, idx_folder: Path, root: Path) -> None:
    lookup(NAME).load(data_dir=idx_folder, cache_dir=root)
    cut(cache.folder_of(DATA, root) / "x_train.npy")
    assert same(lookup(NAME).load(data_dir=idx_folder, cache_dir=root), fashion)
    assert os.listdir(root) == [cache.folder_of(DATA, root).name]


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 12))])
def test_one_flipped_bit_of_the_cache_is_named_and_the_data_are_made_again(
    seed: int,
    sealed: bool,
    fashion: Dataset,
    whole: Path,
    idx_folder: Path,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In labels, images, headers or meta.json; of a copy that has no checksums yet, labels and images are known anyway."""
    links(idx_folder, tmp_path / "system" / "fashion-mnist")
    monkeypatch.setattr(named_data, "DEBIAN_DATASETS", tmp_path / "system")
    shutil.copytree(whole, root, copy_function=os.link)
    folder = cache.folder_of(DATA, root)
    if not sealed:
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").unlink()
        (folder / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if k not in ("sums", "seal")}))
    random = np.random.default_rng(seed)
    names = ["y_test.npy", "x_test.npy", "y_train.npy"] + ["meta.json"] * sealed
    path = folder / names[seed % len(names)]
    content = bytearray(path.read_bytes())
    start = 0 if sealed else 128
    place = int(random.integers(start, min(len(content), 128) if sealed and seed >= 6 else len(content)))
    content[place] ^= 1 << int(random.integers(8))
    path.unlink()
    path.write_bytes(content)
    assert same(lookup(NAME).load(cache_dir=root), fashion)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"mlpbench: {path} ") or f"{folder} is of other data" in said.err
    assert said.err.endswith("is prepared again\n")
    assert same(lookup(NAME).load(cache_dir=root), fashion)
    assert capsys.readouterr().err == ""


def test_a_copy_of_an_earlier_release_gets_checksums_when_it_is_first_read(whole: Path, root: Path) -> None:
    shutil.copytree(whole, root, copy_function=os.link)
    path = cache.folder_of(DATA, root) / "meta.json"
    meta = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({k: v for k, v in meta.items() if k not in ("sums", "seal")}))
    assert lookup(NAME).load(cache_dir=root)
    assert json.loads(path.read_text()) == meta


@pytest.mark.slow
def test_a_damaged_copy_that_can_not_be_made_again_is_an_error(whole: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, root, copy_function=os.link)
    path = cache.folder_of(DATA, root) / "y_test.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    closed = "http://127.0.0.1:9"
    code = (
        "from pathlib import Path\nfrom mlpbench.cli.main import main\nfrom mlpbench.data.named import named_data\n"
        f"named_data.DEBIAN_DATASETS = Path({str(tmp_path)!r})\nmain(['data', 'fetch', {NAME!r}])"
    )
    done = python(code, http_proxy=closed, https_proxy=closed, MLPBENCH_CACHE=str(root), PATH=str(tmp_path))
    assert done.returncode == MachineError.status
    assert f"{path} is damaged: its bytes are not those that were written" in done.stderr
    assert "could not be had" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == content, "what can't be replaced stays"


@pytest.mark.slow
def test_of_two_processes_that_write_one_wins_and_no_reader_sees_a_part(idx_folder: Path, root: Path) -> None:
    env = environment(MLPBENCH_DATA=str(idx_folder), MLPBENCH_CACHE=str(root))
    writers = [subprocess.Popen([sys.executable, "-c", FETCH], env=env) for _ in range(2)]
    folder, hidden = cache.folder_of(DATA, root), 0
    while any(writer.poll() is None for writer in writers):
        hidden = max(hidden, len(list(root.glob(".*"))))
        if folder.exists():
            assert lookup(NAME).is_cached(root)
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert hidden >= 1
    assert lookup(NAME).is_cached(root)
    assert os.listdir(root) == [folder.name]


def test_the_loser_of_a_race_leaves_the_winners_folder_alone(idx_folder: Path, root: Path) -> None:
    arrays = named_files.read_files(DATA, named_files.find_files(DATA, idx_folder))
    folder = cache.folder_of(DATA, root)
    cache.write(folder, DATA, arrays, "winner", {})
    cache.write(folder, DATA, arrays, "loser", {})
    held = cache.read(folder, DATA)
    assert held is not None
    assert held.origin == "winner"
    assert os.listdir(root) == [folder.name]


def test_what_a_killed_writer_left_is_ignored_then_swept(idx_folder: Path, root: Path) -> None:
    env = environment(MLPBENCH_DATA=str(idx_folder), MLPBENCH_CACHE=str(root))
    writer = subprocess.Popen([sys.executable, "-c", FETCH], env=env)
    while not (left := list(root.glob(".*"))):
        assert writer.poll() is None
    writer.kill()
    writer.wait()
    assert not lookup(NAME).is_cached(root)
    assert left[0].exists()
    os.utime(left[0], (1, 1))
    lookup(NAME).fetch(data_dir=idx_folder, cache_dir=root)
    assert os.listdir(root) == [cache.folder_of(DATA, root).name]


def test_a_cache_that_cannot_be_written_is_the_machines_fault(idx_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="must be writable, got Not a directory .* MLPBENCH_CACHE"):
        lookup(NAME).fetch(data_dir=idx_folder, cache_dir=tmp_path / "file")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = f"{NAME}-{DATA.facts.fingerprint[:12]}"
    for name, value, expected in [
        ("HOME", "/h", "/h/.cache/mlpbench"),
        ("XDG_CACHE_HOME", "relative", "/h/.cache/mlpbench"),
        ("XDG_CACHE_HOME", "/x", "/x/mlpbench"),
        ("MLPBENCH_CACHE", "~/m", "/h/m"),
    ]:
        if name == "HOME":
            monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
            monkeypatch.delenv("MLPBENCH_CACHE", raising=False)
        monkeypatch.setenv(name, value)
        assert cache.folder_of(DATA) == Path(expected) / entry
    assert cache.folder_of(DATA, Path("/given")) == Path("/given") / entry


def test_without_a_home_the_cache_asks_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "MLPBENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    result = CliRunner().invoke(main, ["data", "list"])
    assert result.exit_code == 2
    assert result.stderr.endswith("and this user has none: set MLPBENCH_CACHE to a folder\n")


def test_later_starts_are_fast_and_without_torch(whole: Path) -> None:
    code = (
        "import sys, time\nfrom mlpbench.data.data_sets import lookup\nstart = time.process_time()\n"
        f"lookup({NAME!r}).load()\nprint(time.process_time() - start, *{{'torch', 'torchvision'}} & set(sys.modules))"
    )
    seconds, *imported = min(python(code, MLPBENCH_CACHE=str(whole)).stdout.split() for _ in range(3))
    assert imported == []
    assert float(seconds) < 0.05


@pytest.mark.slow
def test_torchvision_imports_beside_a_torch_without_its_operators() -> None:
    plain = python("import torchvision")
    if plain.returncode == 0:
        pytest.skip("plain `import torchvision` works here: the shim is not needed")
    assert "operator torchvision::nms does not exist" in plain.stderr
    code = (
        "from mlpbench.data.named.torchvision_download import import_torchvision as get\n"
        "print(get().datasets.FashionMNIST.__name__, get() is get())"
    )
    assert python(code).stdout.split() == ["FashionMNIST", "True"]


@pytest.mark.slow
def test_torchvisions_download_is_the_same_data(
    fashion: Dataset, idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original archives are rebuilt bit for bit (torchvision checks their MD5) and served in place of the mirror."""
    if shutil.which("gzip") is None:
        pytest.skip("GNU gzip, which made the original archives, is not on this machine")
    archives = {}
    for name, made_at in zip(DATA.files, (1504176606, 1504176606, 1504176627, 1504176627), strict=True):
        packed = subprocess.run(["gzip", "-6", "-n", "-c", idx_folder / name], capture_output=True, check=True).stdout
        archives[f"{name}.gz"] = (
            struct.pack("<4BI2B", 31, 139, 8, 8, made_at, 0, 3) + f"{name}\0".encode() + packed[10:]
        )

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = archives[self.path.rpartition("/")[2]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                return  # torchvision first asks only whether the address moved

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        folder = named_data.from_torchvision(DATA, tmp_path)
        server.shutdown()
    arrays = named_files.read_files(DATA, named_files.find_files(DATA, folder))
    shutil.rmtree(folder)
    assert all(np.array_equal(arrays[part], getattr(fashion, part)) for part in DATA.parts)


@pytest.mark.slow
def test_debians_archive_is_the_same_data_and_leaves_the_system_alone(fashion: Dataset, tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not on this machine")
    system = [Path("/var/lib/apt"), Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/var/cache/apt/archives")]
    before = [path.stat().st_mtime_ns for path in system if path.exists()]
    private = tmp_path / "private"
    private.mkdir()
    arrays = named_files.read_files(DATA, named_files.find_files(DATA, named_data.from_debian(DATA, private)))
    assert [path.stat().st_mtime_ns for path in system if path.exists()] == before
    shutil.rmtree(private)
    assert all(np.array_equal(arrays[part], getattr(fashion, part)) for part in DATA.parts)
