"""Messages of Intelliview NXT: the document's samples and table, read literally, and how real services bend them."""

import pytest

from pipeline.targets.intelliview.messages import LONGEST, Meaning, Message, read
from pipeline.targets.soap.answers import Unreadable

SUCCESS = """
<ResponseMessage>

<Message ID='SYN_REP_INFO_7503'/>

<Response Message='Intelliview NXT session initialization is successful'/> <Session Token='aa773e46-61d6-4597-ad35-e69f0666dbd1'/>

<Company ID='23'/>

<Version No='1.3.1.1' />

</ResponseMessage>
"""  # noqa: E501 - the document's sample as it stands
ERROR = """
<ResponseMessage>

<Message ID='SYN_REP_ERROR_7509'/>

<Response Message= 'Company short name is not valid'/>

<Version No='1.3.1.1'/>

</ResponseMessage>
"""
TOKEN = "aa773e46-61d6-4597-ad35-e69f0666dbd1"


def test_the_documents_success() -> None:
    found = read(SUCCESS)
    assert (found.id, found.meaning, found.failed) == ("SYN_REP_INFO_7503", Meaning.OPENED, False)
    assert (found.token, found.company) == (TOKEN, "23")
    assert found.words == "Intelliview NXT session initialization is successful"
    assert TOKEN not in repr(found)


def test_the_documents_error() -> None:
    found = read(ERROR)
    assert (found.id, found.meaning, found.failed) == ("SYN_REP_ERROR_7509", Meaning.COMPANY, True)
    assert (found.token, found.company, found.words) == ("", "", "Company short name is not valid")


@pytest.mark.parametrize(
    ("message_id", "meaning", "failed"),
    [
        ("SYN_REPO_ERROR_5035", Meaning.EXCEPTION, True),
        ("SYN_REP_ERROR_5035", Meaning.EXCEPTION, True),
        ("SYN_REP_ERROR_5086", Meaning.CREDENTIALS, True),
        ("SYN_REP_ERROR_7501", Meaning.SESSION_GONE, True),
        ("SYN_REP_INFO_7503", Meaning.OPENED, False),
        ("SYN_REP_ERROR_7507", Meaning.SESSION_GONE, True),
        ("SYN_REP_ERROR_7509", Meaning.COMPANY, True),
        ("SYN_REP_ERROR_7538", Meaning.AUTH_TYPE, True),
        ("SYN_REP_ERROR_7539", Meaning.APPLICATION_TYPE, True),
        ("SYN_REP_INFO_7540", Meaning.CLOSED, False),
        ("5086", Meaning.CREDENTIALS, True),
        ("syn_rep_error_9999", None, True),
        ("SYN_REP_ERROR_7503", None, True),  # _ERROR_ is a failure whatever its number
        ("SYN_REP_INFO_1", None, False),
        ("SYN_REP", None, False),
    ],
)
def test_ids_are_known_by_their_number(message_id: str, meaning: Meaning | None, failed: bool) -> None:
    found = Message(message_id, "")
    assert (found.meaning, found.failed) == (meaning, failed)


@pytest.mark.parametrize(
    "text",
    [
        SUCCESS.replace("</ResponseMessage>", ""),
        SUCCESS.replace("<ResponseMessage>", ""),
        SUCCESS.replace("<Company ID='23'/>", "<Company ID='23'>"),
        SUCCESS.replace("<Company ID='23'/>", "<Company ID='23'"),
        SUCCESS.replace("initialization is", "initialization & set-up < are"),
        SUCCESS.replace("'", "\u2018").replace("ID=\u2018", "ID=\u2019"),
        SUCCESS.replace("'", "\u201d"),
        SUCCESS.replace("'23'", "23").replace("'SYN_REP_INFO_7503'", "SYN_REP_INFO_7503"),
        SUCCESS.replace("Message ID='SYN_REP_INFO_7503'/>", "Message ID='SYN_REP_INFO_7503'></Mesage>"),
        SUCCESS.replace("<", "<x:").replace("<x:/", "</x:"),  # a prefix that nobody declared
        SUCCESS + "trailing",
    ],
)
def test_malformed_messages_are_searched_for_what_counts(text: str) -> None:
    found = read(text)
    assert (found.id, found.token, found.company) == ("SYN_REP_INFO_7503", TOKEN, "23")
    assert not found.failed


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0" encoding="utf-16"?>' + SUCCESS,
        "\ufeff<?xml version='1.0'?>\n" + SUCCESS,
        SUCCESS.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        SUCCESS.replace("<ResponseMessage>", '<ResponseMessage xmlns="urn:x">'),
        SUCCESS.replace("ID=", "Id=").replace("Token=", "token="),
        f"<Company ID='23'/><Session Token='{TOKEN}'/><Message ID='SYN_REP_INFO_7503'/>",
        f"<R><Company ID='23'/><X><Session Token=' {TOKEN} '/></X><Message ID='SYN_REP_INFO_7503'/></R>",
    ],
)
def test_well_formed_messages_in_other_clothes(text: str) -> None:
    found = read(text)
    assert (found.id, found.token, found.company) == ("SYN_REP_INFO_7503", TOKEN, "23")


def test_one_failure_among_several_messages_is_what_counts() -> None:
    found = read(SUCCESS.replace("</ResponseMessage>", "<Message ID='SYN_REP_ERROR_5086'/></ResponseMessage>"))
    assert (found.meaning, found.failed) == (Meaning.CREDENTIALS, True)


def test_values_are_unescaped_once() -> None:
    for damage in ("", "</Broken>"):
        assert read(f"<R><Message ID='7503'/><Session Token='a&amp;lt;&quot;'/>{damage}</R>").token == 'a&lt;"'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("<?xml version='1.0'?>", "empty"),
        ("Service unavailable", "no id"),
        ("<ResponseMessage/>", "no id"),
        ("<ResponseMessage><Message/></ResponseMessage>", "no id"),
        ("<html><body>Message ID='7503'</body></html>", "no id"),
        (f"<R>{'x' * LONGEST}<Message ID='7503'/></R>", "longer than"),
        ("<!DOCTYPE R [<!ENTITY e '7503'>]><R><Message ID='&e;'/></R>", "DTD"),
        ("<!DOCTYPE R><R><Message ID='7503'/></R>", "DTD"),
        ("<!doctype R [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><R><Message ID='7503'/>&e;", "DTD"),
    ],
)
def test_what_cannot_be_read_is_said_without_its_text(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(text)
