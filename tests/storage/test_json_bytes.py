"""What the files of a run hold is JSON, whatever an engine says."""

import json
from typing import Any

import pytest

from tests.support.values import completion
from tts.storage.json_bytes import encode_json


@pytest.mark.parametrize(
    "value",
    [
        {"text": "1 + 1 = ä\u2028\n\x85\t", "ids": [1, 2], "none": None, "true": True},
        {"numbers": [0.1 + 0.2, 1e-7, 1e300, 2**70, -0.0, float("inf"), float("-inf")]},
        {"half a pair": "\ud800", "nested": [{"again": "\udfff"}]},
    ],
)
def test_it_reads_back_as_it_was_on_one_line(value: dict[str, Any]) -> None:
    line = encode_json(value)
    assert json.loads(line) == value
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("text", ["1", "\ud800"])
def test_dataclasses_are_objects_all_the_way_down(text: str) -> None:
    read = json.loads(encode_json({"value": completion(3, text)}))["value"]
    assert (read["index"], read["text"], read["usage"]["generated_tokens"]) == (3, text, 5)
    assert read["token_ids"] == [1, 2, 3, 4, 5]


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object is no JSON value"):
        encode_json({"value": object()})
