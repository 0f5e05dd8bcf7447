// The check of each lesson: what the reader may change, and what the served model answers.
import { postJson } from "../api/http.ts";
import { attention, lens, nearWords, nextTokens, readTokens, tokenize, visible, type Head } from "../inside/inspect.ts";
import { percent } from "../inside/percent.ts";
import { tt, type Key } from "../inside/texts.svelte.ts";
import { formatNumber } from "../state/language.svelte.ts";

export interface Field {
  name: Key; // its label
  value: string;
  kind?: "number" | "range";
  max?: number;
  step?: number;
}

export interface Result {
  say: string;
  head: string[];
  rows: (string | { share: number })[][];
}

export interface Check {
  fields: Field[];
  isLocal?: boolean; // whether it asks no model
  run: (model: string, values: string[]) => Promise<Result>;
}

const TEXT = "The cat sat on the";
const start = async (model: string, text: string) => ({ model, ids: (await tokenize(model, text)).tokens, off: [] as Head[] });
const share = (value: number) => ({ share: value });

function headOf(text: string): Head {
  const [layer, head] = text.split(".").map((part) => Number.parseInt(part, 10));
  return [layer || 0, head || 0];
}

interface ChatReply {
  choices: { message: { content: string | null } }[];
  usage: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens?: number } | null };
  chatwright: { receipts: { requests: { request?: { token_ids: number[] }; token_ids?: number[] }[] }[] };
}

function chat(model: string, texts: string[], options: Record<string, unknown>): Promise<ChatReply> {
  const messages = texts.map((content, index) => ({ role: index % 2 ? "assistant" : "user", content }));
  return postJson("/v1/chat/completions", { model, messages, receipt: true, ...options });
}

