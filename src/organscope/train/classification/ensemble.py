"""The mean of the networks of all folds as one bundle, calibrated on what each said of pictures it never saw."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from organscope.bundle import Bundle, Certificate, Manifest, Score, load_bundle, write_bundle
from organscope.evaluate import evaluate_out_of_fold, manifest_scores
from organscope.evaluate.parity import certificate, choose_pictures, compare_bundles, compare_use
from organscope.train.card import render_card
from organscope.train.classification.average import average_graphs
from organscope.train.classification.certify import compare_framework, versions
from organscope.train.classification.held_out import (
    HeldOut,
    accuracy_lost,
    cross_fitted,
    fitted_policy,
    hold_out,
    out_of_fold_table,
)
from organscope.train.classification.looks import fit_looks
from organscope.train.classification.members import Member, read_members
from organscope.train.classification.shipping import Precision
from organscope.train.quantise import expected_outputs
from organscope.train.run import Report
from organscope.train.writing import as_parquet, now, with_certificate


def build_ensemble(
    runs: Sequence[Path], folder: Path, *, precision: Precision = "int8", report: Report = lambda line: None
) -> Bundle:
    """Average finished runs into one bundle.

    Temperature, limits, contract and sets are fitted on the out-of-fold outputs of the single networks, and so are
    the scores: for a new picture the mean of all networks is at least as good as one alone, but on the pictures at hand
    it cannot be measured, since three of the four networks were trained on each.

    Args:
        runs: Run folders that differ in their test folds only.
        folder: Of the bundle.
        precision: Of the arithmetic in the graph.
        report: Gets a line for the person who watches.

    Raises:
        UsageError, DatasetError: The runs do not belong together; see `read_members`.
        BundleError: The bundle would be larger than 25 MB.
        OutputError: The folder cannot be written.
    """
    members = read_members(runs)
    with tempfile.TemporaryDirectory() as scratch:
        held_out = []
        for number, member in enumerate(members, start=1):
            report(f"network {number} of {len(members)}: {len(member.split.test)} pictures that it never saw")
            held_out.append(hold_out(member, Path(scratch) / str(number), precision))
        loss = accuracy_lost(members, held_out) if precision == "int8" else None
        scores = _scores(members, cross_fitted(held_out, Path(scratch)), report)
        bundle = _write(members, held_out, scores, loss, folder)
    return with_certificate(bundle, _certificate(members, bundle), folder)


def _scores(members: list[Member], bundles: list[Bundle], report: Report) -> list[Score]:
    """Of each network on the pictures that it never saw, pooled, beside forests that see colour or texture alone."""
    scores = []
    for index in members[0].split.indexes:
        evaluation = evaluate_out_of_fold(bundles, index)
        scores += manifest_scores(evaluation)
        figures = ", ".join(
            f"{metric.replace('_', ' ')} {evaluation.score(metric):.3f}"
            for metric in ("accuracy", "balanced_accuracy", "macro_f1", "ece")
        )
        report(f"{index.folder.name}, {evaluation.subset}, each network on what it never saw: {figures}")
    return scores


def _write(
    members: list[Member], held_out: list[HeldOut], scores: list[Score], loss: float | None, folder: Path
) -> Bundle:
    first, config = held_out[0].bundle, members[0].config
    old = first.manifest
    graph = average_graphs([part.bundle.read(part.bundle.manifest.graph.file) for part in held_out])
    manifest = _manifest(members, held_out, scores)
    table = out_of_fold_table(held_out, manifest.spec.policy.temperature)
    files = {name: first.read(name) for name in old.files} | {
        old.graph.file: graph,
        # One field: pictures in floating point are a large part of what is left of 25 MB.
        old.test.file: expected_outputs(graph, old.graph, first.tensors(old.test.file)["input"][:1]),
        old.calibration: as_parquet(table),
        old.card: render_card(config.bundle, scores, _facts(members, loss)).encode(),
    }
    return load_bundle(write_bundle(folder, manifest, files))


def _manifest(members: list[Member], held_out: list[HeldOut], scores: list[Score]) -> Manifest:
    old, config = held_out[0].bundle.manifest, members[0].config
    everything = [sample for member in members for sample in member.split.test]
    quality = fit_looks(everything, config.field, config.preprocessing)
    # Distances are those of the first network to its training pictures: its own test pictures tell their limit.
    template = old.spec.policy.model_copy(update={"quality": quality})
    policy = fitted_policy(held_out, held_out[:1], template)
    architecture = old.weights.architecture | {"members": len(members), "stored_member": 1}
    return old.model_copy(
        update={
            "created": now(),
            "spec": old.spec.model_copy(update={"policy": policy}),
            "scores": scores,
            "weights": old.weights.model_copy(update={"architecture": architecture}),
        }
    )


def _certificate(members: list[Member], bundle: Bundle) -> Certificate:
    """The first network against its own graph, the mean of all in floating point against integers, and threads."""
    samples = choose_pictures(members[0].split.test)
    stored = compare_framework(members[0].bundle, samples)[0]
    found = [stored.model_copy(update={"note": f"{stored.note}, network 1 of {len(members)}"})]
    if bundle.has_integers:
        plain = average_graphs([member.bundle.read(member.bundle.manifest.graph.file) for member in members])
        found.append(compare_bundles("int8", bundle.with_graph(plain), bundle, samples))
    return certificate("held out by network 1", samples, [*found, *compare_use(bundle, samples)], **versions())


def _facts(members: list[Member], loss: float | None) -> list[str]:
    network, field = members[0].config.network, members[0].config.field
    options = "".join(f", {name} {value}" for name, value in network.arguments.items())
    n_pictures = sum(len(member.split.test) for member in members)
    held = "; ".join(f"network {number}: {_folds(member)}" for number, member in enumerate(members, start=1))
    facts = [
        f"The mean of the logits of {len(members)} networks ({network.backbone} of timm{options}), each trained from "
        f"random weights without some folds ({held}).",
        f"It sees fields of {field.field_px} px of the image, resized to {field.input_px} px; the probabilities of the "
        "fields of a picture are averaged.",
        "Cross-validated: every score below is of the single networks, each on the pictures that it never saw "
        f"({n_pictures} in all), with temperature and limits from the pictures of the other networks. The mean of the "
        "networks is not scored: no picture here is new to all of them.",
        "Temperature, confidence limit, contract and prediction sets of this bundle come from the same out-of-fold "
        "answers, of all pictures.",
        "Embeddings, and the distance that tells the unknown, are those of network 1; so are weights.safetensors.",
    ]
    if loss is not None:
        facts.append(
            "The backbones compute in eight-bit integers (static quantisation, weights by channel); on the same "
            f"pictures this costs {loss:.4f} of accuracy against floating point."
        )
    return facts


def _folds(member: Member) -> str:
    folds = member.config.data.test_folds
    return ("fold " if len(folds) == 1 else "folds ") + ", ".join(str(fold) for fold in folds)
