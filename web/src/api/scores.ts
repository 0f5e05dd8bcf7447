// What the model thought of each token of a reply: its probability and its alternatives.
import type { Settings } from "../conversation/types.ts";
import type { ChatMessage } from "./chat.ts";
import { promptIds, textIds } from "./continuation.ts";
import { postJson } from "./http.ts";

export interface ScoredToken {
  id: number;
  token: string;
  logprob: number | null; // natural logarithm, before temperature
  bytes: number[] | null; // null: a control token, which has no text
  top_logprobs: { id: number; token: string; logprob: number; bytes: number[] | null }[];
}

const N_ALTERNATIVE = 20; // the most that the server returns

// Score the tokens of a reply after its conversation. The reply is given by its ids if they are
// known, otherwise by its text, which may then be cut into other tokens than those sampled.
export async function scoreReply(
  model: string,
  messages: ChatMessage[],
  reply: { ids: number[] | null; text: string },
  thinking: Settings["thinking"],
): Promise<ScoredToken[]> {
  const { tokens: prompt } = await promptIds(model, messages, thinking);
  const ids = reply.ids ?? (await textIds(model, reply.text)).tokens;
  if (!ids.length) return [];
  const body = {
    model,
    prompt: [...prompt, ...ids],
    echo: true,
    max_tokens: 0,
    logprobs: N_ALTERNATIVE,
    return_token_ids: true,
  };
  const { choices } = await postJson<any>("/v1/completions", body);
  return choices[0].logprobs.content.slice(-ids.length);
}

// The text of token ids.
export async function textOf(model: string, tokens: number[]): Promise<string> {
  if (!tokens.length) return "";
  return (await postJson<{ prompt: string }>("/detokenize", { model, tokens })).prompt;
}
