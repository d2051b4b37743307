"""Who may use a file or directory of a local disk, and how a new one lets in nobody else: owner, group, permissions and ACL.

An access control list (ACL) changes what the permission bits mean: those of the group are then the most that any group or named
user has. Without its ACL, a file with the same bits may be open to its group.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import NamedTuple

_ACL = "system.posix_acl_access"
_GROUP_BITS = 0o070
_OTHER_BITS = 0o007


class Access(NamedTuple):
    """Who may use a file or directory.

    :ivar mode: permission bits, with setuid and the like
    :ivar acl: its access control list as the system stores it, if it has one
    """

    uid: int
    gid: int
    mode: int
    acl: bytes | None


def access_below(directory: int, name: str, status: os.stat_result) -> Access:
    """Return who may use a file or directory; ``status`` is its own, not that of a link.

    :param directory: descriptor of the directory that ``name`` is relative to
    """
    # There is no call for the attributes of a name in an open directory.
    return _access(f"/proc/self/fd/{directory}/{name}", status)


def access_of(descriptor: int) -> Access:
    """Return who may use an open file or directory."""
    return _access(descriptor, os.fstat(descriptor))


def _access(place: int | str, status: os.stat_result) -> Access:
    return Access(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), _acl(place))


def give_owner(descriptor: int, access: Access) -> os.stat_result:
    """Give a file or directory the owner and group of another one, as far as this process may; return its new status."""
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) == (access.uid, access.gid):
        return status
    # Only the superuser may change the owner. Others may choose one of their own groups.
    for uid in (access.uid, -1):
        with suppress(PermissionError):
            os.fchown(descriptor, uid, access.gid)
            break
    return os.fstat(descriptor)


def give_access(descriptor: int, access: Access) -> int:
    """Give a file or directory the owner, group and ACL of another one, as far as this process may.

    Where it cannot have the same group or ACL, its group gets no more than everybody. Where it cannot have the same owner, it
    does not run with the rights of its new one.

    :return: the permission bits that the caller may give it at most
    """
    status = give_owner(descriptor, access)
    mode = access.mode
    if status.st_uid != access.uid:
        mode &= ~stat.S_ISUID
    if not _give_acl(descriptor, access.acl) or status.st_gid != access.gid:
        mode &= ~(stat.S_ISGID | _GROUP_BITS) | (mode & _OTHER_BITS) << 3
    return mode


def _acl(place: int | str) -> bytes | None:
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(place, _ACL, follow_symlinks=isinstance(place, int))
    except OSError:
        return None  # it has none, or the file system has none


def _give_acl(descriptor: int, acl: bytes | None) -> bool:
    """Set or remove the ACL, which a new file has if its directory has a default one; return whether it is now ``acl``."""
    if _acl(descriptor) == acl:
        return True
    try:
        if acl is None:
            os.removexattr(descriptor, _ACL)
        else:
            os.setxattr(descriptor, _ACL, acl)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        return False
    return True


def limit_access(descriptor: int, access: Access) -> None:
    """Take from a new directory what ``access`` does not allow; what the umask took from others stays away."""
    present = os.fstat(descriptor).st_mode | stat.S_IRWXU
    os.fchmod(descriptor, give_access(descriptor, access) & present)
