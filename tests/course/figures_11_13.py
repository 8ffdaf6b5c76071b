"""The figures of notebooks 11 and 13 on small inputs, for ``test_figures``."""

from rebasin_edu.course import figures

PARENTS = {"A": {"loss": 0.2, "accuracy": 0.9}, "B": {"loss": 0.3, "accuracy": 0.8}}
MERGED = {"refitted": {"loss": 0.1, "accuracy": 0.95}, "naive": {"loss": 2.0, "accuracy": 0.1}}


def by_class():
    return figures.draw_by_class({"A": [1, 2, 3], "B": [3, 2, 1]}, ylabel="images", title="MNIST")


def halves():
    pairs = [PARENTS | MERGED, PARENTS | MERGED]
    return figures.draw_halves(pairs, ("A", "B", "naive", "refitted"), title="MNIST")


def rounds():
    scores = [{"accuracy": share} for share in (0.5, 0.9, 0.96)]
    return figures.draw_rounds([{"one start": scores, "matched": scores}] * 2, 2, title="MNIST")


def points_lost():
    lost = {"naive": 70.0, "matched": 20.0, "REPAIR": 5.0}
    return figures.draw_points_lost(lost, repaired=["REPAIR"], title="two")


DRAWN = {"by class": by_class, "halves": halves, "rounds": rounds, "points lost": points_lost}
