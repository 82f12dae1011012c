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


def remove_tree(path):
    """Remove a folder, however deeply its folders are nested and whatever their rights are; nothing happens if it is not there.

    `shutil.rmtree` calls itself for each level, and gives up after about a thousand.
    """
    path = Path(path)
    try:
        path.lstat()
    except FileNotFoundError:
        return
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    todo, number = [os.fspath(path)], 0
    while todo:  # each folder below is moved to the top first, so that no path grows
        place = todo[-1]
        os.chmod(place, 0o700)
        with os.scandir(place) as entries:
            inside = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for each, is_folder in inside:
            if not is_folder:
                os.unlink(each)
            elif place != todo[0]:
                number += 1
                os.chmod(each, 0o700)
                os.rename(each, os.path.join(todo[0], f".removed-{os.getpid()}-{number}"))
        if place == todo[0]:
            folders = [each for each, is_folder in inside if is_folder]
            if not folders:
                break
            todo += folders
        else:
            os.rmdir(place)
            todo.pop()
    os.rmdir(path)
