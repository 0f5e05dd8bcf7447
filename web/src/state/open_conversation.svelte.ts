// One open conversation: its tree of turns, the shown branch, and the reply that is being written.
import { streamChat, type Piece } from "../api/chat.ts";
import { continuation } from "../api/continuation.ts";
import { requestWindow } from "../conversation/request_window.ts";
import type { ConversationStorage } from "../conversation/storage.ts";
import { newestLeaf, pathTo, subtree, versionsOf } from "../conversation/tree.ts";
import { copyOf, newTurn, type Conversation, type Head, type Receipt, type Settings, type Turn } from "../conversation/types.ts";
import { errorText } from "./error_text.ts";
import { t } from "./language.svelte.ts";
import { modelCard, replyCameFrom, replyFailed, replyRequested } from "./server.svelte.ts";

const SAVE_MS = 1000; // time between saves of a reply that is being written
const FOLLOW_MS = 1000; // time between looks at a reply that the server writes without this page
const TITLE_LENGTH = 60;
const MAX_PROMPT_IDS = 2000; // kept with a reply; a longer prompt is tokenized again when needed

// The beginning of a reply that is written on.
interface Begun {
  text: string;
  ids: number[] | null;
  thinking: string;
}

export class OpenConversation {
  info: Conversation = $state()!;
  turns: Turn[] = $state([]);
  writing: string | null = $state(null); // id of the turn that is being written
  error = $state("");
  news: { text: string; after: string | null }[] = $state([]); // announcements between turns

  readonly path: Turn[] = $derived(pathTo(this.turns, this.info.head));
  readonly versions: Map<string, Turn[]> = $derived(versionsOf(this.turns));

  private abort: AbortController | null = null;
  private pendingNews = "";
  private lastSave = 0;
  private saveTimer: ReturnType<typeof setTimeout> | undefined;
  private saving: Promise<void> = Promise.resolve();

  constructor(
    info: Conversation,
    turns: Turn[],
    readonly storage: ConversationStorage,
    private readonly onChange: (conversation: OpenConversation) => void,
  ) {
    this.info = info;
    this.turns = turns;
    void this.followAll();
  }

  get isEmpty(): boolean {
    return this.turns.length === 0;
  }

  // Ask a question after `parent`. Returns whether a reply came; without one nothing is kept.
  async ask(text: string, parent: string | null): Promise<boolean> {
    if (this.abort) return false;
    const head = this.info.head;
    const question = newTurn(this.info.id, parent, "user", text);
    this.turns.push(question);
    if (await this.reply(question.id)) return true;
    this.turns = this.turns.filter((turn) => turn.id !== question.id);
    this.info.head = head;
    return false;
  }

  // Write another reply to the same question; the old one stays as a version.
  async again(turn: Turn): Promise<void> {
    if (this.abort || turn.parent === null) return;
    const head = this.info.head;
    if (!(await this.reply(turn.parent))) this.info.head = head;
  }

  // Write a reply again with attention heads off, with the same seed and settings, as a new version.
  async againWithout(turn: Turn, off: Head[]): Promise<void> {
    if (this.abort || turn.parent === null || !turn.receipt) return;
    const { seed, settings } = turn.receipt;
    const own = { ...copyOf($state.snapshot(settings)), seed, heads_off: off };
    const head = this.info.head;
    if (!(await this.reply(turn.parent, undefined, own))) this.info.head = head;
  }

  // Write on where a reply ended, as a new version of it.
  async resume(turn: Turn): Promise<void> {
    await this.branch(turn, turn.text, null);
  }

  // Write a new version of a reply that begins with a text; `ids` are its tokens, if known.
  async branch(turn: Turn, text: string, ids: number[] | null): Promise<void> {
    if (this.abort || turn.parent === null) return;
    const head = this.info.head;
    const thinking = turn.thinking;
    if (!(await this.reply(turn.parent, { text, ids, thinking }))) this.info.head = head;
  }

  // Keep a reply that was written elsewhere (in a comparison) as a version.
  async addVersion(turn: Turn): Promise<void> {
    this.turns.push(turn);
    await this.saveTurns([turn]);
  }

  // Store a change of a turn, such as a rating.
  async saveTurn(turn: Turn): Promise<void> {
    await this.saveTurns([turn]);
  }

  stop(): void {
    this.abort?.abort();
  }

  // Show another version of a turn, with what followed it.
  show(turn: Turn): void {
    if (this.abort) return;
    this.info.head = newestLeaf(this.turns, turn.id);
    void this.saveInfo();
  }

