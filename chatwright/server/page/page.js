// The chat page: poll the server's status, show the build, chat with the model. No framework, no
// external code. Text is only inserted as text nodes, so it never becomes markup.
"use strict";

const byId = (id) => document.getElementById(id);
const STATUS_BUILDING_MS = 1000; // time between polls during a build
const STATUS_READY_MS = 5000; // afterwards, to notice a stopped server or another model
const MAX_CHARACTERS = 100000; // in one message
const BEGINNINGS = { building: "Your model is being built", opening: "Your model is being opened" };
const SERVER_GONE = "The server does not answer. Is it still running?";

let model = ""; // id of the model to request; empty until one is served
let shownModelNumber = 0; // number of the model that was last announced
let wasBuilding = false; // whether the last status was that of a build
let turns = []; // {role, content, element}; the conversation that is sent to the model
let abort = null; // AbortController while a reply is streamed, otherwise null
let nReplies = 0; // replies requested so far
let edit = null; // {draft: text typed before} while the last question is edited
let pendingNews = ""; // announcement to show after the current reply
let wasScrolledToEnd = true;
let mustReloadModel = true; // whether to read the model's id: at the start and after an error

// ---- helpers --------------------------------------------------------------------------------------

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function button(text, label, onClick) {
  const node = element("button", "quiet", text);
  node.type = "button";
  node.setAttribute("aria-label", label);
  node.addEventListener("click", onClick);
  return node;
}

function setText(id, text) { // changes nothing if equal: a screen reader would read it again
  if (byId(id).textContent !== text) byId(id).textContent = text;
  byId(id).hidden = !text;
}

const showNotice = (text) => setText("notice", text);

function timeLeftText(seconds) {
  if (seconds < 45) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `about ${minutes} minute${minutes === 1 ? "" : "s"} left`;
  const rest = minutes % 60;
  return `about ${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""} left`;
}

