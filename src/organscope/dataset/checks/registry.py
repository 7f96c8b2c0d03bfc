"""Every check there is."""

from collections.abc import Callable, Iterable

from organscope.dataset.checks import acquisition, balance, colour, duplicates, files, groups, labels, pixels
from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey

Check = Callable[[Survey], Iterable[Finding]]

#: In the order in which findings of one severity are listed.
CHECKS: tuple[Check, ...] = (
    files.unreadable_images,
    files.unreadable_labels,
    files.changed_files,
    labels.size_mismatches,
    labels.duplicate_labels,
    duplicates.exact_duplicates,
    duplicates.near_duplicates,
    groups.divided_groups,
    pixels.constant_images,
    pixels.not_finite,
    pixels.tiny_images,
    labels.empty_labels,
    labels.fragments,
    colour.colour_tells_organ,
    acquisition.acquisition_tells_organ,
    balance.class_imbalance,
    balance.one_sided_organs,
    acquisition.mixed_types,
    acquisition.mixed_pixel_sizes,
    acquisition.unknown_pixel_size,
    labels.missing_labels,
    files.partly_read,
)


def find_problems(survey: Survey) -> list[Finding]:
    """What all checks find, errors first."""
    findings = [finding for check in CHECKS for finding in check(survey)]
    order = list(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))
