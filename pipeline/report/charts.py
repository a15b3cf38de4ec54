"""The charts of report.html: drawn by pygal as SVG, stripped to shapes and words, coloured by the page's style sheet.

What pygal writes beside them (its style sheet, scripts, addresses) is left out: the page needs none, and refuses them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from lxml import etree

from pipeline.records import Status
from pipeline.report.text import latency, number, rows, word
from pipeline.report.timing import Accepted, AnswerTimes

#: A chart is drawn for a page and for a telephone; the style sheet shows one of them. Widths in pixels.
_WIDTHS: Final = {"wide": 860, "narrow": 400}
_HEIGHT: Final = 240
_FONT: Final = 13  # pixels, as in report.css
_LABEL: Final = 90  # pixels that a label of the x axis wants

#: Bars of the chart of latencies at most.
_BARS: Final = 40

_DAY: Final = 86_400  # seconds

_SVG: Final = "{http://www.w3.org/2000/svg}"


def by_status(counts: Mapping[Status, int]) -> etree._Element:
    """One bar of all rows, cut by status; its parts are of the class of their status."""
    there = [status for status in Status if counts.get(status)]
    total = sum(counts.values())
    plain = {"show_x_labels": False, "show_y_labels": False, "show_x_guides": False, "show_y_guides": False}
    chart = _pygal().HorizontalStackedBar(
        **_config(1000, 40), **plain, spacing=0, range=(0, total), include_x_axis=False
    )
    for status in there:
        chart.add(word(status), [counts[status]])
    shares = ", ".join(f"{word(status)} {counts[status] / total:.1%}" for status in there)
    drawn = _drawn(chart, f"Of {rows(total)}: {shares}.", "whole")
    bars = _shapes(drawn)
    for status, bar in zip(there, bars, strict=True):
        bar.set("class", f"bar {status.value}")
        _title(bar, f"{word(status)}: {rows(counts[status])}")
    # Without the blank around the bar, and as wide as the page is.
    left, top, high = (float(bars[0].get(name, "")) for name in ("x", "y", "height"))
    wide = float(bars[-1].get("x", "")) + float(bars[-1].get("width", "")) - left
    drawn.set("viewBox", f"{left} {top} {wide} {high}")
    drawn.set("preserveAspectRatio", "none")
    return drawn


def over_time(accepted: Accepted) -> list[etree._Element]:
    """Rows by the span of time in which they were accepted, for each width."""
    label = _clock(accepted)
    names = [label(place) for place in range(len(accepted.counts))]
    most = max(accepted.counts)
    said = (
        f"Rows accepted in each {stretch(accepted.width)}, from {names[0]} to {names[-1]} UTC; at most {rows(most)}, "
        f"around {names[accepted.counts.index(most)]}."
    )
    return _bars(accepted.counts, names, said)


def of_latencies(latencies: AnswerTimes) -> list[etree._Element]:
    """Rows by the time in which their answers came, for each width."""
    bins = latencies.merged(_BARS)
    said = (
        f"Rows by the time that their answers took, from {latency(bins[0][0] / 1000)} to "
        f"{latency(latencies.longest / 1000)}, on a logarithmic scale; the table tells the percentiles."
    )
    return _bars([count for _, _, count in bins], [latency(low / 1000) for low, _, _ in bins], said)


def stretch(seconds: float) -> str:
    """How long a bar stands for: "0.2 s", "10 s", "2 min", "6 h", "1 d"."""
    for unit, size in (("d", _DAY), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _bars(counts: Sequence[int], names: Sequence[str], said: str) -> list[etree._Element]:
    drawn = []
    for kind, width in _WIDTHS.items():
        every = max(1, -(-len(names) * _LABEL // width))
        chart = _pygal().Bar(
            **_config(width, _HEIGHT),
            margin_top=10,
            spacing=8,
            # Of two labels with the same words the library would write both.
            x_labels=[name if place % every == 0 else "" for place, name in enumerate(names)],
            value_formatter=lambda value: number(round(value)),
            y_labels=_ticks(max(counts)),
            range=(0, max(counts)),
        )
        chart.add("rows", list(counts))
        image = _drawn(chart, said, kind)
        for bar, name, count in zip(_shapes(image), names, counts, strict=True):
            bar.set("class", "bar")
            _title(bar, f"{name}: {rows(count)}")
        drawn.append(image)
    return drawn


def _ticks(most: int) -> list[int]:
    """0 and up to four more round numbers, none greater than `most`."""
    rough = 10 ** max(0, len(str(most)) - 2)
    step = next(factor * rough for factor in (1, 2, 5, 10, 20, 50) if most // (factor * rough) <= 4)
    return list(range(0, most + 1, step))


def _clock(accepted: Accepted) -> Callable[[int], str]:
    """Names a span by its beginning, as exactly as its width asks for."""
    width, whole = accepted.width, accepted.width * len(accepted.counts)
    form = "%d %b" if width >= _DAY else "%d %b %H:%M" if whole >= _DAY else "%H:%M" if width >= 60 else "%H:%M:%S"

    def name(place: int) -> str:
        moment = accepted.start + timedelta(seconds=place * width)
        return moment.strftime(form) + (f".{moment.microsecond // 100_000}" if width < 1 else "")

    return name


def _pygal() -> Any:
    """The library, without the finder of modules that it registers: that is of a kind that Python warns of at every
    later import, and of use to its maps alone.
    """
    import pygal

    sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("pygal")]
    return pygal


def _config(width: int, height: int) -> dict[str, Any]:
    sizes = _pygal().style.Style(
        label_font_size=_FONT, major_label_font_size=_FONT
    )  # it leaves room for so much; the page writes it
    plain = {"margin": 0, "js": [], "show_legend": False, "no_prefix": True, "truncate_label": -1}
    return {"width": width, "height": height, "style": sizes, **plain}


def _drawn(chart: Any, said: str, kind: str) -> etree._Element:
    """The shapes and words of a chart, of the class `kind`; `said` is for those who do not see it."""
    root = etree.fromstring(chart.render(disable_xml_declaration=True))
    for each in list(root.iter()):
        parent = each.getparent()
        if parent is not None and not _wanted(each):
            parent.remove(each)
    for each in root.iter():
        for name in {"style", "id"} & set(each.attrib):
            del each.attrib[name]
    for name, value in {"class": kind, "role": "img", "aria-label": said}.items():
        root.set(name, value)
    etree.cleanup_namespaces(root)
    return root


def _wanted(node: etree._Element) -> bool:
    """Whether it is a shape or words: no style sheet, script, comment, tooltip, and nothing that is said otherwise."""
    if str(node.tag).removeprefix(_SVG) in ("defs", "desc", "title") or isinstance(node, etree._Comment):
        return False
    return not {"overlay", "text-overlay", "tooltip-overlay", "titles", "background"} & set(
        node.get("class", "").split()
    )


def _shapes(drawn: etree._Element) -> list[etree._Element]:
    """The bars in their order."""
    return [each for each in drawn.iter(f"{_SVG}rect") if "reactive" in each.get("class", "").split()]


def _title(bar: etree._Element, text: str) -> None:
    etree.SubElement(bar, f"{_SVG}title").text = text
