"""From texts and sampled ids to the exact token ids that are trained on.

Sampled ids are used as they were sampled where their tokenizer's fingerprint is the loaded tokenizer's. All
other answers are rendered to the same convention: the prompt's ids end where generation began, the answer's
ids end with the end-of-turn token, and a truncated answer gets none.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from train.engine.config import LossConfig
from train.engine.errors import DataError
from train.engine.fingerprint import tokenizer_fingerprint
from train.engine.groups import Completion, Pair, Ranking, RawGroup, count_votes, labelled_pairs
from train.engine.plain_pairs import common_prefix

# A tier of m answers whose order is summed or averaged over costs 2 ** m terms.
LARGEST_TIER = 12


@dataclass(frozen=True)
class TokenSequence:
    """One row for the model: a prompt and an answer to it. Both have at least one token."""

    prompt: list[int]
    completion: list[int]

    @property
    def length(self) -> int:
        """Tokens of prompt and answer."""
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True)
class Group:
    """A prompt's answers as token ids, and what people said of them; indexes are into `sequences`."""

    sequences: list[TokenSequence]
    pairs: list[Pair]
    rankings: list[Ranking] = field(default_factory=list)  # a tier that is not unordered is a tie that counts
    cut_tokens: int = 0  # of prompt and answers, over all sequences
    reference: list[float] = field(default_factory=list)  # log pi_ref(y | x) of each sequence, nats, once known


