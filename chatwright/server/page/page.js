// The whole page: ask the server how it is, then talk to the model. No framework, nothing from outside.
// Text becomes text nodes and nothing else, so whatever a model or a person writes stays text.
"use strict";

const byId = (id) => document.getElementById(id);
const STATUS_EVERY_MS = 1000;

let model = "";
let turns = []; // {role, content, element}; exactly what is sent to the model
let abort = null; // an AbortController while a reply is being written

// ---- small pieces -------------------------------------------------------------------------------------------------

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
  if (text) byId("notice").scrollIntoView({ block: "nearest" });
}

function inWords(seconds) {
  if (seconds === null) return "";
  if (seconds < 60) return "less than a minute left";
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

function focusQuestion() { // not on a phone, where focus brings up the keyboard over the reply
  if (matchMedia("(pointer: fine)").matches) byId("question").focus();
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// ---- while the model is being built -------------------------------------------------------------------------------

async function watch() {
  let status;
  try {
    const response = await fetch("/api/status");
    if (!response.ok) throw new Error(await errorOf(response));
    status = await response.json();
  } catch (error) {
    notice(error instanceof TypeError ? "The server does not answer. Is it still running?" : sentence(error.message));
    setTimeout(watch, 3 * STATUS_EVERY_MS);
    return;
  }
  notice("");
  if (status.state === "ready") return openChat();
  showBuilding(status);
  setTimeout(watch, STATUS_EVERY_MS);
}

function showBuilding(status) {
  const failed = status.state === "failed";
  byId("building").hidden = false;
  byId("building").className = failed ? "failed" : "";
  byId("building-title").textContent = failed ? "The build stopped" : "Your model is being built";
  byId("stage").textContent = status.stage || "Getting ready";
  byId("progress").hidden = failed;
  if (status.fraction === null) byId("progress").removeAttribute("value");
  else byId("progress").value = status.fraction;
  const percent = status.fraction === null ? "" : `${Math.floor(100 * status.fraction)} %`;
  byId("time-left").textContent = failed ? "" : [percent, inWords(status.seconds_left)].filter(Boolean).join(" \u00b7 ");
  byId("build-message").textContent = failed ? sentence(status.message) : status.message;
  document.title = failed ? "Build stopped \u00b7 Chatwright" : `${percent || "Building"} \u00b7 Chatwright`;
  showCurve(status.loss_curve.filter(([, loss]) => loss !== null));
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
  byId("loss-now").textContent = `${losses[0].toFixed(2)} \u2192 ${losses[losses.length - 1].toFixed(2)}`;
  byId("curve-from").textContent = `step ${first.toLocaleString("en")}`;
  byId("curve-to").textContent = last.toLocaleString("en");
}

function showSamples(samples) {
  byId("samples").hidden = samples.length === 0;
  byId("sample-list").replaceChildren(...samples.slice(-6).reverse().map(({ prompt, reply, step }) => {
    const item = element("li");
    item.append(element("p", "prompt", prompt), element("p", "text", reply || "(nothing)"), element("p", "step", `at step ${step.toLocaleString("en")}`));
    return item;
  }));
}

// ---- talking ------------------------------------------------------------------------------------------------------

async function openChat() {
  try {
    const response = await fetch("/v1/models");
    if (!response.ok) throw new Error(await errorOf(response));
    model = (await response.json()).data[0].id;
  } catch (error) {
    notice(sentence(error.message));
    setTimeout(watch, 3 * STATUS_EVERY_MS);
    return;
  }
  document.title = `${model} \u00b7 Chatwright`;
  byId("model-name").textContent = model;
  byId("building").hidden = true;
  for (const id of ["chat", "composer", "new-chat"]) byId(id).hidden = false;
  focusQuestion();
}

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

function offerAgain() {
  for (const old of document.querySelectorAll(".again")) old.remove();
  const last = turns[turns.length - 1];
  if (!last || last.role !== "assistant") return;
  const again = element("button", "quiet again", "Regenerate");
  again.type = "button";
  again.addEventListener("click", () => { if (!abort) regenerate(last); });
  last.element.append(again);
}

function ask() {
  const text = byId("question").value;
  if (abort || !text.trim()) return;
  const question = addTurn("user", text);
  byId("question").value = "";
  fitQuestion();
  answer(() => { // nothing came back: give the person their words back
    removeTurn(question);
    if (!byId("question").value) byId("question").value = text;
    fitQuestion();
    byId("welcome").hidden = turns.length > 0;
  });
}

function regenerate(old) {
  removeTurn(old);
  answer(() => { turns.push(old); byId("turns").append(old.element); });
}

// Stream one reply to the turns so far. `undo` runs where not a word of it arrived.
async function answer(undo) {
  const messages = turns.map(({ role, content }) => ({ role, content }));
  const reply = addTurn("assistant", "");
  const node = reply.element.firstChild.appendChild(document.createTextNode(""));
  for (const old of document.querySelectorAll(".again")) old.remove();
  reply.element.classList.add("waiting");
  notice("");
  abort = new AbortController();
  setBusy(true);
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
    if (error.name === "AbortError") trouble = "stopped";
    else trouble = error instanceof TypeError ? "The server does not answer. Is it still running?" : sentence(error.message);
  }
  abort = null;
  reply.element.classList.remove("waiting");
  if (reply.isCommand) { // no tool is connected here, so this exchange has no end the model could go on from
    turns = turns.filter((turn) => turn !== reply).slice(0, -1);
    remark(reply, "The model asked for outside data. This page has no tools, so the question and this reply are not part of the conversation from here.");
  } else if (!isWhole && !reply.content) {
    removeTurn(reply);
    undo();
  } else if (!isWhole) {
    remark(reply, trouble === "stopped" ? "You stopped this reply." : "This reply is incomplete.");
  } else if (!reply.content) {
    remark(reply, "The model ended its reply without a word.");
  }
  setBusy(false);
  offerAgain();
  if (trouble && trouble !== "stopped") notice(trouble); // last, so that it is scrolled to where it stays
  focusQuestion();
}

function receive(chunk, reply, node) {
  if (chunk.error) throw new Error(chunk.error.message);
  const notes = chunk.chatwright || {};
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
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && abort) abort.abort(); });
byId("new-chat").addEventListener("click", () => {
  if (abort) return;
  turns = [];
  byId("turns").replaceChildren();
  byId("welcome").hidden = false;
  notice("");
  byId("question").focus();
});

showTemperature();
watch();
