"""The named data sets: what is known about them before they are on the machine, so that a plan needs no data."""

from __future__ import annotations

from mlpbench.data.named.named_data import NamedData
from mlpbench.data.named.named_files import idx_parts

_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_BATCHES = "cifar-10-batches-bin"
_EMNIST_ZIP = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"


def _emnist(split: str, n_train: int, n_test: int, class_names: tuple[str, ...], first_class: int = 0) -> NamedData:
    """Return a split of EMNIST: G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "EMNIST: an extension of MNIST", 2017.

    All are members of one archive. Its images lie on their side, as torchvision leaves them; here they are upright.
    """
    return NamedData(
        name=f"emnist_{split}",
        title=f"EMNIST {split.capitalize()}",
        family="EMNIST",
        n_train=n_train,
        n_test=n_test,
        class_names=class_names,
        home="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        megabytes=562,
        files={"gzip.zip": _EMNIST_ZIP},
        parts=idx_parts(f"gzip/emnist-{split}-train", f"gzip/emnist-{split}-test", suffix=".gz"),
        sideways=True,
        first_class=first_class,
        recipe=f"{split}, upright, classes from {first_class}",
        address="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    )


# Numbers and shape of examples are those of MNIST where none are given. Checksums of files as they are distributed: KMNIST,
# EMNIST and CIFAR-10 as in TensorFlow Datasets' url_checksums, QMNIST as in torchvision's prototype data sets.
_ALL = (
    # H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset", 2017.
    NamedData(
        name="fashion_mnist",
        title="Fashion-MNIST",
        family="FashionMNIST",
        class_names=_CLOTHES,
        home="https://github.com/zalandoresearch/fashion-mnist",
        megabytes=31,
        debian_package="dataset-fashion-mnist",
        debian_folder="fashion-mnist",
        files={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    # Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998. The authors' page has no files now.
    NamedData(
        name="mnist",
        title="MNIST",
        family="MNIST",
        class_names=_DIGITS,
        home="https://ossci-datasets.s3.amazonaws.com/mnist/",
        megabytes=12,
        files={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    # T. Clanuwat et al., "Deep Learning for Classical Japanese Literature", 2018.
    NamedData(
        name="kmnist",
        title="KMNIST",
        family="KMNIST",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        home="http://codh.rois.ac.jp/kmnist/",
        megabytes=21,
        files={
            "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        },
        parts=idx_parts("train", "t10k", suffix=".gz"),
    ),
    # C. Yadav, L. Bottou, "Cold Case: The Lost MNIST Digits", 2019. MNIST's training set and all of its test set.
    NamedData(
        name="qmnist",
        title="QMNIST",
        family="QMNIST",
        n_test=60_000,
        class_names=_DIGITS,
        home="https://github.com/facebookresearch/qmnist",
        megabytes=20,
        files={
            "qmnist-train-images-idx3-ubyte.gz": "9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d",
            "qmnist-train-labels-idx2-int.gz": "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
            "qmnist-test-images-idx3-ubyte.gz": "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375",
            "qmnist-test-labels-idx2-int.gz": "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
        },
        parts=idx_parts("qmnist-train", "qmnist-test", labels="idx2-int", suffix=".gz"),
    ),
    # Capitals and small letters that look alike are one class in `balanced`, all of them in `letters`.
    _emnist("balanced", 112_800, 18_800, tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")),
    _emnist("letters", 124_800, 20_800, tuple("abcdefghijklmnopqrstuvwxyz"), first_class=1),
    _emnist("digits", 240_000, 40_000, _DIGITS),
    # A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The version for Python is pickles.
    NamedData(
        name="cifar10",
        title="CIFAR-10",
        family="CIFAR10",
        n_train=50_000,
        input_shape=(3, 32, 32),
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        home="https://www.cs.toronto.edu/~kriz/cifar.html",
        megabytes=170,
        address="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        files={"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
        parts={
            **dict.fromkeys(("x_train", "y_train"), tuple(f"{_BATCHES}/data_batch_{i}.bin" for i in range(1, 6))),
            **dict.fromkeys(("x_test", "y_test"), (f"{_BATCHES}/test_batch.bin",)),
        },
    ),
)
CATALOGUE: dict[str, NamedData] = {data.name: data for data in _ALL}