export const CHECKS: Record<string, Check> = {
  tokens: {
    fields: [{ name: "field.text", value: "The unbelievable cat sat on the mat." }],
    async run(model, [text]) {
      const { tokens, token_strs } = await tokenize(model, text!);
      const say = tt("say.tokens", { n: tokens.length, letters: [...text!].length });
      return { say, head: [tt("token"), tt("id")], rows: tokens.map((id, index) => [visible(token_strs[index]!), String(id)]) };
    },
  },
  embeddings: {
    fields: [{ name: "field.sum", value: "king - man + woman" }],
    async run(model, [sum]) {
      const words = await nearWords(model, sum!.trim().split(/\s+/));
      const rows = words.map(({ word, similarity, token_id }) => [word, formatNumber(similarity, 3), String(token_id)]);
      return { say: tt("say.embeddings", { word: words[0]?.word ?? "" }), head: [tt("token"), tt("similarity"), tt("id")], rows };
    },
  },
  positions: {
    fields: [
      { name: "field.first", value: "the dog sees the cat" },
      { name: "field.second", value: "the cat sees the dog" },
    ],
    async run(model, texts) {
      const readings = await Promise.all(texts.map((text) => start(model, text)));
      const [a, b] = await Promise.all(readings.map((reading) => nextTokens(reading, -1, 6)));
      const [first, second] = readings.map(({ ids }) => [...ids].sort((x, y) => x - y).join());
      const rows = a!.map((token, index) => [visible(token.text), share(token.probability), visible(b![index]!.text), share(b![index]!.probability)]);
      const name = (key: Key) => [tt(key), tt("probability")];
      return { say: tt(first === second ? "say.sameTokens" : "say.otherTokens"), head: [...name("field.first"), ...name("field.second")], rows };
    },
  },
  attention: {
    fields: [
      { name: "field.text", value: TEXT },
      { name: "head", value: "0.0" },
      { name: "field.weights", value: "", kind: "number" },
    ],
    async run(model, [text, head, guess]) {
      const reading = await start(model, text!);
      const { token_strs } = await tokenize(model, text!);
      const { n_head: nHead } = await readTokens(reading);
      const { nRow, nColumn, values } = await attention(reading, headOf(head!), 0, reading.ids.length);
      const last = [...values.subarray((nRow - 1) * nColumn)];
      const all = nRow * nColumn * nHead;
      const verdict = guess === "" ? "" : tt(Number(guess) === all ? "say.right" : "say.wrong");
      const sum = last.reduce((total, weight) => total + weight, 0);
      const say = `${verdict} ${tt("say.attention", { m: nRow, n: nColumn, heads: nHead, all, sum: formatNumber(sum, 4) })}`.trim();
      return { say, head: [tt("attendsTo"), tt("weight")], rows: last.map((weight, key) => [visible(token_strs[key]!), share(weight)]) };
    },
  },
  masks: {
    fields: [
      { name: "field.text", value: TEXT },
      { name: "head", value: "0.0" },
    ],
    async run(model, [text, head]) {
      const reading = await start(model, text!);
      const { token_strs } = await tokenize(model, text!);
      const { nRow, nColumn, values } = await attention(reading, headOf(head!), 0, reading.ids.length);
      let later = 0;
      const rows = [];
      for (let query = 0; query < nRow; query++) {
        const row = [...values.subarray(query * nColumn, (query + 1) * nColumn)];
        later = Math.max(later, ...row.slice(query + 1));
        rows.push([visible(token_strs[query]!), String(row.filter((weight) => weight > 0).length), formatNumber(Math.max(0, ...row.slice(query + 1)), 4)]);
      }
      return { say: tt("say.masks", { later: formatNumber(later, 4) }), head: [tt("token"), tt("seen"), tt("toLater")], rows };
    },
  },
  heads: {
    fields: [
      { name: "field.text", value: TEXT },
      { name: "head", value: "0.0" },
    ],
    async run(model, [text, head]) {
      const reading = await start(model, text!);
      const off = await nextTokens({ ...reading, off: [headOf(head!)] }, -1, 1000);
      const on = await nextTokens(reading, -1, 8);
      const without = new Map(off.map((token) => [token.id, token.probability]));
      const rows = on.map((token) => [visible(token.text), share(token.probability), share(without.get(token.id) ?? 0)]);
      return { say: tt("say.heads", { on: visible(on[0]!.text), off: visible(off[0]!.text) }), head: [tt("token"), tt("headsOn"), tt("headsOff")], rows };
    },
  },
  block: {
    fields: [{ name: "field.text", value: TEXT }],
    async run(model, [text]) {
      const layers = await lens(await start(model, text!), -1, 3);
      const final = layers.at(-1)![0]!;
      const first = layers.findIndex((tokens) => tokens[0]!.id === final.id);
      const rows = layers.map((tokens, layer) => [String(layer), ...tokens.map((token) => `${visible(token.text)} (${percent(token.probability)})`)]);
      return { say: tt("say.block", { token: visible(final.text), layer: first }), head: [tt("layer"), tt("mostProbable"), "", ""], rows };
    },
  },
  loss: {
    fields: [
      { name: "field.first", value: "Hello! How are you?" },
      { name: "field.second", value: "you are? How! Hello" },
    ],
    async run(model, texts) {
      const read = await Promise.all(texts.map(async (text) => readTokens(await start(model, text))));
      const rows = read.map(({ loss, tokens }, index) => [texts[index]!, String(tokens.length - 1), formatNumber(loss ?? 0, 3)]);
      const size = read[0]!.vocab_size;
      return { say: tt("say.loss", { size, uniform: formatNumber(Math.log(size), 3) }), head: [tt("field.text"), tt("predictions"), tt("loss")], rows };
    },
  },
  sampling: {
    fields: [
      { name: "field.text", value: TEXT },
      { name: "temperature", value: "0.5", kind: "range", max: 2, step: 0.1 },
    ],
    async run(model, [text, temperature]) {
      const sampling = { temperature: Number(temperature), top_k: 0, top_p: 1, min_p: 0 };
      const tokens = await nextTokens(await start(model, text!), -1, 10, sampling);
      const rows = tokens.map((token) => [visible(token.text), share(token.probability), share(token.drawn_with)]);
      return { say: tt("say.sampling", { temperature: formatNumber(Number(temperature), 1) }), head: [tt("token"), tt("probability"), tt("drawnWith")], rows };
    },
  },
  context: {
    fields: [
      { name: "field.question", value: "Hello! How are you?" },
      { name: "field.secondQuestion", value: "What can you do?" },
    ],
    async run(model, [first, second]) {
      const options = { max_tokens: 24, temperature: 0 };
      const one = await chat(model, [first!], options);
      const two = await chat(model, [first!, one.choices[0]!.message.content || "-", second!], options);
      const rows = [one, two].map(({ usage }, index) => [[first!, second!][index]!, String(usage.prompt_tokens), String(usage.prompt_tokens_details?.cached_tokens ?? 0)]);
      return { say: tt("say.context"), head: [tt("field.question"), tt("read"), tt("cached")], rows };
    },
  },
  ranking: {
    fields: [{ name: "field.question", value: "What can you do?" }],
    async run(model, [question]) {
      const replies = await Promise.all([1, 2].map((seed) => chat(model, [question!], { max_tokens: 60, temperature: 1.2, seed })));
      const rows = await Promise.all(
        replies.map(async (reply, index) => {
          const [request] = reply.chatwright.receipts[0]!.requests.slice(-1);
          const prompt = request!.request!.token_ids;
          const { tokens } = await readTokens({ model, ids: [...prompt, ...request!.token_ids!], off: [] });
          const total = tokens.slice(prompt.length).reduce((sum, token) => sum + (token.log_prob ?? 0), 0);
          return ["AB"[index]!, reply.choices[0]!.message.content ?? "", String(tokens.length - prompt.length), formatNumber(total, 2)];
        }),
      );
      return { say: tt("say.ranking"), head: ["", tt("reply"), tt("tokens"), tt("logProb")], rows };
    },
  },
  reward: {
    isLocal: true,
    fields: [
      { name: "rewardA", value: "1", kind: "number" },
      { name: "rewardB", value: "0", kind: "number" },
    ],
    async run(_model, [a, b]) {
      const preferred = 1 / (1 + Math.exp(Number(b) - Number(a))); // Bradley and Terry 1952
      return { say: tt("say.reward", { share: percent(preferred), loss: formatNumber(-Math.log(preferred), 3) }), head: [], rows: [] };
    },
  },
  // Stored runs; docs/RESULTS.md has the commands, in "Arithmetic by rewards" and "Alarms".
  rl: {
    isLocal: true,
    fields: [],
    async run() {
      const solved: [number, number][] = [[0, 0.73], [100, 0.805], [150, 0.79]];
      const rows = [
        ...solved.map(([step, part]) => [tt("afterSteps", { n: step }), share(part)]),
        [tt("brokenLong"), tt("stopped", { n: 20 })],
        [tt("brokenRepeat"), tt("stopped", { n: 20 })],
        [tt("healthy"), tt("stopped", { n: 0 })],
      ];
      return { say: tt("say.rl"), head: [tt("runName"), tt("outcome")], rows };
    },
  },
};
