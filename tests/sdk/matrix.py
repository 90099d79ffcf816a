"""Every front before every back, whole and streamed, with the vendors' own clients: one cell, one question.

A front is a class: it asks in its client's words and tells what it heard in ours. What a front cannot say is a gap
with a reason; a gap must stand in docs/api.md in the same words.
"""

import json
import pathlib
from dataclasses import dataclass, field

import anthropic
import ollama
import openai
from harness import HEALTHY, KINDS, PIXEL, check, expected, holds, same

SAID = "Hello there friend of mine"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
TWICE = "Both [[tool]] and [[tool]]"
# What the simulated vendors count a picture for.
PICTURE_TOKENS = 7
FEATURES = ["text", "system", "tools", "results", "image", "structured", "reasoning", "stop", "usage"]
# (front, feature): the words of docs/api.md that say why not.
GAPS = {
    ("completions", feature): "legacy completions and Hapax's own form answer with text alone"
    for feature in ("system", "tools", "results", "image", "structured", "reasoning")
} | {("generate", feature): "Ollama's generate\nknows no tools" for feature in ("tools", "results")}


@dataclass
class Heard:
    text: str = ""
    thought: str = ""
    calls: list = field(default_factory=list)  # (name, arguments)
    stop: str = ""
    tokens: tuple = ()
    turn: object = None  # the answer as the client gives it, to be sent back


class Chat:
    name = "chat"
    stops = {"stop": "stop", "length": "length", "tool_calls": "tools"}

    def __init__(self):
        self.client = openai.OpenAI(base_url=f"{HEALTHY}/v1", api_key="k", max_retries=0, timeout=20)

    def ask(self, model, stream, said=SAID, system=None, tools=False, after=None, image=False, schema=False, thinks=False, most=None):
        content = said
        if image:
            picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
            content = [{"type": "text", "text": said}, picture]
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": content})
        if after:
            messages.append(after.turn.model_dump(exclude_none=True))
            messages += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in after.turn.tool_calls]
        more = {"tools": [TOOL]} if tools else {}
        if schema:
            more["response_format"] = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA, "strict": True}}
        if thinks:
            more |= {"reasoning_effort": "low", "max_tokens": 4000}
        if most:
            more["max_tokens"] = most
        if not stream:
            return self.heard(self.client.chat.completions.create(model=model, messages=messages, **more))
        options = {"include_usage": True}
        with self.client.chat.completions.stream(model=model, messages=messages, stream_options=options, **more) as events:
            thought = ""
            for event in events:
                if event.type == "chunk" and event.chunk.choices:
                    thought += getattr(event.chunk.choices[0].delta, "reasoning_content", None) or ""
            heard = self.heard(events._state.current_completion_snapshot)
        heard.thought = thought
        return heard

    def heard(self, answer):
        choice, usage = answer.choices[0], answer.usage
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
        thought = getattr(choice.message, "reasoning_content", None) or ""
        tokens = (usage.prompt_tokens, usage.completion_tokens)
        return Heard(choice.message.content or "", thought, calls, self.stops.get(choice.finish_reason), tokens, choice.message)


class Completions(Chat):
    name = "completions"

    def ask(self, model, stream, said=SAID, most=None):
        more = {"max_tokens": most} if most else {}
        if not stream:
            answer = self.client.completions.create(model=model, prompt=said, **more)
            choice, usage = answer.choices[0], answer.usage
            return Heard(choice.text, stop=self.stops[choice.finish_reason], tokens=(usage.prompt_tokens, usage.completion_tokens))
        heard = Heard()
        options = {"include_usage": True}
        for chunk in self.client.completions.create(model=model, prompt=said, stream=True, stream_options=options, **more):
            for choice in chunk.choices:
                heard.text += choice.text
                heard.stop = self.stops.get(choice.finish_reason, heard.stop)
            if chunk.usage:
                heard.tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        return heard


