"""The sliders in a real browser: in JupyterLab with a kernel, and in an exported page without one.

They need a Chromium on the machine; the page also needs npm, which fetches the scripts that
readers' browsers load from a CDN.
"""

import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

CELLS = [
    "import numpy as np\nimport rebasin_edu as rb",
    """\
alphas = np.linspace(0, 1, 11)
bump = 4 * alphas * (1 - alphas)
curve = rb.Curve(tuple(alphas), tuple(0.1 + bump), tuple(0.98 - 0.4 * bump), tuple(0 * bump))
slider = rb.show.explore(curve)
slider""",
]


@pytest.fixture(scope="module")
def notebook():
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS],
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
    )


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def press_and_read(page, key: str, times: int) -> tuple[str, bytes]:
    """Focus the slider, press a key, and read the line under the picture that shows, and the
    picture.
    """
    page.locator(".noUi-handle, [role=slider]").first.focus()
    for _ in range(times):
        page.keyboard.press(key)
    page.wait_for_timeout(400)
    line = page.locator(".jupyter-widgets [role=status]:visible").first
    picture = page.locator(".jupyter-widgets img:visible").first
    return line.inner_text(), picture.get_attribute("src")


def assert_moves(page) -> None:
    page.wait_for_selector(".noUi-handle, [role=slider]", timeout=60_000)
    page.wait_for_timeout(500)
    middle, picture = press_and_read(page, "ArrowRight", 0)
    assert "alpha = 0.50" in middle
    right, moved = press_and_read(page, "ArrowRight", 2)
    assert "alpha = 0.70" in right and moved != picture
    left, _ = press_and_read(page, "ArrowLeft", 7)
    assert "alpha = 0.00 (100% A, 0% B): loss 0.100, accuracy 98.0 %" in left


@pytest.fixture(scope="module")
def cdn(request):
    """The two scripts that an exported page loads, fetched once through npm."""
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    folder = Path(request.config.cache.mkdir("npm"))
    wanted = {
        "html-manager": ("@jupyter-widgets/html-manager@1.0.14", "package/dist/embed-amd.js"),
        "require": ("requirejs@2.3.7", "package/require.js"),
    }
    scripts = {}
    for name, (package, member) in wanted.items():
        target = folder / f"{name}.js"
        if not target.exists():
            packed = subprocess.run(
                ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True
            )
            if packed.returncode != 0:
                pytest.skip(f"npm cannot fetch {package}: {packed.stderr[-200:]}")
            with tarfile.open(folder / packed.stdout.strip().splitlines()[-1]) as archive:
                target.write_bytes(archive.extractfile(member).read())
        scripts[name] = target.read_bytes()
    return scripts


def test_exported_page_moves_without_a_kernel(notebook, browser, cdn, tmp_path):
    from nbconvert import HTMLExporter

    from rebasin_edu.course.build import run

    body, _ = HTMLExporter().from_notebook_node(run(notebook, widget_state=True))
    (tmp_path / "page.html").write_text(body)

    def serve(route):
        url = route.request.url
        if url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        elif "html-manager" in url:
            route.fulfill(body=cdn["html-manager"], content_type="text/javascript")
        elif "require" in url:
            route.fulfill(body=cdn["require"], content_type="text/javascript")
        else:
            route.abort()

    page = browser.new_page()
    page.route("**/*", serve)
    page.goto((tmp_path / "page.html").as_uri())
    assert_moves(page)
    page.close()


@pytest.mark.slow  # starts a whole JupyterLab: minutes on a busy machine
def test_slider_moves_in_jupyterlab(notebook, browser, tmp_path):
    nbformat.write(notebook, tmp_path / "slider.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [
        "--no-browser",
        "--ServerApp.token=",
        "--ServerApp.password=",
        "--allow-root",
        f"--port={port}",
        "--ip=127.0.0.1",
    ]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *flags], cwd=tmp_path, stdout=log, stderr=log
    )
    try:
        base = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{base}/api/status", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.goto(f"{base}/lab/tree/slider.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=90_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=90_000)
        page.locator(".jp-NotebookPanel .jp-Cell .cm-content").first.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        assert_moves(page)
        page.close()
    finally:
        server.terminate()
        server.wait(20)
