"""A run as a page for a person: report.html, one file that opens offline, on screen, on a telephone and on paper."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Final

from lxml import etree

from pipeline.ledger.summary import Summary
from pipeline.records import MENDABLE, Status
from pipeline.report import charts, explain
from pipeline.report.digest import EXAMPLES, Digest, Example, Finding
from pipeline.report.page import Content, page, prose, table, tag
from pipeline.report.settings import flat
from pipeline.report.steps import Steps, steps
from pipeline.report.summary import UNDO_WORDS
from pipeline.report.text import latency, line, number, rate, rows, safe, span, word
from pipeline.report.timing import Accepted, AnswerTimes

#: So many reasons are listed, and so many warnings; those behind the first SHOWN are folded away.
LISTED: Final = 40
SHOWN: Final = 8

#: What is to be done about so many of them at least, and about most, is said once.
COMMON: Final = 3

#: The percentiles that are told.
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

#: Which exit codes are how bad; others are bad.
_VERDICTS: Final = {0: "good", 1: "look", 3: "look", 130: "look", 143: "look"}

_NUMBERS: Final = {
    "number": "number",
    "rows": "number",
    "share": "number",
    "reason": "words",
    "warning": "words",
    "first met": "words",
}


def render(digest: Digest) -> str:
    """The page. No destination, key or secret stands in it."""
    topics = explain.topics()
    what = "Check" if digest.checked else "Import"
    to_do = steps(digest, topics)
    content = tag("main", _head(digest, what, to_do.happened), _next(to_do))
    if digest.undo is not None:
        content.append(_undo(digest.undo))
    if digest.counts and sum(digest.counts.values()):
        content.append(_where(digest, topics))
        content.extend(_times(digest))
    content.extend(_problems(digest, topics))
    if digest.record:
        content.extend([*_target(digest), _run(digest), _settings(digest)])
    style = files("pipeline.report").joinpath("report.css").read_text(encoding="utf-8")
    return page(f"{what}: {digest.headline}", style, content)


# --- what happened, and what to do ----------------------------------------------------------------------------------


def _head(digest: Digest, what: str, happened: str) -> etree._Element:
    code = digest.exit_code
    verdict = "Not ended" if code is None else f"Exit code {code}"
    kind = "look" if code is None else _VERDICTS.get(code, "bad")
    of = f" {'for' if digest.checked else 'into'} campaign {digest.campaign}" if digest.campaign else ""
    return tag(
        "header",
        tag("p", f"{what}{of}, begun {digest.created:%Y-%m-%d %H:%M} UTC", class_="eyebrow"),
        tag("h1", digest.headline),
        tag("p", tag("span", verdict, class_=f"verdict {kind}")),
        prose("p", happened),
        tag("div", *(tag("p", each) for each in digest.error.splitlines()), class_="error") if digest.error else None,
        _told(_facts(digest)),
    )


def _told(facts: Iterable[tuple[str, str]]) -> etree._Element:
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", told)) for name, told in facts), class_="facts")


def _facts(digest: Digest) -> Iterator[tuple[str, str]]:
    if digest.rows is not None:
        yield "Rows", number(digest.rows)
    if digest.counts:
        sendable = Status.PENDING if digest.checked else Status.ACCEPTED
        yield "Can be sent" if digest.checked else "Accepted", number(digest.counts.get(sendable, 0))
        yield "To mend", number(sum(digest.counts.get(status, 0) for status in MENDABLE))
    if digest.counts.get(Status.IN_DOUBT):
        yield "In doubt", number(digest.counts[Status.IN_DOUBT])
    if digest.counts.get(Status.PENDING) and not digest.checked:
        yield "Pending", number(digest.counts[Status.PENDING])
    if digest.summary is not None:
        yield "Took", span(digest.summary.seconds.total)
        if digest.summary.rate:
            yield "While sending", rate(digest.summary.rate)


def _next(to_do: Steps) -> etree._Element:
    words = (("Where to look: ", to_do.look), ("What to do: ", to_do.act))
    told = [tag("p", tag("strong", label), prose("span", text)) for label, text in words if text]
    commands = [tag("pre", tag("code", command)) for command in to_do.commands]
    return tag("section", tag("h2", "How to go on"), *told, *commands)


def _undo(undo: Summary) -> etree._Element:
    told = [(words, number(undo.counts[status])) for status, words in UNDO_WORDS.items() if undo.counts[status]]
    return tag(
        "section",
        tag("h2", "Taken back"),
        table("Contacts that this run had added", ["contacts", "rows"], told, **_NUMBERS),
    )


# --- charts ---------------------------------------------------------------------------------------------------------


def _where(digest: Digest, topics: Sequence[explain.Topic]) -> etree._Element:
    total = sum(digest.counts.values())
    told = []
    for status in Status:
        if count := digest.counts.get(status):
            [topic] = explain.find(status.value, topics)
            told.append(
                (_named(status), number(count), _share(count, total), prose("span", topic.meaning, class_="soft"))
            )
    told.append((tag("span", "in all" if digest.ended else "settled so far"), number(total), "", tag("span")))
    kinds = {**_NUMBERS, "meaning": "meaning"}
    listed = table("Rows by status", ["status", "rows", "share", "meaning"], told, **kinds)
    return tag("section", tag("h2", "Where the rows went"), tag("figure", charts.by_status(digest.counts)), listed)


def _named(status: Status) -> etree._Element:
    """A status with its colour."""
    mark = tag("span", class_=f"swatch {status.value}", aria_hidden="true")
    return tag("span", mark, word(status), class_="nowrap")


def _share(count: int, total: int) -> str:
    """Per cent; few are not told as none, nor nearly all as all."""
    share = f"{count / total:.1%}"
    return "< 0.1%" if share == "0.0%" else "> 99.9%" if share == "100.0%" and count < total else share


def _times(digest: Digest) -> Iterator[etree._Element]:
    """When rows were accepted, and how long answers took; of a run without either why there is nothing to see."""
    if digest.accepted is not None:
        yield _over_time(digest.accepted)
    if digest.latencies is not None:
        yield _latencies(digest.latencies)
    if digest.accepted is None and digest.latencies is None:
        why = "no row was answered." if digest.ended else "no answer is on record yet."
        if digest.checked:
            why = "a check sends nothing."
        elif not digest.ledger:
            why = "there is no ledger to read it from: ledger.formats has none, or it was deleted."
        told = tag("p", f"Nothing to show: {why}", class_="soft")
        yield tag("section", tag("h2", "Accepted over time, and how long answers took"), told)


def _over_time(accepted: Accepted) -> etree._Element:
    title = tag("h2", "Accepted over time")
    when = f"{accepted.start:%Y-%m-%d}, times in UTC"
    if len(accepted.counts) == 1:
        told = f"All of them within {charts.stretch(accepted.width)}, at {accepted.start:%H:%M:%S} ({when})."
        return tag("section", title, tag("p", f"{rows(accepted.counts[0])}. {told}", class_="soft"))
    most = max(accepted.counts)
    each = charts.stretch(accepted.width)
    said = f"Rows accepted in each {each}; {when}. At most {rows(most)}, {rate(most / accepted.width)}."
    return tag("section", title, tag("figure", *charts.over_time(accepted), tag("figcaption", said)))


def _latencies(latencies: AnswerTimes) -> etree._Element:
    told = {name: latency(latencies.quantile(share) / 1000) for name, share in QUANTILES.items()}
    told["longest"] = latency(latencies.longest / 1000)
    caption = f"{rows(latencies.rows)}, from the last send to the answer; percentiles to one per cent"
    said = tag("figcaption", "Rows by the time that their answers took, on a logarithmic scale.")
    figure = tag("figure", *charts.of_latencies(latencies), said) if len(latencies.bins) > 1 else None
    title = tag("h2", "How long answers took")
    return tag("section", title, tag("p", caption, class_="soft"), _told(told.items()), figure)


# --- problems -------------------------------------------------------------------------------------------------------


def _problems(digest: Digest, topics: Sequence[explain.Topic]) -> Iterator[etree._Element]:
    if digest.findings:
        caption = "The weightiest first, then the most frequent."
        yield tag("section", tag("h2", "Why rows are not accepted"), _found(digest, digest.findings, caption, topics))
    if digest.warnings:
        caption = "The most frequent first; a row may have several."
        yield tag("section", tag("h2", "Warnings"), _found(digest, digest.warnings, caption, topics))


def _found(digest: Digest, found: Sequence[Finding], caption: str, topics: Sequence[explain.Topic]) -> etree._Element:
    """Reasons, or warnings, which have no status: tables of the first ones and of the others, which are folded away."""
    sources = [source["name"] for source in digest.record["source"]]
    only = sources[0] if len(sources) == 1 else None
    listed, left = found[:LISTED], found[LISTED:]
    spoken = {each.reason: explain.spoken_of(each.reason, topics) for each in listed}
    times = Counter(act for named in spoken.values() for act in {topic.act for topic in named})
    common: dict[str, dict[str, None]] = {
        act: {} for act, count in times.items() if count >= COMMON and 2 * count > len(listed)
    }
    told: list[list[Content]] = []
    for each in listed:
        for topic in spoken[each.reason]:
            common.get(topic.act, {}).setdefault(topic.names[0])
        acts = dict.fromkeys(topic.act for topic in spoken[each.reason] if topic.act not in common)
        told.append(_finding(each, acts, only))
    if left:
        blank = [""] * (len(told[0]) - 3)
        told.append([number(sum(each.count for each in left)), *blank, f"for {number(len(left))} more", ""])
    head = ["rows", "status", "reason", "first met"] if len(told[0]) == 4 else ["rows", "warning", "first met"]
    caption += f" Of each the first {EXAMPLES} places are named" + (f", in {only}" if only else "")
    made = tag("div", class_="found")
    for act, names in common.items():
        made.append(tag("p", tag("strong", f"{', '.join(names)}: "), prose("span", act), class_="soft"))
    shown = SHOWN if len(told) > SHOWN + 2 else len(told)  # to unfold one or two would be no gain
    made.append(table(f"{caption}; what cells hold is never shown.", head, told[:shown], **_NUMBERS))
    if rest := told[shown:]:
        what = "reasons" if len(head) == 4 else "warnings"
        others = f"{number(len(found) - shown)} other {what}, of {rows(sum(each.count for each in found[shown:]))}"
        made.append(tag("details", tag("summary", others), table(f"Further {what}", head, rest, **_NUMBERS)))
    return made


def _finding(finding: Finding, acts: Iterable[str], only: str | None) -> list[Content]:
    """One line of such a table; `acts`: what is to be done."""
    same = groupby(finding.examples, lambda place: place.source)
    places = [_places(source, examples, only) for source, examples in same]
    words = tag("div", finding.reason, *(prose("span", act, class_="act") for act in acts))
    status = [] if finding.status is None else [_named(finding.status)]
    return [number(finding.count), *status, words, tag("div", "; ".join(places), class_="places")]


def _places(source: str, examples: Iterable[Example], only: str | None) -> str:
    """Rows of one source: "list.csv, line 2, 52, 102"; of the `only` source without its name."""
    found = list(examples)
    kind = "row" if found[0].line is None else "line"
    told = f"{kind} {', '.join(str(each.line or each.row) for each in found)}"
    return told if source == only else f"{source}, {told}"


# --- the target, the run, its settings --------------------------------------------------------------------------------


def _target(digest: Digest) -> Iterator[etree._Element]:
    ended = digest.summary
    if ended is None or digest.checked:
        return
    sessions = ended.sessions
    told = [
        (name, number(count))
        for name, count in (
            ("sessions opened", sessions.opened),
            ("sessions renewed", sessions.renewed),
            ("sessions expired", sessions.expired),
            ("sessions closed", sessions.closed),
        )
    ]
    told += [(f"rows answered with code {safe(code)}", number(count)) for code, count in ended.codes.items()]
    learnt = [
        tag("p", "Learnt about it; keep it in the configuration:"),
        *(tag("pre", tag("code", safe(each))) for each in ended.learnt),
    ]
    listed = table("Sessions and codes", ["what", "number"], told, **_NUMBERS)
    listed.set("class", "tight")
    yield tag("section", tag("h2", "The target"), listed, *(learnt if ended.learnt else ()))


def _run(digest: Digest) -> etree._Element:
    run, versions = digest.record["run"], digest.record.get("versions", {})
    told = [
        ("directory", digest.run_dir),
        ("command", safe(run["command"])),
        ("begun", f"{digest.created:%Y-%m-%d %H:%M:%S} UTC"),
        ("by", f"{run.get('user') or 'somebody'} on {run.get('host', '')}"),
        ("id", run.get("id", "")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    told += [(name, str(run[name])) for name in ("mode", "wave", "limit", "canary", "tolerate") if run.get(name)]
    if digest.summary is not None:
        seconds = digest.summary.seconds
        told.append(("seconds", f"{seconds.total:,.1f}: survey {seconds.survey:,.1f}, sending {seconds.sending:,.1f}"))
    sources = [
        (
            line(each["name"]),
            each.get("format", ""),
            f"{each['size']:,}" if "size" in each else "",
            each.get("sha256", "")[:16],
        )
        for each in digest.record["source"]
    ]
    head = ["file", "format", "bytes", "SHA-256 begins"]
    return _folded(
        "The run",
        table("As run.toml in its directory tells", ["what", "told"], told, told="words"),
        tag("div", table("Sources", head, sources, bytes="number"), class_="scroll"),
    )


def _settings(digest: Digest) -> etree._Element:
    tables = []
    for name, section in digest.record["settings"].items():
        told = [(key, value if value == digest.campaign else safe(value)) for key, value in flat(section)]
        if told:
            tables.append(table(f"[{name}]", [], told))
    said = "As they were resolved, defaults among them; durations in seconds. Secrets and values of rows are left out."
    return _folded("Settings", tag("p", said, class_="soft"), tag("div", *tables, class_="columns"))


def _folded(title: str, *content: etree._Element) -> etree._Element:
    """A section that is looked at when it is asked for; on paper it is open."""
    return tag("section", tag("details", tag("summary", tag("h2", title)), *content))
