"""A progress bar that is replaced by one line of text at the end."""

import sys

from tqdm import tqdm


class _NotebookLine:
    """File-like object for tqdm that writes to one output of the notebook cell. Every write replaces the text.

    The saved notebook contains only the last text. This does not depend on the program that executes the notebook.
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
    """tqdm progress bar in the terminal or in the output of a notebook cell. No bar in a log file or a pipe.

    Parameters
    ----------
    total : int
        Number of steps.
    desc, unit : str
        Text before the bar and name of one step, as in tqdm.
    **options
        Other arguments of `tqdm.tqdm`.
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
        """Remove the bar and print `text` in its place. `text` is one line or an empty string."""
        self.close()
        if self._line:
            self._line.show(text)
        elif text:
            print(text)
