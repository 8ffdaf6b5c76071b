"""The moving picture of the README, alpha by width, from the stored grid.

    python benchmarks/picture.py [FILE]

Writes an animated GIF: the mark goes from A to B at ×1, then at ×2, then at ×4.
"""

import argparse
import io
from pathlib import Path

from PIL import Image

import rebasin_edu as rb
from rebasin_edu.course import figures
from rebasin_edu.show import png

TARGET = Path(__file__).parent / "results" / "alpha_by_width.gif"
WIDTH = 760  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, default=TARGET)
    target = parser.parse_args().file
    run, pictures = rb.load_run("cifar10-16px-resnet20-grid"), []
    for width in (1, 2, 4):
        row = figures.grid_row(run, width)
        for step in range(5):
            figure = figures.draw_alpha_by_width(row, step / 4)
            picture = Image.open(io.BytesIO(png(figure))).convert("RGB")
            size = (WIDTH, round(WIDTH * picture.height / picture.width))
            small = picture.resize(size, Image.Resampling.LANCZOS)
            pictures.append(small.quantize(160, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))
    durations = [1200] * len(pictures)
    first, *others = pictures
    first.save(target, save_all=True, append_images=others, duration=durations, loop=0)
    print(f"{target.name}: {target.stat().st_size / 1e3:.0f} kB, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
