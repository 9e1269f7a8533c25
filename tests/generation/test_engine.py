"""The engine's contract, against the real transformers server and against a fake that misbehaves."""

import pytest
import torch

from generation.engine import EngineUnavailable, Parameters, Request, VllmEngine
from tests.engine.tiny import make_model, make_tokenizer, save_model
from tests.generation.endpoints import fake_endpoint, good_answer, transformers_server

pytestmark = pytest.mark.integration

HELLO = [{"role": "user", "content": "Hello"}]
THREE = Parameters(n=3, temperature=1.0, top_p=1.0, top_k=0, max_tokens=8)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    with transformers_server(save_model(folder / "model"), folder / "log") as url:
        yield url


def sample(url, *requests, parameters=THREE, model="base", tick=lambda: True):
    return {done.key: done for done in VllmEngine(url, model).sample(requests, parameters, tick)}


def test_it_works(server):
    done = sample(server, Request(1, HELLO, seed=5), Request(2, HELLO, seed=50))
    assert set(done) == {1, 2}
    assert [answer.index for answer in done[1].answers] == [0, 1, 2]
    assert all(1 <= len(answer.token_ids) <= 8 for answer in done[1].answers)
    assert (
        done[1].context_token_ids
        == make_tokenizer().apply_chat_template(HELLO, add_generation_prompt=True, return_dict=True)["input_ids"]
    )


def test_completion_i_has_seed_plus_i(server):
    done = sample(server, Request(1, HELLO, seed=5), Request(2, HELLO, seed=6))
    assert [answer.token_ids for answer in done[1].answers[1:]] == [answer.token_ids for answer in done[2].answers[:2]]
    assert done[1].answers[0].token_ids != done[1].answers[1].token_ids


def test_the_log_probability_is_the_model_s_own(server):
    hot = Parameters(n=1, temperature=2.0, top_p=0.5, top_k=10, max_tokens=8)
    done = sample(server, Request(1, HELLO, seed=5), parameters=hot)[1]
    ids = done.context_token_ids + done.answers[0].token_ids
    with torch.inference_mode():
        log_probs = torch.log_softmax(make_model()(torch.tensor([ids])).logits[0].float(), dim=-1)
    start = len(done.context_token_ids)
    expected = sum(log_probs[position - 1, ids[position]].item() for position in range(start, len(ids)))
    assert done.answers[0].log_probability == pytest.approx(expected, abs=1e-3)


def test_a_prompt_that_does_not_fit_is_refused_with_the_reason(server):
    long = [{"role": "user", "content": "x" * 2000}]
    done = sample(server, Request(1, long, seed=0), Request(2, HELLO, seed=0))
    assert done[1].answers == []
    assert "the model's context holds 1024" in done[1].refusal
    assert len(done[2].answers) == 3


def test_an_unknown_model_is_refused_by_name(server):
    assert "There is no model policy-x" in sample(server, Request(1, HELLO, 0), model="policy-x")[1].refusal


def test_nobody_there():
    with pytest.raises(EngineUnavailable, match="does not answer"):
        sample("http://127.0.0.1:9", Request(1, HELLO, 0))


def test_a_busy_server_is_asked_again():
    with fake_endpoint(lambda request, calls: (200, good_answer(request)) if calls > 2 else (429, {})) as url:
        assert len(sample(url, Request(1, HELLO, 7))[1].answers) == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b"<html>"), "makes no sense"),
        ((200, {"choices": []}), "3 answers were asked for, got the indexes"),
        ((200, {}), "makes no sense"),
        ((404, {"error": {"message": "no such page"}}), "answered 404: no such page"),
    ],
)
def test_what_makes_no_sense_is_not_stored(answer, reason):
    with fake_endpoint(lambda request, calls: answer) as url, pytest.raises(EngineUnavailable, match=reason):
        sample(url, Request(1, HELLO, 0))


def test_an_answer_that_was_aborted_is_not_stored():
    def answer(request, calls):
        body = good_answer(request)
        body["choices"][1]["finish_reason"] = "abort"
        return 200, body

    with fake_endpoint(answer) as url, pytest.raises(EngineUnavailable, match="ended with 'abort'"):
        sample(url, Request(1, HELLO, 0))


def test_tick_stops_new_requests_but_finishes_those_under_way():
    with fake_endpoint(lambda request, calls: (200, good_answer(request))) as url:
        requests = [Request(key, HELLO, key) for key in range(100)]
        done = sample(url, *requests, tick=lambda: False)
    assert 16 <= len(done) < 40
    assert sorted(done) == list(range(len(done)))


def test_what_tick_raises_ends_it():
    class Enough(Exception):
        pass

    def tick():
        raise Enough

    with fake_endpoint(lambda request, calls: (200, good_answer(request))) as url, pytest.raises(Enough):
        sample(url, *[Request(key, HELLO, key) for key in range(100)], tick=tick)
