"""Kill `organscope analyze` at random moments, give the same command again, compare with a run that nobody disturbed.

    python bench/resume.py --kills 20 --pictures IMAGES --json bench-resume.json
    python bench/resume.py --quick

Two slides of four windows, partly glass, a small image and a broken file are analyzed together. Each trial starts in
an empty folder, is killed with SIGKILL (with all its processes) at a moment drawn evenly over the time of the
undisturbed run, and started again until it ends. All files must be equal, byte by byte; of `summary.csv` all columns
but the seconds, of `report.html` all but the date. Target: all trials equal.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from PIL import Image as PillowImage

from slide_mosaic import tissue_images, write_slide

MEMORY = "1140MB"
"""So little that images above a third of a megapixel are slides: small ones are enough."""

QUICK_KILLS = 4
CREATED = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


def main() -> None:
    """Measure, print a table in Markdown, write JSON."""
    arguments = _arguments()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        write_inputs(folder / "in", arguments.side_px, tissue_images(arguments.pictures, 4), arguments.tissue)
        started = time.perf_counter()
        run(folder, "undisturbed", arguments.options)
        whole_s = time.perf_counter() - started
        wanted = contents(folder / "undisturbed")
        print(f"Undisturbed: {whole_s:.1f} s, {len(wanted)} files\n\n| kill after, s | of | differs |\n|---:|---:|---|")
        trials = []
        for number in range(arguments.kills):
            after_s = draw.uniform(0, whole_s)
            killed = run(folder, f"trial_{number}", arguments.options, kill_after_s=after_s)
            if killed:
                run(folder, f"trial_{number}", arguments.options)
            found = contents(folder / f"trial_{number}")
            differs = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
            trials.append({"after_s": after_s, "killed": killed, "differs": differs})
            print(f"| {after_s:.1f} | {whole_s:.1f} | {', '.join(differs) or 'nothing'} |", flush=True)
    equal = sum(not trial["differs"] for trial in trials)
    print(f"\n{equal} of {len(trials)} equal")
    if arguments.json:
        arguments.json.write_text(json.dumps({"undisturbed_s": whole_s, "trials": trials}, indent=2) + "\n", "utf-8")
    sys.exit(equal != len(trials))


def write_inputs(folder: Path, side_px: int, images: list, tissue: float) -> None:
    """Two slides, a small image, a slide whose second half is missing."""
    folder.mkdir()
    write_slide(folder / "a.tif", side_px, images, tissue=tissue)
    write_slide(folder / "b.tif", side_px, images[::-1], tissue=tissue)
    PillowImage.fromarray(images[0]).save(folder / "small.png")
    whole = (folder / "a.tif").read_bytes()
    (folder / "broken.tif").write_bytes(whole[: len(whole) // 2])


def run(folder: Path, out: str, options: list[str], kill_after_s: float | None = None) -> bool:
    """Run the command; whether it was killed before its end."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = [program, "analyze", "in", "-o", out, "--memory", MEMORY, *options]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, cwd=folder, start_new_session=True, **silent) as process:
        try:
            code = process.wait(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    if code not in (0, 1):
        sys.exit(f"{' '.join(words)} ended with exit code {code}")
    return False


def contents(out: Path) -> dict[str, bytes]:
    """All result files, without what tells the time."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if name.startswith(".organscope/") or not path.is_file():
            continue
        if name == "summary.csv":
            found[name] = pd.read_csv(path).drop(columns="seconds").to_csv().encode()
        elif name == "report.html":
            found[name] = CREATED.sub(b"", path.read_bytes())
        else:
            found[name] = path.read_bytes()
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--quick", dest="kills", action="store_const", const=QUICK_KILLS, help="a few kills")
    parser.add_argument("--side-px", type=int, default=2112, help="of the slides; 2112 gives four windows each")
    parser.add_argument("--tissue", type=float, default=0.6, help="share of the slides that is tissue")
    parser.add_argument("--pictures", type=Path, help="folder of images of tissue, 512 x 512 px")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="for slides and results, which are removed again")
    parser.add_argument("options", nargs="*", help="for the command, after --")
    return parser.parse_args()


if __name__ == "__main__":
    main()
