"""Start kernels contained: a kernel provisioner of jupyter_client.

pyproject.toml registers it under `NAME`. A kernel uses it if the metadata of its kernel spec says so::

    "kernel_provisioner": {"provisioner_name": "aeutils-contained", "config": {"student": "s2026-001", "folder": "/tmp/x"}}
"""

import subprocess
import threading
from contextlib import suppress
from importlib.metadata import entry_points

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Unicode

from aeutils import datasets
from aeutils.classroom import sandbox
from aeutils.classroom.students import STUDENT_VARIABLE
from aeutils.files import remove_tree

NAME = "aeutils-contained"
GROUP = "jupyter_client.kernel_provisioners"
THREADS = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ContainedProvisioner(LocalProvisioner):
    """Starts a kernel with `aeutils.classroom.sandbox.contain`. The kernel talks only through the sockets in `folder`.

    The kernel manager has to use ``transport="ipc"``, a connection file in `folder`, and ``interrupt_mode`` "message".
    """

    student = Unicode(help="Id of the student; the kernel draws the parameters of this id.")
    folder = Unicode(help="Folder with the connection file and the sockets; removed when the kernel is gone.")
    containment = Unicode("bwrap", help="The kind of `aeutils.classroom.sandbox.contain`.")

    async def pre_launch(self, **kwargs):
        if not self.student or not self.folder:
            raise sandbox.ContainmentError(f"{NAME} needs the settings student and folder")
        kwargs = await super().pre_launch(**kwargs)
        kwargs["cmd"] = sandbox.contain(
            kwargs["cmd"],
            readable=readable_folders(),
            writable=[self.folder],
            environment=environment_of(self.student),
            kind=self.containment,
        )
        # Not the grader's own log: what is open in a process, the student's code can read and extend.
        kwargs["stdout"], kwargs["stderr"] = subprocess.PIPE, subprocess.STDOUT
        return kwargs

    async def launch_kernel(self, cmd, **kwargs):
        info = await super().launch_kernel(cmd, **kwargs)
        threading.Thread(target=_drain, args=[self.process.stdout], daemon=True).start()
        return info

    async def cleanup(self, restart=False):
        await super().cleanup(restart)
        if not restart:
            remove_tree(self.folder)


def environment_of(student):
    """The variables that a kernel sees."""
    cache = str(datasets.cache_folder())
    return {**THREADS, "USER": "student", "MPLBACKEND": "agg", STUDENT_VARIABLE: student, "AEUTILS_CACHE_DIR": cache}


def readable_folders():
    """The folders that a kernel sees, beside the system and Python."""
    cache = datasets.cache_folder()
    return [cache] if cache.is_dir() else []


def _drain(stream):
    """Read and forget, so that nobody waits for a full pipe."""
    with suppress(OSError, ValueError):
        while stream.read(1 << 16):
            pass


def check_registered():
    """Make sure that jupyter_client finds the provisioner.

    Raises
    ------
    aeutils.classroom.sandbox.ContainmentError
        The installed package has no such entry point.
    """
    found = [entry.value for entry in entry_points(group=GROUP, name=NAME)]
    if f"{ContainedProvisioner.__module__}:{ContainedProvisioner.__qualname__}" not in found:
        raise sandbox.ContainmentError(
            f"Jupyter does not know the kernel provisioner {NAME!r}, which contains students' code; "
            "install this package again: python -m pip install -e ."
        )
