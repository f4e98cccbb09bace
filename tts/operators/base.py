"""What all operators share: validated parameters, and the factory that is derived from them.

    class Vote(OperatorModel): ...

    vote = node(Vote)

`vote(quorum=2)` is then a pipeline of one node; it takes every parameter by name, and Python can do
all that a preset can.
"""

from collections.abc import Callable
from typing import ClassVar, ParamSpec, cast

from pydantic import ValidationError

from tts.errors import ParameterError
from tts.parts.parameters import Parameters, described, explained
from tts.pipeline import Pipeline
from tts.protocols import Operator

P = ParamSpec("P")


class OperatorModel(Parameters):
    """An operator's parameters: its fields, as a preset writes them."""

    # The parameters that hold a pipeline; "choices.body" is that of each entry of a list.
    bodies: ClassVar[tuple[str, ...]] = ()


def node(model: Callable[P, OperatorModel]) -> Callable[P, Pipeline]:
    """Return the function that makes a pipeline of one operator.

    It has the name of the operator's module, which is also its name in presets.

    Args:
        model: The operator's class.
    """
    cls = cast("type[OperatorModel]", model)
    name = cls.__module__.rpartition(".")[2]

    def make(*args: P.args, **parameters: P.kwargs) -> Pipeline:
        if args:
            first = next(iter(cls.model_fields), "name")
            raise ParameterError(f"{name} takes its parameters by name: {name}({first}=...)")
        try:
            operator = model(*args, **parameters)
        except ValidationError as error:
            raise explained(error, cls, name) from None
        return Pipeline.of(cast("Operator", operator))

    return described(make, name, cls.__doc__ or "", cls)
