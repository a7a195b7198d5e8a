"""Files of answers, decisions and audits that are no tables: a sentence."""

import pytest

from mprd.artifacts.csv_rows import csv_header, csv_rows
from mprd.decisions.answers import read_answers
from mprd.decisions.log import read_decisions
from mprd.errors import UserError
from mprd.judging.audit_file import read_audit

HEAD = b"path_a,path_b,same\n"
NO_TABLES = {
    "no UTF-8": HEAD + b"a,M\xfcller.jpg,1\n",
    "UTF-16": (HEAD + b"a,b,1\n").decode().encode("utf-16"),
    "a long cell": HEAD + b"x" * 200_000 + b",b,1\n",
    "a long name": b"x" * 200_000 + b",path_b,same\na,b,1\n",
    "a quote that nothing closes": HEAD + b'"' + b"x,\n" * 100_000,
    "a wide row": HEAD + b"," * 10**6 + b"\n",
    "a wide header": b"path_a,path_b,same" + b",x" * 10**6 + b"\n",
    "no line": b"\0" * 10**6,
}


@pytest.mark.parametrize("content", NO_TABLES.values(), ids=NO_TABLES)
@pytest.mark.parametrize(
    "read", [read_decisions, read_audit, lambda path: read_answers(path, {"a": 0, "b": 1})]
)
def test_what_is_no_table_is_a_sentence(tmp_path, content, read):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    csv_header(path)
    with pytest.raises(UserError, match=r"file\.csv"):
        read(path)


def test_rows_and_text_are_those_of_the_file(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n"x\ry",1\r\n')
    assert csv_rows(path) == ([["a", "b"], ["x\ry", "1"]], 'a,b\r\n"x\ry",1\r\n')
    assert csv_header(path) == ["a", "b"]
