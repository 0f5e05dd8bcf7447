// Conversations in the server's store (docs/reference/page-api.md).
//
// The server names messages, so a turn of this page keeps its own id while the page is open. An
// answer is pending before its reply begins. The server completes it, even if the page is closed;
// the page does if the user stops the reply. An answer is completed once.
import { toolCallText } from "../api/chat.ts";
import { getJson, send, ServerError } from "../api/http.ts";
import {
  excerptOf,
  type BegunReply,
  type ConversationStorage,
  type SearchHit,
  type WholeConversation,
} from "./storage.ts";
import { readReceipt, readSettings } from "./transfer.ts";
import { newTurn, type Conversation, type Folder, type Turn } from "./types.ts";

const MAX_TITLE = 200;
const MAX_RECEIPT = 18_000; // characters of JSON; the server takes 20,000
const MAX_BEGUN_RECEIPT = 8_000; // the server adds its own part
const FINISH: Record<string, string> = { stop: "stop", length: "length", tool_call: "tool_calls" };
const MAX_IMPORT = 700_000; // characters of JSON in one request

const conversationPath = (id: string) => `/api/conversations/${encodeURIComponent(id)}`;

const folderPath = (id: string) => `/api/folders/${encodeURIComponent(id)}`;

export class ServerStorage implements ConversationStorage {
  readonly canRemoveTurns = false;
  private readonly messageIds = new Map<string, string>(); // the server's ids of turns
  private readonly heldBy = new Map<string, string | null>(); // the folder of each conversation, as stored
  private readonly begun = new Set<string>(); // turns whose answers the server completes
  private readonly stored = new Map<string, string>(); // what is stored of each conversation

  async list(): Promise<Conversation[]> {
    const found: Conversation[] = [];
    let before: string | null = "";
    while (before !== null) {
      const page: any = await getJson(`/api/conversations?limit=200${before ? `&before=${encodeURIComponent(before)}` : ""}`);
      for (const item of page.conversations) found.push(this.conversationOf(item));
      before = page.next;
    }
    return found;
  }

  async turns(conversation: string): Promise<Turn[]> {
    const { messages } = await getJson<{ messages: any[] }>(`${conversationPath(conversation)}/messages`);
    const parents = new Map<string, string | null>(messages.map((message) => [message.id, message.parent]));
    const shown = new Set(messages.filter(({ role }) => role === "user" || role === "assistant").map(({ id }) => id));
    const turns = messages.filter(({ id }) => shown.has(id)).map((message) => {
      let parent: string | null = message.parent; // of a system message or a tool's result: its parent
      while (parent !== null && !shown.has(parent)) parent = parents.get(parent) ?? null;
      return turnOf(message, conversation, parent);
    });
    for (const turn of turns) {
      this.messageIds.set(turn.id, turn.id);
      if (turn.state === "pending") this.begun.add(turn.id);
    }
    const { feedback } = await getJson<{ feedback: any[] }>(`/api/feedback?conversation=${encodeURIComponent(conversation)}`);
    for (const item of feedback) {
      const turn = item.kind === "thumb" ? turns.find(({ id }) => id === item.message) : undefined;
      if (turn) turn.thumb = item.is_up;
    }
    return turns;
  }

  // The server gives a conversation its id, and its messages theirs: the last one is named at the end.
  async save(info: Conversation, turns: Turn[]): Promise<string> {
    const id = await this.saveConversation(info);
    if (!turns.length) return id;
    await this.saveTurns(turns.map((turn) => ({ ...turn, conversation: id })));
    return this.saveConversation({ ...info, id });
  }

