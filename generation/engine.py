"""The sampling engine: answers prompts through vLLM's OpenAI-compatible HTTP API."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

WINDOW = 16  # prompts under way at once
TICK_SECONDS = 1.0
REQUEST_SECONDS = 900.0


class EngineUnavailable(Exception):
    """The server does not answer, or not sensibly: what is not yet sampled can be asked for again later."""


class _Busy(Exception):
    """The server said 429 or 5xx: try again in a moment."""


@dataclass(frozen=True)
class Parameters:
    """Sampling parameters of a whole job; every one is sent, so that no server default decides."""

    n: int
    temperature: float
    top_p: float
    top_k: int  # 0: all tokens
    max_tokens: int


@dataclass(frozen=True)
class Request:
    """One prompt to be answered n times; `key` comes back with the answers."""

    key: int
    messages: list[dict[str, str]]
    seed: int  # completion i is sampled with seed + i


@dataclass(frozen=True)
class Answer:
    index: int
    text: str
    token_ids: list[int]
    log_probability: float  # summed over the tokens, nats
    finish_reason: str


@dataclass(frozen=True)
class Sampled:
    """The n answers to one request, or the reason why the server refused the prompt."""

    key: int
    context_token_ids: list[int]
    answers: list[Answer]
    refusal: str = ""


class VllmEngine:
    """Samples from one model of one server."""

    def __init__(self, url: str, model: str):
        self.url, self.model = url, model

    def sample(
        self, requests: Iterable[Request], parameters: Parameters, tick: Callable[[], bool]
    ) -> Iterator[Sampled]:
        """Yield the answers to each request as they are finished.

        `tick` is called at least once a second. When it returns False no new request is sent and those under way
        are finished; when it raises, they are dropped.

        Raises:
            EngineUnavailable: the server went away or made no sense.
        """
        waiting = iter(requests)
        running: set[asyncio.Task[Sampled]] = set()
        done: set[asyncio.Task[Sampled]] = set()
        with asyncio.Runner() as runner:
            client = runner.run(self._client())
            try:
                taking = True
                while taking or running:
                    while taking and len(running) < WINDOW:
                        request = next(waiting, None)
                        if request is None:
                            taking = False
                        else:
                            loop = runner.get_loop()
                            running.add(loop.create_task(self._answer(client, request, parameters)))
                    done, running = runner.run(_first_of(running))
                    while done:
                        yield done.pop().result()
                    taking = tick() and taking
            finally:
                runner.run(_drop(running | done, client))

    async def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(REQUEST_SECONDS, connect=10)
        return httpx.AsyncClient(base_url=self.url, timeout=timeout, limits=httpx.Limits(max_connections=WINDOW))

    async def load_adapter(self, folder: str) -> None:
        """Have the server load a LoRA adapter under this engine's model name, unless it has it."""
        async with await self._client() as client:
            if self.model in [model["id"] for model in (await client.get("/v1/models")).json()["data"]]:
                return
            body = {"lora_name": self.model, "lora_path": folder}
            response = await client.post("/v1/load_lora_adapter", json=body)
            if response.status_code != 200:
                raise EngineUnavailable(f"The model server did not take the adapter {folder}: {response.text[:500]}")

    def prepare(self, adapter_folder: str | None) -> None:
        """Load the policy's adapter, if it is one.

        Raises:
            EngineUnavailable: the server does not answer or refused the adapter.
        """
        if adapter_folder:
            try:
                asyncio.run(self.load_adapter(adapter_folder))
            except httpx.HTTPError as error:
                raise EngineUnavailable(f"The model server does not answer: {error!r}.") from error

    async def _answer(self, client: httpx.AsyncClient, request: Request, parameters: Parameters) -> Sampled:
        body = {
            "model": self.model,
            "messages": request.messages,
            "n": parameters.n,
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "top_k": parameters.top_k,
            "max_tokens": parameters.max_tokens,
            "seed": request.seed,
            "logprobs": True,
            "top_logprobs": 0,
            "return_token_ids": True,
        }
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Busy),
            stop=stop_after_attempt(5),
            wait=wait_exponential_jitter(multiplier=0.5, max=8),
            reraise=True,
        )
        try:
            response: httpx.Response = await retrying(self._post, client, body)
        except (httpx.HTTPError, _Busy) as error:
            raise EngineUnavailable(f"The model server does not answer: {error!r}.") from error
        if response.status_code in (400, 422):
            return Sampled(request.key, [], [], refusal=_reason(response))
        if response.status_code != 200:
            raise EngineUnavailable(f"The model server answered {response.status_code}: {_reason(response)}")
        try:
            return _read(request.key, response.json(), parameters.n)
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnavailable(f"The model server's answer makes no sense: {error!r}.") from error

    async def _post(self, client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
        response = await client.post("/v1/chat/completions", json=body)
        if response.status_code == 429 or response.status_code >= 500:
            raise _Busy(f"{response.status_code}: {_reason(response)}")
        return response


def _read(key: int, body: dict[str, Any], n: int) -> Sampled:
    answers = [
        Answer(
            index=choice["index"],
            text=choice["message"]["content"] or "",
            token_ids=choice["token_ids"],
            log_probability=sum(token["logprob"] for token in choice["logprobs"]["content"]),
            finish_reason=choice["finish_reason"],
        )
        for choice in body["choices"]
    ]
    if sorted(answer.index for answer in answers) != list(range(n)):
        raise ValueError(f"{n} answers were asked for, got the indexes {[answer.index for answer in answers]}")
    if unfinished := [answer.finish_reason for answer in answers if answer.finish_reason not in ("stop", "length")]:
        raise ValueError(f"an answer ended with {unfinished[0]!r}")
    return Sampled(key, body["prompt_token_ids"], answers)


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


async def _first_of(
    tasks: set[asyncio.Task[Sampled]],
) -> tuple[set[asyncio.Task[Sampled]], set[asyncio.Task[Sampled]]]:
    if not tasks:
        return set(), set()
    return await asyncio.wait(tasks, timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)


async def _drop(tasks: set[asyncio.Task[Sampled]], client: httpx.AsyncClient) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()
