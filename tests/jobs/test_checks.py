from pathlib import Path

import pytest

from jobs import checks

MOUNTS = "/dev/vda / ext4 rw 0 0\nserver:/share /srv/share nfs4 rw 0 0\n/dev/vdb /srv/share/disk xfs rw 0 0\n"


@pytest.mark.parametrize(
    ("path", "kind"), [("/var/data", "ext4"), ("/srv/share/data", "nfs4"), ("/srv/share/disk/data", "xfs")]
)
def test_it_finds_the_file_system_of_a_path(path, kind):
    assert checks.file_system_of(Path(path), MOUNTS) == kind


def test_sqlite_on_a_network_file_system_is_refused(settings, monkeypatch):
    database = {"ENGINE": "jobs.sqlite", "NAME": "/data/winnow.sqlite3"}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    monkeypatch.setattr(checks, "file_system_of", lambda path, mounts: "nfs4")
    (error,) = checks.sqlite_is_on_a_local_disk()
    assert error.msg == "The SQLite database /data/winnow.sqlite3 is on a network file system (nfs4)."
    assert "DATABASE_URL" in error.hint
    monkeypatch.setattr(checks, "file_system_of", lambda path, mounts: "ext4")
    assert checks.sqlite_is_on_a_local_disk() == []
