"""A run as a JUnit report, which Jenkins, GitLab and others read: a test case for each reason.

It keeps to what the schemas in use have in common (that of Jenkins' xUnit plugin and that of Ant's JUnit task).
"""

from typing import Final
from xml.etree import ElementTree as ET

from pipeline.records import Status
from pipeline.report.digest import Digest, Finding, Weight
from pipeline.report.text import counts, line, number, rows, word

#: What a run that ends with it has to be told apart from one that has come to its end.
_COMPLETE: Final = (0, 1)


def render(digest: Digest) -> str:
    """The report as XML.

    Failures are rows that somebody has to mend, errors are rows in doubt and a run that did not come to its end. Rows
    that were left out by policy, that are pending, or that were bad and tolerated, are skipped. The cases keep their
    names from run to run; how many rows each is about stands in its message.
    """
    suite = ET.Element("testsuite")
    properties = ET.SubElement(suite, "properties")
    told = {status.value: str(digest.counts.get(status, 0)) for status in Status}
    for name, value in {"rows": str(sum(digest.counts.values())), **told, "run_dir": digest.run_dir}.items():
        ET.SubElement(properties, "property", name=name, value=line(value))
    kinds = [_run(suite, digest)]
    if digest.counts.get(Status.ACCEPTED) or not digest.checked:
        kinds.append(_case(suite, "accepted", "rows are accepted", None))
    if digest.checked and digest.counts.get(Status.PENDING):
        kinds.append(_case(suite, "pending", "rows can be sent", None))
    for found in digest.findings:
        assert found.status is not None
        case = _case(suite, found.status.value, found.reason, _kind(found, digest))
        _tell(suite[-1], found)
        kinds.append(case)
    output = [f"{digest.headline} {counts(digest.counts)}".strip()]
    output += [f"warning: {rows(each.count)}: {each.reason} {_examples(each)}".rstrip() for each in digest.warnings]
    ET.SubElement(suite, "system-out").text = "\n".join(map(_clean, output))
    ET.SubElement(suite, "system-err").text = _clean(digest.error or "")
    for name, value in {
        "id": "0",
        "package": "contact-pipeline",
        "name": "contact-pipeline check" if digest.checked else "contact-pipeline import",
        "timestamp": f"{digest.created:%Y-%m-%dT%H:%M:%S}",
        "hostname": "localhost",  # what the schemas ask for where it is not to be told
        "tests": str(len(kinds)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
        "time": f"{digest.seconds:.3f}",
    }.items():
        suite.set(name, value)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _run(suite: ET.Element, digest: Digest) -> str | None:
    """The case of the run itself."""
    well = digest.ended and not digest.error and digest.exit_code in _COMPLETE
    kind = _case(suite, "run", "the run comes to its end", None if well else "error")
    if not well:
        error = suite[-1][0]
        error.set("message", _clean(digest.headline))
        error.set("type", "not ended" if digest.exit_code is None else f"exit code {digest.exit_code}")
        error.text = _clean(digest.error or digest.headline)
    return kind


def _case(suite: ET.Element, group: str, name: str, kind: str | None) -> str | None:
    case = ET.SubElement(suite, "testcase", classname=f"contact-pipeline.{group}", name=_clean(name), time="0.000")
    if kind is not None:
        ET.SubElement(case, kind)
    return kind


def _kind(found: Finding, digest: Digest) -> str:
    if found.status is Status.IN_DOUBT:
        return "error"
    if found.weight is Weight.ERROR or (found.status is Status.CHANGED and digest.exit_code != 0):
        return "failure"
    return "skipped"


def _tell(case: ET.Element, found: Finding) -> None:
    assert found.status is not None
    result = case[0]
    tolerated = " and tolerated" if result.tag == "skipped" and found.weight is Weight.WARNING else ""
    tolerated = "" if found.status is Status.PENDING else tolerated
    result.set("message", _clean(f"{rows(found.count)} {word(found.status)}{tolerated}: {found.reason}"))
    if result.tag != "skipped":
        result.set("type", found.status.value)
    result.text = _clean(_examples(found))


def _examples(found: Finding) -> str:
    places = "\n".join(each.words for each in found.examples)
    left = found.count - len(found.examples)
    return f"{places}\nand {number(left)} more" if places and left else places


def _clean(text: str) -> str:
    """Text that XML can hold: its own lines stay, other characters that are not for printing are blanks."""
    return "\n".join(map(line, text.split("\n")))
