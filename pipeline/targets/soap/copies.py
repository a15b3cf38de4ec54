"""An object kept as it was told: what an update sends back for every member that it does not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Element


@dataclass(frozen=True, slots=True)
class Node:
    """An element of an answer; it outlives the answer."""

    name: str  # local name
    nil: bool  # marked as null
    text: str  # as it stands, blanks and line breaks too; empty where there are children
    children: tuple["Node", ...]  # in order

    @classmethod
    def of(cls, element: Element) -> "Node":
        """An element and all that is in it."""
        children = tuple(cls.of(each) for each in answers.children(element))
        text = "" if children else element.text or ""
        return cls(answers.local_name(element), answers.is_nil(element), text, children)

    def child(self, name: str) -> "Node | None":
        """The first child of this local name, exactly, else whatever the case."""
        for each in self.children:
            if each.name == name:
                return each
        return next((each for each in self.children if each.name.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Copy:
    """A value to be sent as it was told, but for `changes`: values by documented member name (`members.Value`).

    Members that the WSDL's type does not have are left out, those that were not told stay untold.
    """

    node: Node
    changes: Mapping[str, Any] = field(default_factory=dict)
