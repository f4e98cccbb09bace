"""What the training of language models reads: streams that go on."""

from collections.abc import Iterator
from itertools import count, islice

from tts.bundled.corpus import Example
from tts.bundled.language import Onward


def numbered() -> Iterator[Example]:
    return (Example("", str(number)) for number in count())


def read(onward: Onward, place: int, number: int) -> list[int]:
    return [int(example.response) for example in islice(onward.at(place), number)]


def test_pools_leave_no_example_out_and_a_resumed_training_reads_what_it_would_have_read() -> None:
    onward = Onward(numbered)
    assert read(onward, 0, 3) == [0, 1, 2]
    assert read(onward, 3, 3) == [3, 4, 5]
    assert read(Onward(numbered), 3, 3) == [3, 4, 5]
    assert read(onward, 1, 2) == [1, 2]
    assert read(onward, 10, 1) == [10]
