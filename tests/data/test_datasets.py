"""Loading, verifying and splitting. Every fault of a file is one line that names it; none loads silently."""

import gzip
import hashlib
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from study.data import datasets, idx
from study.errors import DataError, UsageError

MNIST = Path(datasets.__file__).parent / "mnist"
ROLES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "test-images": "t10k-images-idx3-ubyte",
    "test-labels": "t10k-labels-idx1-ubyte",
}


def idx_bytes(array):
    array = np.asarray(array, dtype=np.uint8)
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_folder(folder, *, n_classes=3, size=(28, 28), per_class=4, first=0, packed=False):
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for split in ("train", "test"):
        labels = np.repeat(np.arange(first, first + n_classes), per_class)
        images = rng.integers(0, 256, (len(labels), *size))
        for role, array in ((f"{split}-images", images), (f"{split}-labels", labels)):
            data = idx_bytes(array)
            name = ROLES[role] + (".gz" if packed else "")
            (folder / name).write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "letters")


@pytest.fixture(scope="module")
def mnist():
    return datasets.load_train("mnist")


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_bundled_mnist_has_sixty_thousand_training_images(mnist):
    assert mnist.images.shape == (60_000, 28, 28)
    assert mnist.images.dtype == torch.uint8
    assert mnist.labels.dtype == torch.int64
    assert torch.bincount(mnist.labels)[:3].tolist() == [5923, 6742, 5958]
    assert mnist.classes == tuple("0123456789")


def test_bundled_mnist_is_the_published_one(mnist):
    assert mnist.sha256 == {role: idx.MNIST_SHA256[role] for role in ("train-images", "train-labels")}


def test_mnist_pixel_statistics_are_the_known_ones(mnist):
    assert datasets.pixel_statistics(mnist.images) == pytest.approx((0.1307, 0.3081), abs=5e-5)


def test_pixel_statistics_agree_with_numpy():
    images = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scaled = images.numpy() / 255
    assert datasets.pixel_statistics(images) == pytest.approx((scaled.mean(), scaled.std()))


def test_mnist_test_labels_are_counted_without_decoding_images():
    counted = datasets.test_counts("mnist")
    assert counted.counts == (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    assert counted.sha256 == {role: idx.MNIST_SHA256[role] for role in ("test-images", "test-labels")}


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_idx_files_loads_plain_and_packed(tmp_path, packed):
    data = datasets.load_train("mine", write_folder(tmp_path / "x", packed=packed))
    assert data.images.shape == (12, 28, 28)
    assert data.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    raw = idx_bytes(np.repeat(np.arange(3), 4))
    assert data.sha256["train-labels"] == hashlib.sha256(raw).hexdigest()


def test_the_dotted_file_names_load_too(folder):
    for name in ROLES.values():
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    assert len(datasets.load_train("mine", folder)) == 12


def test_pixels_arrive_unchanged(folder):
    raw = (folder / ROLES["train-images"]).read_bytes()
    assert datasets.load_train("mine", folder).images.numpy().tobytes() == raw[16:]


def test_a_folder_has_its_own_test_split(folder):
    test = datasets.load_test("mine", folder)
    assert set(test.sha256) == {"test-images", "test-labels"}
    assert not torch.equal(test.images, datasets.load_train("mine", folder).images)


def test_labels_from_one_are_shifted_and_keep_their_names(tmp_path):
    data = datasets.load_train("emnist-letters", write_folder(tmp_path / "x", first=1, n_classes=26))
    assert data.classes == tuple(str(n) for n in range(1, 27))
    assert int(data.labels.min()) == 0
    assert int(data.labels.max()) == 25


@pytest.mark.parametrize("size", [(16, 16), (56, 56), (20, 40)])
def test_other_sizes_become_28_by_28(tmp_path, size):
    assert datasets.load_train("mine", write_folder(tmp_path / "x", size=size)).images.shape == (12, 28, 28)


def test_halving_averages_pixel_areas(tmp_path):
    folder = write_folder(tmp_path / "x", size=(56, 56))
    raw = np.frombuffer((folder / ROLES["train-images"]).read_bytes()[16:], np.uint8).reshape(12, 28, 2, 28, 2)
    expected = raw.astype(float).mean((2, 4))
    assert np.abs(datasets.load_train("mine", folder).images.numpy() - expected).max() <= 0.5


def test_recorded_digests_are_enforced(folder):
    recorded = datasets.load_train("mine", folder).sha256
    datasets.load_train("mine", folder, recorded)
    path = folder / ROLES["train-images"]
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError) as caught:
        datasets.load_train("mine", folder, recorded)
    text = one_line(caught)
    assert str(path) in text
    assert recorded["train-images"] in text
    assert hashlib.sha256(damaged).hexdigest() in text


