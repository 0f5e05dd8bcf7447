// A conversation is a tree of turns: an edited question or another reply is a second child of the
// same parent, and nothing is overwritten.

export interface Settings {
  temperature: number;
  top_p: number;
  top_k: number; // 0: all tokens
  min_p: number;
  repetition_penalty: number;
  frequency_penalty: number;
  presence_penalty: number;
  seed: number | null; // null: the server draws one for each reply
  max_tokens: number | null; // null: as many as the context holds
  stop: string[];
  thinking: "model" | "on" | "off"; // "model": the model's own default
  heads_off?: Head[]; // attention heads that are off, of one reply only
}

// Layer and number of an attention head, from 0.
export type Head = [layer: number, head: number];

export const DEFAULT_SETTINGS: Settings = {
  temperature: 0.3,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  repetition_penalty: 1,
  frequency_penalty: 0,
  presence_penalty: 0,
  seed: null,
  max_tokens: null,
  stop: [],
  thinking: "model",
};

// How a reply was made: enough to make it again.
export interface Receipt {
  model: string;
  description: string;
  fingerprint: string | null;
  seed: number | null;
  settings: Settings;
  system: string;
  promptTokens: number | null;
  cachedTokens: number | null;
  completionTokens: number | null;
  secondsToFirst: number | null;
  seconds: number;
  reply: string | null; // id of the server's response, by which it can be rated
  promptIds: number[] | null; // the tokens before the reply, if there are few enough to keep
  tokenIds: number[] | null; // the tokens that were sampled, if the server told them
}

export type TurnState = "pending" | "complete" | "stopped" | "partial" | "failed";

export interface Turn {
  id: string;
  conversation: string;
  parent: string | null; // null: the first turn
  role: "user" | "assistant";
  text: string;
  thinking: string;
  state: TurnState;
  finish: string | null; // "stop", "length", "tool_calls"
  isToolCall: boolean; // the model called a tool, and there is no result to continue with
  tools: { command: string; result: string }[]; // tools that ran during the reply
  nCut: number; // messages that the model did not see, counted from the oldest
  truncation: string; // the server's explanation
  receipt: Receipt | null;
  thumb: boolean | null; // the user's rating: up, down, or none
  created: number; // milliseconds since 1970
}

export interface Conversation {
  id: string;
  title: string;
  system: string;
  settings: Settings;
  head: string | null; // the last turn of the shown branch
  folder?: string | null; // the folder that holds it
  created: number;
  updated: number;
}

export interface Folder {
  id: string;
  name: string;
}

export function newTurn(conversation: string, parent: string | null, role: Turn["role"], text = ""): Turn {
  return {
    id: crypto.randomUUID(),
    conversation,
    parent,
    role,
    text,
    thinking: "",
    state: role === "user" ? "complete" : "pending",
    finish: null,
    isToolCall: false,
    tools: [],
    nCut: 0,
    truncation: "",
    receipt: null,
    thumb: null,
    created: Date.now(),
  };
}

export function newConversation(settings: Settings, system = ""): Conversation {
  const now = Date.now();
  return { id: crypto.randomUUID(), title: "", system, settings: copyOf(settings), head: null, folder: null, created: now, updated: now };
}

export const copyOf = (settings: Settings): Settings => ({ ...settings, stop: [...settings.stop] });

// The heads that were off while a reply was written.
export const headsOff = (turn: Turn): Head[] => turn.receipt?.settings.heads_off ?? [];
