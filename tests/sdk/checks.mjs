// The official Node clients, unmodified, against a running gateway.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOllama, OllamaEmbeddings } from "@langchain/ollama";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const { HAPAX_HEALTHY: HEALTHY, HAPAX_FAULTY: FAULTY, SDK_ONLY: ONLY = "" } = process.env;
const KINDS = ["op", "oa", "an", "ol", "ge", "az", "o3"];
const ASKED = [{ role: "user", content: "Hello there friend of mine" }];
const CALLED = [{ role: "user", content: "Weather please [[tool]]" }];
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
const TOOL = { type: "function", function: { name: "weather", parameters: SCHEMA } };

function expected(model, said) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(said)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  const echo = said.split(/\s+/).slice(0, 3).join(" ");
  return `You said ${echo} (${value.toString(16).padStart(8, "0")}), and here is a calm answer from ${model}.`;
}

const anOpenAI = (base = HEALTHY, apiKey = "hpx-good") =>
  new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
const anAnthropic = (base = HEALTHY, apiKey = "hpx-good") =>
  new Anthropic({ baseURL: base, apiKey, maxRetries: 0, timeout: 20_000 });
const anOllama = (base = HEALTHY, key = "hpx-good") =>
  new Ollama({ host: base, headers: { Authorization: `Bearer ${key}` } });

async function raises(kind, run) {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof kind, `raised ${error.constructor.name} (${error.message}), wanted ${kind.name}`);
    return error;
  }
  assert.fail(`nothing was raised, wanted ${kind.name}`);
}

const EVERYWHERE = {
  async chat_whole(kind) {
    const answer = await anOpenAI().chat.completions.create({ model: `${kind}-m`, messages: ASKED });
    assert.equal(answer.choices[0].message.content, expected(`${kind}-m`, ASKED[0].content));
    assert.equal(answer.usage.prompt_tokens, 5);
  },
  async chat_streamed(kind) {
    const stream = await anOpenAI().chat.completions.create({ model: `${kind}-m`, messages: ASKED, stream: true });
    let text = "";
    for await (const chunk of stream) {
      assert.ok(!chunk.usage);
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    assert.equal(text, expected(`${kind}-m`, ASKED[0].content));
  },
  async chat_runner(kind) {
    let called;
    const tool = {
      type: "function",
      function: { name: "weather", parameters: SCHEMA, parse: JSON.parse, function: (args) => ((called = args), "sunny") },
    };
    const runner = anOpenAI().chat.completions.runTools({ model: `${kind}-m`, messages: CALLED, tools: [tool] });
    assert.match(await runner.finalContent(), /^You said Weather please/);
    assert.deepEqual(Object.keys(called).sort(), ["city", "days"]);
  },
  async chat_tools_streamed(kind) {
    const stream = anOpenAI().chat.completions.stream({ model: `${kind}-m`, messages: CALLED, tools: [TOOL] });
    const final = await stream.finalChatCompletion();
    assert.equal(final.choices[0].finish_reason, "tool_calls");
    assert.deepEqual(Object.keys(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments)).sort(), ["city", "days"]);
  },
  async chat_structured(kind) {
    const response_format = { type: "json_schema", json_schema: { name: "trip", schema: SCHEMA, strict: true } };
    const answer = await anOpenAI().chat.completions.create({ model: `${kind}-m`, messages: ASKED, response_format });
    assert.equal(JSON.parse(answer.choices[0].message.content).days, 7);
  },
  async messages_whole(kind) {
    const answer = await anAnthropic().messages.create({ model: `${kind}-m`, max_tokens: 100, messages: ASKED });
    assert.equal(answer.content[0].text, expected(`${kind}-m`, ASKED[0].content));
    assert.equal(answer.stop_reason, "end_turn");
  },
  async messages_streamed(kind) {
    const stream = anAnthropic().messages.stream({ model: `${kind}-m`, max_tokens: 100, messages: ASKED });
    assert.equal(await stream.finalText(), expected(`${kind}-m`, ASKED[0].content));
    assert.ok((await stream.finalMessage()).usage.output_tokens > 5);
  },
  async messages_tools_streamed(kind) {
    const tools = [{ name: "weather", input_schema: SCHEMA }];
    const stream = anAnthropic().messages.stream({ model: `${kind}-m`, max_tokens: 100, messages: CALLED, tools });
    const final = await stream.finalMessage();
    assert.equal(final.stop_reason, "tool_use");
    const call = final.content.find((block) => block.type === "tool_use");
    assert.deepEqual(Object.keys(call.input).sort(), ["city", "days"]);
  },
  async messages_id(kind) {
    const words = { model: `${kind}-m`, max_tokens: 100, messages: ASKED };
    const answer = await anAnthropic().messages.create(words);
    assert.ok(answer._request_id);
    const { request_id } = await anAnthropic().messages.create({ ...words, stream: true }).withResponse();
    assert.ok(request_id);
  },
  async responses_whole(kind) {
    const answer = await anOpenAI().responses.create({ model: `${kind}-m`, input: ASKED[0].content });
    assert.equal(answer.output_text, expected(`${kind}-m`, ASKED[0].content));
  },
  async responses_streamed(kind) {
    const tools = [{ type: "function", strict: false, ...TOOL.function }];
    const text = await anOpenAI().responses.stream({ model: `${kind}-m`, input: ASKED }).finalResponse();
    assert.equal(text.output_text, expected(`${kind}-m`, ASKED[0].content));
    const called = await anOpenAI().responses.stream({ model: `${kind}-m`, input: CALLED, tools }).finalResponse();
    const call = called.output.find((item) => item.type === "function_call");
    assert.deepEqual(Object.keys(JSON.parse(call.arguments)).sort(), ["city", "days"]);
  },
  async ollama_generate(kind) {
    const whole = await anOllama().generate({ model: `${kind}-m`, prompt: ASKED[0].content });
    assert.equal(whole.response, expected(`${kind}-m`, ASKED[0].content));
    let text = "";
    for await (const part of await anOllama().generate({ model: `${kind}-m`, prompt: ASKED[0].content, stream: true }))
      text += part.response;
    assert.equal(text, whole.response);
  },
  async ollama_whole_and_streamed(kind) {
    const whole = await anOllama().chat({ model: `${kind}-m`, messages: ASKED });
    assert.equal(whole.message.content, expected(`${kind}-m`, ASKED[0].content));
    let text = "";
    for await (const part of await anOllama().chat({ model: `${kind}-m`, messages: ASKED, stream: true }))
      text += part.message.content;
    assert.equal(text, expected(`${kind}-m`, ASKED[0].content));
  },
  async ollama_tools(kind) {
    const answer = await anOllama().chat({ model: `${kind}-m`, messages: CALLED, tools: [TOOL] });
    assert.deepEqual(Object.keys(answer.message.tool_calls[0].function.arguments).sort(), ["city", "days"]);
  },
  async error_in_the_stream(kind) {
    await raises(OpenAI.APIError, async () => {
      const stream = await anOpenAI(FAULTY).chat.completions.create({ model: `${kind}-cut`, messages: ASKED, stream: true });
      for await (const _ of stream);
    });
    await raises(Anthropic.APIError, async () => {
      const stream = await anAnthropic(FAULTY).messages.create({ model: `${kind}-cut`, max_tokens: 99, messages: ASKED, stream: true });
      for await (const _ of stream);
    });
  },
};