  private async saveConversation(info: Conversation): Promise<string> {
    const head = info.head === null ? undefined : this.messageIds.get(info.head);
    const fields: Record<string, unknown> = {
      title: info.title.slice(0, MAX_TITLE),
      settings: { system: info.system, sampling: info.settings },
    };
    let { id } = info;
    const folder = info.folder ?? null;
    if (!this.stored.has(id)) {
      id = (await (await send("POST", "/api/conversations", folder ? { ...fields, folder } : fields)).json()).id;
      this.heldBy.set(id, folder);
      this.stored.set(id, JSON.stringify(fields));
    }
    if (head) fields.shown = head;
    const text = JSON.stringify(fields);
    const isMoved = this.heldBy.get(id) !== folder;
    if (this.stored.get(id) !== text || isMoved) {
      await send("PATCH", conversationPath(id), isMoved ? { ...fields, folder: folder ?? "" } : fields);
    }
    this.stored.set(id, text);
    this.heldBy.set(id, folder);
    return id;
  }

  async begin(info: Conversation, question: Turn, reply: Turn): Promise<BegunReply> {
    const conversation = await this.saveConversation(info);
    const path = conversationPath(conversation);
    const answer = { model: reply.receipt?.model ?? "", receipt: begunReceipt(reply) };
    const known = this.messageIds.get(question.id);
    let added: { id: string };
    if (known) {
      added = await (await send("POST", `${path}/answers`, { parent: known, ...answer })).json();
    } else {
      const parent = question.parent === null ? null : (this.messageIds.get(question.parent) ?? null);
      const body = { parent, role: "user", parts: [{ type: "text", text: question.text }], answer };
      const both = await (await send("POST", `${path}/messages`, body)).json();
      this.messageIds.set(question.id, both.message.id);
      added = both.answer;
    }
    this.messageIds.set(reply.id, added.id);
    this.begun.add(reply.id);
    return { conversation, answer: added.id };
  }

  async written(turn: Turn): Promise<Turn | null> {
    const id = this.messageIds.get(turn.id);
    const { messages } = await getJson<{ messages: any[] }>(`${conversationPath(turn.conversation)}/messages`);
    const message = messages.find((one) => one.id === id);
    if (!message || (message.state === "pending" && !message.is_running)) return null;
    return { ...turnOf(message, turn.conversation, turn.parent), id: turn.id };
  }

  // Complete an answer that the server did not, or not yet.
  private async end(turn: Turn): Promise<void> {
    const path = `${conversationPath(turn.conversation)}/messages/${encodeURIComponent(this.messageIds.get(turn.id)!)}`;
    try {
      await send("PATCH", path, answerOf(turn));
    } catch (error) {
      if (!(error instanceof ServerError && error.code === "not_pending")) throw error;
    }
  }

  private async saveTurns(turns: Turn[]): Promise<void> {
    for (const turn of turns) {
      if (this.begun.has(turn.id) && turn.state !== "pending") {
        if (turn.state !== "complete") await this.end(turn);
        this.begun.delete(turn.id);
      }
      if (this.messageIds.has(turn.id) || turn.state === "pending") continue;
      const parent = turn.parent === null ? null : (this.messageIds.get(turn.parent) ?? null);
      const path = conversationPath(turn.conversation);
      if (turn.role === "user") {
        const body = { parent, role: "user", parts: [{ type: "text", text: turn.text }] };
        const { message } = await (await send("POST", `${path}/messages`, body)).json();
        this.messageIds.set(turn.id, message.id);
      } else {
        const answer = await (await send("POST", `${path}/answers`, { parent, model: turn.receipt?.model ?? "" })).json();
        this.messageIds.set(turn.id, answer.id);
        await this.end(turn);
      }
    }
  }

  async removeTurns(_ids: string[]): Promise<void> {
    throw new Error("the server keeps every version");
  }

  async remove(conversation: string): Promise<void> {
    await send("DELETE", conversationPath(conversation));
    this.stored.delete(conversation);
  }

  async add(conversations: WholeConversation[]): Promise<number> {
    let n = 0;
    for (let rest = conversations.map(exportOf); rest.length; ) {
      let size = 0;
      let count = 0;
      while (count < rest.length && (count === 0 || size + JSON.stringify(rest[count]).length < MAX_IMPORT)) {
        size += JSON.stringify(rest[count]).length;
        count += 1;
      }
      const response = await send("POST", "/api/import", { conversations: rest.slice(0, count) });
      n += (await response.json()).imported.length;
      rest = rest.slice(count);
    }
    return n;
  }