class Responses(Chat):
    name = "responses"

    def ask(self, model, stream, said=SAID, system=None, tools=False, after=None, image=False, schema=False, thinks=False, most=None):
        content = [{"type": "input_text", "text": said}]
        if image:
            content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"})
        items = [{"role": "user", "content": content}]
        if after:
            calls = [item for item in after.turn if item.type == "function_call"]
            items += [item.model_dump(exclude_none=True) for item in after.turn]
            items += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
        more = {"instructions": system} if system else {}
        if tools:
            more["tools"] = [{"type": "function", "strict": False, **FUNCTION}]
        if schema:
            more["text"] = {"format": {"type": "json_schema", "name": "trip", "schema": SCHEMA, "strict": True}}
        if thinks:
            more |= {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 4000}
        if most:
            more["max_output_tokens"] = most
        if not stream:
            return self.heard(self.client.responses.create(model=model, input=items, **more))
        text, final = "", None
        for number, event in enumerate(self.client.responses.create(model=model, input=items, stream=True, **more)):
            same(event.sequence_number, number)
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type in ("response.completed", "response.incomplete"):
                final = event.response
        heard = self.heard(final)
        same(heard.text, text)
        return heard

    def heard(self, answer):
        calls = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
        thought = "".join(part.text for item in answer.output if item.type == "reasoning" for part in item.summary)
        cut = answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
        stop = "length" if cut else "tools" if calls else "stop"
        tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
        return Heard(answer.output_text, thought, calls, stop, tokens, answer.output)


