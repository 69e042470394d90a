"""Render the example lines of this folder.

Example:
    python examples/render.py --fonts FOLDER_OF_TTF_FILES

The fonts are under the SIL Open Font License 1.1; they are not part of this repository (see README.md). The sentences
were written for this project.
"""

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont


LINES = [
    ("en_1.jpg", "kalam.ttf", "The letters were tied with a blue ribbon."),
    ("en_2.jpg", "Handlee-Regular.ttf", "We reached the harbour on 14 May, before noon."),
    ("de_1.jpg", "Delius-Regular.ttf", "Die Brücke wurde im Frühjahr neu gebaut."),
    ("de_2.jpg", "Pangolin-Regular.ttf", "Über den Gärten hing ein süßer Duft."),
    ("fr_1.jpg", "SedgwickAve-Regular.ttf", "Le marché ouvre à sept heures précises."),
    ("fr_2.jpg", "patrick-hand.ttf", "Ma sœur a reçu la lettre d'août."),
    ("it_1.jpg", "Delius-Regular.ttf", "La nave partì prima dell'alba."),
    ("it_2.jpg", "dancing-script.ttf", "Perché non vieni più in città?"),
    ("vi_1.jpg", "Pangolin-Regular.ttf", "Buổi sáng ở đây rất yên tĩnh."),
    ("vi_2.jpg", "Mali-Regular.ttf", "Chị tôi viết thư mỗi tuần."),
]


def render(text: str, font: ImageFont.FreeTypeFont, seed: int) -> Image.Image:
    """One line in dark ink on slightly uneven paper."""
    noise = np.random.default_rng(seed)
    left, top, right, bottom = font.getbbox(text)
    width, height = int(right - left) + 40, int(bottom - top) + 28
    ink = Image.new("L", (width, height), 0)
    ImageDraw.Draw(ink).text((20 - left, 14 - top), text, fill=255, font=font)
    ink = np.asarray(ink.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float32)[..., None] / 255
    paper = np.array([236.0, 229.0, 213.0]) + noise.normal(0, 3, (height, width, 1))
    pen = np.array([38.0, 40.0, 70.0])
    return Image.fromarray(np.clip(paper * (1 - ink) + pen * ink, 0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", required=True, metavar="DIR", help="folder with the font files named in this script")
    parser.add_argument(
        "--output", default=Path(__file__).parent, type=Path, metavar="DIR", help="default: this folder"
    )
    arguments = parser.parse_args()
    rows = []
    for name, font_file, text in LINES:
        try:
            font = ImageFont.truetype(str(Path(arguments.fonts) / font_file), 56)
        except OSError as error:
            sys.exit(f"render.py: {Path(arguments.fonts) / font_file}: {error}")
        render(text, font, seed=zlib.crc32(name.encode())).save(arguments.output / name, quality=88)
        rows.append(json.dumps({"file_name": name, "text": text}, ensure_ascii=False))
    (arguments.output / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
