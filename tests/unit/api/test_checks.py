"""URLs that no webhook may go to, and headers that no client may set."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import checks
from shared.domain.content import Retry
from shared.errors import FieldError

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


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://127.0.0.1:8080/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data", "http://100.64.0.1/", "http://0.0.0.0/", "http://224.0.0.1/",
        "http://255.255.255.255/", "http://192.0.2.1/", "http://198.18.0.1/", "http://240.0.0.1/",
        "http://192.88.99.1/", "http://[::1]/", "http://[::]/", "http://[fe80::1]/", "http://[fc00::1]/",
        "http://[ff02::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:a00:1]/", "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/", "http://[2002:a00:1::]/", "http://[2001:db8::1]/",
        "http://[2001::1]/", "http://[::127.0.0.1]/", "http://[fe80::1%25eth0]/",
        # The same in notations that resolvers still know.
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://017700000001/",
        "http://127.1/", "http://127.0.1/", "http://127.0.0.1./", "http://0/", "http://0x0/", "http://10.1/",
        "http://0xA9FEA9FE/", "http://0X7F.0.0.1/", "http://[0:0:0:0:0:0:0:1]/", "http://[::FFFF:7F00:1]/",
    ],
)  # fmt: skip
def test_a_literal_address_that_is_not_public_is_refused_in_any_notation(url: str) -> None:
    [error] = refusals(url)

    assert error.pointer == "/webhook_url"
    assert "public" in error.message
    assert refusals(error.example) == []


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "/path", "ftp://example.com", "file:///etc/passwd", "javascript:alert(1)",
        "http://", "http:///x", "http://:80/", "http:example.com", "https:/example.com", "http://[::1", "http://[x]/",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:x/", "http://exa mple.com/",
        "http://example.com/a b", "http://example.com/\r\nx: y", "http://example.com\\@127.0.0.1/", "http://-a.com/",
        "http://a..b/", "http://" + "a" * 64 + ".com/", "http://%31%32%37.0.0.1/", "http://example.com\t/",
        "http://user:pass@example.com/", "http://user@example.com/", "http://127.0.0.1%2f@example.com/", "http://@a/",
        "http://*.example.com/", "http://a,b/", "http://\u2100.com/", " http://example.com/", "http://./",
    ],
)  # fmt: skip
def test_what_is_no_plain_absolute_http_url_is_refused(url: str) -> None:
    [error] = refusals(url)

    assert (error.pointer, bool(error.hint)) == ("/webhook_url", True)


@given(st.text(max_size=30).map(lambda rest: f"http://{rest}"))
def test_no_url_raises(url: str) -> None:
    assert len(refusals(url)) <= 1


def test_an_operator_can_allow_networks() -> None:
    for url in ("http://127.0.0.1:9/", "http://[::1]/", "http://127.1/", "http://[::ffff:127.0.0.1]/"):
        assert list(checks.url(url, LOOPBACK)) == []
    assert len(list(checks.url("http://10.0.0.1/", LOOPBACK))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "host", "Host", "HOST", "content-length", "webhook-id", "Webhook-Anything", "x-qhronos-attempt",
        "X-Qhronos-New",
        "connection", "Keep-Alive", "proxy-authenticate", "Proxy-Authorization", "te", "trailer", "transfer-encoding",
        "upgrade", "", "a b", "a:b", "a\r\nb", "größe", "a" * 129, "x(y)",
    ],
)  # fmt: skip
def test_a_header_that_is_ours_or_none_is_refused(name: str) -> None:
    [error] = checks.headers({name: "x"})

    assert error.pointer == f"/headers/{name[:100]}"


@pytest.mark.parametrize("name", ["content-type", "Authorization", "x-team", "webhook", "x-qhronos", "!#$%&'*+.^_`|~"])
def test_any_other_header_may_be_set(name: str) -> None:
    assert list(checks.headers({name: "Bearer abc", "x-empty": "", "x-tab": "a\tb"})) == []


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\x7fb", " a", "a ", "\ta"])
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