  async search(text: string): Promise<SearchHit[]> {
    const hits = new Map<string, SearchHit>();
    for (const { id, title } of await this.list()) {
      if (excerptOf(title, text) !== null) hits.set(id, { conversation: id, turn: null, excerpt: "" });
    }
    const found = await getJson<{ hits: any[] }>(`/api/search?limit=100&q=${encodeURIComponent(text)}`);
    for (const { conversation, message, snippet } of found.hits) {
      if (hits.has(conversation)) continue;
      const excerpt = snippet.map((part: { text: string }) => part.text).join("").replace(/\s+/g, " ");
      hits.set(conversation, { conversation, turn: message, excerpt });
    }
    return [...hits.values()];
  }

  async folders(): Promise<Folder[]> {
    return (await getJson<{ folders: Folder[] }>("/api/folders")).folders;
  }

  async saveFolder(id: string | null, name: string): Promise<void> {
    await (id === null ? send("POST", "/api/folders", { name }) : send("PATCH", folderPath(id), { name }));
  }

  async removeFolder(id: string): Promise<void> {
    await send("DELETE", folderPath(id));
  }

  async rateTurn(turn: Turn, isUp: boolean, reason: string): Promise<void> {
    const body = { kind: "thumb", message: this.messageIds.get(turn.id), is_up: isUp, reason };
    await send("POST", "/api/feedback", body);
  }

  async correctTurn(turn: Turn, better: string): Promise<void> {
    await send("POST", "/api/feedback", { kind: "correction", message: this.messageIds.get(turn.id), better });
  }

  async rankTurns(turns: Turn[], ranks: number[], areAllBad: boolean): Promise<void> {
    const messages = turns.map((turn) => this.messageIds.get(turn.id));
    await send("POST", "/api/feedback", { kind: "ranking", messages, ranks, are_all_bad: areAllBad });
  }

  private conversationOf(item: any): Conversation {
    const info: Conversation = {
      id: item.id,
      title: item.title,
      system: typeof item.settings?.system === "string" ? item.settings.system : "",
      settings: readSettings(item.settings?.sampling),
      head: item.shown,
      folder: item.folder,
      created: Date.parse(item.created),
      updated: Date.parse(item.updated),
    };
    this.heldBy.set(info.id, item.folder);
    if (!this.stored.has(info.id)) this.stored.set(info.id, "");
    return info;
  }
}

// The page's part of a receipt: what the server's own fields do not hold.
function receiptOf(turn: Turn): Record<string, unknown> {
  const { receipt, state, finish, isToolCall, tools, nCut, truncation } = turn;
  const whole = { page: { receipt, state, finish, isToolCall, tools, nCut, truncation } };
  if (JSON.stringify(whole).length <= MAX_RECEIPT || !receipt) return whole;
  return { page: { receipt: { ...receipt, tokenIds: null }, state, finish, isToolCall, tools: [], nCut, truncation } };
}

// What is known of a reply before it is written.
function begunReceipt({ receipt, nCut }: Turn): Record<string, unknown> | null {
  const whole = { page: { receipt, nCut } };
  if (JSON.stringify(whole).length <= MAX_BEGUN_RECEIPT || !receipt) return whole;
  return { page: { receipt: { ...receipt, system: "" }, nCut } };
}

function partsOf(turn: Turn): { type: string; text: string }[] {
  const parts = turn.thinking ? [{ type: "thinking", text: turn.thinking }] : [];
  return turn.text ? [...parts, { type: "text", text: turn.text }] : parts;
}

function answerOf(turn: Turn): Record<string, unknown> {
  const { receipt } = turn;
  const body: Record<string, unknown> = {
    state: turn.state === "complete" ? "complete" : "partial",
    parts: partsOf(turn),
    receipt: receiptOf(turn),
  };
  if (receipt?.promptTokens != null) {
    const { promptTokens, cachedTokens, completionTokens } = receipt;
    body.tokens = { prompt: promptTokens, cached: cachedTokens ?? 0, reply: completionTokens ?? 0 };
  }
  return body;
}

