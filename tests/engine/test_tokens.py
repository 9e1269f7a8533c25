"""Texts and sampled ids become the exact ids that are trained on. Ids are written out: 2 ends a turn."""

import pytest
from tokenizers.processors import TemplateProcessing

from tests.engine.tiny import byte_ids, make_loss, make_tokenizer
from train.engine.config import LossConfig
from train.engine.errors import DataError
from train.engine.fingerprint import tokenizer_fingerprint
from train.engine.groups import Completion, Ranking, RawGroup
from train.engine.tokens import GroupTokenizer

HELLO = [{"role": "user", "content": "hi"}]
# <|im_start|> user \n hi <|im_end|> \n <|im_start|> assistant \n
HELLO_IDS = [1, *byte_ids("user\nhi"), 2, *byte_ids("\n"), 1, *byte_ids("assistant\n")]
ASKED = [Ranking(((0,), (1,)))]
LOSS = LossConfig(**make_loss())


def tokenize(*completions, prompt=HELLO, tokenizer=None, limits=(100, 100), **more):
    """Tokenise one group and return it with what was counted."""
    made = GroupTokenizer(tokenizer or make_tokenizer(), (2,), 272, *limits)
    answers = [Completion(answer) if isinstance(answer, str) else answer for answer in completions]
    rankings = more.pop("rankings", ASKED)
    groups = made.tokenize([RawGroup("f, line 1", prompt, answers, rankings, **more)], LOSS)
    return groups[0] if groups else None, made.counts


def sampled(ids, text=None, finish_reason="stop", tokenizer=None):
    return Completion(text, ids, tokenizer or tokenizer_fingerprint(make_tokenizer()), finish_reason)


def answers(group):
    return [sequence.completion for sequence in group.sequences]


def test_it_works():
    group, counts = tokenize("yes", "")
    assert group.sequences[0].prompt == group.sequences[1].prompt == HELLO_IDS
    # The template's line break after <|im_end|> is not part of the answer, and the end token comes once.
    assert answers(group) == [[*byte_ids("yes"), 2], [2]]
    assert (counts.groups, counts.completions, counts.pairs, counts.sampled_completions) == (1, 2, 1, 0)
    assert counts.prompt_tokens == 2 * len(HELLO_IDS)
    assert counts.completion_tokens == 5


def test_sampled_ids_are_used_as_sampled_and_end_with_the_turn():
    # The ids differ from those that the text would get, and two tokens follow the end of the turn.
    group, counts = tokenize(sampled([90, 91, 2, 13, 2], text="other"), sampled([92]))
    assert answers(group) == [[90, 91, 2], [92]]
    assert counts.sampled_completions == 2


def test_ids_of_another_tokenizer_are_not_used():
    group, counts = tokenize(sampled([90, 91], text="ab", tokenizer="x"), sampled([92, 2]))
    assert answers(group) == [[*byte_ids("ab"), 2], [92, 2]]
    with pytest.raises(DataError, match=r"f, line 1: `completions\[1\]` has token ids of another tokenizer and no"):
        tokenize("a", sampled([90], tokenizer="x"))


def test_a_truncated_answer_gets_no_end_token():
    group, _ = tokenize(Completion("ab", finish_reason="length"), sampled([90, 91], finish_reason="length"))
    assert answers(group) == [byte_ids("ab"), [90, 91]]


def test_an_edited_answer_gets_the_ids_of_the_same_sampled_text():
    group, _ = tokenize(Completion("ab"), sampled([*byte_ids("ab"), 2], text="ab"))
    assert answers(group)[0] == answers(group)[1]


def test_the_sampled_prompt_is_used_exactly():
    fingerprint = tokenizer_fingerprint(make_tokenizer())
    group, _ = tokenize("a", "b", prompt_token_ids=[1, 50, 51], tokenizer=None)
    assert group.sequences[0].prompt == HELLO_IDS  # no fingerprint, so nothing says whose ids these are
    raw = {"prompt_token_ids": [1, 50, 51]}
    made = GroupTokenizer(make_tokenizer(), (2,), 272, 100, 100)
    completions = [Completion("a"), Completion("b")]
    groups = made.tokenize([RawGroup("w", HELLO, completions, ASKED, tokenizer=fingerprint, **raw)], LOSS)
    assert groups[0].sequences[0].prompt == [1, 50, 51]
    assert answers(groups[0]) == [[*byte_ids("a"), 2], [*byte_ids("b"), 2]]


def test_a_text_prompt_is_not_rendered_and_its_answer_ends():
    group, _ = tokenize(" yes", " no", prompt="say")
    assert group.sequences[0].prompt == byte_ids("say")
    assert answers(group) == [[*byte_ids(" yes"), 2], [*byte_ids(" no"), 2]]


