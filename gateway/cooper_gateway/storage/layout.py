"""Where things are on disk, and the few file operations whose durability matters."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from cooper_gateway.shredding import sync_directory

#: Ends names of bucket keys whose bucket is not in the index yet.
DRAFT: Final = ".new"
#: Errors that mean "no room": the write failed cleanly, and the store is sound.
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

# Locks and memory maps of these are not trustworthy between hosts, or not durable when fsync returns.
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "lustre",
        "gpfs",
        "ocfs2",
        "gfs2",
        "beegfs",
        "glusterfs",
    }
    | {f"fuse.{kind}" for kind in ("sshfs", "glusterfs", "s3fs", "rclone", "ceph", "juicefs", "goofys", "davfs", "mfs")}
)


class StoreUnusable(Exception):
    """The data directory cannot be opened as a store: the reason, and what to do."""


class Layout:
    """Paths inside a data directory."""

    def __init__(self, data_dir: str) -> None:
        self.root = Path(data_dir)
        self.index = self.root / "index"
        self.lock = self.root / "index.lock"
        self.segments = self.root / "segments"
        self.bucket_keys = self.root / "bucket-keys"

    def directory(self, directory_id: bytes) -> Path:
        """A directory of segment files."""
        return self.segments / directory_id.hex()

    def segment(self, directory_id: bytes, segment_id: bytes) -> Path:
        """A segment's file."""
        return self.segments / directory_id.hex() / segment_id.hex()

    def bucket_key(self, data_id: bytes) -> Path:
        """A bucket's wrapped key."""
        return self.bucket_keys / f"{data_id.hex()}.key"

    def bucket_key_draft(self, data_id: bytes) -> Path:
        """The same, until the bucket is in the index."""
        return self.bucket_keys / f"{data_id.hex()}.key{DRAFT}"

    def holds_data(self) -> bool:
        """Whether a store was ever made here. Decided without opening it."""
        data = self.index / "data.mdb"
        return any(self._children(self.bucket_keys)) or any(self._children(self.segments)) or data.exists()

    def create(self) -> None:
        """Make the directories. Raises StoreUnusable when they cannot be made or lie on a network file system."""
        try:
            for path in (self.root, self.index, self.segments, self.bucket_keys):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make_private(path)
            self._sync_path()
        except OSError as error:
            raise StoreUnusable(f"the data directory {self.root} cannot be used: {error.strerror}") from error
        kind = file_system_type(Path("/proc/self/mountinfo").read_text(), str(self.root.resolve()))
        if kind in NETWORK_FILE_SYSTEMS:
            raise StoreUnusable(
                f"the data directory {self.root} lies on a network file system ({kind}), which cannot keep the "
                "promise that an acknowledged write is durable. Use a local disk or a block volume"
            )

    def _sync_path(self) -> None:
        """Make the way to the data durable, up to its mount point: whoever made a folder may not have synced it."""
        sync_directory(self.root)
        for path in self.root.resolve().parents:
            with contextlib.suppress(PermissionError):  # one that we may not read was not made for us
                sync_directory(path)
            if path.is_mount():
                return

    @staticmethod
    def _children(path: Path) -> list[str]:
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return []


def file_system_type(mountinfo: str, path: str) -> str | None:
    """Type of the file system that holds an absolute path, by the text of /proc/self/mountinfo."""
    best, kind = "", None
    for line in mountinfo.splitlines():
        # proc_pid_mountinfo(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].encode().decode("unicode_escape")  # "\040" stands for a space
        inside = point == "/" or path == point or path.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind


def _make_private(path: Path) -> None:
    """Shut others out of a folder that was there before, if it is ours. Raises OSError."""
    status = path.stat()
    # Another's folder that we may use was set up so on purpose: a volume that Kubernetes gives to our group.
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        path.chmod(0o700)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file, if nobody has it. It is held until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
