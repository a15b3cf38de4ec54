"""Encodings of CSV files: recognised where there is evidence, never guessed into garbage."""

import gzip
import logging
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from pipeline.stages.read import batches, open_source
from pipeline.stages.sources.csv_head import HEAD

WESTERN = {
    "French": "Renée Hélène Geneviève François Noël Zoé Jérôme Lefèbvre Tréguër Benoît Aÿmé Côté Bélanger Lœuvre Gagné "
    "Montréal Thérèse L’Écuyer D’Amours Desprès Gaëlle Anaïs Brûlé créée",
    "French in capitals": "RENÉE HÉLÈNE GENEVIÈVE FRANÇOIS NOËL BENOÎT CÔTÉ BÉLANGER MONTRÉAL",
    "German": "Müller Jürgen Größer Weiß Müßig Bäcker Österreich Übel Köln Straße Strauß Händel MÜLLER GROẞ".replace(
        "ẞ", "ß"
    ),
    "Spanish": "José García Muñoz Peña Íñigo Ángel Núñez María Martínez López Pérez Güell Ibáñez ¿Quién? ¡Hola! 1º",
    "Portuguese": "João Conceição Simões Guimarães Gonçalves Antônio Assunção Magalhães Luís irmãs Ângela Camões",
    "Italian": "Niccolò Mosè Cantù Forlì D’Angelo Nicolò Gesù perché città",
    "Danish and Norwegian": "Søren Jørgensen Bjørn Møller Kjær Åse Håkon Øystein Sæther Ærø Nordström Østergård",
    "Swedish and Finnish": "Åsa Sjöberg Höök Hämäläinen Määttä Jääskeläinen Björk Mäkinen Yrjö Östman Törnqvist",
    "Catalan": "Núria Gràcia Mercè Antònia Solé Castellà Gal·la Lluïsa",
    "Irish": "Seán Ó’Briain Róisín Siobhán O’Neill Pádraig",
    "punctuation": "O’Brien D’Angelo “Jack” 100 € a – b it’s",
}

#: What reads as something else in Windows-1252.
OTHERS = {
    "windows-1250 Polish": "Łukasz Wałęsa Woźniak Żaneta Michał Świerk Paweł Małgorzata Gdańsk Wójcik Kamiński",
    "iso8859-2 Polish": "Łukasz Wałęsa Woźniak Żaneta Michał Świerk Paweł Małgorzata Gdańsk Wójcik Kamiński",
    "windows-1250 Czech": "Jiří Dvořák Černý Novák Horáková Němec Šimek Petrů Růžička Kučera Tomáš Zdeněk",
    "windows-1250 Hungarian": "Erdős Gerő Szűcs Kovács Németh Tóth Szabó Horváth Kőszegi Fürész Győző László",
    "windows-1250 Croatian": "Kovačić Babić Đorđević Šarić Žuvić Novaček Horvat Perić Jurić",
    "windows-1250 Romanian": "Bărbulescu Ionuţ Timişoara Văduva Constanţa Ştefan Mihăilă",
    "windows-1254 Turkish": "Yıldız Şahin Doğan Ayşe Çelik Öztürk Gül Işık Erdoğan",
    "windows-1257 Lithuanian": "Žukauskas Jonušas Šarūnas Ąžuolas Eglė Vytė Žydrūnė",
    "windows-1257 Latvian": "Bērziņš Kārlis Ozoliņš Jānis Krūmiņš Liepiņš Žanis",
    "windows-1251 Russian": "Ольга Иван Пётр Чайковский Санкт-Петербург Я",
    "koi8-r Russian": "Ольга Иван Пётр Чайковский Санкт-Петербург",
    "cp866 Russian": "Ольга Иван Пётр Чайковский",
    "iso8859-5 Russian": "Ольга Иван Пётр Чайковский",
    "mac-cyrillic Russian": "Ольга Иван Пётр Чайковский",
    "windows-1253 Greek": "Γιώργος Παπαδόπουλος Αθήνα Ελένη ΜΑΡΙΑ",
    "iso8859-7 Greek": "Γιώργος Παπαδόπουλος Αθήνα Ελένη",
    "windows-1255 Hebrew": "משה כהן לוי",
    "windows-1256 Arabic": "محمد أحمد فاطمة",
    "cp874 Thai": "สมชาย ใจดี",
    "shift_jis Japanese": "山田太郎 鈴木 花子 ﾔﾏﾀﾞ",
    "euc-jp Japanese": "山田太郎 鈴木 花子",
    "gbk Chinese": "王小明 李 张伟 刘洋",
    "big5 Chinese": "王小明 陳 林志玲",
    "euc-kr Korean": "김철수 이영희 박",
    "mac-roman French": "Renée Hélène François Noël Jérôme Côté Zoé Benoît",
    "mac-roman German": "Müller Jürgen Größer Björn Bäcker",
    "mac-roman Spanish": "José García Muñoz Ángel Núñez María Martínez López Pérez",
    "mac-roman capitals": "MÜLLER GARCÍA MUÑOZ CÔTÉ",
    "cp850 German": "Müller Jürgen Bäcker Björn Köln",
    "cp850 French": "Renée Hélène François Noël Côté",
    "cp850 Spanish": "José García Muñoz María Martínez López Pérez",
    "cp437 Spanish": "José García Muñoz María Martínez López Pérez",
    "iso8859-15 French": "Lœuvre cœur Bœuf 100€",
}


