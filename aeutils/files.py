"""Files that are written as a whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """Yield a temporary path in the same folder; it replaces `path` if the block ends without an error.

    Parameters
    ----------
    path : path
        An earlier file stays as it is until it is replaced, and also if anything is raised.

    Yields
    ------
    pathlib.Path
        Where to write. It is removed if the block raises.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path, text):
    """Write a text file (UTF-8) as a whole or not at all.

    Raises
    ------
    OSError
        For example a full disk; an earlier file is unchanged.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
