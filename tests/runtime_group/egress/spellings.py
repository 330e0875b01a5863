"""Addresses that a request from inside must never reach, and the ways in which URLs hide them.

Made from what is published about server-side request forgery; nothing here is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

INSIDE_V4 = (
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3"),  # noqa: S104
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.254"),
    *("169.254.0.1", "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.253"),
    *("100.64.0.1", "100.100.100.200", "100.127.255.255", "168.63.129.16", "192.0.0.192"),
    *("192.0.0.1", "192.0.2.5", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9"),
    *("192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
)

INSIDE_V6 = (
    *("::", "::1", "0:0:0:0:0:0:0:1", "0000::1", "::0:1", "fe80::1", "febf::1", "fec0::1"),
    *("fc00::1", "fd00::1", "fdff:ffff::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    *("ff02::1", "ff0e::1", "100::1", "2001:db8::1", "2001::1", "2001:10::1", "2001:20::1"),
    *("3fff::1", "4000::1", "5f00::1", "64:ff9b:1::a00:1", "64:ff9b:1::", "::2", "f000::1"),
)

NAMES_INSIDE = {
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
    "LOCALHOST": ["127.0.0.1"],
    "localhost.localdomain": ["127.0.0.1"],
    "ip6-localhost": ["::1"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "10-0-0-1.sslip.example": ["10.0.0.1"],
    "www.192.168.0.1.xip.example": ["192.168.0.1"],
    "customer1-127-0-0-1.example": ["127.0.0.1"],
    "both.example": ["93.184.216.34", "10.0.0.7"],
    "both6.example": ["2606:2800:220:1::1", "fd00::7"],
    "mapped.example": ["::ffff:10.1.1.1"],
    "linklocal.example": ["fe80::1%2"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "host.docker.internal": ["192.168.65.2"],
    "metadata": ["93.184.216.34"],
    "metadata.google.internal": ["93.184.216.34"],
    "METADATA.Google.Internal.": ["93.184.216.34"],
    "metadata.goog": ["93.184.216.34"],
    "instance-data": ["93.184.216.34"],
    "instance-data.ec2.internal": ["93.184.216.34"],
}


def spellings_of(dotted: str) -> Iterator[str]:
    """One IPv4 address as a host, in all the ways in which libraries read one."""
    octets = [int(part) for part in dotted.split(".")]
    a, b, c, d = octets
    whole = int(IPv4Address(dotted))
    yield from (dotted, f"{dotted}.", str(whole), hex(whole), f"0X{whole:08X}", f"0{whole:o}")
    yield ".".join(f"0{octet:03o}" for octet in octets)
    yield ".".join(hex(octet) for octet in octets)
    yield f"0x{a:x}.{b}.0{c:o}.{d}"
    yield f"0x{a:02x}.0x{b:02x}.{c * 256 + d}"
    yield from (f"{a}.{b * 65536 + c * 256 + d}", f"{a}.{b}.{c * 256 + d}")
    yield dotted.replace(".", "\u3002")
    yield dotted.replace(".", "%2e")
    yield f"%{ord(dotted[0]):x}{dotted[1:]}"
    yield _enclosed(dotted)
    yield "".join(chr(ord(x) + 0xFEE0) if x.isdigit() else x for x in dotted)
    yield from (f"[::ffff:{dotted}]", f"[0:0:0:0:0:ffff:{dotted}]", f"[::{dotted}]")
    yield f"[::ffff:{a * 256 + b:x}:{c * 256 + d:x}]"
    yield f"[64:ff9b::{dotted}]"
    yield f"[64:ff9b:1::{a * 256 + b:x}:{c * 256 + d:x}]"
    yield f"[2002:{a * 256 + b:x}:{c * 256 + d:x}::]"
    yield f"[2002:{a * 256 + b:x}:{c * 256 + d:x}::1]"
    yield f"[2001:0:53aa:64c::{(~(a * 256 + b)) & 0xFFFF:x}:{(~(c * 256 + d)) & 0xFFFF:x}]"
    yield f"[2606:2800:220:1:0:5efe:{a * 256 + b:x}:{c * 256 + d:x}]"
    # overflows, which some readers wrap
    yield f"{a + 256}.{b + 256}.{c + 256}.{d + 256}"
    yield str(whole + 2**32)


def _enclosed(dotted: str) -> str:
    """Digits in circles."""
    circles = "⓪①②③④⑤⑥⑦⑧⑨"
    return "".join(circles[int(x)] if x.isdigit() else x for x in dotted)


def urls_with(host: str) -> Iterator[str]:
    """URLs that lead, or are made to look as if they led elsewhere than, to a host."""
    yield f"http://{host}/"
    yield f"https://{host}:8443/latest/meta-data/"


def disguises(host: str = "127.0.0.1") -> Sequence[str]:
    """A public name in front of, or behind, an inside address."""
    return (
        f"http://public.example@{host}/",
        f"http://public.example:80@{host}/",
        f"http://user:password@{host}/",
        f"http://{host}@public.example/",
        f"http://{host}\\@public.example/",
        f"http://public.example\\@{host}/",
        f"http://{host}\\.public.example/",
        f"http://public.example&@{host}#@public.example/",
        f"http://{host}#@public.example/",
        f"http://{host}?@public.example/",
        f"http://{host}%00.public.example/",
        f"http://{host}%0d%0a.public.example/",
        f"http://{host}\r\nHost: public.example/",
        f"http://{host}\tpublic.example/",
        f"http://{host} public.example/",
        f"http://{host};public.example/",
        f"http://{host},public.example/",
        f"http://public.example%2f@{host}/",
        f"http://public.example%23@{host}/",
        f"http:\\\\{host}/",
        f"http:/\\{host}/",
        f"http:{host}/",
        f"http:/{host}/",
        f"//{host}/",
        f"\\\\{host}\\share",
        f" http://{host}/",
        f"http://{host}:80:80/",
        f"http://{host}:0/",
        f"http://{host}:65536/",
        f"http://{host}:-1/",
        f"http://{host}:22/",
        f"http://{host}:6379/",
    )


SCHEMES = (
    *("file:///etc/passwd", "file://localhost/etc/passwd", "gopher://127.0.0.1:6379/_INFO"),
    *("dict://127.0.0.1:11211/stat", "ftp://127.0.0.1/x", "sftp://public.example/", "tftp://x/y"),
    *("ldap://127.0.0.1:389/", "jar:http://127.0.0.1!/", "netdoc:///etc/passwd", "data:text/x,1"),
    *("ws://127.0.0.1/", "wss://127.0.0.1/", "javascript:alert(1)", "unix:///var/run/docker.sock"),
    *("http+unix://%2Fvar%2Frun%2Fdocker.sock/info", "phar://x", "php://filter", "expect://id"),
    *("HTTP+FILE://x", "view-source:http://127.0.0.1/", "urn:x", "mailto:a@b.example", "blob:http"),
)

PORTS = tuple(
    f"http://public.example:{port}/"
    for port in (1, 21, 22, 23, 25, 53, 110, 2375, 3306, 5432, 6379, 7233, 9200, 10250, 11211)
)

ZONES = (
    *("http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[fe80::1%251]/"),
    *("http://[::1%25lo]/", "http://[::ffff:127.0.0.1%25lo]/", "http://[::1%lo]:80/"),
)


def corpus() -> list[str]:
    """Every URL that the standard policy must refuse; several hundred, no two alike."""
    found: list[str] = []
    for address in INSIDE_V4:
        for host in spellings_of(address):
            found.extend(urls_with(host))
    for address in INSIDE_V6:
        found.extend(urls_with(f"[{address}]"))
    for name in NAMES_INSIDE:
        found.extend(urls_with(name))
    found.extend(disguises())
    found.extend(disguises("[::1]"))
    found.extend(disguises("169.254.169.254"))
    found.extend((*SCHEMES, *PORTS, *ZONES))
    return list(dict.fromkeys(found))
