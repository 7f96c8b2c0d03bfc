"""Which images stand for a data set in a montage."""

import hashlib

from organscope.dataset.index import Sample
from organscope.dataset.survey import Survey

MAX_EXAMPLES = 36


def choose_examples(survey: Survey) -> list[Sample]:
    """Up to 36 readable images that show something: organs in turn, those with cells first, else by chance.

    Chance is the SHA-256 of the id, so that the same images are chosen on every machine.
    """
    by_organ: dict[str, list[tuple[bool, str, Sample]]] = {}
    for sample, facts in survey:
        if facts.pixels is not None and not facts.pixels.is_constant:
            has_cells = facts.cells is not None and facts.cells.n_cells > 0
            draw = hashlib.sha256(sample.id.encode()).hexdigest()
            by_organ.setdefault(sample.organ, []).append((not has_cells, draw, sample))
    queues = [sorted(queue, key=lambda entry: entry[:2]) for _, queue in sorted(by_organ.items())]
    chosen = []
    for place in range(max(map(len, queues), default=0)):
        chosen += [queue[place][2] for queue in queues if place < len(queue)]
        if len(chosen) >= MAX_EXAMPLES:
            break
    return sorted(chosen[:MAX_EXAMPLES], key=lambda sample: (sample.organ, sample.id))
