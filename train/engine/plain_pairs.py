"""Read plain preference pairs: lines with `chosen` and `rejected`, as people have them.

    {"prompt": "text", "chosen": "text", "rejected": "text"}                      standard
    {"prompt": [messages], "chosen": [message], "rejected": [message]}            conversational
    {"chosen": "text", "rejected": "text"}                                        implicit prompt
    {"chosen": [messages], "rejected": [messages]}                                implicit prompt

An implicit prompt is what both sides begin with. In a text with turns marked as in Anthropic's HH data
(blank line, "Human: ...", blank line, "Assistant: ...") it ends with the last "Assistant:" that both share, in
another text with the last blank that both share. Of messages it is all that both share, and one message of the
assistant follows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.engine.errors import DataError

Prompt = str | list[dict[str, str]]

ASSISTANT_MARK = "\n\nAssistant:"


@dataclass(frozen=True)
class PlainPair:
    """A prompt and two answers to it, the better one first."""

    prompt: Prompt
    chosen: str
    rejected: str


def read_plain_pair(line: dict[str, Any], where: str) -> PlainPair:
    """Read a line that carries one pair.

    Raises:
        DataError: the line is wrong; the message begins with `where`.
    """
    if "chosen" not in line or "rejected" not in line:
        raise DataError(
            f"{where} must have `prompt` and `completions`, or both `chosen` and `rejected`, "
            f"got the keys {', '.join(sorted(map(str, line))) or 'none'}."
        )
    if "prompt" not in line:
        line = with_prompt(line["chosen"], line["rejected"], where)
    prompt = checked_prompt(line["prompt"], where)
    chosen, rejected = (answer_text(line[side], side, where) for side in ("chosen", "rejected"))
    if chosen == rejected:
        raise DataError(f"{where}: `chosen` and `rejected` are the same text. Remove the line.")
    return PlainPair(prompt, chosen, rejected)


def with_prompt(chosen: Any, rejected: Any, where: str) -> dict[str, Any]:
    """Part the prompt, which both sides begin with, from the answers."""
    if isinstance(chosen, str) and isinstance(rejected, str):
        end = end_of_prompt(chosen[: common_prefix(chosen, rejected)])
        if not end:
            raise DataError(
                f"{where} has no `prompt`, and `chosen` and `rejected` do not begin alike, so they hold none. "
                "Give the `prompt`."
            )
    elif are_messages(chosen) and are_messages(rejected):
        end = common_prefix(chosen, rejected)
        if not end or len(chosen) != end + 1 or len(rejected) != end + 1:
            raise DataError(
                f"{where} has no `prompt`, so `chosen` and `rejected` must be the same messages but for the last; "
                f"they have {len(chosen)} and {len(rejected)} messages and share {end}. Give the `prompt`."
            )
    else:
        raise DataError(
            f"{where} has no `prompt`, so `chosen` and `rejected` must be two texts or two lists of messages with "
            f"`role` and `content`, got {shown(chosen)} and {shown(rejected)}."
        )
    return {"prompt": chosen[:end], "chosen": chosen[end:], "rejected": rejected[end:]}


def end_of_prompt(shared: str) -> int:
    """Return where the prompt ends in the text that both sides begin with; 0 is nowhere."""
    mark = shared.rfind(ASSISTANT_MARK)
    return mark + len(ASSISTANT_MARK) if mark >= 0 else max(map(shared.rfind, " \n\t")) + 1


def checked_prompt(prompt: Any, where: str) -> Prompt:
    """Return a prompt: a text, or chat messages that do not end with the assistant."""
    if isinstance(prompt, str) and prompt:
        return prompt
    if not are_messages(prompt):
        raise DataError(
            f"{where}: `prompt` must be a text or a list of messages with `role` and `content`, got {shown(prompt)}."
        )
    if prompt[-1]["role"] == "assistant":
        raise DataError(f"{where}: `prompt` ends with an assistant turn. The answers belong in the completions.")
    return [{"role": entry["role"], "content": entry["content"]} for entry in prompt]


def answer_text(answer: Any, side: str, where: str) -> str:
    """Return the text of an answer that is a text or a list of one assistant message."""
    if are_messages(answer) and len(answer) == 1 and answer[0]["role"] == "assistant":
        return str(answer[0]["content"])
    if not isinstance(answer, str):
        raise DataError(f"{where}: `{side}` must be a text or a list of one assistant message, got {shown(answer)}.")
    return answer


def are_messages(value: Any) -> bool:
    """Whether this is a list of chat messages, each with a role and a text."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(
            isinstance(entry, dict) and isinstance(entry.get("role"), str) and isinstance(entry.get("content"), str)
            for entry in value
        )
    )


def common_prefix(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return how many items two sequences share from the start."""
    for position, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return position
    return min(len(first), len(second))


def shown(value: Any) -> str:
    """Return a value as JSON, shortened for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
