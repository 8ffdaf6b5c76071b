"""A plane goes through its three networks, goes on where it stopped, and is no other one."""

import dataclasses

import pytest
import torch

from rebasin_edu.errors import FileFormatError, RebasinError
from rebasin_edu.lab.models import MLP
from rebasin_edu.landscape import Plane, evaluate, lerp, loss_plane
from rebasin_edu.storage import save_json

DATA = torch.randn(60, 12, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 4


def mlp(seed):
    torch.manual_seed(seed)
    return MLP(12, (16,), 4)


A, B, C = mlp(1), mlp(2), mlp(3)


def plane_of(a=A, b=B, c=C, **kwargs):
    return loss_plane(a, b, c, DATA, **{"model": A, "resolution": (4, 3), **kwargs})


def test_the_three_networks_lie_where_the_plane_says():
    import rebasin_edu.landscape.plane as planes

    found = plane_of()
    (_, (x0, y0)), (_, (x1, y1)), (_, (x2, y2)) = found.points.items()
    assert (x0, y0, x1, y1) == (0, 0, 1, 0)
    assert planes._coefficients(x0, y0, x2, y2) == (1, 0, 0)
    assert planes._coefficients(x1, y1, x2, y2) == (0, 1, 0)
    assert planes._coefficients(x2, y2, x2, y2) == pytest.approx((0, 0, 1))
    vectors = [
        torch.cat([x.detach().flatten() for x in net.parameters()]).double() for net in (A, B, C)
    ]
    unit = (vectors[1] - vectors[0]).norm()
    assert found.distance == pytest.approx(float(unit), rel=1e-6)
    assert (x2**2 + y2**2) ** 0.5 == pytest.approx(
        float((vectors[2] - vectors[0]).norm() / unit), rel=1e-6
    )


def test_its_numbers_are_those_of_the_networks_there():
    found = plane_of()
    (along, height) = found.points["π(B)"]
    for row, column in ((0, 0), (1, 2), (2, 3)):
        x, y = found.x[column], found.y[row]
        third = y / height
        there = {
            name: p
            + (x - along * third) * (B.state_dict()[name] - p)
            + third * (C.state_dict()[name] - p)
            for name, p in A.state_dict().items()
        }
        assert found.loss[row][column] == pytest.approx(
            evaluate(there, DATA, model=A).loss, abs=1e-5
        )
    line = loss_plane(A, B, C, DATA, resolution=(3, 2), margin=0.0)
    assert line.loss[0][0] == pytest.approx(evaluate(A, DATA).loss, abs=1e-6)
    if max(line.x) == 1.0:
        assert line.loss[0][1] == pytest.approx(
            evaluate(lerp(A, B, 0.5), DATA, model=A).loss, abs=1e-6
        )


def test_an_interrupted_plane_goes_on_where_it_stopped(tmp_path, monkeypatch):
    import rebasin_edu.landscape.plane as planes

    whole, path, asked = plane_of(), tmp_path / "plane.json", []

    def counted(*args, real=planes.scores, **kwargs):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(planes, "scores", counted)
    with pytest.raises(KeyboardInterrupt):
        plane_of(file=path)
    half = Plane.load(path)
    assert not half.complete
    assert half.loss[:2] == whole.loss[:2]
    asked.pop()
    assert plane_of(file=path) == whole == Plane.load(path)
    assert len(asked) == 2  # one row was left
    assert plane_of(file=path).complete
    assert len(asked) == 2  # and now none is


def test_a_file_of_another_plane_is_not_touched(tmp_path):
    path = tmp_path / "plane.json"
    plane_of(file=path)
    before = path.read_text()
    for other in ({"c": mlp(4)}, {"resolution": 5}, {"margin": 0.5}):
        with pytest.raises(RebasinError, match="another plane"):
            plane_of(file=path, **other)
    assert path.read_text() == before
    path.write_text(before[:40])
    with pytest.raises(FileFormatError, match="cut off"):
        plane_of(file=path)


def test_three_networks_on_a_line_span_no_plane():
    for b, c in ((B, lerp(A, B, 0.3)), (A, C), (B, B), (B, A)):
        with pytest.raises(RebasinError, match="one line"):
            plane_of(b=b, c=c)
    with pytest.raises(RebasinError, match="at least 2"):
        plane_of(resolution=1)


def test_a_whole_plane_is_saved_and_loaded(tmp_path):
    found = plane_of(meta={"seed": 1}, names=("A", "B", "C"))
    found.save(tmp_path / "p.json")
    assert Plane.load(tmp_path / "p.json") == found
    assert found.complete
    broken = dataclasses.asdict(found)
    broken.pop("x")
    save_json(tmp_path / "p.json", broken, format="rebasin_edu.Plane")
    with pytest.raises(FileFormatError, match="whole plane"):
        Plane.load(tmp_path / "p.json")
