// Ask the model for a reply and read it as a stream.
import type { Settings } from "../conversation/types.ts";
import { readEvents } from "./event_stream.ts";
import { post } from "./http.ts";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number } | null;
}

// What the server says about a reply besides its text.
export interface Notes {
  seed?: number;
  model?: { number: number; description: string }; // its number since the start, and what it is
  truncated?: { n_cut: number; n_kept: number; message: string };
  receipts?: { weights?: string; requests?: { request?: { token_ids?: number[] }; token_ids?: number[] }[] }[];
  tools?: { command: string; result: string }[];
}

// What one chunk of the stream adds to the reply.
export interface Piece {
  text: string;
  thinking: string;
  toolCall: string;
  finish: string | null;
  notes: Notes;
  usage: Usage | null;
  fingerprint: string | null;
  id: string | null; // of the response
}

// The settings as fields of a request. Those for which a model may have a default of its own are
// always sent, so that the reply has the values that the page shows.
export function samplingFields(settings: Settings): Record<string, unknown> {
  const { temperature, top_p, top_k, min_p, repetition_penalty } = settings;
  const fields: Record<string, unknown> = { temperature, top_p, top_k, min_p, repetition_penalty };
  if (settings.frequency_penalty !== 0) fields.frequency_penalty = settings.frequency_penalty;
  if (settings.presence_penalty !== 0) fields.presence_penalty = settings.presence_penalty;
  if (settings.seed !== null) fields.seed = settings.seed;
  if (settings.max_tokens !== null) fields.max_tokens = settings.max_tokens;
  if (settings.stop.length) fields.stop = settings.stop;
  if (settings.heads_off?.length) fields.heads_off = settings.heads_off;
  return fields;
}

// Yield the pieces of a reply. Returns true if the reply arrived whole. `answer` names the pending
// answer of the store that the server completes with it.
export async function* streamChat(
  model: string,
  messages: ChatMessage[],
  settings: Settings,
  signal: AbortSignal,
  answer: string | null = null,
): AsyncGenerator<Piece, boolean> {
  const body: Record<string, unknown> = {
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    receipt: true, // with the ids of the sampled tokens
    ...samplingFields(settings),
  };
  if (settings.thinking !== "model") body.enable_thinking = settings.thinking === "on";
  const headers: Record<string, string> = answer === null ? {} : { "X-Chatwright-Answer": answer };
  const events = readEvents(await post("/v1/chat/completions", body, signal, headers));
  for (;;) {
    const { done, value } = await events.next();
    if (done) return value;
    if (value.error) throw new Error(value.error.message);
    yield pieceOf(value);
  }
}

function pieceOf(chunk: any): Piece {
  const choice = chunk.choices?.[0];
  const delta = choice?.delta ?? {};
  const calls: any[] = delta.tool_calls ?? [];
  return {
    text: delta.content ?? "",
    thinking: delta.reasoning_content ?? "",
    toolCall: calls.map((call) => toolCallText(call.function ?? {})).join(""),
    finish: choice?.finish_reason ?? null,
    notes: chunk.chatwright ?? {},
    usage: chunk.usage ?? null,
    fingerprint: chunk.system_fingerprint ?? null,
    id: chunk.id ?? null,
  };
}

export function toolCallText(call: { name?: string; arguments?: string }): string {
  try {
    const read = JSON.parse(call.arguments ?? "");
    // A model in our own chat format names every call "command" and writes it as one text.
    if (call.name === "command" && typeof read.text === "string") return read.text;
  } catch {
    // The arguments arrive in pieces, or are not JSON: show them as they are.
  }
  return `${call.name ?? ""} ${call.arguments ?? ""}`.trim();
}