// LangChain, over each of the three clients and over Responses.
const MODELS = {
  openai: (model) => new ChatOpenAI({ model, apiKey: "k", maxRetries: 0, configuration: { baseURL: `${HEALTHY}/v1` } }),
  responses: (model) =>
    new ChatOpenAI({ model, apiKey: "k", maxRetries: 0, useResponsesApi: true, configuration: { baseURL: `${HEALTHY}/v1` } }),
  anthropic: (model) => new ChatAnthropic({ model, apiKey: "k", maxRetries: 0, maxTokens: 100, anthropicApiUrl: HEALTHY }),
  ollama: (model) => new ChatOllama({ model, baseUrl: HEALTHY, maxRetries: 0 }),
};
for (const [front, made] of Object.entries(MODELS)) {
  EVERYWHERE[`langchain_${front}`] = async (kind) => {
    const model = made(`${kind}-m`);
    const words = ASKED[0].content;
    const whole = await model.invoke(words);
    assert.equal(whole.text, expected(`${kind}-m`, words));
    assert.equal(whole.usage_metadata.input_tokens, 5);
    let text = "";
    for await (const chunk of await model.stream(words)) text += chunk.text;
    assert.equal(text, expected(`${kind}-m`, words));
    const calling = model.bindTools([{ ...TOOL, function: { ...TOOL.function, description: "Tells the weather." } }]);
    const asked = new HumanMessage(CALLED[0].content);
    const called = await calling.invoke([asked]);
    assert.deepEqual(called.tool_calls.map((call) => [call.name, Object.keys(call.args).sort()]), [["weather", ["city", "days"]]]);
    const result = new ToolMessage({ content: "sunny", tool_call_id: called.tool_calls[0].id, name: "weather" });
    assert.match((await calling.invoke([asked, called, result])).text, /^You said Weather please/);
    let gathered;
    for await (const chunk of await calling.stream([asked])) gathered = gathered ? gathered.concat(chunk) : chunk;
    assert.deepEqual(gathered.tool_calls.map((call) => call.name), ["weather"]);
    // It forces a tool for Anthropic's front, and Ollama cannot be forced.
    if (front !== "anthropic" || kind !== "ol") {
      const trip = await model.withStructuredOutput({ title: "trip", ...SCHEMA }).invoke(words);
      assert.equal(trip.days, 7);
    }
  };
}