def test_an_unknown_name_gets_the_list_of_names():
    with pytest.raises(UsageError, match=r"'mnsit' is unknown: expected one of mnist, fashion-mnist, .*--data-dir"):
        datasets.load_train("mnsit")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: the folder does not exist"):
        datasets.load_train("mine", tmp_path / "nowhere")


def test_a_missing_file_is_named(folder):
    (folder / ROLES["train-labels"]).unlink()
    with pytest.raises(DataError, match=r"letters: train-labels are not in it; expected train-labels-idx1-ubyte"):
        datasets.load_train("mine", folder)


def damage(folder, fault):
    """One fault of a data set's files; the role that the error has to name."""
    images, labels = folder / ROLES["train-images"], folder / ROLES["train-labels"]
    data = images.read_bytes()
    if fault == "truncated":
        images.write_bytes(data[:-100])
    elif fault == "header only":
        images.write_bytes(data[:7])
    elif fault == "empty":
        images.write_bytes(b"")
    elif fault == "magic":
        images.write_bytes(b"\0\0\x0d\3" + data[4:])
    elif fault == "web page":
        images.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
    elif fault == "gzip cut":
        images.write_bytes(gzip.compress(data)[:-2000])
    elif fault == "gzip flipped":
        packed = bytearray(gzip.compress(data))
        packed[len(packed) // 2] ^= 4
        images.write_bytes(packed)
    elif fault == "huge header":
        images.write_bytes(data[:4] + b"\xff" * 12 + data[16:])
    elif fault == "no images":
        images.write_bytes(idx_bytes(np.zeros((0, 28, 28))))
    elif fault == "counts":
        labels.write_bytes(idx_bytes(np.repeat(np.arange(3), 5)))
    elif fault == "label 77":
        labels.write_bytes(idx_bytes([0, 1, 2, 77] * 3))
        return "train-labels"
    elif fault == "one class":
        labels.write_bytes(idx_bytes([0] * 12))
        return "train-labels"
    elif fault == "images for labels":
        labels.write_bytes(data)
        return "train-labels"
    return "train-images"


FAULTS = ["truncated", "header only", "empty", "magic", "web page", "gzip cut", "gzip flipped", "huge header"]
FAULTS += ["no images", "counts", "label 77", "one class", "images for labels"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_refused_with_its_name_and_sha256(folder, fault):
    path = folder / ROLES[damage(folder, fault)]
    with pytest.raises(DataError) as caught:
        datasets.load_train("mine", folder)
    text = one_line(caught)
    assert str(path) in text
    assert "expected" in text
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text


def test_a_web_page_is_called_one(folder):
    damage(folder, "web page")
    with pytest.raises(DataError, match="a web page"):
        datasets.load_train("mine", folder)


def test_a_test_label_that_training_lacks_is_refused(folder):
    (folder / ROLES["test-labels"]).write_bytes(idx_bytes([0, 1, 2, 77] * 3))
    with pytest.raises(DataError, match="label 77 seen, expected 0 to 2"):
        datasets.test_counts("mine", folder)


@pytest.fixture
def bundled_copy(tmp_path, monkeypatch):
    """The bundled labels in a folder of their own, which takes the place of the package's."""
    copy = tmp_path / "mnist"
    copy.mkdir()
    for split in ("train", "t10k"):
        name = f"{split}-labels-idx1-ubyte.gz"
        (copy / name).write_bytes((MNIST / name).read_bytes())
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "datasets.py"))
    return copy


def test_a_flipped_bit_in_mnist_names_both_digests(bundled_copy):
    path = bundled_copy / "train-labels-idx1-ubyte.gz"
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[100] ^= 1
    path.write_bytes(gzip.compress(raw))
    with pytest.raises(DataError) as caught:
        datasets.load_train("mnist")
    text = one_line(caught)
    assert idx.MNIST_SHA256["train-labels"] in text
    assert hashlib.sha256(raw).hexdigest() in text


