"""What a release promises: one version, one address, commands that answer, all in step."""

import io
import re
import runpy
import sys
import types
import zipfile
from pathlib import Path

import pytest
import yaml

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

import rebasin_edu
from rebasin_edu.course import build, repository

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = sorted(
    path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()
)


@pytest.fixture
def release(monkeypatch):
    return types.SimpleNamespace(**runpy.run_path(str(ROOT / "tools/release.py")))


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_version_citation_and_address_are_in_step(release):
    assert release.out_of_step() == []
    assert release.version() == rebasin_edu.__version__
    assert release.constant("REPOSITORY") == repository.REPOSITORY == build.REPOSITORY


def test_no_release_while_the_address_is_a_placeholder(release):
    found = "\n".join(release.faults("v9.9"))
    if repository.REPOSITORY == repository.PLACEHOLDER:
        assert "placeholder" in found
    assert "the tag is v9.9" in found
    workflow = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert "tools/release.py check" in workflow


def test_the_address_moves_everywhere_at_once(tmp_path, release, monkeypatch):
    for name in (*release.SPELLED, "CHANGELOG.md", "rebasin_edu/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    constant = tmp_path / "rebasin_edu/course/repository.py"
    constant.parent.mkdir(parents=True)
    constant.write_bytes(Path(repository.__file__).read_bytes())
    names = release.move.__globals__
    monkeypatch.setitem(names, "ROOT", tmp_path)
    monkeypatch.setitem(names, "CONSTANT", constant)
    assert len(release.move("someone/rebasin_edu")) >= 4
    assert release.constant("REPOSITORY") == "someone/rebasin_edu"
    assert release.out_of_step() == []
    assert not any("placeholder" in fault for fault in release.faults())


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_says_how_it_is_used(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(path), run_name="__main__")
    assert stopped.value.code in (None, 0)
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("installed", [True, False])
def test_the_colab_cell_installs_what_is_missing_there(installed, monkeypatch):
    """In a simulated Colab: the module is loaded, and the package is there or not."""
    magics = []
    shell = types.SimpleNamespace(run_line_magic=lambda name, line: magics.append((name, line)))
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    cell = build.assemble(build.source_paths()[0]).cells[1]
    assert cell.metadata.tags == ["colab"]
    exec(cell.source, {"get_ipython": lambda: shell})
    wanted = ("pip", f"install -q git+https://github.com/{repository.REPOSITORY}")
    assert magics == ([] if installed else [wanted])


def test_elsewhere_the_colab_cell_does_nothing(monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    exec(build.assemble(build.source_paths()[0]).cells[1].source, {})  # get_ipython is not there


def installed(extra):
    """The packages that ``pip install rebasin_edu[extra]`` asks for."""
    extras = project()["optional-dependencies"]
    lines, found = [*project()["dependencies"], *extras[extra]], set()
    for line in lines:
        if own := re.match(r"rebasin_edu\[(.+)\]", line):
            lines += [each for name in own[1].split(",") for each in extras[name]]
        else:
            found.add(re.match(r"[\w-]+", line)[0])
    return found


def test_binder_has_what_the_package_needs_and_the_versions_tested():
    pinned = dict(re.findall(r"^([\w-]+)==([\w.+]+)", read("binder/requirements.txt"), re.M))
    tested = dict(re.findall(r"^([\w-]+)==([\w.+]+)", read("constraints.txt"), re.M))
    needed = installed("lab")
    assert needed <= pinned.keys(), f"binder lacks {needed - pinned.keys()}"
    for name, number in pinned.items():
        assert number.removesuffix("+cpu") == tested[name], name


def test_what_the_notebooks_import_comes_with_the_extra_that_opens_them():
    here = installed("lab") | {"rebasin_edu", "IPython"}
    here |= {"dask"} if "distributed" in here else set()  # it brings dask
    imported = {
        found
        for path in build.source_paths()
        for found in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text("utf-8"), re.M)
    }
    missing = imported - set(sys.stdlib_module_names) - here
    assert not missing, f"pip install 'rebasin_edu[lab]' does not bring {missing}"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_pypi_knows_where_and_for_whom():
    about = project()
    assert {"Repository", "Issues", "Changes"} <= about["urls"].keys()
    assert all(repository.REPOSITORY in about["urls"][name] for name in ("Repository", "Issues"))
    assert about["scripts"] == {"rebasin-edu": "rebasin_edu.cli:main"}
    assert "Intended Audience :: Education" in about["classifiers"]
    assert "rebasin_edu/lab/stored/README.md" in about["license-files"]


def test_what_is_shipped_fits_a_wheel():
    stored = [path for path in Path(rebasin_edu.__file__).parent.rglob("*") if path.is_file()]
    stored += list(repository.NOTEBOOKS.glob("*.ipynb"))
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in stored:
            if path.suffix != ".pyc":
                packed.write(path)
    assert len(wheel.getvalue()) <= 45e6


@pytest.mark.parametrize("name", ["ci", "site", "release"])
def test_workflows_are_whole(name):
    workflow = yaml.safe_load(read(f".github/workflows/{name}.yml"))
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["runs-on"] and job["steps"] for job in workflow["jobs"].values())
