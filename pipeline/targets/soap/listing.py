"""A list answer as a stream of its items: memory stays flat for millions of them."""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from pipeline.targets.soap.answers import (
    Element,
    Presence,
    Unreadable,
    child,
    children,
    has_doctype,
    is_broken,
    local_name,
    presence,
    soap_fault,
)

#: An answer that has not begun to be SOAP after so many bytes will not become it.
_PATIENCE = 65_536


class ListReader:
    """Fed with an answer piece by piece, gives the items of its list; `presence` then says what the list was.

    `name` is the result's local name; None: the answer's element is the list itself. Items are valid until the next
    piece is fed. `feed` and `close` raise Unreadable and SoapFault: a list that breaks off is never taken for a whole
    one, and that an item is not there says something only after `close`.

    Items are taken off the growing tree after each piece, all but the last, which may not be whole: an event per
    element would cost ten times as much.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._parser = etree.XMLPullParser(
            ("start",),
            tag="{*}Envelope",
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
            recover=True,
        )
        self._taken = 0
        self._root: Element | None = None
        self._list: Element | None = None
        self._items = False
        self.presence = Presence.ABSENT

    def feed(self, chunk: bytes) -> Iterator[Element]:
        """The items that ended before the last one in this piece."""
        if not self._taken:
            chunk = chunk.lstrip()  # some servers put blank lines before the declaration
        self._taken += len(chunk)
        try:
            self._parser.feed(chunk)
            if is_broken(self._parser.feed_error_log):
                raise Unreadable("the answer is not XML, or breaks off")
            events: Any = self._parser.read_events()
            for _, element in events:
                self._root = element if self._root is None else self._root
        except (etree.XMLSyntaxError, ValueError):
            raise Unreadable("the answer is not XML, or breaks off") from None
        if self._root is None:
            if self._taken > _PATIENCE:
                raise Unreadable("the answer is not SOAP")
            return
        self._check_root()
        found: Any = self._find()
        if found is not None and len(found) > 1:
            self._items = True
            yield from found[:-1]
            del found[:-1]

    def close(self) -> Iterator[Element]:
        """Confirm that the answer was whole; the items that are left."""
        try:
            self._parser.close()
            if is_broken(self._parser.feed_error_log):
                raise Unreadable("the answer is not XML, or breaks off")
        except (etree.XMLSyntaxError, ValueError):
            raise Unreadable("the answer is not XML, or breaks off") from None
        self._check_root()
        payload = self._payload()
        if payload is None:
            raise Unreadable("the answer's body is empty")
        if local_name(payload) == "Fault":
            raise soap_fault(payload)
        found = self._find()
        if found is None:
            return
        if self._name is not None and sum(local_name(each) == local_name(found) for each in children(payload)) > 1:
            raise Unreadable("the answer holds more than one list")
        self.presence = presence(found)
        if self.presence is Presence.NIL and (self._items or len(found)):
            raise Unreadable("the answer holds a null list with items")
        yield from found

    def _check_root(self) -> None:
        # An Envelope below another root has a parent.
        if self._root is None or self._root.getparent() is not None or has_doctype(self._root):
            raise Unreadable("the answer is not SOAP")

    def _payload(self) -> Element | None:
        assert self._root is not None
        body = child(self._root, "Body")
        return next(children(body), None) if body is not None else None

    def _find(self) -> Element | None:
        """The list, as far as it has been read."""
        if self._list is None and (payload := self._payload()) is not None and local_name(payload) != "Fault":
            self._list = payload if self._name is None else child(payload, self._name)
        return self._list
