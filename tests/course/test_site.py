"""The site: what its pages are made of; and, where sphinx, npm and Chromium are, its pages read
with the network cut off.
"""

import functools
import http.server
import importlib.util
import json
import re
import threading

import nbformat
import pytest

import rebasin_edu as rb
from rebasin_edu.course import site, site_pages, vendor
from rebasin_edu.course.repository import binder, colab, stored_notebooks

from . import test_browser
from .test_browser import browser  # noqa: F401

FIRST = stored_notebooks()[0]


def stored(name="00_tour"):
    return nbformat.read(stored_notebooks([name])[0], as_version=4)


def test_a_page_has_links_texts_and_folded_solutions():
    page = site.page_of(stored(), "00_tour")
    first = page.cells[1] if page.cells[0].cell_type == "code" else page.cells[0]
    assert colab("00_tour") in first.source and binder("00_tour") in first.source
    assert first.source.startswith("# 00 · ")
    assert "colab-badge.svg" not in json.dumps(page)  # a picture of another host
    tags = [set(cell.metadata.tags) for cell in page.cells]
    assert all("hide-cell" in each for each in tags if "solution" in each)
    assert all("remove-cell" in each for each in tags if each & {"smoke", "colab"})
    outputs = [output for cell in page.cells for output in cell.get("outputs", ())]
    pictures = [o.data["text/html"] for o in outputs if "<img" in str(o.get("data", {}))]
    assert pictures and all(re.search(r'alt="[^"]{20,}"', picture) for picture in pictures)
    assert not any("image/png" in o.get("data", {}) for o in outputs)


def test_the_index_has_a_picture_and_a_question_for_each_notebook(tmp_path):
    page = site.page_of(stored(), "00_tour")
    card = site.card(page, "00_tour", tmp_path)
    assert (tmp_path / "pictures/00_tour.png").read_bytes().startswith(b"\x89PNG")
    index = site_pages.index_page([card])
    assert "What is the network midway" in index and 'alt="' in index
    assert index.count('class="card"') == 1 and "\n00_tour\n" in index


def test_the_reference_lists_all_that_is_public():
    text = site_pages.api_page()
    for name in rb.__all__:
        assert re.search(rf":: rebasin_edu\.{name}\n", text), name
    assert "rebasin_edu.show.draw_curves" in text and "rebasin_edu.errors.SpecError" in text


def test_the_page_on_specs_draws_its_picture(tmp_path):
    text = site_pages.spec_page(tmp_path)
    assert (tmp_path / "spec.png").read_bytes().startswith(b"\x89PNG")
    assert "stem.weight" in text and "inner.weight" in text


def test_notebooks_are_run_once(tmp_path, monkeypatch):
    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell("print(40 + 2)", id="a")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "98_x.ipynb")
    first = site.executed(tmp_path / "98_x.ipynb", tmp_path / "kept")
    assert "42" in str(first.cells[0].outputs)
    monkeypatch.setattr("nbclient.NotebookClient.execute", None)  # no second run
    assert site.executed(tmp_path / "98_x.ipynb", tmp_path / "kept") == first


def test_without_npm_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path))
    monkeypatch.setattr(vendor.shutil, "which", lambda name: None)
    with pytest.raises(vendor.NoScripts, match=r"Node\.js"):
        vendor.vendor(tmp_path / "x", ["requirejs"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The site of two notebooks, served from this machine."""
    if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("furo") is None:
        pytest.skip("the extra `site` is not installed")
    folder = tmp_path_factory.mktemp("site") / "html"
    try:
        site.build_site(folder, ["00_tour", "04_weight_matching"])
        vendor.vendor(folder / "_static", ["axe-core"])
    except vendor.NoScripts as error:
        pytest.skip(str(error))
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def opened(browser, host, name, **options):  # noqa: F811
    """A page with the network cut off, and what it asked of other hosts or complained about."""
    page, faults = browser.new_page(**options), []

    def serve(route):
        if route.request.url.startswith((host, "data:", "blob:")):
            route.continue_()
        else:
            faults.append(f"asks {route.request.url}")
            route.abort()

    page.route("**/*", serve)
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{host}/{name}.html")
    return page, faults


VIEW = """handle => {
    let box = handle;
    while (box && !box.querySelector("img")) box = box.parentElement;
    const shown = kind => [...box.querySelectorAll(kind)].filter(x => x.offsetParent);
    const words = shown("[role=status]").map(x => x.innerText).join();
    return [shown("img").map(x => x.src).join(), words];
}"""


@pytest.mark.slow
@test_browser.pytestmark
@pytest.mark.parametrize("name", ["00_tour", "04_weight_matching"])
def test_every_slider_moves_with_the_network_cut_off(pages, browser, name):  # noqa: F811
    page, faults = opened(browser, pages, name)
    page.wait_for_selector(".noUi-handle", timeout=90_000)
    page.wait_for_timeout(1500)
    handles = page.locator(".noUi-handle").all()
    assert handles
    for handle in handles:
        assert handle.get_attribute("aria-label")
        handle.focus()
        seen = [handle.evaluate(VIEW)]
        for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)
            page.wait_for_timeout(300)
            seen.append(handle.evaluate(VIEW))
        assert len({picture for picture, _ in seen}) >= 2, "the picture does not change"
        assert len({words for _, words in seen}) >= 2, "its line of text does not change"
    assert page.locator("mjx-container").count() > 0 or name == "00_tour"
    assert faults == []
    page.close()


@pytest.mark.slow
@test_browser.pytestmark
@pytest.mark.parametrize("name", ["index", "00_tour", "spec", "api"])
def test_no_serious_violation_of_accessibility(pages, browser, name):  # noqa: F811
    page, faults = opened(browser, pages, name)
    page.wait_for_timeout(1500)
    page.add_script_tag(url=f"{pages}/_static/axe.min.js")
    found = page.evaluate("axe.run().then(result => result.violations)")
    grave = [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert grave == [] and faults == []
    page.close()
