"""Where servers, sockets and copied programs live."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deploy.local import folders
from deploy.local.accounts import Account
from deploy.local.errors import ServerFailed

STRANGER = Account(uid=os.getuid() + 4242, gid=os.getgid() + 4242)
SOCKET = ".s.PGSQL.5432"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_socket_stays_with_its_server_while_its_path_is_short() -> None:
    assert folders.socket_folder(Path("/data/postgres"), SOCKET) == Path("/data/postgres/run")


def test_a_long_path_moves_the_socket_to_the_temporary_folder() -> None:
    deep = Path("/" + "d" * 100)

    moved = folders.socket_folder(deep, SOCKET, temp=Path("/var/tmp"))

    assert moved.parent == Path("/var/tmp")
    assert moved != folders.socket_folder(deep / "other", SOCKET, temp=Path("/var/tmp"))


@pytest.mark.parametrize("length", [1, 80, 84, 85, 86, 87, 200])
@pytest.mark.parametrize("temp", ["/tmp", "/" + "t" * 90])
def test_no_socket_path_is_too_long_for_the_system(length: int, temp: str) -> None:
    folder = folders.socket_folder(Path("/" + "d" * length), SOCKET, temp=Path(temp))

    assert len(os.fsencode(folder / SOCKET)) <= 103


def test_bytes_count_and_not_letters() -> None:
    assert folders.socket_folder(Path("/" + "ü" * 50), SOCKET, temp=Path("/tmp")).parent == Path("/tmp")


def test_a_private_folder_of_loose_mode_is_refused(tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o755)

    with pytest.raises(ServerFailed, match="mode 0700"):
        folders.private(loose, None)


def test_a_link_is_not_taken_for_a_private_folder(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")

    with pytest.raises(ServerFailed, match="link"):
        folders.private(tmp_path / "link", None)


def test_folders_that_were_there_keep_their_mode(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o750)

    folders.made(there, 0o700)

    assert mode_of(there) == 0o750


def test_servers_live_in_the_data_folder_when_their_account_can_reach_it(tmp_path: Path) -> None:
    assert folders.servers_folder(tmp_path, None) == tmp_path.resolve() / "servers"


def test_out_of_reach_servers_live_elsewhere_and_are_found_again(tmp_path: Path) -> None:
    data, shared = tmp_path / "data", tmp_path / "shared"
    data.mkdir(mode=0o700)

    first = folders.servers_folder(data, STRANGER, shared=shared)
    again = folders.servers_folder(data, STRANGER, shared=shared)

    assert first == again
    assert first.parent == shared
    assert mode_of(first) == 0o711
    assert mode_of(data) == 0o700


def test_a_deleted_data_folder_starts_afresh(tmp_path: Path) -> None:
    data, shared = tmp_path / "data", tmp_path / "shared"
    data.mkdir(mode=0o700)
    first = folders.servers_folder(data, STRANGER, shared=shared)
    (data / "servers").unlink()

    assert folders.servers_folder(data, STRANGER, shared=shared) != first


def test_a_copy_is_for_everybody_and_made_once(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "wheel"
    program = package / "bin" / "server"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    (package / "share.txt").write_text("text")
    (package / "share.txt").chmod(0o600)
    (tmp_path / "site-packages" / "wheel.libs").mkdir(mode=0o700)
    shared = tmp_path / "shared"

    copy = folders.reachable_copy(program, package, "1.2", shared=shared)
    (package / "share.txt").unlink()
    again = folders.reachable_copy(program, package, "1.2", shared=shared)

    assert copy == again == shared / "wheel-1.2" / "wheel" / "bin" / "server"
    assert mode_of(copy) == 0o755
    assert mode_of(copy.parents[1] / "share.txt") == 0o644
    assert mode_of(copy.parents[2] / "wheel.libs") == 0o755
    assert list(shared.iterdir()) == [shared / "wheel-1.2"]