// A conversation in the form that the server exports and imports.
function exportOf({ info, turns }: WholeConversation): Record<string, unknown> {
  const ordered: Turn[] = [];
  const known = new Set<string | null>([null]);
  for (let rest = turns; rest.length; ) {
    const next = rest.filter((turn) => known.has(turn.parent));
    if (!next.length) break;
    for (const turn of next) known.add(turn.id);
    ordered.push(...next);
    rest = rest.filter((turn) => !known.has(turn.id));
  }
  return {
    title: info.title.slice(0, MAX_TITLE),
    created: new Date(info.created).toISOString(),
    updated: new Date(info.updated).toISOString(),
    settings: { system: info.system, sampling: info.settings },
    shown: info.head,
    messages: ordered.map((turn) => ({
      id: turn.id,
      parent: turn.parent,
      role: turn.role,
      state: turn.state === "complete" ? "complete" : "partial",
      parts: turn.role === "user" ? [{ type: "text", text: turn.text }] : partsOf(turn),
      model: turn.receipt?.model ?? "",
      weights: "",
      created: new Date(turn.created).toISOString(),
      tokens: null,
      receipt: turn.role === "user" ? null : receiptOf(turn),
    })),
  };
}

function turnOf(message: any, conversation: string, parent: string | null): Turn {
  const textOf = (type: string) =>
    message.parts.filter((part: any) => part.type === type).map((part: any) => part.text).join("");
  const turn = newTurn(conversation, parent, message.role, textOf("text"));
  const page = message.receipt?.page;
  turn.id = message.id;
  turn.thinking = textOf("thinking");
  turn.created = Date.parse(message.created);
  turn.state = message.state === "complete" ? "complete" : message.is_running ? "pending" : "partial";
  if (page) {
    if (page.state === "stopped") turn.state = "stopped";
    turn.finish = typeof page.finish === "string" ? page.finish : null;
    turn.isToolCall = page.isToolCall === true;
    turn.tools = Array.isArray(page.tools) ? page.tools : [];
    turn.nCut = typeof page.nCut === "number" ? page.nCut : 0;
    turn.truncation = typeof page.truncation === "string" ? page.truncation : "";
    if (page.receipt) {
      turn.receipt = readReceipt(page.receipt);
      if (Array.isArray(page.receipt.tokenIds)) turn.receipt!.tokenIds = page.receipt.tokenIds;
      if (typeof page.receipt.reply === "string") turn.receipt!.reply = page.receipt.reply;
    }
  }
  addServerFacts(turn, message);
  return turn;
}

// Add what the server wrote when it completed the reply.
function addServerFacts(turn: Turn, message: any): void {
  const facts = message.receipt ?? {};
  const calls = message.parts.filter((part: any) => part.type === "tool_call");
  if (calls.length) {
    turn.isToolCall = true;
    turn.text += calls.map(toolCallText).join("");
  }
  if (Array.isArray(facts.tools)) turn.tools = facts.tools;
  if (facts.truncated) {
    turn.nCut += facts.truncated.n_cut;
    turn.truncation = facts.truncated.message;
  }
  const { receipt } = turn;
  if (receipt && typeof facts.seed === "number") receipt.seed = facts.seed;
  if (!receipt || typeof facts.reason !== "string") return;
  turn.finish = FINISH[facts.reason] ?? null;
  receipt.description = facts.description ?? "";
  receipt.fingerprint = facts.fingerprint ?? null;
  receipt.seconds = facts.seconds ?? 0;
  receipt.secondsToFirst = facts.seconds_to_first ?? null;
  if (Array.isArray(facts.token_ids)) receipt.tokenIds = facts.token_ids;
  if (message.tokens) {
    receipt.promptTokens = message.tokens.prompt;
    receipt.cachedTokens = message.tokens.cached;
    receipt.completionTokens = message.tokens.reply;
  }
}
