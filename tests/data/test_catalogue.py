"""Named data beside Fashion-MNIST: torchvision's names and checksums, each format, damage, cache and sources."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_archives import N_TEST, N_TRAIN, Small, as_zip, in_place, same, served, small, untarred, unzipped

from mlpbench.base.errors import MachineError
from mlpbench.data.data_sets import DATA_SETS, lookup
from mlpbench.data.named import named_files, torchvision_download
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.data.named.named_data import downloads_of
from mlpbench.data.named.named_files import FilesError, shapes

# Runs are known by them: none may ever change.
FINGERPRINTS = {
    "fashion_mnist": "1b386852edd1c5caa9cfe4167837a1adb6ab09d43c40eae49a2732b7143f854d",
    "mnist": "16a9d7b25187eeea35017c92f51779a2eebcc799407e3052bad7b0e17ef08770",
    "kmnist": "ad992a51429822efbf3e836d06bd421721ac9a3dea35fdfb8574dd1f05e99789",
    "qmnist": "1cf45c29fa519d8510d84761c88e030dd221b1f10049ab3bff3a99c2947cb2f4",
    "emnist_balanced": "8a85e913b8abbe111227913b9bbdfa1bf61d2b306f065de6c9cb136860f34c80",
    "emnist_letters": "95aa98e33973e1421a111fd2adc9809eaa8a3176cbf213fe264f90e3e621887f",
    "emnist_digits": "f95ec43ef671beafc3c2fc80655bb8a84527ddecc6241ed3dfb07888e22312e4",
    "cifar10": "4dcf22ca4b956461d08b712a5cc721f61c71f9a64fbaa1274878541076c94235",
}
GIVEN = os.environ.get("MLPBENCH_DATA")
OF_TORCHVISION = [name for name in CATALOGUE if name != "cifar10"]


@pytest.fixture(scope="session")
def torchvision() -> Any:
    return torchvision_download.import_torchvision()


@pytest.fixture(autouse=True)
def no_user_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPBENCH_DATA", raising=False)


@pytest.fixture(params=CATALOGUE)
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Small:
    """Each data set of the catalogue, small, in its place."""
    return in_place(request.param, monkeypatch)


def split_of(name: str) -> dict[str, str]:
    return {"split": name.removeprefix("emnist_")} if name.startswith("emnist") else {}


def test_fingerprints_are_for_ever() -> None:
    assert {name: data.facts.fingerprint for name, data in CATALOGUE.items()} == FINGERPRINTS


@pytest.mark.parametrize("name", CATALOGUE)
def test_parts_are_all_files_or_members_of_the_only_one(name: str) -> None:
    data = CATALOGUE[name]
    assert set(data.parts) == set(shapes(data))
    where = {place for places in data.parts.values() for place in places}
    assert where == set(data.files) or (len(data.files) == 1 and not where & set(data.files))


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_files_and_classes_are_those_of_torchvision(name: str, torchvision: Any) -> None:
    data = CATALOGUE[name]
    theirs = getattr(torchvision.datasets, data.family)
    if data.family == "EMNIST":
        assert data.address == theirs.url
        assert list(data.files) == [Path(theirs.url).name]
        classes = theirs.classes_split_dict[name.removeprefix("emnist_")]
        assert classes[: data.first_class] == ["N/A"] * data.first_class
        classes = classes[data.first_class :]
    else:
        resources = theirs.resources
        if isinstance(resources, dict):
            resources = [*resources["train"], *resources["test"]]
        archives = [Path(address).name for address, _ in resources]
        assert [n if n.endswith(".gz") else f"{n}.gz" for n in data.files] == archives
        classes = [c.partition(" - ")[0] for c in theirs.classes]
    assert list(data.class_names) == classes


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_torchvision_reads_the_same_files_to_the_same_arrays(
    name: str, torchvision: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of EMNIST its images lie on their side, and letters are counted from 1."""
    made = in_place(name, monkeypatch)
    found = lookup(name).load(data_dir=made.put(tmp_path / "mine"), cache_dir=tmp_path / "cache")
    family = made.source.family
    raw = tmp_path / family / "raw"
    raw.mkdir(parents=True)
    for file in (tmp_path / "mine").iterdir():
        content = file.read_bytes()
        if file.suffix == ".zip":
            contents = {Path(n).stem: gzip.decompress(c) for n, c in unzipped(content).items()}
        else:
            contents = {file.name.removesuffix(".gz"): gzip.decompress(content) if file.suffix == ".gz" else content}
        for n, content in contents.items():
            (raw / n).write_bytes(content)
    for part, train in (("train", True), ("test", False)):
        theirs = getattr(torchvision.datasets, family)(tmp_path, train=train, **split_of(name))
        images, targets = theirs.data.numpy(), theirs.targets.numpy()
        images = images.transpose(0, 2, 1) if family == "EMNIST" else images
        targets = targets[:, 0] if family == "QMNIST" else targets - (name == "emnist_letters")
        assert np.array_equal(getattr(found, f"x_{part}").reshape(-1, 6, 5), images)
        assert np.array_equal(getattr(found, f"y_{part}"), targets)
    assert same(found, made)


