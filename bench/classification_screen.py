"""Train every backbone of the table below on one fold, one after the other, as `organscope train` does it.

    python bench/classification_screen.py RUNS_DIR [--losses] [--only NAME ...] [--epochs 120] [--set KEY=VALUE ...]
    python bench/classification_screen.py RUNS_DIR --only NAME ... --folds 1 2 3 4 --seeds 0 1 2

A run that is finished is left alone, one that was interrupted goes on. All have the same head, epochs, learning rate
and augmentation, and half the published width (the two networks made for small devices keep theirs): the published
widths are beyond 400 images and a desk. `--losses` trains one network with each loss instead, without drawing rare
organs more often. Then: organscope compare RUNS_DIR --on INDEX --fold 1 -o FOLDER

With `--folds` each network is trained once a fold and seed, into RUNS_DIR/NAME/foldK-seedS. Then:
python bench/classification_folds.py RUNS_DIR INDEX
"""

import argparse
import subprocess
import sys
from pathlib import Path

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "organs_screen.toml"
HALF = "{channels = [32, 64, 128, 256]}"
BACKBONES = {
    "resnet18": HALF,
    "resnet34": HALF,
    "resnet50": HALF,
    "resnet101": HALF,
    "resnet50d": HALF,
    "resnetv2_50d": "{channels = [128, 256, 512, 1024], stem_chs = 32}",
    "resnext50_32x4d": HALF,
    "wide_resnet50_2": HALF,
    "seresnet50": HALF,
    "ecaresnet50t": HALF,
    "resnetrs50": HALF,
    "convnext_atto": "{}",
    "regnety_004": "{}",
}
"""By timm's name: what makes it half as wide."""
ENTRIES = {
    name: [f"network.backbone={name}", f"network.arguments={arguments}"] for name, arguments in BACKBONES.items()
}
PLAIN = [*ENTRIES["resnet18"], "data.organ_balance=0.0"]
LOSSES = {
    "plain": PLAIN,
    "plain_rare_drawn_more": [*ENTRIES["resnet18"], "data.organ_balance=0.5"],
    "class_weighted": [*PLAIN, "loss.kind=class_weighted"],
    "focal": [*PLAIN, "loss.kind=focal"],
    "logit_adjusted": [*PLAIN, "loss.kind=logit_adjusted"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--losses", action="store_true")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--folds", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="for all backbones alike")
    options = parser.parse_args()
    extra = [f"fit.epochs={options.epochs}"] if options.epochs else []
    entries = LOSSES if options.losses else ENTRIES
    for name in options.only or entries:
        for place, changes in runs(options.folds, options.seeds):
            print(f"== {name} {place}", flush=True)
            train(options.runs / name / place, [*entries[name], *changes, *extra, *options.set])


def runs(folds: list[int] | None, seeds: list[int]) -> list[tuple[str, list[str]]]:
    """Folder and settings of each run of one network, all folds with one seed before the next."""
    if folds is None:
        return [("", [])]
    return [
        (f"fold{fold}-seed{seed}", [f"data.test_folds=[{fold}]", f"fit.seed={seed}"])
        for seed in seeds
        for fold in folds
    ]


def train(run: Path, settings: list[str]) -> None:
    """One run in a process of its own; a failure is said and the next goes on."""
    if (run / "bundle" / "manifest.json").exists():
        print("already finished")
        return
    start = [sys.executable, "-c", "from organscope.cli.main import main; main()"]
    command = [*start, "train", "classification", str(CONFIG), "-o", str(run)]
    command += [word for setting in settings for word in ("--set", setting)]
    if subprocess.run([*command, "--resume"], check=False).returncode != 0:
        print(f"{run} failed", file=sys.stderr)


if __name__ == "__main__":
    main()
