"""Make an index of some images of another, for what folds cannot say: another species, an organ left out.

    python bench/part_of_index.py indexes/nuinsseg -o indexes/human_to_mouse \\
        --organs liver kidney spleen muscle --score-species mouse
    python bench/part_of_index.py indexes/nuinsseg -o indexes/mouse_four_unseen \\
        --score-species mouse --score-organs liver kidney spleen muscle
    python bench/part_of_index.py indexes/nuinsseg -o indexes/no_liver --without-organs liver
    python bench/part_of_index.py indexes/isbi2012_em -o indexes/isbi_ten --n-training 10

With `--score-species`, the images of that species (of its `--score-organs`, or of all) become fold 1, which is only
scored, and all others fold 2; without it the folds stay as they are. With `--n-training`, so many of the images
outside fold 1 are kept, evenly spaced. Images and labels stay where they lie.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from organscope.data.index import read_index, write_index


def main() -> None:
    """Write the index and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--organs", nargs="+", help="only these")
    parser.add_argument("--without-organs", nargs="+", default=[])
    parser.add_argument("--score-species", help="fold 1; all others are fold 2")
    parser.add_argument("--score-organs", nargs="+", help="only these of that species")
    parser.add_argument("--n-training", type=int, help="keep so many of the images outside fold 1")
    options = parser.parse_args()
    whole = read_index(options.index)
    table = chosen_rows(whole.table, options.organs, options.without_organs)
    if table.empty:
        raise SystemExit(f"Expected images of these organs in {options.index}, found none.")
    if options.score_species:
        scored = chosen_rows(table[table["species"] == options.score_species], options.score_organs, []).index
        table["fold"] = np.where(table.index.isin(scored), 1, 2)
    if options.n_training:
        table = thinned(table, options.n_training)
    for column in ("image", "labels"):
        table[column] = [str(whole.resolve(path)) if path else "" for path in table[column]]
    write_index(options.output, table)
    print(table.groupby(["fold", "species", "organ"]).size().to_string())


def chosen_rows(table: pd.DataFrame, organs: list[str] | None, without: list[str]) -> pd.DataFrame:
    """The rows of some organs, as a copy."""
    kept = ~table["organ"].isin(without)
    return table[kept if organs is None else kept & table["organ"].isin(organs)].copy()


def thinned(table: pd.DataFrame, n_training: int) -> pd.DataFrame:
    """All rows of fold 1, and so many of the others, evenly spaced."""
    others = np.flatnonzero(table["fold"] != 1)
    n_kept = min(n_training, len(others))
    kept = others[np.arange(n_kept) * len(others) // n_kept]
    return table.iloc[np.sort(np.concatenate([kept, np.flatnonzero(table["fold"] == 1)]))].copy()


if __name__ == "__main__":
    main()
