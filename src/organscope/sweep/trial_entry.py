"""`python -m organscope.sweep.trial_entry train ...`: the organscope command, in a process that dies with the sweep."""

import runpy

from organscope.system import die_with_parent, hear_interrupts

if __name__ == "__main__":
    # A sweep in the background of a shell ignores Ctrl-C, and its children would too.
    hear_interrupts()
    die_with_parent()
    runpy.run_module("organscope", run_name="__main__", alter_sys=True)