@dataclass
class Counts:
    """What became of a data file. Tokens are tokens before padding."""

    groups: int = 0
    groups_without_pairs: int = 0  # left out
    completions: int = 0
    pairs: int = 0
    prompt_tokens: int = 0  # each answer is a row of its own, so a prompt counts once per answer
    completion_tokens: int = 0
    sampled_completions: int = 0  # whose sampled ids were used
    prompts_cut: int = 0
    prompt_tokens_cut: int = 0
    completions_cut: int = 0
    completion_tokens_cut: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts as plain values."""
        return asdict(self)


@dataclass
class GroupTokenizer:
    """Turns groups into token ids, and counts what it cuts."""

    tokenizer: Any  # a transformers fast tokenizer
    end_ids: tuple[int, ...]  # tokens that end a turn; the first one is appended where a template has none
    vocabulary: int  # ids are 0 to vocabulary - 1
    max_prompt_tokens: int
    max_completion_tokens: int
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.fingerprint = tokenizer_fingerprint(self.tokenizer)
        whole, plain = self.tokenizer("a")["input_ids"], self.tokenizer("a", add_special_tokens=False)["input_ids"]
        place = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
        self.beginning: list[int] = whole[:place]  # what the tokenizer puts before a text

    def tokenize(self, groups: list[RawGroup], loss: LossConfig) -> list[Group]:
        """Return the groups that have a usable pair; the others are counted and left out.

        Args:
            groups: as read from a data file.
            loss: says how votes and ties count.

        Raises:
            DataError: a line cannot be tokenised.
        """
        half_ties = loss.ties == "half"
        result = []
        for raw in groups:
            pairs = labelled_pairs(count_votes(raw.rankings), count=loss.votes == "count", half_ties=half_ties)
            if not pairs:
                self.counts.groups_without_pairs += 1
                continue
            rankings = informative(raw.rankings, half_ties=half_ties)
            if loss.name == "plackett_luce":
                check_tiers(rankings, raw.where)
            result.append(self._group(raw, pairs, rankings))
        return result

    def _group(self, raw: RawGroup, pairs: list[Pair], rankings: list[Ranking]) -> Group:
        """Tokenise the completions that are part of a pair; the others cannot change the loss."""
        used = sorted({index for pair in pairs for index in (pair.first, pair.second)})
        place = {index: position for position, index in enumerate(used)}
        whole = self.prompt_ids(raw)
        prompt = self._cut_prompt(whole, raw)
        cut = (len(whole) - len(prompt)) * len(used)
        sequences = []
        for index in used:
            ids = self.completion_ids(raw, index)
            over = max(0, len(ids) - self.max_completion_tokens)
            self.counts.completions_cut += over > 0
            self.counts.completion_tokens_cut += over
            cut += over
            sequences.append(TokenSequence(prompt, ids[: self.max_completion_tokens]))
        self.counts.groups += 1
        self.counts.completions += len(sequences)
        self.counts.pairs += len(pairs)
        self.counts.prompt_tokens += len(prompt) * len(sequences)
        self.counts.completion_tokens += sum(len(sequence.completion) for sequence in sequences)
        return Group(
            sequences,
            [Pair(place[pair.first], place[pair.second], pair.label, pair.weight) for pair in pairs],
            [renumbered(ranking, place) for ranking in rankings],
            cut,
        )

    def prompt_ids(self, raw: RawGroup) -> list[int]:
        """Return the ids that the model read before it answered, uncut."""
        if raw.prompt_token_ids and raw.tokenizer == self.fingerprint:
            ids = raw.prompt_token_ids
        elif isinstance(raw.prompt, str):
            ids = self._text_ids(raw.prompt)
        else:
            ids = self._render(raw.prompt, raw, add_generation_prompt=True)
        if not ids:
            raise DataError(f"{raw.where}: `prompt` has no token, so there is nothing to answer.")
        self._check_vocabulary(ids, raw.where)
        return ids

    def completion_ids(self, raw: RawGroup, index: int) -> list[int]:
        """Return the ids of a group's completion up to and with the end-of-turn token, uncut."""
        completion = raw.completions[index]
        truncated = completion.finish_reason == "length"
        if completion.token_ids and completion.tokenizer == self.fingerprint:
            ids = self._until_end(completion.token_ids, with_end=not truncated)
            self.counts.sampled_completions += 1
        else:
            rendered = self._rendered_answer(raw, completion, index)
            ids = self._until_end(rendered, with_end=not truncated)
            if not truncated and (not ids or ids[-1] not in self.end_ids):
                ids = [*ids, self.end_ids[0]]
        if not ids:
            raise DataError(f"{raw.where}: `completions[{index}]` has no token. Remove it from the group.")
        self._check_vocabulary(ids, raw.where)
        return ids

    def _rendered_answer(self, raw: RawGroup, completion: Completion, index: int) -> list[int]:
        """Return the ids that follow the prompt when prompt and answer are rendered together."""
        if completion.text is None:
            raise DataError(
                f"{raw.where}: `completions[{index}]` has token ids of another tokenizer and no `text`. "
                "Export it with its text."
            )
        if isinstance(raw.prompt, str):
            before, after = raw.prompt, raw.prompt + completion.text
            own_ids, whole = self._text_ids(before), self._text_ids(after)
        else:
            messages = [*raw.prompt, {"role": "assistant", "content": completion.text}]
            own_ids = self._render(raw.prompt, raw, add_generation_prompt=True)
            whole = self._render(messages, raw, add_generation_prompt=False)
            before = self._render_text(raw.prompt, add_generation_prompt=True)
            after = self._render_text(messages, add_generation_prompt=False)
        if whole[: len(own_ids)] == own_ids:
            rest: list[int] = whole[len(own_ids) :]
            return rest
        if not after.startswith(before):
            raise DataError(
                f"{raw.where}: the chat template renders this prompt differently once `completions[{index}]` "
                "follows it. Give the answer's `token_ids`, or use a template that only appends."
            )
        # A token runs across the boundary. The model never saw that token when it answered: it read the
        # prompt's own ids, so the answer is tokenised by itself.
        ids: list[int] = self.tokenizer(after[len(before) :], add_special_tokens=False)["input_ids"]
        return ids

    def _cut_prompt(self, ids: list[int], raw: RawGroup) -> list[int]:
        """Cut an over-long prompt on the left, keeping the beginning token and the system turn."""
        over = len(ids) - self.max_prompt_tokens
        if over <= 0:
            return ids
        head = common_prefix(ids, self._head_probe(raw))
        if head >= self.max_prompt_tokens:
            raise DataError(
                f"{raw.where}: the system turn alone has {head} tokens, so nothing of the prompt is left within "
                f"`max_prompt_tokens` {self.max_prompt_tokens}. Raise `max_prompt_tokens`."
            )
        self.counts.prompts_cut += 1
        self.counts.prompt_tokens_cut += over
        return ids[:head] + ids[head + over :]

    def _head_probe(self, raw: RawGroup) -> list[int]:
        """Return ids that agree with the prompt's for as long as its content has not begun."""
        if isinstance(raw.prompt, str):
            return self.beginning
        system = [message for message in raw.prompt[:1] if message["role"] == "system"]
        return self._render([*system, {"role": "user", "content": ""}], raw, add_generation_prompt=False)

    def _text_ids(self, text: str) -> list[int]:
        """Return a text's ids after the tokenizer's beginning token, which comes once, and without an end token."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        has_beginning = self.beginning and ids[: len(self.beginning)] == self.beginning
        return ids if has_beginning else [*self.beginning, *ids]

    def _until_end(self, ids: list[int], *, with_end: bool) -> list[int]:
        """Return the ids up to the first end-of-turn token, with or without it."""
        for position, token in enumerate(ids):
            if token in self.end_ids:
                return ids[: position + with_end]
        return ids

    def _render(self, messages: list[dict[str, str]], raw: RawGroup, *, add_generation_prompt: bool) -> list[int]:
        if not self.tokenizer.chat_template:
            raise DataError(
                f"{raw.where}: the prompt is a list of messages but the model's tokenizer has no chat template. "
                "Use a chat model, or give the prompts as texts."
            )
        try:
            ids: list[int] = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=False
            )
        except Exception as exc:  # a template raises what its author chose, e.g. for a role it does not know
            raise DataError(f"{raw.where}: the chat template refuses the messages: {exc}") from exc
        return ids

    def _render_text(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=add_generation_prompt, tokenize=False
        )
        return text

    def _check_vocabulary(self, ids: list[int], where: str) -> None:
        if max(ids) >= self.vocabulary:
            raise DataError(
                f"{where}: token id {max(ids)} is outside the model's vocabulary of {self.vocabulary}. "
                "The ids were sampled with another model."
            )


def informative(rankings: list[Ranking], *, half_ties: bool) -> list[Ranking]:
    """Return the rankings that say something; where ties do not count, their members were not compared."""
    found = []
    for ranking in rankings:
        unordered = ranking.unordered if half_ties else frozenset(range(len(ranking.tiers)))
        tied = any(len(tier) > 1 and index not in unordered for index, tier in enumerate(ranking.tiers))
        if len(ranking.tiers) > 1 or tied:
            found.append(Ranking(ranking.tiers, unordered, ranking.weight))
    return found


def check_tiers(rankings: list[Ranking], where: str) -> None:
    """Raise DataError where a tier is too large for the sum, or the mean, over its orders."""
    for ranking in rankings:
        last = len(ranking.tiers) - 1
        for index, tier in enumerate(ranking.tiers):
            if len(tier) > LARGEST_TIER and not (index == last and index in ranking.unordered):
                raise DataError(
                    f'{where}: a tier has {len(tier)} completions; with `loss.name` "plackett_luce" a tier that is '
                    f"tied, or stands before another, may have {LARGEST_TIER}. Use a pairwise loss for this data."
                )


def renumbered(ranking: Ranking, place: dict[int, int]) -> Ranking:
    """Return the ranking with other indexes for its completions."""
    tiers = tuple(tuple(place[index] for index in tier) for tier in ranking.tiers)
    return Ranking(tiers, ranking.unordered, ranking.weight)
