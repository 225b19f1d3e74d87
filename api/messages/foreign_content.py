"""Namespaces of elements in and around SVG and MathML (HTML, sections 13.2.6 and 13.2.6.5).

Only what decides how tags are read is followed: which elements are open from the outermost `svg` or `math` on. Of the
elements around it, only the names are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from api.messages.open_elements import OpenElements


class Namespace(Enum):
    """The namespace of an element."""

    HTML = "html"
    SVG = "svg"
    MATHML = "math"


class _Element(NamedTuple):
    namespace: Namespace
    #: Whether HTML tags in this foreign element start HTML elements.
    takes_html: bool = False
    #: Whether only `mglyph` and `malignmark` in it are foreign.
    takes_text: bool = False
    takes_svg: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FOREIGN: Final = {"svg": Namespace.SVG, "math": Namespace.MATHML}
_SVG_WITH_HTML: Final = _names("foreignobject desc title")
_MATHML_WITH_TEXT: Final = _names("mi mo mn ms mtext")
_ALWAYS_FOREIGN: Final = _names("mglyph malignmark")
_HTML_ENCODINGS: Final = _names("text/html application/xhtml+xml")
#: HTML tags that close SVG and MathML.
_BREAKOUT: Final = _names(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    "nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
_FONT_ATTRIBUTES: Final = _names("color face size")
_VOID: Final = _names(
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
)
_CLOSES_PARAGRAPH: Final = _names(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul xmp"
)
#: Their end tags close nothing.
_DOCUMENT: Final = _names("body html")


class _Run(OpenElements[_Element]):
    """Open elements that follow one another and are all HTML, or all foreign."""

    def __init__(self, *, is_html: bool) -> None:
        super().__init__()
        self.is_html = is_html
        #: Number of elements that take HTML or text; end tags of HTML elements do not close these.
        self.scopes = 0

    def push(self, name: str, value: _Element) -> None:
        super().push(name, value)
        self.scopes += value.takes_html or value.takes_text

    def pop(self) -> _Element:
        value = super().pop()
        self.scopes -= value.takes_html or value.takes_text
        return value


class ForeignContent:
    """The open elements from the outermost `svg` or `math` on. Every tag takes amortised constant time."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._around: Counter[str] = Counter()

    @property
    def is_html(self) -> bool:
        """Whether the innermost element is HTML. In others, `<![CDATA[` starts text."""
        return not self._runs or self._runs[-1].is_html

    def start(self, name: str, attributes: Callable[[], Mapping[str, str]], *, is_self_closing: bool) -> Namespace:
        """Opens an element, named in lower case, and returns its namespace."""
        if self._is_foreign(name, attributes):
            parent = self._runs[-1].innermost
            element = _foreign_element(name, parent.namespace, attributes)
        else:
            element = _Element(_FOREIGN.get(name, Namespace.HTML))
        if element.namespace is Namespace.HTML:
            self._start_html(name, element)
        elif not is_self_closing:
            self._push(name, element)
        return element.namespace

    def end(self, name: str) -> None:
        """Closes the element that an end tag closes, if any."""
        if not self._runs:
            self._around[name] -= self._around[name] > 0
            return
        run = self._runs[-1]
        if not run.is_html and name in {"br", "p"}:
            self._break_out()
        elif run.pop_through(name):
            self._drop_empty()
        elif not run.is_html and not run.scopes:
            self._end_around(name)

    def _is_foreign(self, name: str, attributes: Callable[[], Mapping[str, str]]) -> bool:
        if self.is_html:
            return False
        parent = self._runs[-1].innermost
        if parent.takes_text:
            return name in _ALWAYS_FOREIGN
        if parent.takes_html or (parent.takes_svg and name == "svg"):
            return False
        if name in _BREAKOUT or (name == "font" and not _FONT_ATTRIBUTES.isdisjoint(attributes())):
            self._break_out()
            return False
        return True

    def _start_html(self, name: str, element: _Element) -> None:
        if name in _VOID:
            return
        if not self._runs:
            self._around[name] += 1
            return
        if name in _CLOSES_PARAGRAPH and self.is_html:
            self._runs[-1].pop_through("p")
            self._drop_empty()
        self._push(name, element)

    def _push(self, name: str, element: _Element) -> None:
        is_html = element.namespace is Namespace.HTML
        if not self._runs or self._runs[-1].is_html != is_html:
            self._runs.append(_Run(is_html=is_html))
        self._runs[-1].push(name, element)

    def _drop_empty(self) -> None:
        if not self._runs[-1]:
            self._runs.pop()

    def _break_out(self) -> None:
        run = self._runs[-1]
        while run and not (run.innermost.takes_html or run.innermost.takes_text):
            run.pop()
        self._drop_empty()

    def _end_around(self, name: str) -> None:
        """Closes the foreign elements in the HTML element that an end tag closes."""
        if len(self._runs) > 1:
            if name in self._runs[-2]:
                self._runs.pop()
                self._runs[-1].pop_through(name)
                self._drop_empty()
        elif self._around[name] > 0 and name not in _DOCUMENT:
            self._around[name] -= 1
            self._runs.clear()


def _foreign_element(name: str, namespace: Namespace, attributes: Callable[[], Mapping[str, str]]) -> _Element:
    if namespace is Namespace.SVG:
        return _Element(namespace, takes_html=name in _SVG_WITH_HTML)
    is_annotation = name == "annotation-xml"
    return _Element(
        namespace,
        takes_html=is_annotation and attributes().get("encoding", "").lower() in _HTML_ENCODINGS,
        takes_text=name in _MATHML_WITH_TEXT,
        takes_svg=is_annotation,
    )
