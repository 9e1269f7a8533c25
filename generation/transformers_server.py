"""The slow sampler, for machines where vLLM cannot be installed: transformers behind the part of vLLM's API we use.

    python -m generation.transformers_server --model FOLDER --port 8001

It answers one prompt at a time, on loopback only. The contract is vLLM's: completion i of a request with seed s is
sampled with seed s + i; log-probabilities are the model's own, before temperature, top-p and top-k.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE = "base"


class Refused(ValueError):
    """A request that cannot be answered; the text says why."""


class Sampler:
    """One checkpoint and the adapters loaded on it so far."""

    def __init__(self, folder: str, device: str):
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        self.model = model.to(device).eval()
        self.context = self.model.config.max_position_embeddings
        self.adapters: set[str] = set()
        self.lock = threading.Lock()

    def names(self) -> list[str]:
        return [BASE, *sorted(self.adapters)]

    def load_adapter(self, name: str, folder: str) -> None:
        with self.lock:
            if self.adapters:
                self.model.load_adapter(folder, adapter_name=name)
            else:
                self.model = PeftModel.from_pretrained(self.model, folder, adapter_name=name).eval()
            self.adapters.add(name)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a chat completion request.

        Raises:
            Refused: the model is unknown, or prompt and answer do not fit its context.
        """
        if request["model"] not in self.names():
            raise Refused(f"There is no model {request['model']}; there are {', '.join(self.names())}.")
        prompt = self.tokenizer.apply_chat_template(
            request["messages"], add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )["input_ids"].to(self.model.device)
        if prompt.shape[1] + request["max_tokens"] > self.context:
            raise Refused(
                f"The prompt has {prompt.shape[1]} tokens and {request['max_tokens']} are asked for; "
                f"the model's context holds {self.context}."
            )
        with self.lock, torch.inference_mode():
            self._choose(request["model"])
            choices = [self._sample(prompt, request, index) for index in range(request["n"])]
        return {"choices": choices, "prompt_token_ids": prompt[0].tolist()}

    def _choose(self, name: str) -> None:
        if not self.adapters:
            return
        if name == BASE:
            self.model.base_model.disable_adapter_layers()
        else:
            self.model.base_model.enable_adapter_layers()
            self.model.set_adapter(name)

    def _sample(self, prompt: torch.Tensor, request: dict[str, Any], index: int) -> dict[str, Any]:
        torch.manual_seed(request["seed"] + index)
        greedy = request["temperature"] == 0
        chosen = {} if greedy else {key: request[key] for key in ("temperature", "top_p", "top_k")}
        output = self.model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=request["max_tokens"],
            do_sample=not greedy,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=self.tokenizer.pad_token_id,
            **chosen,
        )
        ids = output.sequences[0, prompt.shape[1] :].tolist()
        log_probs = [
            torch.log_softmax(logits[0].float(), dim=-1)[token].item()
            for logits, token in zip(output.logits, ids, strict=True)
        ]
        stopped = bool(ids) and ids[-1] == self.tokenizer.eos_token_id
        return {
            "index": index,
            "message": {"role": "assistant", "content": self.tokenizer.decode(ids, skip_special_tokens=True)},
            "token_ids": ids,
            "logprobs": {"content": [{"logprob": value} for value in log_probs]},
            "finish_reason": "stop" if stopped else "length",
        }


def handler_for(sampler: Sampler) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self.reply(200, {})
            elif self.path == "/v1/models":
                self.reply(200, {"data": [{"id": name} for name in sampler.names()]})
            else:
                self.reply(404, {"error": {"message": f"There is nothing at {self.path}."}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                if self.path == "/v1/chat/completions":
                    self.reply(200, sampler.answer(body))
                elif self.path == "/v1/load_lora_adapter":
                    sampler.load_adapter(body["lora_name"], body["lora_path"])
                    self.reply(200, {})
                else:
                    self.reply(404, {"error": {"message": f"There is nothing at {self.path}."}})
            except Refused as refusal:
                self.reply(400, {"error": {"message": str(refusal)}})

        def reply(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of each request."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description="Sample with transformers.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    handler = handler_for(Sampler(options.model, options.device))
    ThreadingHTTPServer(("127.0.0.1", options.port), handler).serve_forever()


if __name__ == "__main__":
    main()
