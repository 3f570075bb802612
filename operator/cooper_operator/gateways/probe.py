"""A probe of one replica: every worker is asked, and its answer is as it should be or is waited for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cooper_operator.gateways.connection import Connection, Response
from cooper_operator.gateways.port import Proof
from cooper_operator.gateways.replica import HELLO_TIMEOUT, Ask, Replica
from cooper_operator.gateways.roster import Endpoint
from cooper_operator.gateways.silence import NO_ANSWER, Silence
from cooper_operator.gateways.verdicts import Verdict

#: Seconds for a probe: a worker that takes longer is waited for at the next attempt.
PROBE_TIMEOUT: Final = 2.0
#: So many of those who are waited for are named.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found at one replica."""

    proven: int
    expected: int  # workers
    waiting: tuple[str, ...]  # who has not answered as it should
    silent: bool = False  # whether a worker has not answered at all, or no more than 503


async def hello(connection: Connection) -> Response:
    """An anonymous request: refused, but the answer says which worker it comes from."""
    return await connection.request("GET", "/", {"host": connection.host}, PROBE_TIMEOUT)


async def probe(
    endpoint: Endpoint, replica: Replica, ask: Ask, verdict: Verdict, silence: Silence = NO_ANSWER
) -> Probed:
    """Ask every worker. A replica that cannot be reached counts as one worker that has not answered.

    Its workers read one table of records: where the first one goes by what was there before, the others do too, and are
    not asked.
    """
    await replica.meet(hello)
    met = replica.met
    answers = await replica.ask(met[:1], ask, PROBE_TIMEOUT)
    if not any(_lags(response, verdict) for response in answers.values()):
        answers |= await replica.ask(met[1:], ask, PROBE_TIMEOUT)
    problems = {index: _problem(response, verdict, silence) for index, response in answers.items()}
    expected = max(replica.count, len(met), 1)
    unmet = expected - len(met)
    name = replica.address if endpoint.ready else f"{replica.address} (not ready)"
    waiting = [f"worker {index} of {name} {problem}" for index, problem in problems.items() if problem]
    if unmet and not silence.refuses:
        trouble = f" ({replica.trouble})" if replica.trouble else ""
        waiting.append(f"{unmet} of {expected} workers of {name} cannot be reached{trouble}{silence.until}")
    proven = sum(not problem for problem in problems.values()) + (unmet if silence.refuses else 0)
    return Probed(proven, expected, tuple(waiting), unmet > 0 or any(map(_is_silence, answers.values())))


async def answers_again(replica: Replica) -> bool:
    """Whether every worker of a replica that was silent says something."""
    await replica.meet(hello)
    answers = await replica.ask(replica.met, hello, HELLO_TIMEOUT)
    return 0 < replica.count == len(answers) and not any(map(_is_silence, answers.values()))


def _is_silence(response: Response | None) -> bool:
    return response is None or response.status == 503


def _lags(response: Response | None, verdict: Verdict) -> bool:
    """Whether a worker has answered, by earlier records."""
    return response is not None and not _is_silence(response) and bool(verdict(response))


def _problem(response: Response | None, verdict: Verdict, silence: Silence) -> str:
    if response is not None and not _is_silence(response):
        return verdict(response)
    if silence.refuses:
        return ""
    return ("does not answer" if response is None else verdict(response)) + silence.until


def proof_of(found: Sequence[Probed]) -> Proof:
    """All replicas together."""
    waiting = [each for probed in found for each in probed.waiting]
    if len(waiting) > _NAMED:
        waiting = [*waiting[:_NAMED], f"{len(waiting) - _NAMED} more"]
    return Proof(sum(probed.proven for probed in found), sum(probed.expected for probed in found), "; ".join(waiting))
