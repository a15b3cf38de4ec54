"""`init`: what it writes for a list works with that list at once, in whatever language its columns are named."""

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import phonenumbers
import polars as pl
import pytest
from cli.kit import Ended
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

Command = Callable[..., Ended]

ROWS = 12


def numbers(region: str, kind: int) -> list[phonenumbers.PhoneNumber]:
    """Valid numbers of a country, beginning with the library's example."""
    example = phonenumbers.example_number_for_type(region, kind)
    assert example is not None
    assert example.national_number is not None
    found = []
    for step in range(5000):
        number = phonenumbers.PhoneNumber(example.country_code, example.national_number + step)
        number.italian_leading_zero, number.number_of_leading_zeros = (
            example.italian_leading_zero,
            example.number_of_leading_zeros,
        )
        if phonenumbers.is_valid_number_for_region(number, region):
            found.append(number)
    return found[:ROWS]


def written(numbers: Sequence[phonenumbers.PhoneNumber], style: int) -> list[str]:
    return [phonenumbers.format_number(number, style) for number in numbers]


def cells(role: str, region: str) -> list[str]:
    """The cells of a column in such a role."""
    if role == "sms":
        return written(numbers(region, PhoneNumberType.MOBILE), PhoneNumberFormat.NATIONAL)
    if role == "voice":
        return written(numbers(region, PhoneNumberType.FIXED_LINE), PhoneNumberFormat.NATIONAL)
    row_by_row = {
        "email": lambda row: f"person{row}@example.com",
        "key": lambda row: f"C-{row:03}",
        "first": lambda row: ("Ann", "Zo\u00eb", "Jos\u00e9", "\u0141ukasz")[row % 4],
        "last": lambda row: f"Name{row % 5}",
        "yes": lambda row: ("yes", "Y ", "1", "true")[row % 4],
        "ja": lambda row: ("ja", "Ja")[row % 2],
        "blank": lambda row: "",
        "no": lambda row: ("no", "", "0")[row % 3],
        "other": lambda row: f"{row * 37 % 101}",
        "date": lambda row: f"2026-0{row % 9 + 1}-13",
    }
    return [row_by_row[role](row) for row in range(ROWS)]


#: Country, and columns with what they hold.
LISTS: dict[str, tuple[str, dict[str, str]]] = {
    "vendor": ("CA", {"Fullname": "last", "externalRefNo": "key", "Phone": "voice", "SMS": "sms", "Email": "email"}),
    "english": ("GB", {"Customer ID": "key", "First Name": "first", "Mobile": "sms", "Email Address": "email"}),
    "snake": ("US", {"customer_id": "key", "first_name": "first", "mobile_phone": "sms", "home_phone": "voice"}),
    "camel": ("AU", {"customerId": "key", "firstName": "first", "mobilePhone": "sms", "emailAddress": "email"}),
    "shout": ("US", {"ID": "key", "LAST NAME": "last", "CELL": "sms", "E-MAIL": "email", "ZIP": "other"}),
    "crm": ("US", {"Contact ID": "key", "Created": "date", "Name": "last", "Phone Number": "voice", "Age": "other"}),
    "german": ("DE", {"Kundennummer": "key", "Vorname": "first", "Handy": "sms", "E-Mail-Adresse": "email"}),
    "german 2": ("DE", {"Kunden-Nr.": "key", "Nachname": "last", "Mobiltelefon": "sms", "Telefon": "voice"}),
    "austrian": ("AT", {"KdNr": "key", "Mobilnummer": "sms", "Festnetz": "voice", "eMail": "email"}),
    "swiss": ("CH", {"Nr": "other", "Telefonnummer mobil": "sms", "Mail": "email"}),
    "french": ("FR", {"N\u00b0 client": "key", "Pr\u00e9nom": "first", "Portable": "sms", "Courriel": "email"}),
    "french 2": ("FR", {"Num\u00e9ro de client": "key", "T\u00e9l. portable": "sms", "T\u00e9l. fixe": "voice"}),
    "belgian": ("BE", {"R\u00e9f. client": "key", "NOM": "last", "GSM": "sms", "Adresse e-mail": "email"}),
    "spanish": ("ES", {"N\u00ba de cliente": "key", "Nombre": "first", "M\u00f3vil": "sms", "Correo": "email"}),
    "mexican": ("MX", {"ID Cliente": "key", "Tel\u00e9fono celular": "sms", "Correo electr\u00f3nico": "email"}),
    "italian": ("IT", {"Codice cliente": "key", "Nome": "first", "Cellulare": "sms", "Posta elettronica": "email"}),
    "italian 2": ("IT", {"numero_cliente": "key", "Telefono fisso": "voice", "Telefono cellulare": "sms"}),
    "portuguese": ("PT", {"N.\u00ba cliente": "key", "Nome": "first", "Telem\u00f3vel": "sms", "E-mail": "email"}),
    "brazilian": ("BR", {"C\u00f3digo do cliente": "key", "Telefone celular": "sms", "Telefone fixo": "voice"}),
    "dutch": ("NL", {"Klantnummer": "key", "Voornaam": "first", "Mobiele telefoon": "sms", "E-mailadres": "email"}),
    "dutch 2": ("NL", {"klant_id": "key", "06-nummer": "sms", "Vaste telefoon": "voice"}),
    "polish": ("PL", {"Numer klienta": "key", "Imi\u0119": "first", "Tel. kom.": "sms", "Adres e-mail": "email"}),
    "polish 2": ("PL", {"Nr klienta": "key", "Telefon kom\u00f3rkowy": "sms", "Telefon stacjonarny": "voice"}),
    "unnamed": ("GB", {"a": "other", "b": "voice", "c": "email", "d": "date"}),
    "second": ("US", {"Phone": "voice", "Phone 2": "blank", "Work Phone": "blank", "Phone type": "other"}),
    "consent": ("GB", {"id": "key", "Mobile": "sms", "SMS opt-in": "yes", "Email": "email", "email_opt_in": "yes"}),
    "einwilligung": ("DE", {"Handy": "sms", "Mail": "email", "Einwilligung": "ja", "Werbesperre": "no"}),
    "refusal": ("GB", {"Mobile": "sms", "Do not contact": "no", "No SMS": "no"}),
    "flag": ("GB", {"Mobile": "sms", "SMS": "yes", "E-mail address": "email", "Newsletter": "yes"}),
}  # fmt: skip


