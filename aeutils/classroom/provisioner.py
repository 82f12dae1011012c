"""Start kernels contained: a kernel provisioner of jupyter_client.

pyproject.toml registers it under `NAME`. A kernel uses it if the metadata of its kernel spec says so::

    "kernel_provisioner": {"provisioner_name": "aeutils-contained", "config": {"student": "s2026-001", "folder": "/tmp/x"}}
"""

import shutil
from importlib.metadata import entry_points

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Unicode

from aeutils import datasets
from aeutils.classroom import sandbox
from aeutils.classroom.students import STUDENT_VARIABLE

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
        cache = datasets.cache_folder()
        kwargs["cmd"] = sandbox.contain(
            kwargs["cmd"],
            readable=[cache] if cache.is_dir() else [],
            writable=[self.folder],
            environment={
                **THREADS,
                "USER": "student",
                "MPLBACKEND": "agg",
                STUDENT_VARIABLE: self.student,
                "AEUTILS_CACHE_DIR": str(cache),
            },
            kind=self.containment,
        )
        return kwargs

    async def cleanup(self, restart=False):
        await super().cleanup(restart)
        if not restart:
            shutil.rmtree(self.folder, ignore_errors=True)


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
