// Requests to the server this page came from.

// The server refused a request; the message is the server's explanation.
export class ServerError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string | null,
  ) {
    super(message);
  }
}

export async function requireOk(response: Response): Promise<Response> {
  if (response.ok) return response;
  let message = `the server answered with status ${response.status}`;
  let code: string | null = null;
  try {
    const { error } = await response.json();
    message = error.message ?? message;
    code = error.code ?? null;
  } catch {
    // The body is not the API's JSON: the status is all that is known.
  }
  throw new ServerError(message, response.status, code);
}

// A server that other machines reach wants a key. It is kept until the tab is closed.
const KEY = "chatwright.key";

export function setKey(key: string): void {
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // Storage is refused: the key is asked for again.
  }
  currentKey = key;
}

function storedKey(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

let currentKey = storedKey();
const authorization = (): Record<string, string> => (currentKey ? { Authorization: `Bearer ${currentKey}` } : {});

export async function getJson<T>(path: string): Promise<T> {
  return (await requireOk(await fetch(path, { headers: authorization() }))).json();
}

type Headers = Record<string, string>;

export async function post(path: string, body: unknown, signal?: AbortSignal, headers?: Headers): Promise<Response> {
  return send("POST", path, body, signal, headers);
}

// Send JSON. The server refuses a change without its content type, even where there is no body.
export async function send(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  headers: Headers = {},
): Promise<Response> {
  const request: RequestInit = { method, headers: { "Content-Type": "application/json", ...authorization(), ...headers } };
  if (body !== undefined) request.body = JSON.stringify(body);
  if (signal) request.signal = signal;
  return requireOk(await fetch(path, request));
}

// What answers the requests for a model in place of the server, such as a stored run.
type Answerer = (path: string, body: unknown) => unknown;
const answerers = new Map<string, Answerer>();

export function answerInstead(model: string, answer: Answerer): void {
  answerers.set(model, answer);
}

export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const answer = answerers.get((body as { model?: string }).model ?? "");
  if (answer) {
    const found = answer(path, body);
    if (found === undefined) throw new ServerError("the stored run has no answer to this", 404, "not_stored");
    return found as T;
  }
  return (await post(path, body, signal)).json();
}
