"""Every value that crosses a file.

Frozen dataclasses with slots: made once, shared freely between tasks, never changed. Text borders
(YAML, JSON Lines, HTTP) validate with pydantic and then build these.
"""

from tts.budget import Budget as Budget
from tts.types.answer_rule import AnswerRule as AnswerRule
from tts.types.facts import Failure as Failure
from tts.types.facts import GraphFigures as GraphFigures
from tts.types.facts import RunFacts as RunFacts
from tts.types.facts import SearchFigures as SearchFigures
from tts.types.facts import Stop as Stop
from tts.types.figures import Cost as Cost
from tts.types.figures import Interval as Interval
from tts.types.figures import KVBytes as KVBytes
from tts.types.figures import Summary as Summary
from tts.types.figures import Tokens as Tokens
from tts.types.generation import PER_TOKEN as PER_TOKEN
from tts.types.generation import Completion as Completion
from tts.types.generation import FinishReason as FinishReason
from tts.types.generation import GenerationRequest as GenerationRequest
from tts.types.generation import Prompt as Prompt
from tts.types.generation import Sampling as Sampling
from tts.types.generation import ScoreRequest as ScoreRequest
from tts.types.generation import StepScores as StepScores
from tts.types.generation import Watch as Watch
from tts.types.kept import Kept as Kept
from tts.types.model_info import ModelInfo as ModelInfo
from tts.types.model_info import Price as Price
from tts.types.problem import AnswerType as AnswerType
from tts.types.problem import Message as Message
from tts.types.problem import Problem as Problem
from tts.types.prompt_options import PromptExample as PromptExample
from tts.types.prompt_options import PromptOptions as PromptOptions
from tts.types.result import Answer as Answer
from tts.types.result import Event as Event
from tts.types.result import Grade as Grade
from tts.types.result import Result as Result
from tts.types.states import Embeddings as Embeddings
from tts.types.states import Likelihood as Likelihood
from tts.types.states import ReadStates as ReadStates
from tts.types.states import States as States
from tts.types.states import StateSpec as StateSpec
from tts.types.team import Team as Team
from tts.types.team import abreast as abreast
from tts.types.thought import Reflection as Reflection
from tts.types.thought import Thought as Thought
from tts.types.trajectory import RECORDED as RECORDED
from tts.types.trajectory import Origin as Origin
from tts.types.trajectory import Score as Score
from tts.types.trajectory import Step as Step
from tts.types.trajectory import Support as Support
from tts.types.trajectory import Trajectory as Trajectory
from tts.types.usage import Usage as Usage
from tts.types.usage import sum_usage as sum_usage
