// The server's state, polled: the build, the served models, and announcements of new models.
import { getModels, getStatus, type ModelCard, type Status } from "../api/status.ts";
import { takesFeedback } from "../api/feedback.ts";
import { ServerError, setKey } from "../api/http.ts";
import { errorText } from "./error_text.ts";
import { t } from "./language.svelte.ts";
import { readStored, writeStored } from "./preferences.svelte.ts";

const BUILDING_MS = 1000; // time between polls during a build
const READY_MS = 5000; // afterwards, to notice a stopped server or another model

export const server = $state({
  status: null as Status | null,
  models: [] as ModelCard[],
  chosen: readStored<string>("model", ""), // id of the chosen model; the first if it is not served
  unreachable: "", // why the server cannot be reached, or ""
  needsKey: false, // whether the server wants a key first
  takesFeedback: false, // whether the server keeps ratings
});

export type Announce = (text: string, isBeforeReply: boolean) => void;

let announce: Announce = () => undefined;
let shownModelNumber = 0; // number of the model that was last announced
let wasBuilding = false; // whether the last status was that of a build
let nReplies = 0; // replies requested so far
let mustReloadModels = true; // whether to read the list of models: at the start and after an error

export function modelCard(): ModelCard | null {
  return server.models.find((card) => card.id === server.chosen) ?? server.models[0] ?? null;
}

export function chooseModel(id: string): void {
  server.chosen = id;
  writeStored("model", id);
}

export const contextLength = (): number | null => modelCard()?.chatwright?.context_length ?? null;

export function replyRequested(): void {
  nReplies += 1;
}

export function replyFailed(error: string): void {
  mustReloadModels = true;
  // The next poll that succeeds takes this message away.
  if (error === t("app.serverGone")) server.unreachable = error;
}

// A reply names its model. If that is a newer one, say so before the reply.
export function replyCameFrom(number: number, description: string): void {
  announceModel(number, description, true);
}

export function startPolling(callback: Announce): void {
  announce = callback;
  void poll();
}

let timer: ReturnType<typeof setTimeout> | undefined;

// Use a key from now on, and look at once whether it is good.
export async function useKey(key: string): Promise<void> {
  setKey(key);
  await poll();
}

async function poll(): Promise<void> {
  const nRepliesBefore = nReplies;
  try {
    const status = await getStatus();
    if (status.can_chat && (mustReloadModels || status.model_number !== server.status?.model_number)) {
      server.models = await getModels();
      server.takesFeedback = await takesFeedback();
      mustReloadModels = false;
    }
    server.unreachable = "";
    server.needsKey = false;
    showStatus(status);
    // If a reply was requested meanwhile, its own note about the model is newer than this status.
    if (status.can_chat && nReplies === nRepliesBefore) {
      announceModel(status.model_number, status.model, false);
    }
  } catch (error) {
    server.needsKey = error instanceof ServerError && error.status === 401;
    server.unreachable = server.needsKey ? "" : errorText(error);
    mustReloadModels = true;
  }
  clearTimeout(timer);
  timer = setTimeout(poll, server.status?.state === "ready" ? READY_MS : BUILDING_MS);
}

function showStatus(status: Status): void {
  server.status = status;
  const isBuilding = status.state === "building" || status.state === "failed";
  if (status.state === "ready" && wasBuilding) {
    announce(t("build.finished", { message: status.message }).trim(), false);
    shownModelNumber = status.model_number;
  }
  wasBuilding = isBuilding;
}

function announceModel(number: number, description: string, isBeforeReply: boolean): void {
  const isNewer = shownModelNumber > 0 && number > shownModelNumber;
  shownModelNumber = number;
  if (!isNewer) return;
  const name = description ? ` (${description})` : "";
  if (wasBuilding) announce(t("build.betterModel", { name }), isBeforeReply);
  else if (isBeforeReply) announce(t("build.anotherModel"), true);
}