const CLASSES = [
  ["badrequest", 400, "BadRequestError"],
  ["unknown", 404, "NotFoundError"],
  ["busy", 429, "RateLimitError"],
  ["broken", 502, "InternalServerError"],
  ["silent", 504, "InternalServerError"],
];
for (const [fault, status, name] of CLASSES) {
  EVERYWHERE[`error_${status}_${fault}`] = async (kind) => {
    const model = `${kind}-${fault}`;
    const ofOpenAI = await raises(OpenAI[name], () => anOpenAI(FAULTY).chat.completions.create({ model, messages: ASKED }));
    assert.equal(ofOpenAI.status, status);
    const ofAnthropic = await raises(Anthropic[name], () =>
      anAnthropic(FAULTY).messages.create({ model, max_tokens: 9, messages: ASKED }),
    );
    assert.equal(ofAnthropic.status, status);
    assert.ok(ofOpenAI.requestID && ofAnthropic.requestID);
    if (fault === "busy") assert.match(ofOpenAI.headers.get("retry-after"), /^[67]$/);
    const ofOllama = await raises(Error, () => anOllama(FAULTY).chat({ model, messages: ASKED }));
    assert.equal(ofOllama.status_code, status);
  };
}

const ONCE = {
  async error_401() {
    const ask = (client) => client.chat.completions.create({ model: "x", messages: ASKED });
    await raises(OpenAI.AuthenticationError, () => ask(anOpenAI(FAULTY, "wrong")));
    const words = { model: "x", max_tokens: 9, messages: ASKED };
    await raises(Anthropic.AuthenticationError, () => anAnthropic(FAULTY, "wrong").messages.create(words));
  },
  async error_403() {
    const client = anOpenAI(FAULTY, "hpx-narrow");
    await raises(OpenAI.PermissionDeniedError, () => client.chat.completions.create({ model: "oa-m", messages: ASKED }));
  },
  async embeddings() {
    for (const kind of ["op", "oa", "ol", "ge", "az"]) {
      const answer = await anOpenAI().embeddings.create({ model: `${kind}-m`, input: ["one", "two words"] });
      assert.deepEqual(answer.data.map((entry) => entry.embedding.length), [8, 8]);
      const { embeddings } = await anOllama().embed({ model: `${kind}-m`, input: ["one", "two words"] });
      assert.deepEqual(embeddings, answer.data.map((entry) => Array.from(entry.embedding)));
    }
  },
  async langchain_vectors() {
    for (const kind of ["op", "oa", "ol", "ge", "az", "o3"]) {
      const ofOpenAI = new OpenAIEmbeddings({ model: `${kind}-m`, apiKey: "k", configuration: { baseURL: `${HEALTHY}/v1` } });
      const ofOllama = new OllamaEmbeddings({ model: `${kind}-m`, baseUrl: HEALTHY });
      const words = ["one", "two words"];
      assert.deepEqual(await ofOpenAI.embedDocuments(words), await ofOllama.embedDocuments(words));
    }
  },
  async models_list() {
    const ids = [];
    for await (const model of anOpenAI().models.list()) ids.push(model.id);
    assert.deepEqual(ids, KINDS.map((kind) => `${kind}-m`));
  },
  async models_of_anthropic() {
    const ids = [];
    for await (const model of anAnthropic().models.list({ limit: 2 })) ids.push(model.id);
    assert.deepEqual(ids, KINDS.map((kind) => `${kind}-m`));
    assert.equal((await anAnthropic().models.retrieve("an-m")).display_name, "an-m");
    await assert.rejects(anAnthropic().models.retrieve("no-such"), Anthropic.NotFoundError);
    const answer = await anAnthropic().beta.messages.create({ model: "an-m", max_tokens: 100, messages: ASKED });
    assert.equal(answer.content[0].text, expected("an-m", ASKED[0].content));
  },
  async responses_untouched() {
    const tools = [{ type: "web_search" }];
    const stream = anOpenAI().responses.stream({ model: "op-m", input: ASKED, tools });
    const final = await stream.finalResponse();
    assert.equal(final.output_text, expected("op-m", ASKED[0].content));
    assert.equal(final.service_tier, "default");
  },
};

let failed = 0;
async function check(name, run) {
  if (!name.includes(ONLY)) return;
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error.message).replace(/\s+/g, " ").slice(0, 600)}`);
  }
}
for (const [name, run] of Object.entries(EVERYWHERE)) for (const kind of KINDS) await check(`node ${name} ${kind}`, () => run(kind));
for (const [name, run] of Object.entries(ONCE)) await check(`node ${name}`, run);
process.exit(failed ? 1 : 0);
