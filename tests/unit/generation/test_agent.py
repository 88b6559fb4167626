"""What the model is told and how its calls are read."""

from __future__ import annotations

import json

from services.generation.agent.prompt import opening, shown_files, title_of
from services.generation.agent.tools import (
    TOOLS,
    BadCall,
    DeleteFile,
    WriteFile,
    parsed_input,
    read_call,
    tool_result,
)
from services.generation.peers import FileInfo


def test_a_good_call_is_read() -> None:
    given, valid = parsed_input('{"path": "a/b.html", "content": "ü"}')
    assert read_call("write_file", given, valid) == WriteFile("a/b.html", "ü".encode())
    given, valid = parsed_input('{"path": "a/b.html"}')
    assert read_call("delete_file", given, valid) == DeleteFile("a/b.html")


def test_what_is_no_object_goes_back_in_a_wrapper() -> None:
    for text in ('{"path": "a', "[]", "nonsense", '"text"', "[" * 100_000):
        given, valid = parsed_input(text)
        assert not valid
        assert given == {"INVALID_JSON": text}
        assert isinstance(read_call("write_file", given, valid), BadCall)


def test_a_call_without_input_is_an_empty_object() -> None:
    assert parsed_input("") == ({}, True)


def test_an_error_is_marked_and_success_is_not() -> None:
    assert "is_error" not in tool_result("id", "fine", is_error=False)
    assert tool_result("id", "bad", is_error=True)["is_error"] is True


def test_the_file_that_streams_says_its_path_first() -> None:
    write = next(tool for tool in TOOLS if tool["name"] == "write_file")
    assert write["eager_input_streaming"] is True
    assert list(write["input_schema"]["properties"]) == ["path", "content"]
    json.dumps(TOOLS)


def test_a_new_project_s_first_message_is_the_prompt_alone() -> None:
    assert opening("Build it", [], {}) == [{"type": "text", "text": "Build it"}]


def test_pages_and_small_files_are_shown_within_the_budget() -> None:
    files = [
        FileInfo("big.css", 900),
        FileInfo("photo.webp", 10),
        FileInfo("index.html", 500),
        FileInfo("a.js", 100),
        FileInfo("b.svg", 400),
    ]
    assert shown_files(files, 1_000) == ["a.js", "b.svg", "index.html"]
    assert shown_files(files, 0) == []


def test_a_long_manifest_is_cut_and_says_so() -> None:
    files = [FileInfo(f"{number}.txt", 1) for number in range(2_005)]
    text = str(opening("x", files, {})[0]["text"])
    assert "1999.txt (1 bytes)" in text
    assert "2000.txt" not in text
    assert "and 5 more" in text


def test_a_title_is_the_first_line_with_something_in_it() -> None:
    assert title_of("\n\n  A bakery  \nin Lisbon") == "A bakery"
    assert title_of("x" * 500) == "x" * 199 + "…"
