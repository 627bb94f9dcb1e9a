"""People's verdicts are read as they stand, and a slip of the pen is found by its line."""

import pytest

from contimg.annotations import joined_verdicts, read_annotations


@pytest.fixture
def written(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "candidates.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_verdicts_of_all_people_are_joined_and_the_last_of_each_counts(written):
    path = written(
        "id,verdict,who,note\r\n"
        'J1,maybe,Ann,"wait, one more epoch"\r\n'
        "J2,artefact,Ann,sidelobe of 3C196\r\n"
        "\r\n"
        "J1,ESE,Ann,\r\n"
        "J1,variable,Björn,scintillates\r\n"
    )
    verdicts = read_annotations(path)
    assert verdicts.id.tolist() == ["J2", "J1", "J1"]
    joined = joined_verdicts(verdicts)
    assert joined.loc["J1"].tolist() == ["ESE; variable", "Ann; Björn", "Björn: scintillates"]
    assert joined.loc["J2"].tolist() == ["artefact", "Ann", "sidelobe of 3C196"]


def test_without_a_file_or_a_line_there_is_no_verdict(written):
    for path in (None, written("id,verdict,who,note\n")):
        verdicts = read_annotations(path)
        assert list(verdicts) == ["id", "verdict", "who", "note"] and verdicts.empty
        assert list(joined_verdicts(verdicts)) == ["verdict", "verdict_who", "verdict_note"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is empty; expected id,verdict,who,note"),
        ("source,verdict,who\nJ1,ESE,Ann\n", "line 1 is source,verdict,who; expected id"),
        ("id,verdict,who,note\nJ1,ESE,Ann,a,b\n", "line 2 has 5 fields, the header 4; quote"),
        ("id,verdict,who,note\n\nJ1,,Ann,x\n", "line 3 has no verdict; fill it in"),
        ('id,verdict,who,note\nJ1,ESE,Ann,"x\nJ2,ESE,Ann,\n', "unexpected end of data; a quot"),
    ],
)
def test_errors_name_the_file_and_the_line(written, text, message):
    with pytest.raises(ValueError, match=r"candidates\.csv: " + message):
        read_annotations(written(text))


def test_another_encoding_is_told(written):
    with pytest.raises(ValueError, match="not UTF-8 text"):
        read_annotations(written("id,verdict,who\nJ1,ESE,Björn\n", "latin-1"))
