"""Fit how a segmentation bundle judges its own answer (`cells_trust`), and measure the rule on sources left out.

    python bench/fit_trust.py nuclei --he indexes/nuinsseg indexes/tnbc --fluorescence indexes/dsb2018 \
        indexes/bbbc039 indexes/mnfinder --imitated indexes/imitated_ihc indexes/imitated_tissue_part \
        --strange indexes/axon_sem -o trust
    python bench/fit_trust.py nuclei --answers trust/answers.parquet -o trust

Images of fold 1, which trained nothing, as they are and each degraded in two ways of nine (blur, size, noise,
inversion, faint contrast, exchanged colors, glow, stains, immunohistochemistry), and images of another kind. A ridge
regression on piecewise linear curves estimates panoptic quality and the shares of missed and false cells. Limits are
set on answers of rules that have not seen the source: of images with PQ of .55 or more at most 9 % are flagged. Writes
answers.parquet, trust.csv (coverage against quality), curve.png and the manifest with the rule.
"""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image as PillowImage
from sklearn.linear_model import RidgeCV

from organscope.data.index import Sample, read_index
from organscope.decision.trust import AdditiveEstimate, TrustRule
from organscope.evaluation.metrics.segmentation import segmentation_scores
from organscope.inference import segment_image
from organscope.io.image import image_from_array
from organscope.models import Bundle, load_bundle
from organscope.ops import corruptions
from organscope.ops.intensity import to_rgb
from organscope.training.segmentation.imitations import Stains, immunostain

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FEATURES = ("mean_probability", "low_probability", "size", "unsure", "soft", "sure")
"""Beside these, mean and spread of each map."""

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
GOOD, BAD = 0.55, 0.35
FLAGGED_OF_GOOD = 0.09
MIN_CELLS = 5
ALPHAS = np.logspace(-1, 3, 9)
_Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Answer, fit, measure, write."""
    told = _arguments()
    bundle = load_bundle(told.bundle)
    told.output.mkdir(parents=True, exist_ok=True)
    if told.answers is None:
        answers = pd.DataFrame(answer(row, bundle) for row in shown(told))
        answers.to_parquet(told.output / "answers.parquet")
    else:
        answers = pd.read_parquet(told.answers)
    judged = answers.dropna(subset=["mean_probability"]).reset_index(drop=True)
    names = [*FEATURES, *sorted(name for name in judged if name.startswith(("inside_", "varies_")))]
    held_out = left_out(judged, names)
    rule = fit_rule(judged, names, *limits(judged, held_out))
    report(answers, judged, held_out, rule, told.output)
    manifest = bundle.manifest.model_copy(update={"spec": bundle.manifest.spec.model_copy(update={"trust": rule})})
    (told.output / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")


def shown(told: argparse.Namespace) -> Iterator[dict]:
    """Images with their true cells, as they are and degraded."""
    for kind in ("he", "fluorescence", "imitated", "strange"):
        for folder in getattr(told, kind):
            samples = [s for s in read_index(folder).samples() if s.fold == 1 or kind == "strange"]
            random = np.random.default_rng(0)
            for number in random.permutation(len(samples))[: told.most].tolist():
                sample = samples[number]
                pixels, labels = _pixels(sample), sample.read_labels()
                about = {"source": folder.name, "id": sample.id}
                yield about | {"look": "as it is", "pixels": pixels, "labels": labels}
                if kind in ("he", "fluorescence"):
                    yield from (about | changed for changed in degraded(pixels, labels, sample.id))


def degraded(pixels: np.ndarray, labels: np.ndarray, name: str) -> Iterator[dict]:
    """Two degraded copies of an image, the same each time."""
    random = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    for look in random.permutation(list(LOOKS))[:2]:
        found = LOOKS[look](pixels, labels, random)
        if found is not None:
            yield {"look": look, "pixels": found[0], "labels": found[1]}


def answer(row: dict, bundle: Bundle) -> dict:
    """What the bundle finds, how surely, and how right it is."""
    found = segment_image(image_from_array(np.ascontiguousarray(row["pixels"])), bundle)
    scores = segmentation_scores(row["labels"].astype(np.int64), found.labels)
    kept = {name: row[name] for name in ("source", "id", "look")}
    counted = {"n_true": len(np.unique(row["labels"])) - 1, "n_found": int(found.labels.max(initial=0))}
    figures = found.figures or {}
    return kept | counted | {name: scores[name] for name in ("pq", "missed_rate", "false_rate")} | figures


def left_out(answers: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Estimated quality of each image by a rule that has seen no image of its source."""
    estimated = np.zeros(len(answers))
    for source in answers["source"].unique():
        own = (answers["source"] == source).to_numpy()
        rule = fit_rule(answers[~own], names, 0.0, 0.0)
        estimated[own] = [rule.judge(row).quality for row in answers.loc[own, names].to_dict("records")]
    return estimated


