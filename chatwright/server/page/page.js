// The whole page: ask the server how it is, show the build, talk to the model. No framework, nothing from outside.
// Text becomes text nodes and nothing else, so whatever a model or a person writes stays text.
"use strict";

const byId = (id) => document.getElementById(id);
const STATUS_EVERY_MS = 1000; // while something is being built
const STATUS_RARELY_MS = 5000; // afterwards: to notice a server that is gone, or another model in place
const MAX_CHARACTERS = 100000; // in one message
const GONE = "The server does not answer. Is it still running?";

let model = ""; // the id to ask for; empty until the chat is open
let shownNumber = 0; // number of the model the person was last told of
let wasBuilding = false; // this page has seen the build
let turns = []; // {role, content, element}; exactly what is sent to the model
let abort = null; // an AbortController while a reply is being written
let nReplies = 0; // asked for so far
let edit = null; // {draft} while the last question is being changed
let owed = ""; // news that came in the middle of a reply, told after it
let wasAtEnd = true; // of the conversation: what is read now
let mustReopen = true; // ask again which model is there: at first, and after trouble (the server may be another one)

// ---- small pieces -------------------------------------------------------------------------------------------------

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

function say(id, text) { // only where it changes: a screen reader would read it again
  if (byId(id).textContent !== text) byId(id).textContent = text;
  byId(id).hidden = !text;
}

const notice = (text) => say("notice", text);

function inWords(seconds) {
  if (seconds < 45) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `about ${minutes} minute${minutes === 1 ? "" : "s"} left`;
  const rest = minutes % 60;
  return `about ${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""} left`;
}