  // Delete a version of a turn with all that follows it, and show a neighbor.
  async remove(turn: Turn): Promise<void> {
    if (this.abort) return;
    const others = (this.versions.get(turn.id) ?? []).filter((other) => other.id !== turn.id);
    const gone = subtree(this.turns, turn.id);
    this.turns = this.turns.filter((other) => !gone.has(other.id));
    const neighbor = others.at(-1);
    this.info.head = neighbor ? newestLeaf(this.turns, neighbor.id) : turn.parent;
    await this.storage.removeTurns([...gone]);
    await this.saveInfo();
  }

  // Announce something between two replies. If nothing was said since the last news, replace it.
  announce(text: string, isBeforeReply: boolean): void {
    if (this.isEmpty) {
      this.news = [{ text, after: null }];
      return;
    }
    if (this.abort && !isBeforeReply) {
      this.pendingNews = text;
      return;
    }
    const shown = this.path;
    const after = (isBeforeReply ? shown.at(-2) : shown.at(-1))?.id ?? null;
    this.news = [...this.news.filter((item) => item.after !== after && item.after !== null), { text, after }];
  }

  // Writes to the storage happen one after another.
  async saveInfo(): Promise<void> {
    this.saving = this.saving.then(() => this.store([])).catch((error) => void (this.error = errorText(error)));
    await this.saving;
  }

  // Resolves when all that was written so far is stored: a rating names a stored reply.
  get saved(): Promise<void> {
    return this.saving;
  }

  private async saveTurns(turns: Turn[]): Promise<void> {
    const snapshots = $state.snapshot(turns);
    this.saving = this.saving.then(() => this.store(snapshots)).catch((error) => void (this.error = errorText(error)));
    await this.saving;
  }

  private async store(turns: Turn[]): Promise<void> {
    this.info.id = await this.storage.save($state.snapshot(this.info), turns);
    this.onChange(this);
  }

  // Stream a reply to the question `parent`, or the continuation of `begun`. Returns whether
  // anything arrived. `own` are settings of this reply only.
  private async reply(parent: string, begun?: Begun, own?: Settings): Promise<boolean> {
    const model = modelCard()?.id ?? "";
    const path = pathTo(this.turns, parent);
    const { messages, first } = requestWindow(path, this.info.system);
    this.turns.push(newTurn(this.info.id, parent, "assistant", begun?.text ?? ""));
    const turn = this.turns.at(-1)!; // the reactive one
    if (begun) turn.thinking = begun.thinking;
    turn.nCut = first;
    turn.receipt = this.newReceipt(model, own ?? $state.snapshot(this.info.settings));
    this.info.head = turn.id;
    this.writing = turn.id;
    this.error = "";
    this.abort = new AbortController();
    replyRequested();
    const start = performance.now();
    let isComplete = false;
    let failure = "";
    let isWrittenOn = false; // whether the server writes the reply although the connection broke
    let answer: string | null = null;
    try {
      const settings = turn.receipt.settings;
      if (!begun) answer = await this.begin(turn);
      const pieces = begun
        ? continuation(model, messages, begun.ids ?? begun.text, settings, this.abort.signal)
        : streamChat(model, messages, settings, this.abort.signal, answer);
      for (;;) {
        const { done, value } = await pieces.next();
        if (done) {
          isComplete = value;
          break;
        }
        this.take(turn, value, start, first);
      }
      if (!isComplete) failure = t("turn.broken");
      isWrittenOn = !isComplete && answer !== null;
    } catch (error) {
      const wasStopped = error instanceof DOMException && error.name === "AbortError";
      failure = wasStopped ? "" : errorText(error);
      turn.state = wasStopped ? "stopped" : "failed";
      isWrittenOn = error instanceof TypeError && answer !== null;
    }
    clearTimeout(this.saveTimer);
    this.saveTimer = undefined;
    if (begun && turn.receipt.tokenIds) {
      turn.receipt.tokenIds = begun.ids ? [...begun.ids, ...turn.receipt.tokenIds] : null;
      const prompt = turn.receipt.promptIds;
      turn.receipt.promptIds = begun.ids && prompt ? prompt.slice(0, -begun.ids.length) : null;
    }
    if (isComplete) turn.state = "complete";
    else if (isWrittenOn) turn.state = "pending";
    else if (turn.state === "pending") turn.state = "partial";
    turn.receipt.seconds = (performance.now() - start) / 1000;
    this.error = failure === t("app.serverGone") || isWrittenOn ? "" : failure;
    if (failure) replyFailed(failure);
    const isKept = isComplete || answer !== null || turn.text !== (begun?.text ?? "") || turn.isToolCall;
    if (isWrittenOn) await this.follow(turn);
    else if (isKept) await this.keep(turn); // a reply that the page shows as ended is stored
    this.abort = null;
    this.writing = null;
    if (!isKept) this.turns = this.turns.filter((other) => other.id !== turn.id);
    if (this.pendingNews) this.announce(this.pendingNews, false);
    this.pendingNews = "";
    return isKept;
  }

