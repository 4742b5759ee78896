// The unmodified JavaScript SDKs of OpenAI and Anthropic against the door. tests/test_web_sdks.py starts the doors:
// DOOR has the models ada (says SAYS), bob (says JSON) eve and eva (limit the rate); CALLING always asks for two tools.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic, { RateLimitError as AnthropicRateLimit } from "@anthropic-ai/sdk";
import OpenAI, { NotFoundError, RateLimitError } from "openai";

const { DOOR, CALLING, SAYS } = process.env;
const openai = new OpenAI({ baseURL: `${DOOR}/v1`, apiKey: "orc_test", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: DOOR, apiKey: "orc_test", maxRetries: 0 });
const messages = [{ role: "user", content: "Why?" }];
const schema = { type: "object", properties: { location: { type: "string" } }, required: ["location"] };

test("chat completions, plain", async () => {
  const reply = await openai.chat.completions.create({ model: "ada", messages });
  assert.equal(reply.choices[0].message.content, SAYS);
  assert.equal(reply.usage.total_tokens, 150);
});

test("chat completions, streamed, with usage", async () => {
  const stream = await openai.chat.completions.create({
    model: "ada", messages, stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let last;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    last = chunk;
  }
  assert.equal(text, SAYS);
  assert.equal(last.usage.prompt_tokens, 100);
});

test("responses, plain and streamed", async () => {
  const reply = await openai.responses.create({ model: "ada", input: "Why?" });
  assert.equal(reply.output_text, SAYS);
  const stream = openai.responses.stream({ model: "ada", input: "Why?" });
  let text = "";
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(text, SAYS);
  assert.equal(final.output_text, SAYS);
});

test("messages, plain and streamed", async () => {
  const reply = await anthropic.messages.create({ model: "ada", max_tokens: 50, messages });
  assert.equal(reply.content[0].text, SAYS);
  const stream = anthropic.messages.stream({ model: "ada", max_tokens: 50, messages });
  const final = await stream.finalMessage();
  assert.equal(final.content[0].text, SAYS);
  assert.equal(final.usage.output_tokens, 50);
});

test("parallel tool calls in all three dialects", async () => {
  const one = new OpenAI({ baseURL: `${CALLING}/v1`, apiKey: "x", maxRetries: 0 });
  const two = new Anthropic({ baseURL: CALLING, apiKey: "x", maxRetries: 0 });
  const expected = [["get_weather", { location: "Paris" }], ["get_weather", { location: "Oslo" }]];

  const tools = [{ type: "function", function: { name: "get_weather", parameters: schema } }];
  const chat = await one.chat.completions.stream({ model: "ada", messages, tools }).finalChatCompletion();
  const calls = chat.choices[0].message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]);
  assert.deepEqual(calls, expected);
  assert.equal(chat.choices[0].finish_reason, "tool_calls");

  const named = [{ type: "function", name: "get_weather", parameters: schema, strict: false }];
  const response = await one.responses.stream({ model: "ada", input: "Why?", tools: named }).finalResponse();
  assert.deepEqual(response.output.map((c) => [c.name, JSON.parse(c.arguments)]), expected);

  const message = await two.messages
    .stream({ model: "ada", max_tokens: 50, messages, tools: [{ name: "get_weather", input_schema: schema }] })
    .finalMessage();
  assert.deepEqual(message.content.map((c) => [c.name, c.input]), expected);
  assert.equal(message.stop_reason, "tool_use");
});

test("structured output", async () => {
  const reply = await openai.chat.completions.parse({
    model: "bob",
    messages,
    response_format: { type: "json_schema", json_schema: { name: "place", schema: { type: "object" } } },
  });
  assert.deepEqual(JSON.parse(reply.choices[0].message.content), { city: "Paris" });
});

test("embeddings", async () => {
  const reply = await openai.embeddings.create({ model: "small", input: ["a", "b"] });
  assert.deepEqual(reply.data.map((row) => Array.from(row.embedding)), [[0.5, -0.25, 1.0], [0.0, 2.0, -1.5]]);
});

test("errors are those of the SDK", async () => {
  await assert.rejects(openai.chat.completions.create({ model: "eve", messages }), RateLimitError);
  await assert.rejects(openai.chat.completions.create({ model: "nobody", messages }), NotFoundError);
  await assert.rejects(anthropic.messages.create({ model: "eva", max_tokens: 5, messages }), AnthropicRateLimit);
});
