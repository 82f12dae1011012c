"""A progress bar for people that leaves one plain line behind."""

import sys

from tqdm import tqdm


class _NotebookLine:
    """File-like target for tqdm: one output of the cell, overwritten by every write.

    Only the last text stays in the saved notebook, however the notebook is executed.
    """

    def __init__(self):
        from IPython.display import display

        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text):
        if line := text.strip():
            self.show(line)

    def show(self, line):
        self._handle.update({"text/plain": line}, raw=True)

    def flush(self):
        pass

    def isatty(self):
        return True


def _in_notebook():
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


class Progress(tqdm):
    """tqdm bar on the terminal or in a cell's output; silent where nobody watches (a log file, a pipe).

    Parameters
    ----------
    total : int
        Number of steps.
    desc, unit : str
        As in tqdm.
    """

    def __init__(self, total, desc, unit="it", **options):
        self._line = _NotebookLine() if _in_notebook() else None
        super().__init__(
            total=total,
            desc=desc,
            unit=unit,
            file=self._line or sys.stderr,
            disable=None,
            leave=False,
            mininterval=0.5,
            ncols=80,
            **options,
        )

    def finish(self, text):
        """Remove the bar and leave `text`, one line or nothing, in its place."""
        self.close()
        if self._line:
            self._line.show(text)
        elif text:
            print(text)