def made(name: str) -> pl.DataFrame:
    region, columns = LISTS[name]
    return pl.DataFrame({header: cells(role, region) for header, role in columns.items()})


@pytest.fixture
def drafted(command: Command, desk: Path) -> Callable[..., tuple[dict[str, Any], pl.DataFrame]]:
    """Draft a configuration for a list, check the list with it: the configuration, and the ledger."""

    def run(source: str, *options: str) -> tuple[dict[str, Any], pl.DataFrame]:
        ended = command("init", source, *options)
        assert (ended.code, ended.err) == (0, "")
        Path("my.toml").write_text(ended.out, encoding="utf-8")
        checked = command("check", source, "--config", "my.toml", *options, "--run-dir", f"run-{source}")
        assert checked.code in (0, 1), checked.err
        return tomllib.loads(ended.out), pl.read_parquet(f"run-{source}/ledger.parquet")

    return run


@pytest.mark.parametrize("name", LISTS)
def test_every_row_that_is_valid_can_be_sent(
    name: str, drafted: Callable[..., tuple[dict[str, Any], pl.DataFrame]]
) -> None:
    made(name).write_csv("my.csv", separator=";")
    config, ledger = drafted("my.csv")
    assert ledger["status"].to_list() == ["pending"] * ROWS
    region, columns = LISTS[name]
    kinds = {"sms": PhoneNumberType.MOBILE, "voice": PhoneNumberType.FIXED_LINE}
    for channel in ("sms", "voice", "email"):
        if channel not in columns.values():
            expected: list[str] | list[None] = [None] * ROWS
        elif channel == "email":
            expected = cells("email", region)
        else:
            expected = written(numbers(region, kinds[channel]), PhoneNumberFormat.E164)
        assert ledger[channel].to_list() == expected, channel
    if "key" in columns.values():
        assert ledger["key"].to_list() == cells("key", region)
    else:
        assert "key" not in config["contacts"]


def test_parquet(drafted: Callable[..., tuple[dict[str, Any], pl.DataFrame]]) -> None:
    made("german").write_parquet("my.parquet")
    _, ledger = drafted("my.parquet")
    assert ledger["status"].to_list() == ["pending"] * ROWS


