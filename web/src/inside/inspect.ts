// Ask the server what a served model computes while it reads a text: POST /api/inspect.
import { postJson } from "../api/http.ts";
import type { Head } from "../conversation/types.ts";

export type { Head };

export interface ReadToken {
  id: number;
  text: string;
  log_prob: number | null; // null: the first token, or one that was not asked for
  rank: number | null; // number of tokens that were more probable
  best: number | null; // the most probable token in its place
  best_text?: string;
}

export interface NextToken {
  id: number;
  text: string;
  probability: number;
  drawn_with: number; // after the sampling settings
}

export interface HeadSummary {
  layer: number;
  head: number;
  entropy: number; // bits
  first: number;
  previous: number;
  best: number; // position
}

export interface Sampling {
  temperature: number;
  top_k: number;
  top_p: number;
  min_p: number;
}

// Rows of a matrix of attention weights; row r is the query `first` + r.
export interface Weights {
  first: number;
  nRow: number;
  nColumn: number;
  values: Float32Array;
}

// A text as the model reads it, and the heads that are switched off.
export interface Reading {
  model: string;
  ids: number[];
  off: Head[];
}

function ask<T>(reading: Reading, question: Record<string, unknown>): Promise<T> {
  const { model, ids, off } = reading;
  return postJson<T>("/api/inspect", { model, token_ids: ids, heads_off: off, ...question });
}

export interface ReadText {
  tokens: ReadToken[];
  loss: number | null;
  vocab_size: number;
  n_layer: number;
  n_head: number;
}

// How probable the tokens from `first` on were; those before it are only named.
export const readTokens = (reading: Reading, first = 0) => ask<ReadText>(reading, { what: "tokens", first });

export async function nextTokens(reading: Reading, position: number, top: number, sampling?: Sampling): Promise<NextToken[]> {
  const question = { what: "next", position, top, ...(sampling && { sampling }) };
  return (await ask<{ tokens: NextToken[] }>(reading, question)).tokens;
}

export async function attention(reading: Reading, [layer, head]: Head, first: number, rows: number): Promise<Weights> {
  const question = { what: "attention", layer, head, first, rows };
  const found = await ask<{ shape: [number, number]; weights: string }>(reading, question);
  const bytes = Uint8Array.from(atob(found.weights), (letter) => letter.charCodeAt(0));
  return { first, nRow: found.shape[0], nColumn: found.shape[1], values: new Float32Array(bytes.buffer) };
}

export async function headSummaries(reading: Reading, position: number): Promise<HeadSummary[]> {
  return (await ask<{ heads: HeadSummary[] }>(reading, { what: "heads", position })).heads;
}

export async function lens(reading: Reading, position: number, top: number): Promise<{ id: number; text: string; probability: number }[][]> {
  const question = { what: "lens", position, top };
  return (await ask<{ layers: { id: number; text: string; probability: number }[][] }>(reading, question)).layers;
}

export interface NearWord {
  word: string;
  similarity: number;
  token_id: number;
}

export async function nearWords(model: string, expression: string[], top = 8): Promise<NearWord[]> {
  return (await postJson<{ words: NearWord[] }>("/api/words", { model, expression, top })).words;
}

export interface Tokenized {
  tokens: number[];
  token_strs: string[];
  max_model_len: number;
}

export function tokenize(model: string, prompt: string, isBegun = true): Promise<Tokenized> {
  const body = { model, prompt, add_special_tokens: isBegun, return_token_strs: true };
  return postJson("/tokenize", body);
}

export function tokenizeMessages(model: string, messages: { role: string; content: string }[]): Promise<Tokenized> {
  return postJson("/tokenize", { model, messages, return_token_strs: true });
}

// A token as text that can be seen.
export const visible = (text: string): string => text.replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5") || "\u2205";
