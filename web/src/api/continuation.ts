// Continue a reply that the model has begun. /v1/chat/completions cannot begin in the middle of a
// reply, so the token ids of the conversation and of the begun text go to /v1/completions, which
// continues token ids as they are.
import type { Settings } from "../conversation/types.ts";
import { samplingFields, type ChatMessage, type Piece } from "./chat.ts";
import { readEvents } from "./event_stream.ts";
import { post, postJson } from "./http.ts";

interface Tokenized {
  count: number;
  max_model_len: number;
  tokens: number[];
  token_strs?: string[];
}

// The ids of a conversation up to the place where the model's answer begins.
export function promptIds(model: string, messages: ChatMessage[], thinking: Settings["thinking"]): Promise<Tokenized> {
  const body: Record<string, unknown> = { model, messages };
  if (thinking !== "model") body.enable_thinking = thinking === "on";
  return postJson("/tokenize", body);
}

export function textIds(model: string, prompt: string): Promise<Tokenized> {
  const body = { model, prompt, add_special_tokens: false, return_token_strs: true };
  return postJson("/tokenize", body);
}

// Yield the pieces that follow `begun`. Returns whether the closing [DONE] arrived; without it, the
// connection broke and the text may be incomplete.
export async function* continuation(
  model: string,
  messages: ChatMessage[],
  begun: string | number[],
  settings: Settings,
  signal: AbortSignal,
): AsyncGenerator<Piece, boolean> {
  const prompt = await promptIds(model, messages, settings.thinking);
  const ids = typeof begun === "string" ? (await textIds(model, begun)).tokens : begun;
  const all = [...prompt.tokens, ...ids];
  const fields = samplingFields(settings);
  fields.max_tokens ??= Math.max(1, prompt.max_model_len - all.length);
  const body = { model, prompt: all, stream: true, stream_options: { include_usage: true }, receipt: true, ...fields };
  const events = readEvents(await post("/v1/completions", body, signal));
  for (;;) {
    const { done, value } = await events.next();
    if (done) return value;
    if (value.error) throw new Error(value.error.message);
    const choice = value.choices?.[0];
    yield {
      text: choice?.text ?? "",
      thinking: "",
      toolCall: "",
      finish: choice?.finish_reason ?? null,
      notes: value.chatwright ?? {},
      usage: value.usage ?? null,
      fingerprint: value.system_fingerprint ?? null,
      id: value.id ?? null,
    };
  }
}