def test_how_the_list_is_read_can_be_told(
    command: Command, drafted: Callable[..., tuple[dict[str, Any], pl.DataFrame]]
) -> None:
    frame = made("french")
    frame.drop("Pr\u00e9nom").write_csv("utf8.csv", separator="!")
    Path("my.csv").write_bytes(Path("utf8.csv").read_text(encoding="utf-8").encode("cp1252"))
    options = ("--delimiter", "!", "--encoding", "windows-1252")
    _, ledger = drafted("my.csv", *options)
    assert ledger["key"].to_list() == cells("key", "FR")
    said = "# Give check and import the same options: --delimiter '!' --encoding windows-1252\n"
    assert said in command("init", "my.csv", *options).out


def test_of_a_glob_the_first_file_is_looked_at(command: Command, desk: Path) -> None:
    Path("lists").mkdir()
    for name, city in (("b", "german"), ("a", "french"), ("c", "german")):
        made(city).write_csv(f"lists/{name}.csv")
    ended = command("init", "lists/*.csv")
    assert (ended.code, ended.err) == (0, "")
    assert 'rows of "lists/a.csv".\n# It is the first of 3 files; ' in ended.out
    assert tomllib.loads(ended.out)["contacts"]["region"] == "FR"
    assert "It is the first" not in command("init", "lists/a*.csv").out
    assert command("init", "none/*.csv").complaints == ["none/*.csv: no file matches"]


# --- consent --------------------------------------------------------------------------------------------------------


def contacts(command: Command, table: dict[str, list[str]]) -> tuple[dict[str, Any], Ended]:
    pl.DataFrame(table).write_csv("my.csv")
    ended = command("init", "my.csv")
    return tomllib.loads(ended.out)["contacts"], ended


MOBILE = ["+14165550101", "+14165550102", "+14165550103"]
MAIL = ["a@example.com", "b@example.com", "c@example.com"]


@pytest.mark.usefixtures("desk")
def test_consent_is_obeyed_and_never_turned_about(command: Command) -> None:
    def when(name: str, *words: str) -> Any:
        return contacts(command, {"Mobile": MOBILE, name: [*words]})[0]["sms"].get("when")

    assert when("opt_in", "yes", "no", "no") == {"column": "opt_in", "in": ["yes"]}
    assert when("SMS", "Oui", "non", "") == {"column": "SMS", "in": ["oui"]}
    assert when("consent", "no", "no", "")["in"] == ["yes", "y", "true", "1"]
    for refusal in ("opt_out", "no_consent", "No SMS", "Nicht anrufen", "unsubscribed"):
        told = when(refusal, "1", "0", "")
        assert told in ({"column": refusal, "in": ["", "0"]}, None), refusal
        assert (told is None) == (refusal == "Nicht anrufen"), "it is about calls"
    assert when("customer_no", "1", "0", "0") is None
    assert when("Marketing region", "North", "South", "") is None


@pytest.mark.usefixtures("desk")
def test_consent_that_is_not_understood_allows_nothing_until_a_person_says_what_does(command: Command) -> None:
    mapping, ended = contacts(command, {"Mobile": MOBILE, "SMS consent": ["given 2024", "", "withdrawn"]})
    assert mapping["sms"]["when"] == {"column": "SMS consent", "in": ["yes", "y", "true", "1"]}
    assert 'Column "SMS consent" speaks of consent, but not with yes and no' in ended.err
    mapping, ended = contacts(
        command, {"Mobile": MOBILE, "opted_out_on": ["2024-01-01", "", ""], "opt_out": list("yn ")}
    )
    assert mapping["sms"]["when"] == {"column": "opt_out", "in": ["", "n"]}
    assert mapping["where"] == {"column": "opted_out_on", "in": [""]}


@pytest.mark.usefixtures("desk")
def test_each_consent_finds_its_place_or_is_named(command: Command) -> None:
    table = {"Mobile": MOBILE, "Email": MAIL}
    table |= {
        name: ["yes", "no", "yes"] for name in ("sms_opt_in", "email_opt_in", "do_not_contact", "consent", "sms_ok")
    }
    mapping, ended = contacts(command, table)
    assert mapping["sms"]["when"]["column"] == "sms_opt_in"
    assert mapping["email"]["when"]["column"] == "email_opt_in"
    assert mapping["where"] == {"column": "do_not_contact", "in": ["", "no"]}
    assert 'Column "consent" speaks of consent too, and is NOT looked at' in ended.err
    assert '# ATTENTION: Column "consent"' in ended.out


