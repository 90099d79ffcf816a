"""The official Python clients, unmodified, against a running gateway."""

import asyncio
import json
import threading

import anthropic
import matrix
import ollama
import openai
from harness import FAULTY, HEALTHY, KINDS, PIXEL, TIGHT, check, ended, expected, holds, raises, same
from pydantic import BaseModel

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
OPENAI_TOOL = {"type": "function", "function": FUNCTION}
ANTHROPIC_TOOL = {"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}
ASKED = [{"role": "user", "content": "Hello there friend of mine"}]
SAID = ASKED[0]["content"]
CALLED = [{"role": "user", "content": "Weather please [[tool]]"}]
# One event loop for all checks: LangChain keeps its asynchronous clients between models.
LOOP = asyncio.Runner()


class Trip(BaseModel):
    city: str
    days: int


def an_openai(base=HEALTHY, key="hpx-good", **more):
    return openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=20, **more)


def an_anthropic(base=HEALTHY, key="hpx-good", **more):
    return anthropic.Anthropic(base_url=base, api_key=key, max_retries=0, timeout=20, **more)


def an_ollama(base=HEALTHY, key="hpx-good"):
    return ollama.Client(host=base, headers={"Authorization": f"Bearer {key}"}, timeout=20)


# OpenAI chat


def chat_whole(kind):
    answer = an_openai().chat.completions.create(model=f"{kind}-m", messages=ASKED)
    same(answer.choices[0].message.content, expected(f"{kind}-m", SAID))
    same(answer.choices[0].finish_reason, "stop")
    same(answer.usage.prompt_tokens, len(SAID.split()))
    holds(answer.usage.completion_tokens > 5, answer.usage)
    holds(answer.id.startswith("chatcmpl-"), answer.id)