@pytest.mark.parametrize("data_dir", [False, True], ids=["bundled", "data-dir"])
def test_swapped_train_and_test_files_are_refused(bundled_copy, data_dir):
    (bundled_copy / "train-labels-idx1-ubyte.gz").write_bytes((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(DataError, match="MNIST's test-labels"):
        datasets.load_train("mnist", bundled_copy if data_dir else None)


def install_torchvision(monkeypatch, **classes):
    module = types.ModuleType("torchvision.datasets")
    vars(module).update(classes)
    package = types.ModuleType("torchvision")
    package.datasets = module
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)


class Downloaded:
    """Stands in for a torchvision data set: a lopsided picture, so that a transpose shows."""

    classes = ("T-shirt/top", "Trouser")

    def __init__(self, root, download, **arguments):
        self.arguments = arguments
        self.data = torch.zeros(2, 28, 28, dtype=torch.uint8)
        self.data[:, 0, :] = 255
        self.targets = torch.tensor([0, 1])


def test_a_torchvision_data_set_keeps_its_class_names(monkeypatch):
    install_torchvision(monkeypatch, FashionMNIST=Downloaded)
    data = datasets.load_train("fashion-mnist")
    assert data.classes == ("T-shirt/top", "Trouser")
    assert data.images[0, 0].eq(255).all()
    assert data.sha256["train-labels"] == hashlib.sha256(b"\0\1").hexdigest()


def test_emnist_is_transposed(monkeypatch):
    install_torchvision(monkeypatch, EMNIST=Downloaded)
    assert datasets.load_train("emnist-digits").images[0, :, 0].eq(255).all()


def test_qmnist_labels_are_the_first_column(monkeypatch):
    class Many(Downloaded):
        def __init__(self, root, download, what):
            super().__init__(root, download)
            assert what == "train"
            self.targets = torch.tensor([[4, 9, 2100, 0], [5, 9, 17, 0]])

    install_torchvision(monkeypatch, QMNIST=Many)
    train = datasets.load_train("qmnist")
    assert train.labels.tolist() == [4, 5]
    assert train.groups.tolist() == [2100, 17]


def test_usps_is_enlarged(monkeypatch):
    class Small(Downloaded):
        def __init__(self, root, download, **arguments):
            self.data = np.full((2, 16, 16), 9, dtype=np.uint8)
            self.targets = [3, 4]

    install_torchvision(monkeypatch, USPS=Small)
    assert datasets.load_train("usps").images.eq(9).all()


def test_a_changed_download_is_refused(monkeypatch):
    install_torchvision(monkeypatch, KMNIST=Downloaded)
    with pytest.raises(DataError, match=r"recorded was 00"):
        datasets.load_train("kmnist", expected_sha256={"train-labels": "00"})


def test_offline_the_way_out_is_named(monkeypatch):
    def refuse(root, download, **arguments):
        raise OSError("no route to host\nmore")

    install_torchvision(monkeypatch, KMNIST=refuse)
    with pytest.raises(DataError, match=r"kmnist cannot be had .*no route to host\).*--data-dir") as caught:
        datasets.load_train("kmnist")
    one_line(caught)


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    seen = []

    class Asked(Downloaded):
        def __init__(self, root, download, **arguments):
            seen.append(root)
            super().__init__(root, download)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    install_torchvision(monkeypatch, KMNIST=Asked)
    datasets.load_train("kmnist")
    assert seen == [str(tmp_path / "digit-study")]


def test_without_a_home_the_way_out_is_named(monkeypatch, tmp_path):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    install_torchvision(monkeypatch, KMNIST=Downloaded)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(DataError, match=r"no home folder .* set XDG_CACHE_HOME") as caught:
        datasets.load_train("kmnist")
    one_line(caught)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    datasets.load_train("kmnist")


def test_split_of_mnist_has_ten_thousand_validation_images_in_each_class_share(mnist):
    train, validation = datasets.stratified_split(mnist.labels, seed=0)
    assert (len(train), len(validation)) == (50_000, 10_000)
    shares = np.bincount(mnist.labels[validation]) - np.bincount(mnist.labels) / 6
    assert np.abs(shares).max() < 1


def test_split_parts_are_sorted_and_disjoint():
    train, validation = datasets.stratified_split(torch.arange(100) % 7, seed=1)
    assert sorted([*train, *validation]) == list(range(100))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    assert train.dtype == validation.dtype == np.int64


def test_split_follows_its_seed():
    labels = torch.arange(100) % 7
    first, again, other = (datasets.stratified_split(labels, seed)[1] for seed in (0, 0, 1))
    assert datasets.split_sha256(first) == datasets.split_sha256(again)
    assert datasets.split_sha256(first) != datasets.split_sha256(other)


def test_the_default_split_of_mnist_never_changes(mnist):
    _, validation = datasets.stratified_split(mnist.labels, seed=0)
    expected = "348b612df528596317ee98f8e6c1ddf0b6a78dc451114658894ffe9d7645cc39"
    assert datasets.split_sha256(validation) == expected


def test_six_validation_parts_of_a_split_share_next_to_nothing_and_the_next_six_are_of_another_order():
    labels = np.array([0, 0, 1, 1, 1, 2] + [3, 4, 5] * 77)
    parts = [datasets.stratified_split(labels, 0, sixth=sixth) for sixth in range(12)]
    assert parts[0][1].tolist() == datasets.stratified_split(labels, 0)[1].tolist()
    of_large = [set(part[labels[part] > 2]) for _, part in parts]  # small classes lend the same images again
    assert len(set().union(*of_large[:6])) == 3 * 77 == len(set().union(*of_large[6:]))
    assert sum(map(len, of_large[:6])) - 3 * 77 <= 3 * 5
    assert not {frozenset(one) for one in of_large[:6]} & {frozenset(one) for one in of_large[6:]}
    for train, validation in parts:
        assert (set(labels[train]), set(labels[validation])) == (set(range(6)), {0, 1, 3, 4, 5})
        assert len(validation) == len(parts[0][1])


def test_largest_remainders_are_rounded_up():
    labels = np.array([0] * 10 + [1] * 7 + [2] * 7)  # shares 1.67, 1.17, 1.17 of round(24 / 6) = 4
    _, validation = datasets.stratified_split(labels, seed=0)
    assert np.bincount(labels[validation]).tolist() == [2, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_a_class_of_two_stands_on_both_sides_and_one_of_one_trains(seed):
    labels = np.array([0] + [1] * 61 + [2] * 2 + [3] * 61 + [4] * 3 + [5])
    train, validation = datasets.stratified_split(labels, seed)
    assert np.bincount(labels[train]).tolist()[0] == np.bincount(labels[train])[5] == 1
    assert set(labels[train]) == set(range(6))
    assert set(labels[validation]) == {1, 2, 3, 4}


def of_labels(labels, groups=None):
    images = torch.zeros(len(labels), 28, 28, dtype=torch.uint8)
    return datasets.Dataset("made", images, torch.from_numpy(labels), tuple("0123456789"), {}, groups=groups)


def test_a_study_with_an_earlier_split_of_small_classes_keeps_it():
    labels = np.array([0] + [1] * 61 + [2] * 61 + [3] * 61)
    older = datasets.stratified_split(labels, 0, on_both_sides=False)
    assert 0 in labels[older[1]]
    recorded = datasets.split_sha256(older[1])
    made = of_labels(labels)
    assert datasets.split_as_before(made, 0, recorded)[1].tolist() == older[1].tolist()
    assert 0 not in labels[datasets.split_as_before(made, 0, None)[1]]


def test_a_study_that_was_made_without_groups_keeps_its_split():
    labels, groups = np.arange(240) % 10, np.arange(240) // 10
    before, now = datasets.split_of(of_labels(labels), 0), datasets.split_of(of_labels(labels, groups), 0)
    kept = datasets.split_as_before(of_labels(labels, groups), 0, datasets.split_sha256(before[1]))
    assert kept[1].tolist() == before[1].tolist() != now[1].tolist()


def test_too_few_images_to_split_are_refused():
    with pytest.raises(DataError, match="2 training images are too few"):
        datasets.stratified_split(np.array([0, 1]), seed=0)


def test_part_takes_numpy_and_torch_indices(mnist):
    chosen = mnist.part(np.array([3, 5]))
    assert len(chosen) == 2
    assert torch.equal(chosen.images, mnist.part(torch.tensor([3, 5])).images)
