"""The plug points: engines, operators, verifiers, benchmarks, and what the runtime gives them."""

from tts.protocols.answers import AnswerGroups as AnswerGroups
from tts.protocols.benchmark import Benchmark as Benchmark
from tts.protocols.context import Context as Context
from tts.protocols.context import Reservation as Reservation
from tts.protocols.edges import Arrivals as Arrivals
from tts.protocols.edges import Branch as Branch
from tts.protocols.edges import Inlet as Inlet
from tts.protocols.edges import Outlet as Outlet
from tts.protocols.engine import BaseEngine as BaseEngine
from tts.protocols.engine import Capabilities as Capabilities
from tts.protocols.engine import CompletionStream as CompletionStream
from tts.protocols.engine import Engine as Engine
from tts.protocols.engine import EngineFacts as EngineFacts
from tts.protocols.engine import check_team_request as check_team_request
from tts.protocols.engine import prompt_token_bound as prompt_token_bound
from tts.protocols.engine import request_parts as request_parts
from tts.protocols.kv import KVDemand as KVDemand
from tts.protocols.kv import KVMarket as KVMarket
from tts.protocols.operator import Operator as Operator
from tts.protocols.operator import Spec as Spec
from tts.protocols.operator import State as State
from tts.protocols.pace import Pace as Pace
from tts.protocols.reader import Reader as Reader
from tts.protocols.verifier import Verifier as Verifier
from tts.protocols.verifier import VerifierSpec as VerifierSpec
from tts.protocols.watcher import Watcher as Watcher