def chat_streamed(kind):
    chunks = list(an_openai().chat.completions.create(model=f"{kind}-m", messages=ASKED, stream=True))
    same("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), expected(f"{kind}-m", SAID))
    same(chunks[0].choices[0].delta.role, "assistant")
    same([c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason], ["stop"])
    same([c.usage for c in chunks if c.usage], [])
    same(len({(c.id, c.created, c.model) for c in chunks}), 1)


def chat_streamed_usage(kind):
    options = {"include_usage": True}
    chunks = list(an_openai().chat.completions.create(model=f"{kind}-m", messages=ASKED, stream=True, stream_options=options))
    used = [c for c in chunks if c.usage]
    same(len(used), 1)
    same(used[0].choices, [])
    same(used[0].usage.prompt_tokens, len(SAID.split()))
    holds(used[0].usage.total_tokens > used[0].usage.prompt_tokens, used[0].usage)


def chat_async(kind):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{HEALTHY}/v1", api_key="k", max_retries=0) as client:
            whole, stream = await asyncio.gather(
                client.chat.completions.create(model=f"{kind}-m", messages=ASKED),
                client.chat.completions.create(model=f"{kind}-m", messages=ASKED, stream=True),
            )
            text = ""
            async for chunk in stream:
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            same(whole.choices[0].message.content, expected(f"{kind}-m", SAID))
            same(text, expected(f"{kind}-m", SAID))

    LOOP.run(run())


def chat_many_at_once(kind):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{HEALTHY}/v1", api_key="k", max_retries=0) as client:
            ask = lambda n: client.chat.completions.create(model=f"{kind}-m", messages=[{"role": "user", "content": f"Hello {n}"}])
            answers = await asyncio.gather(*(ask(n) for n in range(32)))
            for n, answer in enumerate(answers):
                same(answer.choices[0].message.content, expected(f"{kind}-m", f"Hello {n}"))

    LOOP.run(run())


def chat_tools(kind):
    client = an_openai()
    answer = client.chat.completions.create(model=f"{kind}-m", messages=CALLED, tools=[OPENAI_TOOL])
    message = answer.choices[0].message
    same(answer.choices[0].finish_reason, "tool_calls")
    call = message.tool_calls[0]
    same(call.function.name, "weather")
    same(set(json.loads(call.function.arguments)), {"city", "days"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    history = [*CALLED, message.model_dump(exclude_none=True), result]
    answer = client.chat.completions.create(model=f"{kind}-m", messages=history, tools=[OPENAI_TOOL])
    holds(answer.choices[0].message.content.startswith("You said Weather please"), answer)
    same(answer.choices[0].finish_reason, "stop")


def chat_tools_streamed(kind):
    two = [{"role": "user", "content": "Both [[tool]] and [[tool]]"}]
    with an_openai().chat.completions.stream(model=f"{kind}-m", messages=two, tools=[OPENAI_TOOL]) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    same([call.function.name for call in calls], ["weather", "weather"])
    same(len({call.id for call in calls}), 2)
    for call in calls:
        same(set(json.loads(call.function.arguments)), {"city", "days"})
    same(final.choices[0].finish_reason, "tool_calls")


def chat_tool_choice(kind):
    choice = {"type": "function", "function": {"name": "weather"}}
    if kind == "ol":
        raw = an_openai().chat.completions.with_raw_response.create(model="ol-m", messages=ASKED, tools=[OPENAI_TOOL], tool_choice=choice)
        same(raw.headers["x-hapax-dropped-params"], "tool_choice")
        return
    answer = an_openai().chat.completions.create(model=f"{kind}-m", messages=ASKED, tools=[OPENAI_TOOL], tool_choice=choice)
    same(answer.choices[0].message.tool_calls[0].function.name, "weather")


def chat_image(kind):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    message = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}
    answer = an_openai().chat.completions.create(model=f"{kind}-m", messages=[message])
    same(answer.choices[0].message.content, expected(f"{kind}-m", "What is this?"))


def chat_structured(kind):
    answer = an_openai().chat.completions.parse(model=f"{kind}-m", messages=ASKED, response_format=Trip)
    trip = answer.choices[0].message.parsed
    holds(isinstance(trip, Trip), trip)
    same(trip.days, 7)


def chat_structured_streamed(kind):
    with an_openai().chat.completions.stream(model=f"{kind}-m", messages=ASKED, response_format=Trip) as stream:
        for _ in stream:
            pass
        same(stream.get_final_completion().choices[0].message.parsed.days, 7)


def chat_reasoning(kind):
    model = f"{kind}-m!reasoning=3"
    more = {"reasoning_effort": "low", "max_completion_tokens": 4000}
    answer = an_openai().chat.completions.create(model=model, messages=ASKED, **more)
    same(answer.choices[0].message.reasoning_content, "Let me think.")
    chunks = an_openai().chat.completions.create(model=model, messages=ASKED, stream=True, **more)
    thought = "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks if c.choices)
    same(thought, "Let me think.")


def chat_bounded(kind):
    # Responses takes no smaller bound.
    answer = an_openai().chat.completions.create(model=f"{kind}-m!tokens=40,bounded", messages=ASKED, max_tokens=16)
    same(answer.choices[0].finish_reason, "length")


def chat_parameters(kind):
    answer = an_openai().chat.completions.with_raw_response.create(
        model=f"{kind}-m", messages=[{"role": "developer", "content": "Be brief."}, *ASKED], temperature=0.5, top_p=0.9,
        stop=["END"], seed=7, user="u", presence_penalty=0.1, logit_bias={"1": 2},
    )
    dropped = answer.headers.get("x-hapax-dropped-params", "")
    same("logit_bias" in dropped, kind not in ("op", "oa", "az"))  # they speak the same dialect
    same(answer.headers["x-hapax-provider"], kind)
    same(answer.parse().choices[0].message.content, expected(f"{kind}-m", SAID))


def completions_legacy(kind):
    answer = an_openai().completions.create(model=f"{kind}-m", prompt="Once upon a time")
    same(answer.choices[0].text, expected(f"{kind}-m", "Once upon a time"))
    chunks = an_openai().completions.create(model=f"{kind}-m", prompt="Once upon a time", stream=True)
    same("".join(c.choices[0].text for c in chunks if c.choices), expected(f"{kind}-m", "Once upon a time"))


def models_list():
    ids = [model.id for model in an_openai().models.list()]
    same(ids, [f"{kind}-m" for kind in KINDS])
    same(an_openai().models.retrieve("an-m").owned_by, "an")
    raises(openai.NotFoundError, lambda: an_openai().models.retrieve("no-such"))


def models_of_anthropic():
    client, wanted = an_anthropic(), [f"{kind}-m" for kind in KINDS]
    page = client.models.list(limit=2)
    same(([model.id for model in page.data], page.has_more, page.last_id), (wanted[:2], True, wanted[1]))
    same([model.id for model in page], wanted)  # page by page
    back = client.models.list(limit=2, before_id=wanted[3])
    same(([model.id for model in back.data], back.first_id), (wanted[1:3], wanted[1]))
    model = client.models.retrieve("an-m")
    same((model.id, model.type, model.display_name, model.created_at.year), ("an-m", "model", "an-m", 1970))
    same(raises(anthropic.NotFoundError, lambda: client.models.retrieve("no-such")).body["type"], "error")
    raises(anthropic.BadRequestError, lambda: client.models.list(limit=2000))
    same(raises(anthropic.AuthenticationError, lambda: an_anthropic(FAULTY, "wrong").models.list()).body["error"]["type"], "authentication_error")
    answer = client.beta.messages.create(model="an-m", max_tokens=100, messages=ASKED)  # asks with ?beta=true
    same(answer.content[0].text, expected("an-m", SAID))


# Anthropic messages


def messages_whole(kind):
    answer = an_anthropic().messages.create(model=f"{kind}-m", max_tokens=100, messages=ASKED, system="Be brief.")
    same(answer.content[0].text, expected(f"{kind}-m", SAID))
    same((answer.type, answer.role, answer.stop_reason), ("message", "assistant", "end_turn"))
    same(answer.usage.input_tokens, len(SAID.split()) + 2)
    holds(answer.usage.output_tokens > 5, answer.usage)


def messages_streamed(kind):
    with an_anthropic().messages.stream(model=f"{kind}-m", max_tokens=100, messages=ASKED) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    same(text, expected(f"{kind}-m", SAID))
    same(final.content[0].text, text)
    same(final.stop_reason, "end_turn")
    holds(final.usage.output_tokens > 5, final.usage)


def messages_events(kind):
    events = [event.type for event in an_anthropic().messages.create(model=f"{kind}-m", max_tokens=100, messages=ASKED, stream=True)]
    same(events[0], "message_start")
    same([event for event in events if event != "ping"][1], "content_block_start")
    same(events[-3:], ["content_block_stop", "message_delta", "message_stop"])


def messages_async(kind):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=HEALTHY, api_key="k", max_retries=0) as client:
            answer = await client.messages.create(model=f"{kind}-m", max_tokens=100, messages=ASKED)
            same(answer.content[0].text, expected(f"{kind}-m", SAID))

    LOOP.run(run())


def messages_tools(kind):
    client = an_anthropic()
    answer = client.messages.create(model=f"{kind}-m", max_tokens=100, messages=CALLED, tools=[ANTHROPIC_TOOL])
    same(answer.stop_reason, "tool_use")
    call = next(block for block in answer.content if block.type == "tool_use")
    same((call.name, set(call.input)), ("weather", {"city", "days"}))
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    history = [*CALLED, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    answer = client.messages.create(model=f"{kind}-m", max_tokens=100, messages=history, tools=[ANTHROPIC_TOOL])
    same(answer.stop_reason, "end_turn")
    holds(answer.content[0].text.startswith("You said Weather please"), answer)


def messages_tools_streamed(kind):
    two = [{"role": "user", "content": "Both [[tool]] and [[tool]]"}]
    with an_anthropic().messages.stream(model=f"{kind}-m", max_tokens=100, messages=two, tools=[ANTHROPIC_TOOL]) as stream:
        final = stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]
    same([set(call.input) for call in calls], [{"city", "days"}] * 2)
    same(final.stop_reason, "tool_use")


def messages_image(kind):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    message = {"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}
    answer = an_anthropic().messages.create(model=f"{kind}-m", max_tokens=100, messages=[message])
    same(answer.content[0].text, expected(f"{kind}-m", "What is this?"))


def messages_thinking(kind):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = an_anthropic().messages.create(model=f"{kind}-m!reasoning=3", max_tokens=2000, messages=ASKED, thinking=thinking)
    same([block.type for block in answer.content], ["thinking", "text"])
    same(answer.content[0].thinking, "Let me think.")
    with an_anthropic().messages.stream(model=f"{kind}-m!reasoning=3", max_tokens=2000, messages=ASKED, thinking=thinking) as stream:
        final = stream.get_final_message()
    same([block.type for block in final.content], ["thinking", "text"])


# Ollama


def ollama_whole(kind):
    answer = an_ollama().chat(model=f"{kind}-m", messages=ASKED)
    same(answer.message.content, expected(f"{kind}-m", SAID))
    same((answer.done, answer.done_reason), (True, "stop"))
    same(answer.prompt_eval_count, len(SAID.split()))
    holds(answer.eval_count > 5, answer)


def ollama_streamed(kind):
    parts = list(an_ollama().chat(model=f"{kind}-m", messages=ASKED, stream=True))
    same("".join(part.message.content or "" for part in parts), expected(f"{kind}-m", SAID))
    same([part.done for part in parts[:-1]], [False] * (len(parts) - 1))
    same((parts[-1].done, parts[-1].prompt_eval_count), (True, len(SAID.split())))


def ollama_tools(kind):
    client = an_ollama()
    for stream in (False, True):
        answer = client.chat(model=f"{kind}-m", messages=CALLED, tools=[OPENAI_TOOL], stream=stream)
        parts = list(answer) if stream else [answer]
        calls = [call for part in parts for call in part.message.tool_calls or []]
        same([(call.function.name, set(call.function.arguments)) for call in calls], [("weather", {"city", "days"})])
    history = [*CALLED, {"role": "assistant", "content": "", "tool_calls": [calls[0].model_dump()]}, {"role": "tool", "tool_name": "weather", "content": "sunny"}]
    answer = client.chat(model=f"{kind}-m", messages=history, tools=[OPENAI_TOOL])
    holds(answer.message.content.startswith("You said Weather please"), answer)


def ollama_image(kind):
    message = {"role": "user", "content": "What is this?", "images": [PIXEL]}
    same(an_ollama().chat(model=f"{kind}-m", messages=[message]).message.content, expected(f"{kind}-m", "What is this?"))


def ollama_structured(kind):
    answer = an_ollama().chat(model=f"{kind}-m", messages=ASKED, format=Trip.model_json_schema())
    same(Trip.model_validate_json(answer.message.content).days, 7)


def ollama_thinking(kind):
    answer = an_ollama().chat(model=f"{kind}-m!reasoning=3", messages=ASKED, think=True, options={"num_predict": 4000})
    same(answer.message.thinking, "Let me think.")


def ollama_async(kind):
    async def run():
        client = ollama.AsyncClient(host=HEALTHY)
        text = ""
        async for part in await client.chat(model=f"{kind}-m", messages=ASKED, stream=True):
            text += part.message.content or ""
        same(text, expected(f"{kind}-m", SAID))

    LOOP.run(run())


def ollama_generate(kind):
    client = an_ollama()
    answer = client.generate(model=f"{kind}-m", prompt=SAID, system="Be brief.")
    same(answer.response, expected(f"{kind}-m", SAID))
    same((answer.done, answer.done_reason, answer.prompt_eval_count), (True, "stop", len(SAID.split()) + 2))
    parts = list(client.generate(model=f"{kind}-m", prompt=SAID, stream=True))
    same("".join(part.response for part in parts), expected(f"{kind}-m", SAID))
    same((parts[0].done, parts[-1].done), (False, True))
    answer = client.generate(model=f"{kind}-m", prompt="What is this?", images=[PIXEL], format=Trip.model_json_schema())
    same(Trip.model_validate_json(answer.response).days, 7)


def ollama_raw_prompt():
    same(an_ollama().generate(model="ol-m", prompt=SAID, raw=True).response, expected("ol-m", SAID))
    error = raises(ollama.ResponseError, lambda: an_ollama(FAULTY).generate(model="an-badrequest", prompt=SAID, raw=True))
    same(error.status_code, 400)


def ollama_about_models():
    same([model.model for model in an_ollama().list().models], [f"{kind}-m" for kind in KINDS])
    same(an_ollama().ps().models, [])
    holds("completion" in an_ollama().show("an-m").capabilities, an_ollama().show("an-m"))
    holds(an_ollama().show("ol-m").details.family, an_ollama().show("ol-m"))


# OpenAI Responses


def responses_whole(kind):
    answer = an_openai().responses.create(model=f"{kind}-m", input=SAID, instructions="Be brief.", store=False)
    same(answer.output_text, expected(f"{kind}-m", SAID))
    same((answer.status, answer.object, answer.output[0].type), ("completed", "response", "message"))
    same(answer.usage.input_tokens, len(SAID.split()) + 2)
    same(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)


def responses_streamed(kind):
    with an_openai().responses.stream(model=f"{kind}-m", input=ASKED) as stream:
        events = list(stream)
        final = stream.get_final_response()
    same(final.output_text, expected(f"{kind}-m", SAID))
    names = [event.type for event in events]
    same(names[:4], ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"])
    same(names[-4:], ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"])
    same("".join(event.delta for event in events if event.type == "response.output_text.delta"), final.output_text)
    same([event.sequence_number for event in events], list(range(len(events))))
    holds(final.usage.output_tokens > 5, final.usage)


def responses_tools(kind):
    client, tools = an_openai(), [{"type": "function", "strict": False, **FUNCTION}]
    answer = client.responses.create(model=f"{kind}-m", input=CALLED, tools=tools)
    call = next(item for item in answer.output if item.type == "function_call")
    same((call.name, set(json.loads(call.arguments))), ("weather", {"city", "days"}))
    history = [*CALLED, *answer.output, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    answer = client.responses.create(model=f"{kind}-m", input=history, tools=tools)
    holds(answer.output_text.startswith("You said Weather please"), answer)
    two = [{"role": "user", "content": "Both [[tool]] and [[tool]]"}]
    with client.responses.stream(model=f"{kind}-m", input=two, tools=tools) as stream:
        done = [event for event in stream if event.type == "response.function_call_arguments.done"]
        final = stream.get_final_response()
    same([set(json.loads(event.arguments)) for event in done], [{"city", "days"}] * 2)
    same([item.type for item in final.output if item.type != "reasoning"], ["function_call"] * 2)


def responses_structured(kind):
    answer = an_openai().responses.parse(model=f"{kind}-m", input=SAID, text_format=Trip)
    same(answer.output_parsed.days, 7)


def responses_reasoning(kind):
    more = {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 4000}
    more |= {"store": False, "include": ["reasoning.encrypted_content"]}
    answer = an_openai().responses.create(model=f"{kind}-m!reasoning=3", input=SAID, **more)
    same([item.type for item in answer.output], ["reasoning", "message"])
    same(answer.output[0].summary[0].text, "Let me think.")
    with an_openai().responses.stream(model=f"{kind}-m!reasoning=3", input=SAID, **more) as stream:
        same(stream.until_done().get_final_response().output[0].summary[0].text, "Let me think.")
    again = [{"role": "user", "content": SAID}, *answer.output, {"role": "user", "content": "And now?"}]
    same(an_openai().responses.create(model=f"{kind}-m", input=again).output_text, expected(f"{kind}-m", "And now?"))


def responses_image_and_bound(kind):
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    content = [{"type": "input_text", "text": "What is this?"}, image]
    items = [{"role": "user", "content": content}]
    answer = an_openai().responses.create(model=f"{kind}-m!tokens=40,bounded", input=items, max_output_tokens=16)
    same((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))


def responses_stateless():
    error = raises(openai.BadRequestError, lambda: an_openai().responses.create(model="oa-m", input=SAID, previous_response_id="resp_1"))
    same(error.param, "previous_response_id")
    tools = [{"type": "web_search"}]
    pinned = {"X-Hapax-Provider": "oa"}  # nobody else may stand in
    error = raises(openai.BadRequestError, lambda: an_openai().responses.create(model="oa-m", input=SAID, tools=tools, extra_headers=pinned))
    same(error.param, "tools[0]")
    same(an_openai().responses.create(model="op-m", input=SAID, tools=tools).output_text, expected("op-m", SAID))


def responses_untouched():
    """Fields that no version of the client knows reach a provider that has Responses, and come back from it."""
    raw = an_openai().responses.with_raw_response.create(model="op-m", input=SAID, extra_body={"brand_new": {"x": 1}})
    same("x-hapax-dropped-params" in raw.headers, False)
    answer = raw.parse()
    same((answer.service_tier, answer.text.verbosity, answer.id.startswith("resp_0")), ("default", "medium", True))


def responses_broken(kind):
    events = list(an_openai(FAULTY).responses.create(model=f"{kind}-cut", input=SAID, stream=True))
    same((events[-1].type, events[-1].response.status), ("response.failed", "failed"))
    raises(openai.RateLimitError, lambda: an_openai(FAULTY).responses.create(model=f"{kind}-busy", input=SAID))


# Vectors


def embeddings(kind):
    client, texts = an_openai(), ["one", "two words"]
    answer = client.embeddings.create(model=f"{kind}-m", input=texts)
    same([entry.index for entry in answer.data], [0, 1])
    same([len(entry.embedding) for entry in answer.data], [8, 8])
    same(answer.usage.prompt_tokens, 0 if kind == "ge" else 3)  # Gemini does not tell
    numbers = client.embeddings.create(model=f"{kind}-m", input=texts, encoding_format="float")
    same([entry.embedding for entry in numbers.data], [entry.embedding for entry in answer.data])
    same(len(client.embeddings.create(model=f"{kind}-m", input="one", dimensions=3).data[0].embedding), 3)
    same(an_ollama().embed(model=f"{kind}-m", input=texts).embeddings, [entry.embedding for entry in numbers.data])


def embeddings_nobody_has():
    error = raises(openai.BadRequestError, lambda: an_openai().embeddings.create(model="an-m", input="one"))
    same(error.code, "untranslatable")
    raises(openai.NotFoundError, lambda: an_openai(FAULTY).embeddings.create(model="oa-unknown", input="one"))


def count_tokens():
    counted = an_anthropic().messages.count_tokens(model="an-m", messages=ASKED, system="Be brief.")
    same((counted.input_tokens, "estimated" in counted.model_extra), (len(SAID.split()) + 2, False))
    guessed = an_anthropic().messages.count_tokens(model="oa-m", messages=ASKED)
    holds(guessed.input_tokens > 5 and guessed.model_extra["estimated"], guessed)


# LangChain, over each of the three clients


def lang_chain(kind, front):
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    @tool
    def weather(city: str, days: int) -> str:
        """Tells the weather."""
        return "sunny"

    model = {"openai": lang_openai, "anthropic": lang_anthropic, "ollama": lang_ollama}[front](kind)
    answer = model.invoke(SAID)
    same(answer.text, expected(f"{kind}-m", SAID))
    same(answer.usage_metadata["input_tokens"], len(SAID.split()))
    same("".join(chunk.text for chunk in model.stream(SAID)), expected(f"{kind}-m", SAID))
    calling = model.bind_tools([weather])
    asked = HumanMessage(CALLED[0]["content"])
    answer = calling.invoke([asked])
    same([(call["name"], set(call["args"])) for call in answer.tool_calls], [("weather", {"city", "days"})])
    result = ToolMessage("sunny", tool_call_id=answer.tool_calls[0]["id"])
    holds(calling.invoke([asked, answer, result]).text.startswith("You said Weather please"), answer)
    whole = None
    for chunk in calling.stream([asked]):
        whole = chunk if whole is None else whole + chunk
    same([(call["name"], set(call["args"])) for call in whole.tool_calls], [("weather", {"city", "days"})])
    if (front, kind) != ("anthropic", "ol"):  # it forces a tool, and Ollama cannot be forced
        same(model.with_structured_output(Trip).invoke(SAID).days, 7)
    same(LOOP.run(model.ainvoke(SAID)).text, expected(f"{kind}-m", SAID))


def lang_openai(kind):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(base_url=f"{HEALTHY}/v1", api_key="k", model=f"{kind}-m", max_retries=0)


def lang_anthropic(kind):
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(base_url=HEALTHY, api_key="k", model=f"{kind}-m", max_retries=0, max_tokens=100)


def lang_ollama(kind):
    from langchain_ollama import ChatOllama

    return ChatOllama(base_url=HEALTHY, model=f"{kind}-m")


def lang_chain_responses(kind):
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(base_url=f"{HEALTHY}/v1", api_key="k", model=f"{kind}-m", max_retries=0, use_responses_api=True)
    same(model.invoke(SAID).text, expected(f"{kind}-m", SAID))
    same("".join(chunk.text for chunk in model.stream(SAID)), expected(f"{kind}-m", SAID))


def lang_chain_vectors(kind):
    from langchain_ollama import OllamaEmbeddings
    from langchain_openai import OpenAIEmbeddings

    of_openai = OpenAIEmbeddings(base_url=f"{HEALTHY}/v1", api_key="k", model=f"{kind}-m", check_embedding_ctx_length=False)
    of_ollama = OllamaEmbeddings(base_url=HEALTHY, model=f"{kind}-m")
    same(of_openai.embed_documents(["one", "two words"]), of_ollama.embed_documents(["one", "two words"]))


# Errors: fault, status, the class of each client

CLASSES = [
    ("badrequest", 400, openai.BadRequestError, anthropic.BadRequestError),
    ("unknown", 404, openai.NotFoundError, anthropic.NotFoundError),
    ("busy", 429, openai.RateLimitError, anthropic.RateLimitError),
    ("broken", 502, openai.InternalServerError, anthropic.InternalServerError),
    ("closed", 502, openai.InternalServerError, anthropic.InternalServerError),
    ("refused", 502, openai.InternalServerError, anthropic.InternalServerError),
    ("silent", 504, openai.InternalServerError, anthropic.APIStatusError),
]


def error_of(fault, status, of_openai, of_anthropic, kind, stream):
    model = f"{kind}-{fault}"
    error = raises(of_openai, lambda: an_openai(FAULTY).chat.completions.create(model=model, messages=ASKED, stream=stream))
    same(error.status_code, status)
    holds(error.body and error.body["message"], error.body)
    holds(error.response.headers["x-request-id"], "an id")
    if fault == "busy":
        # What is left of the wait the provider asked for.
        holds(1 <= int(error.response.headers["retry-after"]) <= 7, error.response.headers)
    error = raises(of_anthropic, lambda: an_anthropic(FAULTY).messages.create(model=model, max_tokens=9, messages=ASKED, stream=stream))
    same(error.status_code, status)
    same(error.body["type"], "error")
    if fault == "busy":
        # What is left of the wait the provider asked for.
        holds(1 <= int(error.response.headers["retry-after"]) <= 7, error.response.headers)

    def ask_ollama():
        answer = an_ollama(FAULTY).chat(model=model, messages=ASKED, stream=stream)
        list(answer) if stream else None

    same(raises(ollama.ResponseError, ask_ollama).status_code, status)


def error_401():
    same(raises(openai.AuthenticationError, lambda: an_openai(FAULTY, "wrong").chat.completions.create(model="x", messages=ASKED)).code, "invalid_api_key")
    raises(openai.AuthenticationError, lambda: an_openai(FAULTY, "wrong").models.list())
    raises(anthropic.AuthenticationError, lambda: an_anthropic(FAULTY, "wrong").messages.create(model="x", max_tokens=9, messages=ASKED))
    same(raises(ollama.ResponseError, lambda: an_ollama(FAULTY, "wrong").chat(model="x", messages=ASKED)).status_code, 401)


def error_403():
    raises(openai.PermissionDeniedError, lambda: an_openai(FAULTY, "hpx-narrow").chat.completions.create(model="oa-m", messages=ASKED))
    raises(anthropic.PermissionDeniedError, lambda: an_anthropic(FAULTY, "hpx-narrow").messages.create(model="oa-m", max_tokens=9, messages=ASKED))
    same(raises(ollama.ResponseError, lambda: an_ollama(FAULTY, "hpx-narrow").chat(model="oa-m", messages=ASKED)).status_code, 403)


def error_429_limit():
    client = an_openai(FAULTY, "hpx-slow")
    ask = lambda: client.chat.completions.create(model="oa-badrequest", messages=ASKED)
    raises(openai.BadRequestError, ask)
    error = raises(openai.RateLimitError, ask)
    holds(0 < int(error.response.headers["retry-after"]) <= 60, error.response.headers)
    same(error.response.headers["x-ratelimit-limit-requests"], "1")


def error_400_of_ours():
    error = raises(openai.BadRequestError, lambda: an_openai().chat.completions.create(model="oa-m", messages=[]))
    same(error.param, "messages")
    raises(anthropic.BadRequestError, lambda: an_anthropic().messages.create(model="oa-m", max_tokens=9, messages=[]))
    raises(openai.NotFoundError, lambda: an_openai().post("/no-such-path", cast_to=object, body={}))


def error_503_when_full():
    problems, answers = [], []

    def ask(n):
        try:
            words = [{"role": "user", "content": f"Hello {n}"}]
            answers.append(an_openai(TIGHT).chat.completions.create(model="oa-m!delay=1s", messages=words))
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    holds(answers and problems, len(answers), len(problems))
    for problem in problems:
        holds(isinstance(problem, openai.InternalServerError), repr(problem))
        same(problem.status_code, 503)
        holds(int(problem.response.headers["retry-after"]) >= 1, problem.response.headers)


def error_of_the_clients_own_patience():
    raises(openai.APITimeoutError, lambda: an_openai().with_options(timeout=0.3).chat.completions.create(model="oa-m!stall", messages=ASKED))
    raises(anthropic.APITimeoutError, lambda: an_anthropic().with_options(timeout=0.3).messages.create(model="an-m!stall", max_tokens=9, messages=ASKED))


def error_in_the_stream(kind):
    def with_openai():
        list(an_openai(FAULTY).chat.completions.create(model=f"{kind}-cut", messages=ASKED, stream=True))

    raises(openai.APIError, with_openai)

    def with_anthropic():
        list(an_anthropic(FAULTY).messages.create(model=f"{kind}-cut", max_tokens=99, messages=ASKED, stream=True))

    raises(anthropic.APIStatusError, with_anthropic)
    raises(ollama.ResponseError, lambda: list(an_ollama(FAULTY).chat(model=f"{kind}-cut", messages=ASKED, stream=True)))


EVERYWHERE = [
    chat_whole, chat_streamed, chat_streamed_usage, chat_async, chat_many_at_once, chat_tools, chat_tools_streamed,
    chat_tool_choice, chat_image, chat_structured, chat_structured_streamed, chat_reasoning, chat_bounded,
    chat_parameters, completions_legacy, messages_whole, messages_streamed, messages_events, messages_async,
    messages_tools, messages_tools_streamed, messages_image, messages_thinking, ollama_whole, ollama_streamed,
    ollama_tools, ollama_image, ollama_structured, ollama_thinking, ollama_async, ollama_generate, error_in_the_stream,
    responses_whole, responses_streamed, responses_tools, responses_structured, responses_reasoning,
    responses_image_and_bound, responses_broken,
]
ONCE = [
    models_list, models_of_anthropic, responses_untouched, ollama_raw_prompt, ollama_about_models, responses_stateless, embeddings_nobody_has, count_tokens, error_401, error_403, error_429_limit, error_400_of_ours, error_503_when_full,
    error_of_the_clients_own_patience,
]


def main():
    matrix.main()
    for function in EVERYWHERE:
        for kind in KINDS:
            check(f"python {function.__name__} {kind}", lambda: function(kind))
    for kind in ("op", "oa", "ol", "ge", "az", "o3"):
        check(f"python embeddings {kind}", lambda: embeddings(kind))
        check(f"langchain vectors {kind}", lambda: lang_chain_vectors(kind))
    for kind in KINDS:
        for front in ("openai", "anthropic", "ollama"):
            check(f"langchain {front} {kind}", lambda: lang_chain(kind, front))
        check(f"langchain responses {kind}", lambda: lang_chain_responses(kind))
    for function in ONCE:
        check(f"python {function.__name__}", function)
    for row in CLASSES:
        for kind in KINDS:
            for stream in (False, True):
                how = "streamed" if stream else "whole"
                check(f"python error_{row[1]}_{row[0]} {kind} {how}", lambda: error_of(*row, kind, stream))
    ended()


main()