def listed(words: str, encoding: str) -> bytes:
    rows = "".join(f"{number},{word},x\n" for number, word in enumerate(words.split(" "), start=1))
    return ("id,name,city\n" + rows).encode(encoding)


def names(path: Path, told: str | None = None) -> list[str | None]:
    """The names of rows that are whole."""
    found: list[str | None] = []
    for batch in batches([open_source(path, encoding=told)]):
        found += batch.frame.filter(batch.damage.is_null())["name"].to_list()
    return found


@pytest.mark.parametrize("language", WESTERN)
@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1"])
@pytest.mark.parametrize("later", [False, True])
def test_western_lists_are_read(tmp_path: Path, language: str, encoding: str, later: bool) -> None:
    words = WESTERN[language]
    if encoding == "latin-1":  # knows no quotes and ligatures
        words = " ".join(word for word in words.split(" ") if not set(word) & set("’“”œ€–"))
    content = listed(words, encoding)
    if later:  # behind as much ASCII as is looked at at first
        content = content.replace(b"\n", b"\n" + b"0,x,y\n" * (HEAD // 6), 1)
    path = tmp_path / "list.csv.gz"
    path.write_bytes(gzip.compress(content, 1))
    assert [name for name in names(path) if name != "x"] == words.split(" ")
    told = open_source(path).encoding
    assert told == ("utf-8" if words.isascii() else "windows-1252")


@pytest.mark.parametrize("which", OTHERS)
def test_other_encodings_are_not_taken_for_it(tmp_path: Path, which: str) -> None:
    encoding, words = which.split(" ")[0], OTHERS[which]
    path = tmp_path / "list.csv"
    path.write_bytes(listed(words, encoding))
    try:
        found = names(path)
    except SourceError as error:
        assert "or name its encoding" in str(error)  # noqa: PT017 - either is right
    else:
        assert set(found) <= set(words.split(" "))
    assert names(path, encoding) == words.split(" ")


@pytest.mark.parametrize("which", OTHERS)
def test_few_words_of_other_encodings_are_taken_for_it_even_alone(tmp_path: Path, which: str) -> None:
    """What no rule can tell: Eglë may be Western."""
    encoding = which.split(" ")[0]
    words = [word for word in OTHERS[which].split(" ") if not word.isascii()]
    wrong = []
    for number, word in enumerate(words):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(f"id,name\n1,{word}\n".encode(encoding))
        try:
            wrong += [name for name in names(path) if name != word]
        except SourceError:
            pass
    assert len(wrong) <= len(words) // 3, wrong


def test_the_guess_is_said_and_what_was_told_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(listed("Renée", "windows-1252"))
    with caplog.at_level(logging.WARNING):
        open_source(path, name="list.csv", encoding="windows-1252")
        assert not caplog.records
        open_source(path, name="list.csv")
    (record,) = caplog.records
    assert isinstance(record.msg, dict)
    said = {key: record.msg[key] for key in ("event", "source", "encoding", "advice")}
    assert said == {
        "event": "source.encoding",
        "source": "list.csv",
        "encoding": "windows-1252",
        "advice": "where names look wrong, name the true one with --encoding",
    }


def test_utf_8_and_another_encoding_in_one_file_are_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(listed("Renée Zoë", "utf-8") + "1,Renée,x\n2,Zoë,x\n3,Noël,x\n".encode("latin-1"))
    with pytest.raises(SourceError, match="line 4: holds characters that are not UTF-8"):
        open_source(path)


@pytest.mark.parametrize("place", [0, HEAD // 6])
def test_a_few_bytes_that_are_nothing_cost_their_rows_alone(tmp_path: Path, place: int) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"id,name,city\n" + b"0,x,y\n" * place + b"1,\xff\xfe\x81,x\n2,ok,x\n")
    (damage,) = {problem for batch in batches([open_source(path)]) for problem in batch.damage.drop_nulls()}
    assert damage == "holds bytes that are not utf-8"
    assert len(names(path)) == place + 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("words", ["x Renée", "Ольга Иван", "王小明 李"])
def test_utf_16_is_told_without_its_mark(tmp_path: Path, encoding: str, words: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(listed(words, encoding))
    assert open_source(path).encoding == encoding
    assert names(path) == words.split(" ")
