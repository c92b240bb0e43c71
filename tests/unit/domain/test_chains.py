from __future__ import annotations

from uuid import UUID

import pytest

from shared.domain import chains
from shared.domain.ids import ChainId

CHAIN = ChainId(UUID("01a20ed0-e621-79f5-9ce6-de4d6480a891"))
OURS = "qhronos=01a20ed0e62179f59ce6de4d6480a891"
OTHER = "qhronos=01a20ed0f1d682128d4e7330f7a9fd71"
OTHERS = [f"vendor{number}=1" for number in range(40)]


def test_what_is_written_is_read() -> None:
    assert chains.tracestate_of(CHAIN) == OURS
    assert chains.chain_in(OURS) == CHAIN


@pytest.mark.parametrize(
    "tracestate",
    [
        f"rojo=00f067aa0ba902b7,{OURS},congo=t61rcWkgMzE",
        f"rojo=1 ,\t{OURS} \t, congo=2",
        f",,{OURS},",
        f"{OURS},{OTHER}",
        f"qhronos=nonsense,{OURS}",
        f"=,a b c,größe,{OURS}",
        ",".join([*OTHERS[:31], OURS]),
        ",".join([OURS, *OTHERS]),
        OURS + "," + "x" * (chains.LONGEST - len(OURS) - 1),
    ],
)
def test_the_chain_is_found_among_the_members_of_others(tracestate: str) -> None:
    assert chains.chain_in(tracestate) == CHAIN


@pytest.mark.parametrize(
    "tracestate",
    [
        "", ",", "=", "qhronos", "qhronos=", "rojo=00f067aa0ba902b7", "qhronos=nonsense", OURS.upper(), OURS[:-1],
        OURS + "0", OURS + "=", OURS + ";p=1", "x" + OURS, "qhronos =" + OURS[8:], "qhronos= " + OURS[8:],
        "tenant@" + OURS, f'"{OURS}"', OURS + "\n", OURS + "\x00", OURS.replace("0", "\u0660"), f"qhronos={CHAIN}",
        ",".join([*OTHERS[:32], OURS]), "," * 32 + OURS, OURS + "," + "x" * chains.LONGEST,
    ],
)  # fmt: skip
def test_what_names_no_chain_is_left_alone(tracestate: str) -> None:
    assert chains.chain_in(tracestate) is None
