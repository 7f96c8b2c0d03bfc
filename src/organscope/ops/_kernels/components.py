"""Compiled passes over a label image that follow runs: stretches of one row with one label."""

import numpy as np

from organscope.ops._kernels import inner_kernel, kernel


@kernel()
def count_runs(labels):
    """Number of runs of cells; `join_runs` needs memory for so many."""
    n_rows, n_columns = labels.shape
    n_runs = 0
    for y in range(n_rows):
        previous = 0
        for x in range(n_columns):
            if labels[y, x] != 0 and labels[y, x] != previous:
                n_runs += 1
            previous = labels[y, x]
    return n_runs


@inner_kernel()
def find_root(root, run):
    """The first run of the piece, with the way to it made shorter."""
    while root[run] != run:
        root[run] = root[root[run]]
        run = root[run]
    return run


@inner_kernel()
def _join_above(root, label, start, end, run, above, above_end):
    """Join a run with the runs of its label in the row above that touch it, also at a corner.

    Returns where to begin for the next run: runs left of this one cannot touch the next.
    """
    while above < above_end and end[above] < start[run]:
        above += 1
    touching = above
    while touching < above_end and start[touching] <= end[run]:
        if label[touching] == label[run]:
            one, other = find_root(root, run), find_root(root, touching)
            root[max(one, other)] = min(one, other)
        touching += 1
    return above


@kernel()
def join_runs(labels, n_runs):
    """Label, length and root of every run; the runs of one 8-connected piece have one root."""
    n_rows, n_columns = labels.shape
    label = np.zeros(n_runs, dtype=np.int32)
    start = np.zeros(n_runs, dtype=np.int32)
    end = np.zeros(n_runs, dtype=np.int32)
    root = np.arange(n_runs)
    run, above_begin = 0, 0
    for y in range(n_rows):
        above, row_begin, x = above_begin, run, 0
        while x < n_columns:
            first, cell = x, labels[y, x]
            while x < n_columns and labels[y, x] == cell:
                x += 1
            if cell != 0:
                label[run], start[run], end[run] = cell, first, x
                above = _join_above(root, label, start, end, run, above, row_begin)
                run += 1
        above_begin = row_begin
    for place in range(n_runs):
        root[place] = find_root(root, place)
    return label, end - start, root
