"""Checks that Django runs at start (`manage.py check`)."""

from pathlib import Path

from django.conf import settings
from django.core.checks import Error, register

NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs"}


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds `path`, given the text of /proc/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, mount_point, this_kind, *_ = line.split()
        mount_point = mount_point.replace("\\040", " ")
        if path.is_relative_to(mount_point) and len(mount_point) >= len(best):
            best, kind = mount_point, this_kind
    return kind


@register()
def sqlite_is_on_a_local_disk(**_kwargs: object) -> list[Error]:
    """SQLite's locks do not hold on network file systems: two writers could destroy the database."""
    database = settings.DATABASES["default"]
    mounts = Path("/proc/mounts")
    if database["ENGINE"] != "jobs.sqlite" or not mounts.exists():
        return []
    kind = file_system_of(Path(database["NAME"]).resolve().parent, mounts.read_text())
    if kind not in NETWORK_FILE_SYSTEMS:
        return []
    return [
        Error(
            f"The SQLite database {database['NAME']} is on a network file system ({kind}).",
            hint="Set WINNOW_HOME to a folder on a local disk, or DATABASE_URL to a PostgreSQL database.",
            id="jobs.E001",
        )
    ]