async function errorMessage(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered with status ${response.status}`;
  }
}

async function getJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await errorMessage(response));
  return response.json();
}

// No full stop is added here: a message of the build may end with a command to copy.
const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const asSentence = (text) => capitalized(text) + (/[.!?]$/.test(text) ? "" : ".");
// fetch throws TypeError if the server cannot be reached.
const errorText = (error) => (error instanceof TypeError ? SERVER_GONE : asSentence(error.message));

function focusQuestion() { // not on a phone, where the keyboard would cover the reply
  if (matchMedia("(pointer: fine)").matches) byId("question").focus();
}

// ---- status of the server ------------------------------------------------------------------------

async function pollStatus() {
  const nRepliesBefore = nReplies;
  let status;
  try {
    status = await getJson("/api/status");
    if (status.can_chat && mustReloadModel) await openChat();
    if (byId("notice").textContent === SERVER_GONE) showNotice("");
    showStatus(status);
    // If a reply was requested meanwhile, its own note about the model is newer than this status.
    if (status.can_chat && nReplies === nRepliesBefore) announceModel(status.model_number, status.model);
  } catch (error) {
    showNotice(errorText(error));
    mustReloadModel = true;
  }
  const isReady = status && status.state === "ready";
  setTimeout(pollStatus, isReady ? STATUS_READY_MS : STATUS_BUILDING_MS);
}

function showStatus(status) {
  const isBuilding = status.state === "building" || status.state === "failed";
  byId("results").hidden = status.state === "opening"; // there is nothing to learn from yet
  if (isBuilding) showResults(status);
  byId("build-page").hidden = Boolean(model);
  if (!model) showBuildPage(status);
  else showBuildBar(status, isBuilding);
  const titles = { building: percentText(status) || "Building", opening: "Opening", failed: "Build stopped", ready: model || "Ready" };
  document.title = `${titles[status.state]} \u00b7 Chatwright`;
  if (model) showWelcome(status);
  if (status.state === "ready" && wasBuilding) {
    showNews(`The build is finished. The finished model replies from now on. ${status.message}`.trim());
    shownModelNumber = status.model_number;
  }
  wasBuilding = isBuilding;
}

// ---- the build ------------------------------------------------------------------------------------

function percentText(status) {
  return status.fraction === null ? "" : `${Math.min(99, Math.floor(100 * status.fraction))} %`;
}

function progressText(status) {
  if (status.state === "opening") return percentText(status);
  if (status.state !== "building") return "";
  const left = status.seconds_left === null ? "time left unknown" : timeLeftText(status.seconds_left);
  return [percentText(status), left].filter(Boolean).join(" \u00b7 ");
}

function setProgress(node, status) {
  node.hidden = status.state !== "building" && status.state !== "opening";
  if (status.fraction === null) node.removeAttribute("value");
  else node.value = status.fraction;
}

function showBuildPage(status) { // fills the page until a model can reply
  const hasFailed = status.state === "failed";
  byId("build-page").className = hasFailed ? "failed" : "";
  setText("build-title", hasFailed ? status.stage : BEGINNINGS[status.state] || "");
  setText("stage", hasFailed ? "The build stopped" : status.stage || "Getting ready");
  setProgress(byId("progress"), status);
  setText("time-left", progressText(status));
  setText("build-message", capitalized(status.message));
}

function showBuildBar(status, isBuilding) { // above the conversation once a model can reply
  const hasFailed = status.state === "failed";
  const bar = byId("build-bar");
  if (!isBuilding && bar.contains(document.activeElement)) byId("question").focus();
  bar.hidden = !isBuilding;
  if (!isBuilding) return;
  bar.className = hasFailed ? "failed" : "";
  if (!bar.contains(byId("results"))) byId("bar-results").append(byId("results"));
  setText("bar-stage", hasFailed ? "" : `${status.stage || "Getting ready"} \u00b7 `);
  setText("bar-progress-text", hasFailed ? "The build stopped" : progressText(status));
  if (!status.can_chat) setText("bar-model", "No model can reply yet");
  else setText("bar-model", status.model ? `Replying now: ${status.model}` : "You can chat with the model already");
  const message = capitalized(status.message);
  const hint = "You can continue to chat with the current model.";
  setText("bar-message", hasFailed ? `${message}\n${hint}` : message);
  setProgress(byId("bar-progress"), status);
}

function showResults(status) {
  const points = status.loss_curve.filter(([, loss]) => loss !== null);
  const hasResults = points.length > 1 || status.samples.length > 0;
  byId("no-results").hidden = hasResults || status.state === "failed";
  showLossCurve(points);
  showSamples(status.samples);
}

function showLossCurve(points) {
  byId("curve").hidden = points.length < 2;
  if (points.length < 2) return;
  const steps = points.map(([step]) => step);
  const losses = points.map(([, loss]) => loss);
  const first = steps[0];
  const last = steps[steps.length - 1];
  const low = losses.reduce((a, b) => Math.min(a, b));
  const high = losses.reduce((a, b) => Math.max(a, b));
  const x = (step) => (600 * (step - first)) / (last - first || 1);
  const y = (loss) => 4 + (152 * (high - loss)) / (high - low || 1);
  byId("curve-line").setAttribute("points", points.map(([step, loss]) => `${x(step)},${y(loss)}`).join(" "));
  setText("loss-change", `${losses[0].toFixed(2)} \u2192 ${losses[losses.length - 1].toFixed(2)}`);
  setText("curve-from", `step ${first.toLocaleString("en")}`);
  setText("curve-to", last.toLocaleString("en"));
}

let shownSamples = "";

function showSamples(samples) { // grouped by prompt, so that replies to one prompt can be compared
  const isUnchanged = shownSamples === JSON.stringify(samples);
  if (isUnchanged) return; // drawing again would clear the user's text selection
  shownSamples = JSON.stringify(samples);
  byId("samples").hidden = samples.length === 0;
  const prompts = [...new Set(samples.map(({ prompt }) => prompt))];
  byId("sample-list").replaceChildren(...prompts.map((prompt) => sampleGroup(prompt, samples)));
}

function sampleGroup(prompt, samples) {
  const group = element("section", "sample");
  const list = element("ol");
  for (const { reply, step } of samples.filter((sample) => sample.prompt === prompt).reverse()) {
    const item = element("li");
    item.append(element("p", "text", reply.trim() || "(empty)"), element("p", "step", `step ${step.toLocaleString("en")}`));
    list.append(item);
  }
  group.append(element("h4", "", prompt), list);
  return group;
}

// ---- the served model -----------------------------------------------------------------------------

async function openChat() {
  const isFirst = !model;
  model = (await getJson("/v1/models")).data[0].id;
  mustReloadModel = false;
  setText("model-name", model);
  for (const id of ["chat", "composer", "new-chat"]) byId(id).hidden = false;
  if (isFirst) focusQuestion();
}

function showWelcome(status) {
  const isLearning = status.state === "building";
  setText("welcome-title", isLearning ? "Chat with it while it learns" : "Ask it something");
  setText("welcome-text", isLearning
    ? "Training has just begun, so replies make little sense yet. Better models replace this one between two replies; your conversation stays."
    : "This model runs on your own machine, and what you write stays there. It is small: expect it to be wrong, often and with confidence.");
}

// Announce something in a line between two replies, or in the welcome before the first message. If
// no message was sent since the previous announcement, the new one replaces it.
function showNews(text, before = null) {
  if (!byId("turns").childElementCount) return setText("welcome-news", text);
  if (abort && !before) { pendingNews = text; return; }
  const mustScroll = isScrolledToEnd();
  const previous = before ? before.previousElementSibling : byId("turns").lastElementChild;
  if (previous && previous.classList.contains("news")) previous.textContent = text;
  else byId("turns").insertBefore(element("p", "news", text), before);
  if (mustScroll) scrollToEnd();
}

function announceModel(number, description, before = null) {
  const isNewer = shownModelNumber > 0 && number > shownModelNumber;
  shownModelNumber = number;
  const name = description ? ` (${description})` : "";
  if (isNewer && wasBuilding) showNews(`A better trained model replies from now on${name}.`, before);
  else if (isNewer && before) showNews("Another model replies from now on.", before);
}

// ---- the conversation -----------------------------------------------------------------------------

function addTurn(role, content) {
  const turn = { role, content, element: element("article", `turn ${role}`) };
  turn.element.setAttribute("aria-label", role === "user" ? "You" : "Model");
  turn.element.append(element("div", "text", content));
  byId("turns").append(turn.element);
  byId("welcome").hidden = true;
  turns.push(turn);
  return turn;
}

function removeTurn(turn) {
  turns = turns.filter((other) => other !== turn);
  turn.element.remove();
}

function addRemark(turn, text) {
  turn.element.append(element("p", "remark", text));
}

function isScrolledToEnd() {
  const main = document.querySelector("main");
  return main.scrollHeight - main.scrollTop - main.clientHeight < 80;
}

function scrollToEnd() {
  const main = document.querySelector("main");
  main.scrollTop = main.scrollHeight;
}

function setBusy(isBusy) {
  byId("send").hidden = isBusy;
  byId("stop").hidden = !isBusy;
  byId("new-chat").disabled = isBusy;
  byId("turns").setAttribute("aria-busy", String(isBusy));
}

function showTurnButtons() { // below the last question and its reply
  for (const old of document.querySelectorAll(".turn .quiet")) old.remove();
  const [question, reply] = turns.slice(-2);
  const shown = [...document.querySelectorAll(".turn")];
  if (abort || !reply || reply.element !== shown[shown.length - 1]) return;
  if (question.role !== "user" || reply.role !== "assistant") return;
  question.element.append(button("Edit", "Edit your last message", startEdit));
  reply.element.append(button("Again", "Another reply to your last message", () => replaceFrom(turns.length - 1)));
}

function submitQuestion() {
  const text = byId("question").value;
  if (abort || !text.trim()) return;
  if (text.length > MAX_CHARACTERS) {
    const [length, most] = [text.length, MAX_CHARACTERS].map((count) => count.toLocaleString("en"));
    showNotice(`Your message has ${length} characters; at most ${most} can be sent. Shorten it.`);
    return;
  }
  const first = edit ? turns.length - 2 : turns.length;
  const draft = edit ? edit.draft : "";
  endEdit();
  setQuestion(draft);
  replaceFrom(first, text);
}

// Replace the turns from index `first` on with a question (if given) and its reply. If the reply
// stays empty, the replaced turns are restored.
async function replaceFrom(first, text) {
  if (abort) return;
  endEdit();
  const replaced = turns.splice(first);
  for (const turn of replaced) turn.element.hidden = true;
  const question = text === undefined ? null : addTurn("user", text);
  const isAnswered = await streamReply();
  if (isAnswered) {
    for (const turn of replaced) turn.element.remove();
  } else {
    if (question) removeTurn(question);
    for (const turn of replaced) turn.element.hidden = false;
    turns.push(...replaced);
    byId("welcome").hidden = byId("turns").childElementCount > 0;
    if (question) restoreQuestion(text, replaced.length > 0);
  }
  if (pendingNews) showNews(pendingNews);
  pendingNews = "";
  showTurnButtons();
  focusQuestion();
}

function restoreQuestion(text, wasEdit) { // before any text that the user has typed meanwhile
  const draft = byId("question").value;
  if (wasEdit) startEdit(); // keeps the draft
  setQuestion(wasEdit || !draft ? text : `${text}\n${draft}`);
}

// Stream a reply to the turns so far. Returns false if no text arrived.
async function streamReply() {
  const messages = turns.map(({ role, content }) => ({ role, content }));
  const reply = addTurn("assistant", "");
  const node = reply.element.firstChild.appendChild(document.createTextNode(""));
  reply.element.classList.add("waiting");
  showNotice("");
  nReplies += 1;
  abort = new AbortController();
  setBusy(true);
  showTurnButtons();
  scrollToEnd();
  let isComplete = false;
  let failure = "";
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", signal: abort.signal, headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model, messages, stream: true, temperature: Number(byId("temperature").value) }),
    });
    if (!response.ok) throw new Error(await errorMessage(response));
    isComplete = await readEvents(response, (chunk) => handleChunk(chunk, reply, node));
    if (!isComplete) failure = "The connection broke before the reply was complete.";
  } catch (error) {
    failure = error.name === "AbortError" ? "stopped" : errorText(error);
  }
  abort = null;
  reply.element.classList.remove("waiting");
  endReply(reply, isComplete, failure === "stopped");
  setBusy(false);
  if (failure && failure !== "stopped") {
    showNotice(failure);
    mustReloadModel = true;
  }
  return isComplete || Boolean(reply.content) || Boolean(reply.isToolCall);
}

function endReply(reply, isComplete, wasStopped) {
  if (reply.isToolCall) { // without a tool result the model cannot continue this exchange
    turns = turns.filter((turn) => turn !== reply).slice(0, -1);
    addRemark(reply, "The model called a tool. This page has no tools, so the question and this reply are left out of the conversation from now on.");
  } else if (!isComplete && !reply.content) {
    removeTurn(reply);
  } else if (!isComplete) {
    addRemark(reply, wasStopped ? "You stopped this reply." : "This reply is incomplete.");
  } else if (!reply.content) {
    addRemark(reply, "The model sent an empty reply.");
  }
}

function handleChunk(chunk, reply, node) {
  if (chunk.error) throw new Error(chunk.error.message);
  const notes = chunk.chatwright || {};
  if (notes.model) announceModel(notes.model.number, notes.model.description, reply.element);
  if (notes.truncated) addRemark(reply, notes.truncated.message);
  for (const { command, result } of notes.tools || []) addRemark(reply, `Tool: ${command} \u2192 ${result}`);
  const choice = (chunk.choices || [])[0];
  if (!choice) return;
  const mustScroll = isScrolledToEnd();
  addThinking(reply, choice.delta.reasoning_content || "");
  let text = choice.delta.content || "";
  for (const call of choice.delta.tool_calls || []) {
    reply.isToolCall = true;
    text += JSON.parse(call.function.arguments).text;
  }
  if (text) {
    reply.element.classList.remove("waiting");
    reply.content += text;
    node.appendData(text);
  }
  if (choice.finish_reason === "length") addRemark(reply, "This reply was cut off at its length limit.");
  if (mustScroll) scrollToEnd();
}

// What the model thinks before its answer is shown folded, and is not sent back with the conversation.
function addThinking(reply, text) {
  if (!text) return;
  if (!reply.thinking) {
    reply.thinking = document.createTextNode("");
    const details = element("details", "thinking");
    const shown = element("div", "thought");
    shown.append(reply.thinking);
    details.append(element("summary", "", "Thinking"), shown);
    reply.element.prepend(details);
  }
  reply.thinking.appendData(text);
}

// Read server-sent events: blocks of "data: ..." lines, separated by empty lines. Returns true if
// the closing [DONE] arrived.
async function readEvents(response, onChunk) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (!block.startsWith("data: ")) continue; // a comment that keeps the connection open
      const data = block.slice("data: ".length);
      if (data === "[DONE]") return true;
      onChunk(JSON.parse(data));
    }
  }
}

// ---- the form -------------------------------------------------------------------------------------

function resizeQuestion() { // for browsers without `field-sizing`
  const question = byId("question");
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function setQuestion(text) {
  byId("question").value = text;
  resizeQuestion();
}

function startEdit() { // edits in the message box
  if (abort || turns.length < 2) return;
  if (!edit) edit = { draft: byId("question").value };
  byId("editing").hidden = false;
  setQuestion(turns[turns.length - 2].content);
  byId("question").focus();
}

function endEdit() {
  edit = null;
  byId("editing").hidden = true;
}

function cancelEdit() {
  if (!edit) return;
  setQuestion(edit.draft);
  endEdit();
  byId("question").focus();
}

function startNewChat() {
  if (abort) return;
  if (edit) cancelEdit();
  turns = [];
  byId("turns").replaceChildren();
  byId("welcome").hidden = false;
  setText("welcome-news", "");
  showNotice("");
  byId("question").focus();
}

function temperatureHelp(value) {
  if (value === 0) return "always the most probable token";
  if (value <= 0.5) return "predictable";
  if (value <= 1) return "balanced";
  return value <= 1.4 ? "varied" : "close to random";
}

function showTemperature() {
  const value = Number(byId("temperature").value);
  byId("temperature-value").textContent = value.toFixed(1);
  byId("temperature-help").textContent = temperatureHelp(value);
}

byId("composer").addEventListener("submit", (event) => { event.preventDefault(); submitQuestion(); });
byId("question").addEventListener("input", resizeQuestion);
byId("question").addEventListener("keydown", (event) => {
  // isComposing: Enter that only confirms a word in an input method (Japanese, Chinese) must not send.
  const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing;
  if (sends) { event.preventDefault(); submitQuestion(); }
});
byId("temperature").addEventListener("input", showTemperature);
byId("stop").addEventListener("click", () => { if (abort) abort.abort(); });
byId("cancel-edit").addEventListener("click", cancelEdit);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (abort) abort.abort();
  else cancelEdit();
});
byId("new-chat").addEventListener("click", startNewChat);
// If the end was visible, keep it visible when elements above or below the conversation change size.
document.querySelector("main").addEventListener("scroll", () => { wasScrolledToEnd = isScrolledToEnd(); });
new ResizeObserver(() => { if (wasScrolledToEnd && turns.length) scrollToEnd(); }).observe(document.querySelector("main"));

showTemperature();
pollStatus();
