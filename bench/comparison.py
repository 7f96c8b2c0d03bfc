"""Puts the tables and figures of `organscope compare` into a page of the documentation.

    organscope compare runs/screen --on indexes/nuinsseg --fold 1 -o compared/backbones
    python bench/comparison.py docs/experiments/organs.md compared/backbones

The page marks the place with a line `<!-- compared: NAME -->`, NAME being that of the folder, and a line
`<!-- end of compared -->`. What lies between is replaced; figures go to `docs/images/NAME/`,
which a page of `docs/experiments/` reaches as `../images/NAME/`.
"""

import argparse
import re
import shutil
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
FIGURES = (("cost", "Quality against speed and size"), ("curves", "Learning curves"))
END = "<!-- end of compared -->"


def main() -> None:
    """Replace what lies between the marks of each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    for folder in options.folders:
        insert(options.page, folder)
        print((folder / "tables.md").read_text(encoding="utf-8"))


def insert(page: Path, folder: Path) -> None:
    """One folder into the page."""
    name = folder.resolve().name
    begin = f"<!-- compared: {name} -->"
    text = page.read_text(encoding="utf-8")
    if begin not in text or END not in text.partition(begin)[2]:
        raise SystemExit(f"Expected the lines {begin} and {END} in {page}, found them not. Add them where it belongs.")
    parts = [(folder / "tables.md").read_text(encoding="utf-8")]
    for figure, title in FIGURES:
        if (folder / f"{figure}.png").is_file():
            target = IMAGES / name / f"{figure}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / f"{figure}.png", target)
            parts.append(f"![{title}](../images/{name}/{figure}.png)\n")
    content = f"{begin}\n\n" + "\n".join(parts) + f"\n{END}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(END), re.DOTALL)
    page.write_text(pattern.sub(lambda _: content, text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