def test_an_answer_whose_first_token_would_merge_with_the_prompt_is_tokenised_by_itself():
    # Together "y" + "e" are one token, 259, but the model read a prompt that ends with "y".
    tokenizer = make_tokenizer(merges=(("y", "e"),))
    assert tokenizer("ye")["input_ids"] == [259]
    group, _ = tokenize("es", "s", prompt="say", tokenizer=tokenizer)
    assert group.sequences[0].prompt == byte_ids("say")
    assert answers(group)[0] == [*byte_ids("es"), 2]


def test_a_text_prompt_gets_one_beginning_token():
    tokenizer = make_tokenizer()
    tokenizer.add_bos_token = True
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    group, _ = tokenize("ab", "c", prompt="say", tokenizer=tokenizer)
    assert group.sequences[0].prompt == [1, *byte_ids("say")]
    assert answers(group) == [[*byte_ids("ab"), 2], [*byte_ids("c"), 2]]
    chat, _ = tokenize("ab", "c", tokenizer=tokenizer)
    assert chat.sequences[0].prompt == HELLO_IDS
    # The beginning token survives a cut on the left.
    cut, counts = tokenize("ab", "c", prompt="say more", tokenizer=tokenizer, limits=(4, 100))
    assert cut.sequences[0].prompt == [1, *byte_ids("ore")]
    assert (counts.prompts_cut, counts.prompt_tokens_cut) == (1, 5)


def with_ends():
    """A tokenizer that puts <|im_start|> before a text and <|im_end|> after it."""
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)]
    )
    return tokenizer


def test_a_text_that_has_its_beginning_token_gets_no_second_one_and_a_prompt_no_end():
    group, _ = tokenize("yes", "no", prompt="<|im_start|>say ", tokenizer=with_ends())
    assert group.sequences[0].prompt == [1, *byte_ids("say ")]
    assert answers(group) == [[*byte_ids("yes"), 2], [*byte_ids("no"), 2]]
    plain, _ = tokenize("yes", "no", prompt="say ", tokenizer=with_ends())
    assert plain.sequences == group.sequences


def test_an_over_long_prompt_is_cut_on_the_left_after_the_system_turn():
    prompt = [{"role": "system", "content": "S"}, {"role": "user", "content": "abcdef"}]
    # <|im_start|> system \n S <|im_end|> \n <|im_start|> user \n are 17 ids, the rest without abcdef 13.
    head = [1, *byte_ids("system\nS"), 2, *byte_ids("\n"), 1, *byte_ids("user\n")]
    tail = [2, *byte_ids("\n"), 1, *byte_ids("assistant\n")]
    group, counts = tokenize("x", "y", prompt=prompt, limits=(len(head) + len(tail) + 2, 100))
    assert group.sequences[0].prompt == [*head, *byte_ids("ef"), *tail]
    assert (counts.prompts_cut, counts.prompt_tokens_cut) == (1, 4)
    with pytest.raises(DataError, match=r"the system turn alone has 17 tokens.*Raise `max_prompt_tokens`"):
        tokenize("x", "y", prompt=prompt, limits=(17, 100))


def test_an_over_long_answer_is_cut_on_the_right():
    group, counts = tokenize("abcdef", "x", limits=(100, 4))
    assert answers(group) == [byte_ids("abcd"), [*byte_ids("x"), 2]]
    assert (counts.completions_cut, counts.completion_tokens_cut) == (1, 3)


def test_answers_that_no_pair_names_are_left_out():
    group, counts = tokenize("a", "b", "c", rankings=[Ranking(((2,), (0,)))])
    assert answers(group) == [[*byte_ids("a"), 2], [*byte_ids("c"), 2]]
    assert (group.pairs[0].first, group.pairs[0].second, group.pairs[0].label) == (0, 1, 0.0)
    assert counts.completions == 2


def test_a_group_without_a_usable_pair_is_counted_and_left_out():
    group, counts = tokenize("a", "b", rankings=[Ranking(((0, 1),), weight=3)])
    assert group is None
    assert (counts.groups, counts.groups_without_pairs) == (0, 1)


def test_it_rejects_ids_outside_the_vocabulary():
    with pytest.raises(DataError, match=r"f, line 1: token id 300 is outside the model's vocabulary of 272"):
        tokenize("a", sampled([300]))


def test_it_rejects_messages_without_a_chat_template():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(DataError, match=r"f, line 1: the prompt is a list of messages but .* no chat template"):
        tokenize("a", "b", tokenizer=tokenizer)


def test_it_rejects_what_the_template_refuses():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no such role') }}"
    with pytest.raises(DataError, match=r"the chat template refuses the messages: no such role"):
        tokenize("a", "b", tokenizer=tokenizer)
