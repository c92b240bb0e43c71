"""URLs that no webhook may go to, and headers that no client may set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from services.api import checks
from shared.domain import egress
from shared.domain.content import Retry
from shared.errors import FieldError
from tests import hosts

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def refusals(url: str) -> list[FieldError]:
    return list(checks.url(url, ()))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "http://example.com/", "https://example.com:8443/a/b?c=d&e=%20#f", "HTTPS://EXAMPLE.COM/",
        "https://sub_domain.example.com", "https://bücher.example/", "https://xn--bcher-kva.example/", "https://a.b./",
        "http://1.1.1.1/", "http://[2606:4700:4700::1111]:443/x", "https://example.com?x", "http://localhost/",
        "https://example.com/a@b", "http://8.8.8.8.example.com/", "https://[64:ff9b::808:808]/",
    ],
)  # fmt: skip
def test_a_url_with_a_public_host_passes(url: str) -> None:
    assert refusals(url) == []


@pytest.mark.parametrize("host", hosts.every(hosts.ALLOWED) + list(hosts.NAMES_OF_LOOPBACK))
@pytest.mark.parametrize("rest", ["", ":8080/x?y#z"])
def test_a_public_address_or_a_name_passes(host: str, rest: str) -> None:
    assert refusals(f"http://{host}{rest}") == []


@pytest.mark.parametrize("host", hosts.every(hosts.REFUSED) + hosts.every(hosts.MISSPELT))
@pytest.mark.parametrize("scheme", ["http", "HTTPS"])
def test_an_address_that_is_not_public_or_written_oddly_is_refused(scheme: str, host: str) -> None:
    [error] = refusals(f"{scheme}://{host}/")

    assert (error.pointer, bool(error.hint)) == ("/webhook_url", True)
    assert refusals(error.example) == []


@pytest.mark.parametrize("kind", ["private", "cloud metadata", "with a zone", "as one number", "in fewer parts"])
def test_the_refusal_of_an_address_that_is_not_public_says_so(kind: str) -> None:
    for host in hosts.REFUSED[kind].split():
        assert "is not a public address" in refusals(f"http://{host}/")[0].message


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://134744072/", "Write 8.8.8.8."),
        ("http://stra\u00dfe.example/", "xn--"),
        ("http://user:pass@example.com/", "headers"),
        ("http://example.com/a b", "Percent-encode"),
    ],
)
def test_a_refusal_says_how_to_write_it_instead(url: str, hint: str) -> None:
    assert hint in str(refusals(url)[0].hint)


ODD = "\u00df\u03c2\u0130\u1e9e\u212a\u3002\uff11\u2460\u200d\u00ad"
WILD_HOSTS = st.text(st.sampled_from("0178.xXaF:[]@%/\\?#-_~" + ODD) | st.characters(), max_size=14)
NAMES = st.text(st.sampled_from("a7.-" + ODD) | st.characters(min_codepoint=0x80), max_size=4).map(
    "a{}b.example".format
)
URL_LIKE = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "HTTPS"]),
    WILD_HOSTS | NAMES,
    st.sampled_from(["", "/", "?a", "#b", ":8080/", "/\u00e9"]),
)


@settings(max_examples=500)
@given(URL_LIKE)
def test_the_host_that_is_judged_is_the_host_that_is_called(url: str) -> None:
    assert refusals(url) or agree(url)


@pytest.mark.parametrize("table", [hosts.REFUSED, hosts.ALLOWED, hosts.MISSPELT])
def test_every_parser_sees_the_same_host(table: Mapping[str, str]) -> None:
    for host in hosts.every(table):
        url = f"http://{host}/"
        assert refusals(url) or agree(url)


def agree(url: str) -> bool:
    """Tell whether the sender will call what another parser reads; a URL that yarl refuses is never called."""
    try:
        called = URL(url, encoded=url.isascii())
    except ValueError:
        return True
    read = urlsplit(url)
    host = str(called.raw_host).lower()
    name = str(read.hostname)
    same = host in (name, name.encode("idna").decode()) or ip_address(host) == ip_address(name)
    address = egress.literal_of(host)
    return (
        same
        and (called.explicit_port, called.user, called.password) == (read.port, None, None)
        and (address is None or egress.is_allowed(address, ()))
    )


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "/path", "ftp://example.com", "file:///etc/passwd", "javascript:alert(1)",
        "http://", "http:///x", "http://:80/", "http:example.com", "https:/example.com", "http://[::1", "http://[x]/",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:x/", "http://exa mple.com/",
        "http://example.com/a b", "http://example.com/\r\nx: y", "http://example.com\\@127.0.0.1/", "http://-a.com/",
        "http://a..b/", "http://example.com../", "http://" + "a." * 127 + "example/", "http://example.com:000080/",
        "http://" + "a" * 64 + ".com/", "http://%31%32%37.0.0.1/", "http://example.com\t/",
        "http://user:pass@example.com/", "http://user@example.com/", "http://127.0.0.1%2f@example.com/", "http://@a/",
        "http://*.example.com/", "http\u017f://example.com/", "http://a\u00adb.example/", "http://a,b/",
        "http://\u2100.com/", " http://example.com/", "http://./",
    ],
)  # fmt: skip
def test_what_is_no_plain_absolute_http_url_is_refused(url: str) -> None:
    [error] = refusals(url)

    assert (error.pointer, bool(error.hint)) == ("/webhook_url", True)


@given(st.text(max_size=30).map(lambda rest: f"http://{rest}"))
def test_no_url_raises(url: str) -> None:
    assert len(refusals(url)) <= 1


def test_an_operator_can_allow_networks() -> None:
    for url in ("http://127.0.0.1:9/", "http://[::1]/", "http://localhost/", "http://[::ffff:127.0.0.1]/"):
        assert list(checks.url(url, LOOPBACK)) == []
    assert len(list(checks.url("http://10.0.0.1/", LOOPBACK))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "host", "Host", "HOST", "content-length", "webhook-id", "Webhook-Anything", "x-qhronos-attempt",
        "X-Qhronos-New",
        "connection", "Keep-Alive", "proxy-authenticate", "Proxy-Authorization", "te", "trailer", "transfer-encoding",
        "upgrade", "Proxy-Anything", "expect", "TraceParent", "TraceState",
        "", "a b", "a:b", "a\r\nb", "größe", "a" * 129, "x(y)",
    ],
)  # fmt: skip
def test_a_header_that_is_ours_or_none_is_refused(name: str) -> None:
    [error] = checks.headers({name: "x"})

    assert error.pointer == f"/headers/{name[:100]}"


@pytest.mark.parametrize("name", ["content-type", "Authorization", "x-team", "webhook", "x-qhronos", "!#$%&'*+.^_`|~"])
def test_any_other_header_may_be_set(name: str) -> None:
    assert list(checks.headers({name: "Bearer abc", "x-empty": "", "x-tab": "a\tb", "x-latin": "caf\xe9"})) == []


@pytest.mark.parametrize(
    "value",
    [
        "a\r\nb",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\x7fb",
        "a\x85b",
        " a",
        "a ",
        "\ta",
        "a\xa0",
        "z\u0142oty",
        "\u2028",
        "\U0001f331",
    ],
)
def test_a_value_that_is_not_one_clean_line_is_refused(value: str) -> None:
    assert [error.pointer for error in checks.headers({"x-a": "good", "x-b~c": value})] == ["/headers/x-b~0c"]


def test_a_header_stands_once_in_any_case() -> None:
    assert [error.pointer for error in checks.headers({"x-a": "1", "X-A": "2"})] == ["/headers/X-A"]


@pytest.mark.parametrize("text", ["PT1S", "PT60S", "PT1M", "PT1.000001S", "P0DT30S"])
def test_a_duration_between_its_bounds_passes(text: str) -> None:
    assert bounded(text) == []


@pytest.mark.parametrize(
    "text", ["PT0.9S", "PT61S", "P1D", "1M", "", "P", "PT", "PT5", "-PT5S", "P1Y", "P1M", "pt5s", "PT5S\n", "PT\u0665S"]
)
def test_a_duration_out_of_bounds_or_none_is_refused(text: str) -> None:
    assert bounded(text) == ["/timeout"]


def bounded(text: str) -> list[str]:
    found = checks.duration("/timeout", text, at_least=timedelta(seconds=1), at_most=timedelta(minutes=1))
    return [error.pointer for error in found]


def test_every_bad_delay_of_a_retry_is_found() -> None:
    retry = Retry(delays=("PT1S", "soon", "P31D"), max_age="PT0S")

    assert [error.pointer for error in checks.retry(retry)] == ["/retry/delays/1", "/retry/delays/2", "/retry/max_age"]


def test_metadata_is_measured_as_json_in_utf_8() -> None:
    fits = {"a": "x" * (checks.LARGEST_JSON - len('{"a":""}'))}
    too_large = {"a": "ü" * (checks.LARGEST_JSON // 2)}

    assert list(checks.metadata(fits)) == []
    assert [error.pointer for error in checks.metadata(too_large)] == ["/metadata"]