# --- what is not ordinary -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("desk")
def test_a_list_without_destinations(command: Command) -> None:
    Path("my.csv").write_text("a,b\n1,x\n", encoding="utf-8")
    ended = command("init", "my.csv")
    assert (ended.code, ended.err) == (
        1,
        "No column with numbers or addresses was recognised: name one in the configuration.\n",
    )
    assert "sms" not in tomllib.loads(ended.out)["contacts"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    "first", ["1,ann@example.com,x", "1,+1 416 555 0101,x", "4165550101,x,y", "06 12 34 56 78,x,y"]
)
def test_a_list_without_names_of_columns_is_refused_and_not_repeated(command: Command, first: str) -> None:
    Path("my.csv").write_text(f"{first}\n2,bob@example.com,y\n", encoding="utf-8")
    ended = command("init", "my.csv")
    assert (ended.code, ended.out) == (2, "")
    assert "its first line holds a number or an address" in ended.err
    assert not [cell for cell in first.split(",") if len(cell) > 1 and cell in ended.err]


@pytest.mark.usefixtures("desk")
def test_what_it_writes_must_be_filled_in_before_anything_is_sent(command: Command) -> None:
    made("vendor").write_csv("my.csv")
    Path("my.toml").write_text(command("init", "my.csv").out, encoding="utf-8")
    ended = command("import", "my.csv", "--config", "my.toml")
    assert (ended.code, ended.complaints) == (
        2,
        [
            "target.endpoint: is not filled in yet: write the address of the service",
            "target.campaign_id: is not filled in yet: write the campaign's GUID, or give --campaign-id",
        ],
    )
    assert not list(Path("runs").glob("*"))


@pytest.mark.usefixtures("desk")
def test_a_column_that_no_template_can_name(command: Command) -> None:
    mapping, ended = contacts(command, {"Mobile|old": MOBILE, "Email {work}": MAIL, "Email": MAIL})
    assert mapping["email"]["destination"] == "{Email}"
    assert "sms" not in mapping
    assert 'Column "Mobile|old" may hold destinations, but no template can name it' in ended.err


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["x", "12", "n/a"], "0 of 3"),
        (["", "", ""], "0 of 0"),
        (["x", "y", MOBILE[0]], "1 of 3"),
        (["x", *MOBILE[:2]], None),
    ],
)
def test_a_column_that_is_named_like_one_of_numbers_and_holds_few(
    command: Command, cells: list[str], told: str | None
) -> None:
    mapping, ended = contacts(command, {"SMS": cells, "Email": MAIL})
    assert mapping["sms"]["destination"] == "{SMS}"
    doubt = f'Column "SMS" is taken for sms, but {told} looked at are valid: look whether it is the right one.\n'
    assert ended.err == (doubt if told else "")
    assert ended.out.count("# ATTENTION: ") == (1 if told else 0)
    assert (f"# ATTENTION: {doubt}" in ended.out) == bool(told)
    assert ended.code == 0


SECRET = "Zq7Kx"

NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        ["Mobile", 'Email"', "id\\", "opt\nin", "SMS]", "#Phone", "Mobile '''", "'x", "a\u202e", "sms\x7f"]
    ),
)


@given(
    names=st.lists(NAMES, min_size=1, max_size=6, unique_by=str.strip),
    cells=st.lists(
        st.sampled_from(["+14165550101", "a@example.com", "yes", "no", "", "0612345678", SECRET]), min_size=1
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_columns_are_called_it_is_a_configuration(
    command: Command, desk: Path, names: list[str], cells: list[str]
) -> None:
    table = {
        name: [cell + (f" {SECRET}" if cell else "") if row % 5 == 4 else cell for row, cell in enumerate(cells)]
        for name in names
    }
    pl.DataFrame(table).write_parquet("my.parquet")
    ended = command("init", "my.parquet")
    if ended.code == 2:
        assert ended.out == ""
        return
    told = tomllib.loads(ended.out)
    assert set(told) == {"target", "contacts"}
    printable = ended.out.replace("\n", "")
    assert printable.isprintable()
    assert SECRET not in ended.out + ended.err
    assert not any(cell in ended.out for cell in ("4165550101", "a@example.com", "0612345678"))
    if ended.code == 0:
        Path("my.toml").write_text(ended.out, encoding="utf-8")
        checked = command("check", "my.parquet", "--config", "my.toml")
        assert checked.code in (0, 1), checked.err
