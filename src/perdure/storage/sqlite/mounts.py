"""On which kind of file system a path lies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

# 9p is left out: sandboxes and virtual machines show local folders by it
_NETWORK = re.compile(
    r"afpfs|afs|beegfs|ceph|cifs|coda|davfs|gfs2|glusterfs|gpfs|lustre|ncpfs|nfs\d?|ocfs2|orangefs|panfs|smb\d|smbfs|webdav"
    r"|fuse\.(ceph|cifs|davfs2?|glusterfs|gvfsd-fuse|rclone|s3fs|smbnetfs|sshfs)"
)


def network_file_system(path: Path) -> str | None:
    """The kind of network file system that `path` (or its nearest existing folder) lies on, None for a local one."""
    kind = _kind(_existing(path))
    return kind if _NETWORK.fullmatch(kind) else None


def _existing(path: Path) -> Path:
    path = Path(os.path.realpath(path))
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _kind(path: Path) -> str:
    platform = str(sys.platform)
    if platform == "linux":
        try:
            text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
        return kind_in_mountinfo(text, str(path))
    if platform == "darwin":
        listed = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
        return kind_in_mount_listing(listed, str(path))
    if platform == "win32" and str(path).startswith("\\\\"):
        return "smbfs"
    return ""


def _covers(mount: str, path: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")


def kind_in_mountinfo(text: str, path: str) -> str:
    """The type of the mount that covers `path`, by the text of Linux's mountinfo. The last of the longest wins."""
    longest, kind = -1, ""
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 5:
            continue
        mount = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if _covers(mount, path) and len(mount) >= longest:
            longest, kind = len(mount), right.split(" ")[0]
    return kind


def kind_in_mount_listing(text: str, path: str) -> str:
    """The same by the lines of macOS's `mount`: `device on /mount (kind, options)`."""
    longest, kind = -1, ""
    for line in text.splitlines():
        _, separator, rest = line.partition(" on ")
        mount, opening, options = rest.rpartition(" (")
        if separator and opening and _covers(mount, path) and len(mount) >= longest:
            longest, kind = len(mount), options.rstrip(")").split(",")[0]
    return kind