def test_cifar_is_read_by_record_channel_row_and_column(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = in_place("cifar10", monkeypatch)
    found = lookup("cifar10").load(data_dir=made.put(tmp_path / "mine"), cache_dir=tmp_path / "cache")
    members = untarred(made.files["cifar-10-binary.tar.gz"])
    numbers = [*range(1, 6)]
    for part, names in (("train", [f"data_batch_{i}.bin" for i in numbers]), ("test", ["test_batch.bin"])):
        content = b"".join(members[f"cifar-10-batches-bin/{name}"] for name in names)
        assert len(content) == len(getattr(found, f"y_{part}")) * 91
        for i, (x, y) in enumerate(zip(getattr(found, f"x_{part}"), getattr(found, f"y_{part}"), strict=True)):
            record = content[91 * i : 91 * (i + 1)]
            assert y == record[0]
            red, green, blue = (record[1 + 30 * c : 31 + 30 * c] for c in range(3))
            assert x.tobytes() == red + green + blue
    assert same(found, made)
    assert made.source.facts.image_shape is None


def test_the_cache_holds_upright_bytes_from_0_and_does_without_the_files(made: Small, tmp_path: Path) -> None:
    name, root = made.source.name, tmp_path / "cache"
    mine = made.put(tmp_path / "mine")
    assert not lookup(name).is_cached(root)
    assert lookup(name).fetch(data_dir=mine, cache_dir=root) == f"folder {mine}"
    assert lookup(name).is_cached(root)
    found = lookup(name).load(cache_dir=root)
    assert same(found, made)
    assert found.x_train.shape == (N_TRAIN, made.source.facts.n_features)
    assert found.y_test.shape == (N_TEST,)
    for part in made.arrays:
        array = getattr(found, part)
        assert (array.dtype, array.flags.c_contiguous, array.flags.writeable) == (np.uint8, True, False)
    said: list[str] = []
    lookup(name).fetch(data_dir=mine, cache_dir=root, say=said.append)
    assert said == [], "files that have not changed are not read again"


def test_data_sets_of_one_file_have_caches_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    splits = [n for n in CATALOGUE if n.startswith("emnist")]
    for name in splits:
        files |= unzipped(small(name).files["gzip.zip"])
    for name in splits:
        made = in_place(name, monkeypatch, lambda made: made.with_files({"gzip.zip": as_zip(files)}))
        assert same(lookup(name).load(data_dir=made.put(tmp_path / "mine"), cache_dir=tmp_path / "cache"), made)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_folder_named_after_the_data_comes_before_files_of_the_same_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = in_place("kmnist", monkeypatch)
    for name in made.source.files:
        (tmp_path / name).write_bytes(b"those of another data set")
    for sub in ("kmnist", "KMNIST/raw", "KMNIST"):
        folder = made.put(tmp_path / sub)
        assert named_files.find_files(made.source, tmp_path) == {name: folder / name for name in made.source.files}
        for name in made.source.files:
            (folder / name).unlink()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield
    socket.setdefaulttimeout(None)


@pytest.mark.slow
@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("name", ["emnist_letters", "cifar10"])
def test_an_archive_is_downloaded_by_its_address(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = in_place(name, monkeypatch)
    (file,) = made.files
    said: list[str] = []
    with served(made.files) as server:
        address = f"{server}{file}"
        monkeypatch.setitem(DATA_SETS, name, replace(made.source, address=address))
        assert lookup(name).fetch(cache_dir=tmp_path, say=said.append) == f"download from {address}"
    assert said == [f"{name}: trying download from {address}"]
    assert same(lookup(name).load(cache_dir=tmp_path), made)


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("wrong", ["checksum", "address", "server"])
def test_a_download_that_fails_says_why_and_leaves_nothing(
    wrong: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another content, no such file, nobody there."""
    made = in_place("cifar10", monkeypatch)
    (file,) = made.files
    with served(made.files) as server:
        address = {"address": f"{server}absent", "server": "http://127.0.0.1:9/"}.get(wrong, f"{server}{file}")
        files = {file: "0" * 64} if wrong == "checksum" else made.source.files
        monkeypatch.setitem(DATA_SETS, "cifar10", replace(made.source, address=address, files=files))
        with pytest.raises(MachineError) as error:
            lookup("cifar10").fetch(cache_dir=tmp_path)
    assert error.value.status == 3
    assert list(tmp_path.iterdir()) == []
    first, *tried, last = str(error.value).splitlines()
    assert first == "cifar10 could not be had; tried were:"
    assert [line.partition(": ")[0].strip() for line in tried] == ["user's folder", "cache", f"download from {address}"]
    reasons = {"checksum": "does not match the known hash", "address": "404", "server": "Connection refused"}
    assert reasons[wrong] in tried[-1]
    assert last == f"Download {file} from {made.source.home} into a folder and give it by --data-dir or MLPBENCH_DATA."


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("name", ["mnist", "kmnist", "qmnist"])
def test_torchvisions_classes_download_both_parts(
    name: str, torchvision: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = in_place(name, monkeypatch)
    zipped = {
        n if n.endswith(".gz") else f"{n}.gz": c if n.endswith(".gz") else gzip.compress(c)
        for n, c in made.files.items()
    }
    theirs = getattr(torchvision.datasets, made.source.family)
    with served(zipped) as address:
        if name == "qmnist":
            names = {part: [n for n in zipped if f"-{part}-" in n] for part in ("train", "test")}
            md5 = {part: [(address + n, hashlib.md5(zipped[n]).hexdigest()) for n in names[part]] for part in names}
            monkeypatch.setattr(theirs, "resources", md5)
        else:
            monkeypatch.setattr(theirs, "mirrors", [address])
            monkeypatch.setattr(theirs, "resources", [(n, hashlib.md5(c).hexdigest()) for n, c in zipped.items()])
        torchvision_download.main(str(tmp_path), made.source.family)
    arrays = named_files.read_files(made.source, named_files.find_files(made.source, tmp_path))
    assert all(np.array_equal(arrays[p], a.reshape(len(a), -1).squeeze()) for p, a in made.arrays.items())


def test_only_fashion_mnist_comes_from_debian() -> None:
    origins = {name: [d.origin.partition(" from ")[0] for d in downloads_of(data)] for name, data in CATALOGUE.items()}
    assert origins.pop("fashion_mnist") == ["Debian package", "torchvision download", "Debian archive"]
    assert {name for name, ways in origins.items() if ways == ["torchvision download"]} == {"mnist", "kmnist", "qmnist"}
    assert all(ways == ["download"] for name, ways in origins.items() if name.startswith(("emnist", "cifar")))


def test_real_mnist_is_what_is_known_of_it() -> None:
    """Its pixels have mean 0.1307 and standard deviation 0.3081, as every tutorial has them."""
    given = Path(GIVEN) if GIVEN else None
    try:
        if given is not None:
            named_files.find_files(CATALOGUE["mnist"], given)
        elif not lookup("mnist").is_cached():
            raise FilesError("not in the cache")
    except FilesError as why:
        pytest.skip(f"MNIST is not on this machine (mlpbench data fetch mnist): {why}")
    mnist = lookup("mnist").load(data_dir=given)
    assert np.bincount(mnist.y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.x_train.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert mnist.x_train.std() / 255 == pytest.approx(0.3081, abs=5e-5)