  // Show the replies that were being written when the page was loaded.
  private async followAll(): Promise<void> {
    for (const turn of this.turns) if (turn.state === "pending") await this.follow(turn);
  }

  // Show a reply that the server writes without this page, until it ends.
  private async follow(turn: Turn): Promise<void> {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.writing = turn.id;
    let written: Turn | null = null;
    do {
      try {
        written = await this.storage.written(turn);
      } catch {
        written = { ...turn, state: "pending" }; // the server cannot be reached: look again
      }
      if (written && !signal.aborted) Object.assign(turn, { ...written, thumb: turn.thumb });
      if (written?.state === "pending" && !signal.aborted) await pause(FOLLOW_MS, signal);
    } while (written?.state === "pending" && !signal.aborted);
    if (signal.aborted) turn.state = "stopped";
    else if (!written) turn.state = "partial"; // nobody writes it: what is shown is all there is
    await this.saveTurns([turn]);
    this.abort = null;
    this.writing = null;
  }

  private newReceipt(model: string, settings: Settings): Receipt {
    return {
      model,
      description: "",
      fingerprint: null,
      seed: null,
      settings: copyOf(settings),
      system: this.info.system,
      promptTokens: null,
      cachedTokens: null,
      completionTokens: null,
      secondsToFirst: null,
      seconds: 0,
      reply: null,
      promptIds: null,
      tokenIds: null,
    };
  }

  private take(turn: Turn, piece: Piece, start: number, first: number): void {
    const receipt = turn.receipt!;
    const { notes } = piece;
    if (notes.model) {
      receipt.description = notes.model.description;
      replyCameFrom(notes.model.number, notes.model.description);
    }
    if (notes.seed !== undefined) receipt.seed = notes.seed;
    if (notes.truncated) {
      turn.nCut = first + notes.truncated.n_cut;
      turn.truncation = notes.truncated.message;
    }
    if (notes.tools) turn.tools.push(...notes.tools);
    const requests = notes.receipts?.[0]?.requests ?? [];
    // With tools there are several requests, and the tools' results between their tokens.
    if (requests.length === 1 && requests[0]!.token_ids) {
      receipt.tokenIds = requests[0]!.token_ids;
      const prompt = requests[0]!.request?.token_ids ?? null;
      receipt.promptIds = prompt && prompt.length <= MAX_PROMPT_IDS ? prompt : null;
    }
    if (piece.id) receipt.reply = piece.id;
    if (piece.fingerprint) receipt.fingerprint = piece.fingerprint;
    if (piece.usage) {
      receipt.promptTokens = piece.usage.prompt_tokens;
      receipt.completionTokens = piece.usage.completion_tokens;
      receipt.cachedTokens = piece.usage.prompt_tokens_details?.cached_tokens ?? null;
    }
    if (piece.finish) turn.finish = piece.finish;
    if (piece.toolCall) turn.isToolCall = true;
    if (piece.thinking) turn.thinking += piece.thinking;
    if (piece.text || piece.toolCall) turn.text += piece.text + piece.toolCall;
    if ((piece.text || piece.thinking || piece.toolCall) && receipt.secondsToFirst === null) {
      receipt.secondsToFirst = (performance.now() - start) / 1000;
    }
    // At most SAVE_MS of the text are lost if the page closes.
    if (turn.text && this.saveTimer === undefined) {
      const wait = this.lastSave + SAVE_MS - performance.now();
      this.saveTimer = setTimeout(() => {
        this.saveTimer = undefined;
        this.lastSave = performance.now();
        void this.keep(turn);
      }, Math.max(0, wait));
    }
  }

  // Announce a reply to the storage. Returns the answer's name on the server, if it has one.
  private async begin(turn: Turn): Promise<string | null> {
    const question = this.turns.find((other) => other.id === turn.parent)!;
    this.setTitle();
    this.info.updated = Date.now();
    await this.saving;
    const [info, asked, reply] = $state.snapshot([this.info, question, turn] as const);
    const begun = await this.storage.begin(info as Conversation, asked as Turn, reply as Turn);
    if (begun.answer === null) return null;
    turn.conversation = begun.conversation;
    this.info.id = begun.conversation;
    this.onChange(this);
    return begun.answer;
  }

  private setTitle(): void {
    if (this.info.title) return;
    const question = this.turns.find((other) => other.role === "user");
    this.info.title = (question?.text ?? "").trim().replace(/\s+/g, " ").slice(0, TITLE_LENGTH);
  }

  // Store a reply with its question.
  private async keep(turn: Turn): Promise<void> {
    this.setTitle();
    this.info.updated = Date.now();
    const question = this.turns.find((other) => other.id === turn.parent);
    const saved = question ? [question, turn] : [turn];
    await this.saveTurns(saved);
  }
}

// Wait, or until the signal says stop.
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
