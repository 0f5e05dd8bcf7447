// Conversations to and from files: our JSON, Markdown, and the export files of ChatGPT and Open
// WebUI. What is read from a file is taken field by field; nothing else of it is kept.
import type { WholeConversation } from "./storage.ts";
import { DEFAULT_SETTINGS, newConversation, newTurn, type Conversation, type Settings, type Turn } from "./types.ts";
import { pathTo } from "./tree.ts";

const FORMAT = "chatwright.conversations";

export function exportJson(conversations: WholeConversation[]): string {
  return JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);
}

// The shown branch as Markdown.
export function exportMarkdown({ info, turns }: WholeConversation, language: string): string {
  const parts = [`# ${info.title}`];
  if (info.system) parts.push(`**System**\n\n${info.system}`);
  for (const turn of pathTo(turns, info.head)) {
    const name = turn.role === "user" ? "You" : turn.receipt?.model || "Model";
    const time = new Date(turn.created).toLocaleString(language);
    parts.push(`**${name}** (${time})\n\n${turn.text}`);
  }
  return `${parts.join("\n\n")}\n`;
}

export function download(name: string, type: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// The conversations of an export file, with new ids. Throws if there are none.
export function importJson(text: string): WholeConversation[] {
  const read: unknown = JSON.parse(text);
  const found = (isRecord(read) && read.format === FORMAT ? asList(read.conversations).map(ours) : asList(read).map(foreign))
    .filter((whole) => whole !== null)
    .filter(({ turns }) => turns.length > 0);
  if (!found.length) throw new Error("no conversations");
  return found;
}

type Fields = Record<string, unknown>;
const isRecord = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const asText = (value: unknown): string => (typeof value === "string" ? value : "");
const asNumber = (value: unknown, fallback: number): number => (typeof value === "number" && Number.isFinite(value) ? value : fallback);

// One message of a file's tree, before it gets a new id.
interface Node {
  id: string;
  parent: string | null;
  role: Turn["role"];
  text: string;
  created: number;
  thinking?: string;
}

// Turns of a tree of messages. A message whose parent is no turn (a system message) is attached to
// the nearest ancestor that is one.
function treeOf(info: Conversation, nodes: Node[], parents: Map<string, string | null>): Map<string, Turn> {
  const turns = new Map<string, Turn>();
  const created = new Map(nodes.map((node) => [node.id, newTurn(info.id, null, node.role, node.text)]));
  for (const node of nodes) {
    const turn = created.get(node.id)!;
    turn.state = "complete";
    turn.created = node.created;
    turn.thinking = node.thinking ?? "";
    const seen = new Set<string>([node.id]);
    let parent = node.parent;
    while (parent !== null && !created.has(parent) && !seen.has(parent)) {
      seen.add(parent);
      parent = parents.get(parent) ?? null;
    }
    turn.parent = parent !== null ? (created.get(parent)?.id ?? null) : null;
    turns.set(node.id, turn);
  }
  return turns;
}

function finish(info: Conversation, title: string, turns: Turn[], head: string | null): WholeConversation {
  info.title = title.slice(0, 200);
  info.head = head ?? turns.reduce((a, b) => (b.created >= a.created ? b : a), turns[0]!)?.id ?? null;
  info.created = turns.reduce((least, turn) => Math.min(least, turn.created), Date.now());
  info.updated = turns.reduce((most, turn) => Math.max(most, turn.created), 0);
  return { info, turns };
}

function ours(value: unknown): WholeConversation | null {
  if (!isRecord(value) || !isRecord(value.info)) return null;
  const info = newConversation(readSettings(value.info.settings), asText(value.info.system));
  const records = asList(value.turns).filter(isRecord);
  const nodes = records.map((turn, index): Node => ({
    id: asText(turn.id),
    parent: typeof turn.parent === "string" ? turn.parent : null,
    role: turn.role === "user" ? "user" : "assistant",
    text: asText(turn.text),
    thinking: asText(turn.thinking),
    created: asNumber(turn.created, index),
  }));
  const turns = treeOf(info, nodes, new Map());
  for (const record of records) {
    const turn = turns.get(asText(record.id))!;
    turn.isToolCall = record.isToolCall === true;
    turn.finish = typeof record.finish === "string" ? record.finish : null;
    if (record.state === "stopped" || record.state === "partial") turn.state = record.state;
    if (isRecord(record.receipt)) turn.receipt = readReceipt(record.receipt);
  }
  return finish(info, asText(value.info.title), [...turns.values()], turns.get(asText(value.info.head))?.id ?? null);
}

export function readSettings(value: unknown): Settings {
  const settings: Settings = { ...DEFAULT_SETTINGS, stop: [] };
  if (!isRecord(value)) return settings;
  for (const name of ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"] as const) {
    settings[name] = asNumber(value[name], settings[name]);
  }
  for (const name of ["seed", "max_tokens"] as const) {
    if (Number.isSafeInteger(value[name])) settings[name] = value[name] as number;
  }
  settings.stop = asList(value.stop).filter((stop) => typeof stop === "string").slice(0, 4);
  if (value.thinking === "on" || value.thinking === "off") settings.thinking = value.thinking;
  const isHead = (head: unknown) => Array.isArray(head) && head.length === 2 && head.every(Number.isSafeInteger);
  const off = asList(value.heads_off).filter(isHead);
  if (off.length) settings.heads_off = off as [number, number][];
  return settings;
}

export function readReceipt(value: Fields): Turn["receipt"] {
  const number = (name: string) => (typeof value[name] === "number" ? (value[name] as number) : null);
  return {
    model: asText(value.model),
    description: asText(value.description),
    fingerprint: asText(value.fingerprint) || null,
    seed: number("seed"),
    settings: readSettings(value.settings),
    system: asText(value.system),
    promptTokens: number("promptTokens"),
    cachedTokens: number("cachedTokens"),
    completionTokens: number("completionTokens"),
    secondsToFirst: number("secondsToFirst"),
    seconds: number("seconds") ?? 0,
    reply: null, // another server does not know it
    promptIds: null,
    tokenIds: null, // another tokenizer may read them otherwise
  };
}

function foreign(value: unknown): WholeConversation | null {
  if (!isRecord(value)) return null;
  if (isRecord(value.mapping)) return fromChatGpt(value, value.mapping);
  if (isRecord(value.chat)) return fromOpenWebUi(value.chat);
  return null;
}

// ChatGPT's conversations.json: a tree of nodes with messages in `content.parts`.
function fromChatGpt(value: Fields, mapping: Fields): WholeConversation | null {
  const info = newConversation({ ...DEFAULT_SETTINGS, stop: [] });
  const parents = new Map<string, string | null>();
  const nodes: Node[] = [];
  for (const [id, node] of Object.entries(mapping)) {
    if (!isRecord(node)) continue;
    parents.set(id, typeof node.parent === "string" ? node.parent : null);
    const message = isRecord(node.message) ? node.message : {};
    const role = isRecord(message.author) ? message.author.role : "";
    const content = isRecord(message.content) ? message.content : {};
    const text = asList(content.parts).filter((part) => typeof part === "string").join("");
    if (role === "system" && text) info.system = text;
    if ((role !== "user" && role !== "assistant") || !text) continue;
    const created = asNumber(message.create_time, 0) * 1000 || nodes.length;
    nodes.push({ id, parent: parents.get(id)!, role, text, created });
  }
  if (!nodes.length) return null;
  const turns = treeOf(info, nodes, parents);
  let head: string | null = asText(value.current_node);
  for (let n = 0; head && !turns.has(head) && n < parents.size; n++) head = parents.get(head) ?? null;
  return finish(info, asText(value.title), [...turns.values()], turns.get(head ?? "")?.id ?? null);
}

// Open WebUI's export: a tree of messages in `chat.history`.
function fromOpenWebUi(chat: Fields): WholeConversation | null {
  const history = isRecord(chat.history) ? chat.history : {};
  const messages = isRecord(history.messages) ? history.messages : {};
  const info = newConversation({ ...DEFAULT_SETTINGS, stop: [] }, asText(chat.system));
  const parents = new Map<string, string | null>();
  const nodes: Node[] = [];
  for (const [id, message] of Object.entries(messages)) {
    if (!isRecord(message)) continue;
    parents.set(id, typeof message.parentId === "string" ? message.parentId : null);
    const text = asText(message.content);
    if ((message.role !== "user" && message.role !== "assistant") || !text) continue;
    const created = asNumber(message.timestamp, 0) * 1000 || nodes.length;
    nodes.push({ id, parent: parents.get(id)!, role: message.role, text, created });
  }
  if (!nodes.length) return null;
  const turns = treeOf(info, nodes, parents);
  return finish(info, asText(chat.title), [...turns.values()], turns.get(asText(history.currentId))?.id ?? null);
}
