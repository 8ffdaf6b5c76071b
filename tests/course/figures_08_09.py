"""The figures of notebooks 08 and 09 with small numbers, for ``test_figures``."""

from rebasin_edu.course import figures

ALPHAS = [0.0, 0.5, 1.0]


def line(lost):
    return {"alphas": ALPHAS, "loss": [0.5, 1.0, 0.5], "accuracy": [0.8, 0.8 - lost, 0.8]}


def grid_row(width=1, norm="batch", seeds=(0, 1)):
    return {
        "width": width,
        "norm": norm,
        "seeds": list(seeds),
        "epochs": 3,
        "samples": 100,
        "data": "CIFAR-10",
        "parents": [{"loss": 0.5, "accuracy": 0.8}] * 2,
        "lines": {
            "naive": {"re-estimated": line(0.6)},
            "weights": {"as it is": line(0.7), "re-estimated": line(0.1), "refitted": line(0.02)},
        },
        "refit images": {
            "weights": [[8, 0.9, 0.7], [500, 0.5, 0.78]],
            "naive": [[8, 1.5, 0.4], [500, 0.8, 0.7]],
        },
    }


def alpha_by_width():
    return figures.draw_alpha_by_width(grid_row(), 0.5)


def widths():
    return figures.draw_widths([grid_row(1), grid_row(2)], title="two widths")


def refit_images():
    return figures.draw_refit_images([grid_row()], [(500, 2.0)])
