"""A probe of replicas: every worker is asked, and its answer is as it should be or is waited for."""

import asyncio
from collections.abc import Mapping, Sequence
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


async def hello(connection: Connection, timeout: float) -> Response:
    """An anonymous request: refused, but the answer says which worker it comes from."""
    return await connection.request("GET", "/", {"host": connection.host}, timeout)


async def probe(
    asked: Sequence[tuple[Endpoint, Replica]], ask: Ask, verdict: Verdict, silence: Silence = NO_ANSWER
) -> list[Probed]:
    """Ask every worker of these replicas. One that cannot be reached counts as one worker that has not answered.

    The workers of a replica read one table of records: where the first one goes by what was there before, the others do
    too. So nobody else is asked, of no replica, while one of the first goes by that: the probe is to be repeated.
    """
    replicas = [replica for _, replica in asked]
    await asyncio.gather(*(each.meet(hello) for each in replicas))
    met = [each.met for each in replicas]
    answers = await _ask(replicas, [each[:1] for each in met], ask)
    if not any(_lags(response, verdict) for found in answers for response in found.values()):
        for found, others in zip(answers, await _ask(replicas, [each[1:] for each in met], ask), strict=True):
            found |= others
    return [
        _probed(endpoint, replica, len(workers), found, verdict, silence)
        for (endpoint, replica), workers, found in zip(asked, met, answers, strict=True)
    ]


async def _ask(
    replicas: Sequence[Replica], workers: Sequence[tuple[int, ...]], ask: Ask
) -> list[dict[int, Response | None]]:
    """Those workers of each replica."""
    each = zip(replicas, workers, strict=True)
    return list(await asyncio.gather(*(replica.ask(its, ask, PROBE_TIMEOUT) for replica, its in each)))


def _probed(
    endpoint: Endpoint,
    replica: Replica,
    met: int,
    answers: Mapping[int, Response | None],
    verdict: Verdict,
    silence: Silence,
) -> Probed:
    """What the answers of one replica say, of whose workers so many were met."""
    problems = {index: _problem(response, verdict, silence) for index, response in answers.items()}
    expected = max(replica.count, met, 1)
    unmet = expected - met
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
