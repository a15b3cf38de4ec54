"""Addresses of services, as settings hold them."""

from urllib.parse import urlsplit


def checked_address(value: str) -> str:
    """An http or https address without a user name. Raises ValueError, whose text is for a person."""
    if not is_address(value):
        raise ValueError("is an http or https address such as https://pop.example.com/onc.svc")
    return without_user(value)


def without_user(value: str) -> str:
    """An address that names no user; raises ValueError."""
    if "@" in urlsplit(value).netloc:
        raise ValueError("holds a user name or password: an address is written to files that others read")
    return value


def is_address(value: str) -> bool:
    """Whether this is an http or https address with a host."""
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def is_plain_abroad(value: str) -> bool:
    """Whether an address is plain http and not on this machine."""
    parts = urlsplit(value)
    here = parts.hostname in ("localhost", "::1") or (parts.hostname or "").startswith("127.")
    return parts.scheme == "http" and not here
