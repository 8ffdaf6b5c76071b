"""Downloads from a server in this process: mirrors, md5 sums, unpacking, what a failure leaves."""

import gzip
import hashlib
import http.server
import io
import socket
import tarfile
import threading

import numpy as np
import pytest

from rebasin_edu.errors import DataError
from rebasin_edu.lab import download
from rebasin_edu.lab.datasets import load_data
from rebasin_edu.lab.download import fetch

BODY = bytes(range(256)) * 4096  # 1 MiB


def md5(body):
    return hashlib.md5(body).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        kind, _, name = self.path.strip("/").partition("/")
        body = self.server.files.get(name, BODY)
        self.close_connection = True
        if kind == "gone":
            self.send_error(404)
        elif kind == "nothing-left":
            self.send_error(416)
        elif kind == "garbage":
            self.wfile.write(b"not http at all\r\n\r\n")
        elif kind == "chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4000\r\n" + body[:1000])
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if kind == "html":
                body = b"<html>please log in</html>".ljust(len(body))
            self.wfile.write(body[: len(body) // 2] if kind == "breaks" else body)


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.asked, running.files = [], {}
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("REBASIN_EDU_DATA", raising=False)
    return tmp_path / "cache" / "data"


@pytest.mark.parametrize("answer", ["gone", "breaks", "html", "chunked", "garbage", "nothing-left"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whatever_a_mirror_answers_the_next_one_is_asked(server, tmp_path, answer):
    path = tmp_path / "here" / "file"
    mirrors = [f"{server.url}/{answer}", f"{server.url}/good"]
    fetch(mirrors, path, md5(BODY), progress=False)
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]
    fetch(mirrors, path, md5(BODY), progress=False)
    assert server.asked[-1] == "/good"
    assert len(server.asked) == 2  # what is there and whole is not fetched again


def test_a_download_that_fails_everywhere_leaves_nothing_and_says_what_each_answered(
    server, tmp_path
):
    path = tmp_path / "here" / "file"
    mirrors = [f"{server.url}/gone", f"{server.url}/html"]
    with pytest.raises(DataError, match=r"/gone: (?s:.*)/html: (?s:.*)Three ways out"):
        fetch(mirrors, path, md5(BODY), progress=False)
    assert list(path.parent.iterdir()) == []


def test_four_threads_at_one_file(server, tmp_path):
    wrong, path = [], tmp_path / "file"

    def once():
        try:
            fetch([f"{server.url}/good"], path, md5(BODY), progress=False)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert path.read_bytes() == BODY


def serve_mnist(server, monkeypatch, mirror="good"):
    """Let torchvision's MNIST be four small files of this server."""
    from torchvision import datasets

    resources = []
    for name, shape in (
        ("train-images-idx3-ubyte", (20, 28, 28)),
        ("train-labels-idx1-ubyte", (20,)),
        ("t10k-images-idx3-ubyte", (10, 28, 28)),
        ("t10k-labels-idx1-ubyte", (10,)),
    ):
        head = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
        body = gzip.compress(head + (np.arange(np.prod(shape)) % 10).astype(np.uint8).tobytes())
        server.files[f"{name}.gz"] = body
        resources.append((f"{name}.gz", md5(body)))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{server.url}/{mirror}/"])


def test_a_data_set_is_brought_into_the_cache_whole(server, monkeypatch, cache):
    serve_mnist(server, monkeypatch)
    data = load_data("mnist", download=True)
    assert (data.name, len(data.train_targets)) == ("MNIST", 20)
    assert len(server.asked) == 4
    assert sorted(path.name for path in cache.iterdir() if path.suffix != ".lock") == ["MNIST"]
    assert load_data("mnist").name == "MNIST"
    assert len(server.asked) == 4


def test_a_failed_download_never_locks_a_data_set_out(server, monkeypatch, cache):
    serve_mnist(server, monkeypatch, mirror="breaks")
    with pytest.raises(DataError, match="could not be downloaded"):
        load_data("mnist", download=True)
    assert load_data("mnist").key == "mnist-5k"
    (cache / "MNIST" / "raw").mkdir(parents=True)  # what version 1 could leave
    assert load_data("mnist").key == "mnist-5k"
    serve_mnist(server, monkeypatch)
    assert load_data("mnist", download=True).key == "mnist"


def test_an_archive_is_unpacked_into_place_or_not_at_all(server, monkeypatch, tmp_path):
    from torchvision import datasets

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    body = packed.getvalue()
    monkeypatch.setattr(download, "CIFAR_MIRRORS", (f"{server.url}/good/",))
    for content, right in ((b"no archive", False), (body, True)):
        server.files[datasets.CIFAR10.filename] = content
        monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(content))
        if right:
            download.fetch_dataset("cifar10", tmp_path)
        else:
            with pytest.raises(DataError, match="cannot be unpacked"):
                download.fetch_dataset("cifar10", tmp_path)
        folders = [path.name for path in tmp_path.iterdir() if path.is_dir()]
        assert folders.count("cifar-10-batches-py") == right
    assert (tmp_path / "cifar-10-batches-py" / "data_batch_1").read_bytes() == b"abc"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"could not be brought into .*file"):
        download.fetch_dataset("cifar10", tmp_path / "file" / "data")