class Messages:
    name = "messages"
    stops = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools"}

    def __init__(self):
        self.client = anthropic.Anthropic(base_url=HEALTHY, api_key="k", max_retries=0, timeout=20)

    def ask(self, model, stream, said=SAID, system=None, tools=False, after=None, image=False, schema=False, thinks=False, most=None):
        content = [{"type": "text", "text": said}]
        if image:
            content.insert(0, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})
        messages = [{"role": "user", "content": content}]
        if after:
            messages.append({"role": "assistant", "content": after.turn})
            calls = [block for block in after.turn if block.type == "tool_use"]
            results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
            messages.append({"role": "user", "content": results})
        more = {"max_tokens": most or 4000} | ({"system": system} if system else {})
        if tools:
            more["tools"] = [{"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}]
        if schema:
            more["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if thinks:
            more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if stream:
            with self.client.messages.stream(model=model, messages=messages, **more) as events:
                answer = events.get_final_message()
        else:
            answer = self.client.messages.create(model=model, messages=messages, **more)
        of = lambda kind: [block for block in answer.content if block.type == kind]
        return Heard(
            "".join(block.text for block in of("text")),
            "".join(block.thinking for block in of("thinking")),
            [(block.name, block.input) for block in of("tool_use")],
            self.stops.get(answer.stop_reason),
            (answer.usage.input_tokens, answer.usage.output_tokens),
            answer.content,
        )


class OllamaChat:
    name = "ollama"

    def __init__(self):
        self.client = ollama.Client(host=HEALTHY, timeout=20)

    def ask(self, model, stream, said=SAID, system=None, tools=False, after=None, image=False, schema=False, thinks=False, most=None):
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": said} | ({"images": [PIXEL]} if image else {}))
        if after:
            messages.append(after.turn)
            messages += [{"role": "tool", "tool_name": name, "content": "sunny"} for name, _ in after.calls]
        more = {"tools": [TOOL]} if tools else {}
        answer = self.client.chat(model=model, messages=messages, stream=stream, **more, **self.options(schema, thinks, most))
        return self.heard(list(answer) if stream else [answer])

    def options(self, schema, thinks, most):
        options = {"num_predict": most or 4000}
        return {"format": SCHEMA if schema else None, "think": True if thinks else None, "options": options}

    def heard(self, parts):
        text = "".join(part.message.content or "" for part in parts)
        thought = "".join(part.message.thinking or "" for part in parts)
        made = [call for part in parts for call in part.message.tool_calls or []]
        calls = [(call.function.name, dict(call.function.arguments)) for call in made]
        turn = {"role": "assistant", "content": text, "tool_calls": [call.model_dump() for call in made]}
        return self.ended(Heard(text, thought, calls, turn=turn), parts)

    def ended(self, heard, parts):
        same([part.done for part in parts], [False] * (len(parts) - 1) + [True])
        last = parts[-1]
        heard.stop = "tools" if heard.calls and last.done_reason == "stop" else last.done_reason
        heard.tokens = (last.prompt_eval_count, last.eval_count)
        return heard


class Generate(OllamaChat):
    name = "generate"

    def ask(self, model, stream, said=SAID, system=None, image=False, schema=False, thinks=False, most=None):
        pictures = [PIXEL] if image else None
        options = self.options(schema, thinks, most)
        answer = self.client.generate(model=model, prompt=said, system=system or "", images=pictures, stream=stream, **options)
        parts = list(answer) if stream else [answer]
        text = "".join(part.response or "" for part in parts)
        return self.ended(Heard(text, "".join(part.thinking or "" for part in parts)), parts)


def text(front, model, stream):
    same(front.ask(model, stream).text, expected(model, SAID))
    odd = "Grüß 😀 \"\\ \u2028 日本"
    same(front.ask(model, stream, said=odd).text, expected(model, odd))


def system(front, model, stream):
    # The simulated vendors count words: those of the instructions arrived, too.
    same(front.ask(model, stream, system="Be brief.").tokens[0], len(SAID.split()) + 2)


def tools(front, model, stream):
    heard = front.ask(model, stream, said=TWICE, tools=True)
    same([(name, set(arguments)) for name, arguments in heard.calls], [("weather", {"city", "days"})] * 2)
    same(heard.stop, "tools")


def results(front, model, stream):
    called = front.ask(model, stream, said=TWICE, tools=True)
    heard = front.ask(model, stream, said=TWICE, tools=True, after=called)
    same((heard.text, heard.calls, heard.stop), (expected(model, TWICE), [], "stop"))
    holds(heard.tokens[0] > len(TWICE.split()), heard)  # what the tools said arrived, too


def image(front, model, stream):
    heard = front.ask(model, stream, image=True)
    same((heard.text, heard.tokens[0]), (expected(model, SAID), len(SAID.split()) + PICTURE_TOKENS))


def structured(front, model, stream):
    same(json.loads(front.ask(model, stream, schema=True).text)["days"], 7)


def reasoning(front, model, stream):
    heard = front.ask(f"{model}!reasoning=3", stream, thinks=True)
    same((heard.thought, heard.text), ("Let me think.", expected(model, SAID)))


def stop(front, model, stream):
    same(front.ask(model, stream).stop, "stop")
    # Responses takes no smaller bound.
    same(front.ask(f"{model}!tokens=40,bounded", stream, most=16).stop, "length")


def usage(front, model, stream):
    heard = front.ask(model, stream)
    same(heard.tokens[0], len(SAID.split()))
    holds(heard.tokens[1] > 5, heard)


def main():
    """Plays every cell; gives the number of those that are gaps."""
    page = (pathlib.Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()
    gaps = 0
    for front in (Chat(), Completions(), Responses(), Messages(), OllamaChat(), Generate()):
        for feature in FEATURES:
            reason = GAPS.get((front.name, feature))
            if reason and reason not in page:
                check(f"matrix {front.name} {feature}", lambda: holds(False, "docs/api.md does not say", reason))
            for kind in KINDS:
                for stream in (False, True):
                    if reason:
                        gaps += 1
                        continue
                    name = f"matrix {front.name} {kind} {'streamed' if stream else 'whole'} {feature}"
                    check(name, lambda: globals()[feature](front, f"{kind}-m", stream))
    print(f"gaps {gaps}", flush=True)