def limits(answers: pd.DataFrame, estimated: np.ndarray) -> tuple[float, float]:
    """From where an image is `ok`, and below which it is not to be relied on."""
    quality = answers["pq"].to_numpy()
    ok_from = float(np.quantile(estimated[quality >= GOOD], FLAGGED_OF_GOOD))
    return ok_from, min(ok_from, float(np.median(estimated[quality < BAD])))


def fit_rule(answers: pd.DataFrame, names: list[str], ok_from: float, check_from: float) -> TrustRule:
    """Three ridge regressions on curves with knots at quartiles; images of few cells tell little, and are left out."""
    told = answers[answers["n_true"] >= MIN_CELLS]
    values = told[names].to_numpy(np.float64)
    knots = [np.unique(np.quantile(column, QUANTILES).round(5)) for column in values.T]
    basis = np.concatenate([_hats(*pair) for pair in zip(values.T, knots, strict=True)], axis=1)
    center, spread = basis.mean(axis=0), basis.std(axis=0) + 1e-9

    def fitted(column: str) -> AdditiveEstimate:
        model = RidgeCV(ALPHAS).fit((basis - center) / spread, told[column].fillna(0.0).to_numpy())
        slopes = model.coef_ / spread
        parts = np.split(slopes, np.cumsum([len(one) - 1 for one in knots])[:-1])
        heights = tuple(tuple((_hats(one, one) @ part).round(5)) for one, part in zip(knots, parts, strict=True))
        return AdditiveEstimate(intercept=round(float(model.intercept_ - center @ slopes), 5), heights=heights)

    return TrustRule(
        features=tuple(names),
        knots=tuple(tuple(one) for one in knots),
        quality=fitted("pq"),
        missed=fitted("missed_rate"),
        false=fitted("false_rate"),
        ok_from=round(ok_from, 4),
        check_from=round(check_from, 4),
    )


