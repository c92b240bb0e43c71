"""Hosts as they may stand in a URL, and whether a webhook may go there: when it is written, and when it is sent.

Nothing in `REFUSED` is ever connected to. What is `MISSPELT` names a public address in a notation that some software
reads and other software does not, so it is not written; sent all the same, it does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping

REFUSED: Mapping[str, str] = {
    "this host": "0.0.0.0 0.1.2.3 0.255.255.255 [::] [0:0:0:0:0:0:0:0]",
    "loopback": "127.0.0.1 127.255.255.254 [::1] [0:0:0:0:0:0:0:1] [0000::0001]",
    "private": "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255",
    "link-local": "169.254.0.1 [fe80::1] [febf::1] [FE80::1]",
    "cloud metadata": (
        "169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 168.63.129.16 [fd00:ec2::254] "
        "[::ffff:169.254.169.254] [::ffff:192.0.0.192] [2002:a83f:8110::]"
    ),
    "carrier-grade NAT": "100.64.0.1 100.127.255.255",
    "unique local and site-local": "[fc00::1] [fdff::1] [fec0::1] [feff:ffff::1]",
    "multicast": "224.0.0.1 239.255.255.250 [ff02::1] [ff0e::1]",
    "reserved": "240.0.0.1 255.255.255.255 192.0.0.1 [4000::1] [100::1] [5f00::1]",
    "documentation": "192.0.2.1 198.51.100.1 203.0.113.1 [2001:db8::1] [3fff::1] [3fff:fff:ffff::1]",
    "benchmarks": "198.18.0.1 198.19.255.255 [2001:2::1]",
    "v4-mapped": "[::ffff:127.0.0.1] [::ffff:10.0.0.1] [::ffff:100.64.0.1] [::ffff:0:0] [::FFFF:7F00:1]",
    "v4-mapped at length": "[0:0:0:0:0:ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1]",
    "v4-translated and v4-compatible": "[::ffff:0:7f00:1] [::127.0.0.1] [::10.0.0.1] [::8.8.8.8] [::7f00:1]",
    "NAT64": "[64:ff9b::127.0.0.1] [64:ff9b::10.0.0.1] [64:ff9b::a9fe:a9fe] [64:ff9b::224.0.0.1]",
    "local NAT64": "[64:ff9b:1::1] [64:ff9b:1::8.8.8.8] [64:ff9b:1:ffff::a00:1]",
    "6to4": "[2002:7f00:1::] [2002:a00:1::1] [2002:a9fe:a9fe::] [2002:c0a8:1::1] [2002:6440:1::] [2002:e000:1::]",
    "6to4 relays": "192.88.99.1 [2002:c058:6301::1]",
    "Teredo": "[2001::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2] [2001:0:7f00:1::]",
    "ORCHID": "[2001:10::1] [2001:20::1]",
    "ISATAP": "[fe80::5efe:7f00:1] [fe80::200:5efe:8.8.8.8] [2001:db8::5efe:10.0.0.1]",
    "with a zone": "[fe80::1%25eth0] [fe80::1%eth0] [fe80::1%251] [::1%25lo] [::ffff:127.0.0.1%251]",
    "as one number": "2130706433 017700000001 0x7f000001 0X7F000001 2852039166 0xA9FEA9FE 0 0x0",
    "in parts of hex and octal": "0x7f.1 0x7f.0x0.0x0.0x1 0X7F.0.0.1 0177.0.0.1 0177.0x0.1 0300.0250.0.1",
    "in fewer parts": "127.1 127.0.1 10.1 192.168.257 172.1048577",
    "with trailing dots": "127.0.0.1. 127.1. 2130706433. 169.254.169.254. 127.0.0.1..",
    "in other digits and dots": (
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11 127\u30020\u30020\u30021 127\uff0e0\uff0e0\uff0e1 "
        "127\uff610\uff610\uff611 \uff11\uff12\uff17\u3002\uff11 "
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460 \u0663.0.0.1 \U0001d7cf\U0001d7d0\U0001d7d5.0.0.1 "
        "0\uff587f.1"
    ),
    "percent-encoded": "%31%32%37.0.0.1 127%2e0%2e0%2e1 %6c%6f%63alhost 127.0.0.1%00.example 127.0.0.1%2f [%3a%3a1]",
    "behind a user": (
        "user@10.0.0.1 user:pass@127.0.0.1 public@10.0.0.1 8.8.8.8@10.0.0.1 example.com%2f@127.0.0.1 @127.0.0.1 "
        "a@b@127.0.0.1 8.8.8.8:80@127.0.0.1"
    ),
    "with an odd port": (
        "127.0.0.1: 127.0.0.1:080 10.0.0.1:00443 127.0.0.1:+80 127.0.0.1:8_0 127.0.0.1:80:80 127.0.0.1:-1 [::1]: "
        "127.0.0.1:0 127.0.0.1:65536 127.0.0.1:\u0668\u0660"
    ),
    "in odd brackets": "[127.0.0.1] [localhost] [v1.127.0.0.1] [[::1]] [::1]] [::1].example.com a[::1] ::1 []",
    "no address at all": (
        "256.256.256.256 1.2.3.4.5 08.8.8.8 4294967296 127.0.0.0x 10.0.0.09 example.1 a.0x7f [::g] [:::1]"
    ),
}  # fmt: skip
"""Refused when written, and reached by nobody when sent."""

ALLOWED: Mapping[str, str] = {
    "IPv4": (
        "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 169.253.255.255 "
        "172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 223.255.255.255"
    ),
    "IPv6": "[2001:4860:4860::8888] [2606:4700:4700:0:0:0:0:1111] [2A00:1450:4001:81B::200E] [3ffe:ffff::1]",
    "IPv4 within": "[::ffff:8.8.8.8] [64:ff9b::8.8.8.8] [2002:808:808::1] [2606:4700::5efe:8.8.8.8]",
}
"""Addresses that may be written and connected to."""

MISSPELT: Mapping[str, str] = {
    "IPv4": "134744072 0x08080808 010.8.8.8 8.2056 8.8.8.8. \uff18.\uff18.\uff18.\uff18",
    "a zone": "[2606:4700:4700::1111%251] [2606:4700:4700::1111%25eth0]",
}
"""Public addresses in a notation that is refused when written."""

NAMES_OF_LOOPBACK = ("localhost", "LOCALHOST", "LocalHost")
"""Names may be written, whatever is behind them; what is behind these is refused when the connection is made."""


def every(table: Mapping[str, str]) -> list[str]:
    """Return each host of a table."""
    return [host for hosts in table.values() for host in hosts.split()]
