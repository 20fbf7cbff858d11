"""The proxy for an API server, by the variables that kubectl reads."""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import urlsplit


def environment_proxy(server: str) -> str | None:
    """Return the proxy that HTTPS_PROXY (for http: HTTP_PROXY) and NO_PROXY name for a URL, or None.

    NO_PROXY may contain networks, such as 10.0.0.0/8. This machine is always reached directly.
    """
    parts = urlsplit(server)
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme)
    if (
        not proxy
        or urllib.request.proxy_bypass(parts.netloc)
        or _is_direct(parts.hostname or "", proxies.get("no", ""))
    ):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_direct(host: str, exceptions: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or any(address in network for network in _networks(exceptions))


def _networks(exceptions: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for text in exceptions.split(","):
        try:
            networks.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            continue  # a name
    return networks