def _hats(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """How far each value lies beyond each knot but the last; beyond the ends it counts as the end."""
    return np.maximum(np.clip(values, knots[0], knots[-1])[:, None] - knots[None, :-1], 0.0)


def report(answers: pd.DataFrame, judged: pd.DataFrame, estimated: np.ndarray, rule: TrustRule, out: Path) -> None:
    """Print how often it is right about sources left out, and write the trade-off."""
    quality = judged["pq"].to_numpy()
    is_ok = estimated >= rule.ok_from
    silent = answers["mean_probability"].isna() & (answers["n_true"] >= MIN_CELLS)
    caught = np.concatenate([~is_ok[quality < BAD], np.ones(int(silent.sum()), bool)])
    print(f"{len(answers)} images; {int(silent.sum())} on which hardly any cell was found are to be checked")
    print(f"PQ < {BAD}: {caught.mean():.3f} of {len(caught)} are not ok")
    few = answers[answers["mean_probability"].isna() & (answers["pq"] >= GOOD)]
    flagged = np.concatenate([~is_ok[quality >= GOOD], np.ones(len(few), bool)])
    print(f"PQ >= {GOOD}: {flagged.mean():.3f} of {len(flagged)} are flagged")
    for source, part in judged.assign(ok=is_ok).groupby("source"):
        bad, good = part["pq"] < BAD, part["pq"] >= GOOD
        print(
            f"  {source}: bad caught {(~part['ok'][bad]).mean():.2f} of {bad.sum()}, "
            f"good flagged {(~part['ok'][good]).mean():.2f} of {good.sum()}"
        )
    order = np.argsort(-estimated)
    coverage = np.arange(1, len(order) + 1) / len(order)
    mean = np.cumsum(quality[order]) / np.arange(1, len(order) + 1)
    pd.DataFrame({"coverage": coverage, "mean_pq": mean, "estimated": estimated[order]}).to_csv(
        out / "trust.csv", index=False
    )
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    axes[0].plot(coverage, mean)
    axes[0].axvline(is_ok.mean(), color="gray", linewidth=1)
    axes[0].set(xlabel="share of images relied on, surest first", ylabel="their mean PQ", ylim=(0, 1))
    axes[1].scatter(estimated, quality, s=6, alpha=0.5)
    axes[1].axvline(rule.ok_from, color="gray", linewidth=1)
    axes[1].set(xlabel="estimated PQ, source left out", ylabel="PQ", xlim=(0, 1), ylim=(0, 1))
    figure.savefig(out / "curve.png", dpi=150)


def _blur(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair:
    return corruptions.blurred(pixels, float(random.uniform(2, 7))), labels


def _size(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair:
    factor = float(random.choice([0.2, 0.3, 3.0, 4.0]))
    height, width = pixels.shape[:2]
    if factor > 1:
        rows, columns = int(height / factor), int(width / factor)
        top, left = (height - rows) // 2, (width - columns) // 2
        pixels, labels = (a[top : top + rows, left : left + columns] for a in (pixels, labels))
        size = width, height
    else:
        size = max(48, int(width * factor)), max(48, int(height * factor))
    resized = PillowImage.fromarray(labels.astype(np.int32)).resize(size, PillowImage.Resampling.NEAREST)
    shown = PillowImage.fromarray(pixels).resize(size, PillowImage.Resampling.BICUBIC)
    return np.asarray(shown), np.asarray(resized)


def _noise(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair:
    return corruptions.noisy(pixels, float(random.uniform(20, 90)), random), labels


def _inverted(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair:
    return 255 - pixels, labels


def _faint(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair:
    changed = (pixels - pixels.mean()) * random.uniform(0.05, 0.3) + random.uniform(60, 200)
    return np.clip(changed + random.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8), labels


def _exchanged(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair | None:
    if _is_gray(pixels):
        return None
    return np.ascontiguousarray(np.roll(pixels, random.integers(1, 3), axis=2)), labels


def _glow(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair:
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]] / max(pixels.shape[:2])
    field = np.exp(-3 * random.uniform(1, 4) * ((y - random.uniform()) ** 2 + (x - random.uniform()) ** 2))
    added = 255 * field[..., None] * random.uniform(0.3, 0.9) * (1 if _is_gray(pixels) else -0.6)
    return np.clip(pixels * 0.5 + added, 0, 255).astype(np.uint8), labels


def _restained(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair | None:
    return None if _is_gray(pixels) else (corruptions.restained(pixels, random, turn=0.5, strength=2.5), labels)


def _brown(pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> _Pair | None:
    own = None if _is_gray(pixels) else Stains.of(pixels)
    return None if own is None else (immunostain(pixels, labels, own, random), labels)


LOOKS = {
    "blur": _blur,
    "size": _size,
    "noise": _noise,
    "inverted": _inverted,
    "faint": _faint,
    "exchanged colors": _exchanged,
    "glow": _glow,
    "restained": _restained,
    "immunohistochemistry": _brown,
}


def _is_gray(pixels: np.ndarray) -> bool:
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) < 8


def _pixels(sample: Sample) -> np.ndarray:
    """Uint8 (y, x, 3)."""
    with sample.open() as image:
        pixels = to_rgb(image.read_whole())
    return pixels if pixels.dtype == np.uint8 else (pixels / max(1, pixels.max()) * 255).astype(np.uint8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--he", type=Path, nargs="*", default=[], help="indexes of labeled H&E")
    parser.add_argument("--fluorescence", type=Path, nargs="*", default=[], help="indexes of labeled fluorescence")
    parser.add_argument("--imitated", type=Path, nargs="*", default=[], help="indexes of imitated images")
    parser.add_argument("--strange", type=Path, nargs="*", default=[], help="indexes of what it was never meant for")
    parser.add_argument("--most", type=int, default=150, help="images of one index")
    parser.add_argument("--answers", type=Path, help="fit anew on the answers of an earlier run")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
