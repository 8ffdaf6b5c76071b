"""Downloads from a server in this process: mirrors, resume after a break, md5, and a slow mirror
left for the next.
"""

import hashlib
import http.server
import threading
import time

import pytest

from rebasin_edu.errors import DataError
from rebasin_edu.lab.datasets import load_data
from rebasin_edu.lab.download import fetch

BODY = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(BODY).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        body = BODY[start:]
        if self.path == "/gone":
            self.send_error(404)
            return
        if not body:
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path == "/breaks":
            self.wfile.write(body[: len(body) // 2])
        elif self.path == "/wrong":
            self.wfile.write(bytes(len(body)))
        elif self.path == "/slow":
            try:
                for i in range(0, len(body), 1 << 14):
                    self.wfile.write(body[i : i + (1 << 14)])
                    time.sleep(0.05)
            except OSError:
                pass
        else:
            self.wfile.write(body)


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_the_next_mirror_is_tried_and_the_break_is_resumed(server, tmp_path):
    path = tmp_path / "file"
    fetch(
        [f"{server.url}/gone", f"{server.url}/breaks", f"{server.url}/good"],
        path,
        MD5,
        progress=False,
    )
    assert path.read_bytes() == BODY
    assert server.asked == [
        ("/gone", "bytes=0-"),
        ("/breaks", "bytes=0-"),
        ("/good", f"bytes={len(BODY) // 2}-"),
    ]
    assert list(tmp_path.iterdir()) == [path]
    fetch([f"{server.url}/good"], path, MD5, progress=False)
    assert len(server.asked) == 3  # what is there and whole is not fetched again


def test_a_broken_download_leaves_a_part_and_no_file(server, tmp_path):
    path = tmp_path / "file"
    with pytest.raises(
        DataError, match=r"broke off after 524,288 of 1,048,576(?s:.*)Three ways out"
    ):
        fetch([f"{server.url}/breaks"], path, MD5, progress=False)
    assert not path.exists()
    fetch([f"{server.url}/good"], path, MD5, progress=False)
    assert server.asked[-1] == ("/good", f"bytes={len(BODY) // 2}-")


def test_damaged_content_is_thrown_away(server, tmp_path):
    with pytest.raises(DataError, match="md5 is not"):
        fetch([f"{server.url}/wrong"], tmp_path / "file", MD5, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_mirror_is_left_for_the_next_and_the_last_is_waited_for(server, tmp_path):
    path = tmp_path / "file"
    fetch(
        [f"{server.url}/slow", f"{server.url}/good"],
        path,
        MD5,
        patience=0.3,
        slowest=10e6,
        progress=False,
    )
    assert path.read_bytes() == BODY
    assert server.asked[1][1] != "bytes=0-"  # went on where the slow one was left
    path.unlink()
    fetch([f"{server.url}/slow"], path, MD5, patience=0.3, slowest=10e6, progress=False)
    assert path.read_bytes() == BODY


def test_a_failed_download_says_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path))
    monkeypatch.delenv("REBASIN_EDU_DATA", raising=False)
    monkeypatch.setattr(
        "rebasin_edu.lab.download.CIFAR",
        {"cifar10": ("a.tar.gz", MD5, ("http://127.0.0.1:9/a.tar.gz",))},
    )
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9(?s:.*)Three ways out"):
        load_data("cifar10", download=True)