async function errorOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered with status ${response.status}`;
  }
}

async function getJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await errorOf(response));
  return response.json();
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1); // and no full stop: a build's message may end with a command
const sentence = (text) => capital(text) + (/[.!?]$/.test(text) ? "" : ".");
const inSentence = (error) => (error instanceof TypeError ? GONE : sentence(error.message)); // fetch throws TypeError where nobody answers

function focusQuestion() { // not on a phone, where focus brings up the keyboard over the reply
  if (matchMedia("(pointer: fine)").matches) byId("question").focus();
}

// ---- how the server is --------------------------------------------------------------------------------------------

async function watch() {
  const before = nReplies;
  let status;
  try {
    status = await getJson("/api/status");
    if (status.can_chat && mustReopen) await openChat();
    if (byId("notice").textContent === GONE) notice("");
    show(status);
    // What was asked before a reply may be older than what the reply itself said.
    if (status.can_chat && nReplies === before) tellOfModel(status.model_number, status.model);
  } catch (error) {
    notice(inSentence(error));
    mustReopen = true;
  }
  setTimeout(watch, status && status.state === "ready" ? STATUS_RARELY_MS : STATUS_EVERY_MS);
}

function show(status) {
  const isBuilding = status.state !== "ready";
  if (isBuilding) showLearned(status);
  byId("building").hidden = Boolean(model);
  if (!model) showBuilding(status);
  else showStrip(status, isBuilding);
  const percent = inPercent(status);
  const news = { building: percent || "Building", failed: "Build stopped", ready: model || "Ready" }[status.state];
  document.title = `${news} \u00b7 Chatwright`;
  if (model) showWelcome(status);
  if (status.state === "ready" && wasBuilding) {
    tell("The build is finished: the finished model answers from here on.");
    shownNumber = status.model_number;
  }
  wasBuilding = isBuilding;
}

// ---- while the model is being built -------------------------------------------------------------------------------

const inPercent = (status) => (status.fraction === null ? "" : `${Math.min(99, Math.floor(100 * status.fraction))} %`);

function howFar(status) {
  if (status.state !== "building") return "";
  const left = status.seconds_left === null ? "time left not known yet" : inWords(status.seconds_left);
  return [inPercent(status), left].filter(Boolean).join(" \u00b7 ");
}

function setProgress(node, status) {
  node.hidden = status.state !== "building";
  if (status.fraction === null) node.removeAttribute("value");
  else node.value = status.fraction;
}

function showBuilding(status) { // the whole page, as long as nothing can speak
  const failed = status.state === "failed";
  byId("building").className = failed ? "failed" : "";
  say("building-title", failed ? status.stage : "Your model is being built");
  say("stage", failed ? "The build stopped" : status.stage || "Getting ready");
  setProgress(byId("progress"), status);
  say("time-left", howFar(status));
  say("build-message", capital(status.message));
}

function showStrip(status, isBuilding) { // above the conversation, as soon as something can
  const failed = status.state === "failed";
  const strip = byId("strip");
  if (!isBuilding && strip.contains(document.activeElement)) byId("question").focus();
  strip.hidden = !isBuilding;
  if (!isBuilding) return;
  strip.className = failed ? "failed" : "";
  if (!strip.contains(byId("learned"))) byId("strip-body").append(byId("learned"));
  say("strip-stage", failed ? "" : `${status.stage || "Getting ready"} \u00b7 `);
  say("strip-far", failed ? "The build stopped" : howFar(status));
  if (!status.can_chat) say("strip-model", "Nothing can answer yet");
  else say("strip-model", status.model ? `Answering now: ${status.model}` : "You can talk to it already");
  say("strip-trouble", failed ? `${capital(status.message)}\nYou can go on talking to the model as it is now.` : capital(status.message));
  setProgress(byId("strip-progress"), status);
}

function showLearned(status) {
  const points = status.loss_curve.filter(([, loss]) => loss !== null);
  byId("nothing-yet").hidden = points.length > 1 || status.samples.length > 0 || status.state === "failed";
  showCurve(points);
  showSamples(status.samples);
}

function showCurve(points) {
  byId("curve").hidden = points.length < 2;
  if (points.length < 2) return;
  const steps = points.map(([step]) => step), losses = points.map(([, loss]) => loss);
  const [first, last] = [steps[0], steps[steps.length - 1]];
  const low = losses.reduce((a, b) => Math.min(a, b)), high = losses.reduce((a, b) => Math.max(a, b));
  const place = ([step, loss]) => `${(600 * (step - first)) / (last - first || 1)},${4 + (152 * (high - loss)) / (high - low || 1)}`;
  byId("curve-line").setAttribute("points", points.map(place).join(" "));
  say("loss-now", `${losses[0].toFixed(2)} \u2192 ${losses[losses.length - 1].toFixed(2)}`);
  say("curve-from", `step ${first.toLocaleString("en")}`);
  say("curve-to", last.toLocaleString("en"));
}

let shownSamples = "";

function showSamples(samples) { // prompt by prompt, so that one sees the replies to the same one get better
  const isSame = shownSamples === JSON.stringify(samples);
  if (isSame) return; // what a person has selected stays selected
  shownSamples = JSON.stringify(samples);
  byId("samples").hidden = samples.length === 0;
  const prompts = [...new Set(samples.map(({ prompt }) => prompt))];
  byId("sample-list").replaceChildren(...prompts.map((prompt) => {
    const group = element("section", "sample"), list = element("ol");
    for (const { reply, step } of samples.filter((sample) => sample.prompt === prompt).reverse()) {
      const item = element("li");
      item.append(element("p", "text", reply.trim() || "(nothing)"), element("p", "step", `step ${step.toLocaleString("en")}`));
      list.append(item);
    }
    group.append(element("h4", "", prompt), list);
    return group;
  }));
}

// ---- which model answers ------------------------------------------------------------------------------------------

async function openChat() {
  const isFirst = !model;
  model = (await getJson("/v1/models")).data[0].id;
  mustReopen = false;
  say("model-name", model);
  for (const id of ["chat", "composer", "new-chat"]) byId(id).hidden = false;
  if (isFirst) focusQuestion();
}

function showWelcome(status) {
  const isLearning = status.state === "building";
  say("welcome-title", isLearning ? "Talk to it while it learns" : "Ask it something");
  say("welcome-text", isLearning
    ? "It has only begun, so expect nonsense. Better models take its place between two replies; your conversation stays."
    : "This model runs on your own machine, and what you write stays there. It is small: expect it to be wrong, often and with confidence.");
}

// A small line between two replies; before the first message, one in the welcome. News that nobody has talked since replace each other.
function tell(text, before = null) {
  if (!byId("turns").childElementCount) return say("welcome-news", text);
  if (abort && !before) { owed = text; return; }
  const follow = isAtEnd();
  const previous = before ? before.previousElementSibling : byId("turns").lastElementChild;
  if (previous && previous.classList.contains("news")) previous.textContent = text;
  else byId("turns").insertBefore(element("p", "news", text), before);
  if (follow) toEnd();
}

function tellOfModel(number, description, before = null) {
  const isBetter = shownNumber > 0 && number > shownNumber;
  shownNumber = number;
  if (isBetter && wasBuilding) tell(`A better trained model answers from here on${description ? ` (${description})` : ""}.`, before);
  else if (isBetter && before) tell("Another model answers from here on.", before);
}

// ---- talking ------------------------------------------------------------------------------------------------------

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

function remark(turn, text) {
  turn.element.append(element("p", "remark", text));
}

function isAtEnd() {
  const main = document.querySelector("main");
  return main.scrollHeight - main.scrollTop - main.clientHeight < 80;
}

function toEnd() {
  const main = document.querySelector("main");
  main.scrollTop = main.scrollHeight;
}

function setBusy(isBusy) {
  byId("send").hidden = isBusy;
  byId("stop").hidden = !isBusy;
  byId("new-chat").disabled = isBusy;
  byId("turns").setAttribute("aria-busy", String(isBusy));
}

function offerAgain() { // under the last question and its reply
  for (const old of document.querySelectorAll(".turn .quiet")) old.remove();
  const [question, reply] = turns.slice(-2);
  const shown = [...document.querySelectorAll(".turn")];
  if (abort || !reply || reply.element !== shown[shown.length - 1] || question.role !== "user" || reply.role !== "assistant") return;
  question.element.append(button("Edit", "Edit your last message", startEdit));
  reply.element.append(button("Again", "Another reply to your last message", () => askFrom(turns.length - 1)));
}

function ask() {
  const text = byId("question").value;
  if (abort || !text.trim()) return;
  if (text.length > MAX_CHARACTERS) {
    const [length, most] = [text.length, MAX_CHARACTERS].map((count) => count.toLocaleString("en"));
    return notice(`Your message has ${length} characters; at most ${most} can be sent. Shorten it.`);
  }
  const from = edit ? turns.length - 2 : turns.length;
  const next = edit ? edit.draft : "";
  endEdit();
  setQuestion(next);
  askFrom(from, text);
}

// Ask again from there on. The turns that stood there step aside and come back where not a word of a reply arrives.
async function askFrom(from, text) {
  if (abort) return;
  endEdit();
  const aside = turns.splice(from);
  for (const turn of aside) turn.element.hidden = true;
  const question = text === undefined ? null : addTurn("user", text);
  const isAnswered = await answer();
  if (isAnswered) {
    for (const turn of aside) turn.element.remove();
  } else {
    if (question) removeTurn(question);
    for (const turn of aside) turn.element.hidden = false;
    turns.push(...aside);
    byId("welcome").hidden = byId("turns").childElementCount > 0;
    if (question) giveBack(text, aside.length > 0);
  }
  if (owed) tell(owed);
  owed = "";
  offerAgain();
  focusQuestion();
}

function giveBack(text, wasEdit) { // the person's words, before whatever they have written meanwhile
  const draft = byId("question").value;
  if (wasEdit) startEdit(); // keeps the draft
  setQuestion(wasEdit || !draft ? text : `${text}\n${draft}`);
}

// Stream one reply to the turns so far. False where not a word of it arrived.
async function answer() {
  const messages = turns.map(({ role, content }) => ({ role, content }));
  const reply = addTurn("assistant", "");
  const node = reply.element.firstChild.appendChild(document.createTextNode(""));
  reply.element.classList.add("waiting");
  notice("");
  nReplies += 1;
  abort = new AbortController();
  setBusy(true);
  offerAgain();
  toEnd();
  let isWhole = false, trouble = "";
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", signal: abort.signal, headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model, messages, stream: true, temperature: Number(byId("temperature").value) }),
    });
    if (!response.ok) throw new Error(await errorOf(response));
    isWhole = await readStream(response, (chunk) => receive(chunk, reply, node));
    if (!isWhole) trouble = "The connection broke before the reply was complete.";
  } catch (error) {
    trouble = error.name === "AbortError" ? "stopped" : inSentence(error);
  }
  abort = null;
  reply.element.classList.remove("waiting");
  const isAnswered = isWhole || Boolean(reply.content);
  if (reply.isCommand) { // no tool is connected here, so this exchange has no end the model could go on from
    turns = turns.filter((turn) => turn !== reply).slice(0, -1);
    remark(reply, "The model asked for outside data. This page has no tools, so the question and this reply are not part of the conversation from here.");
  } else if (!isAnswered) {
    removeTurn(reply);
  } else if (!isWhole) {
    remark(reply, trouble === "stopped" ? "You stopped this reply." : "This reply is incomplete.");
  } else if (!reply.content) {
    remark(reply, "The model ended its reply without a word.");
  }
  setBusy(false);
  if (trouble && trouble !== "stopped") {
    notice(trouble);
    mustReopen = true;
  }
  return isAnswered || Boolean(reply.isCommand);
}

function receive(chunk, reply, node) {
  if (chunk.error) throw new Error(chunk.error.message);
  const notes = chunk.chatwright || {};
  if (notes.model) tellOfModel(notes.model.number, notes.model.description, reply.element);
  if (notes.truncated) remark(reply, notes.truncated.message);
  for (const { command, result } of notes.tools || []) remark(reply, `Looked up: ${command} \u2192 ${result}`);
  const choice = (chunk.choices || [])[0];
  if (!choice) return;
  const follow = isAtEnd();
  let text = choice.delta.content || "";
  for (const call of choice.delta.tool_calls || []) {
    reply.isCommand = true;
    text += JSON.parse(call.function.arguments).text;
  }
  if (text) {
    reply.element.classList.remove("waiting");
    reply.content += text;
    node.appendData(text);
  }
  if (choice.finish_reason === "length") remark(reply, "The reply was cut here: it reached its length limit.");
  if (follow) toEnd();
}

// Server-sent events: blocks of "data: ..." lines, an empty line after each. True where the closing [DONE] came.
async function readStream(response, onChunk) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (!block.startsWith("data: ")) continue; // a comment keeps the connection open
      const data = block.slice("data: ".length);
      if (data === "[DONE]") return true;
      onChunk(JSON.parse(data));
    }
  }
}

// ---- the form -----------------------------------------------------------------------------------------------------

function fitQuestion() { // for browsers without `field-sizing`
  const question = byId("question");
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function setQuestion(text) {
  byId("question").value = text;
  fitQuestion();
}

function startEdit() { // in the box below, where one writes anyway
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

function keepLast() {
  if (!edit) return;
  setQuestion(edit.draft);
  endEdit();
  byId("question").focus();
}

function newChat() {
  if (abort) return;
  if (edit) keepLast();
  turns = [];
  byId("turns").replaceChildren();
  byId("welcome").hidden = false;
  say("welcome-news", "");
  notice("");
  byId("question").focus();
}

function showTemperature() {
  const value = Number(byId("temperature").value);
  byId("temperature-value").textContent = value.toFixed(1);
  byId("temperature-help").textContent =
    value === 0 ? "always the likeliest word" : value <= 0.5 ? "careful" : value <= 1 ? "balanced" : value <= 1.4 ? "adventurous" : "close to random";
}

byId("composer").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
byId("question").addEventListener("input", fitQuestion);
byId("question").addEventListener("keydown", (event) => {
  // isComposing: Enter that only confirms a word in an input method (Japanese, Chinese) must not send.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(); }
});
byId("temperature").addEventListener("input", showTemperature);
byId("stop").addEventListener("click", () => { if (abort) abort.abort(); });
byId("keep").addEventListener("click", keepLast);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (abort) abort.abort();
  else keepLast();
});
byId("new-chat").addEventListener("click", newChat);
// Whoever was reading the end goes on reading the end when something above or below it takes more room.
document.querySelector("main").addEventListener("scroll", () => { wasAtEnd = isAtEnd(); });
new ResizeObserver(() => { if (wasAtEnd && turns.length) toEnd(); }).observe(document.querySelector("main"));

showTemperature();
watch();
