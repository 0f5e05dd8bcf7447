// Who is using the page, on a server that keeps conversations.
import { getJson, post, send } from "./http.ts";

export interface Session {
  store: boolean; // whether the server keeps conversations
  mode?: "single" | "accounts"; // "accounts": users log in
  links?: boolean; // whether conversations can be shared by links
  user?: { id: string; name: string; role: string } | null;
}

export const getSession = () => getJson<Session>("/api/session");

export async function logIn(name: string, password: string): Promise<void> {
  await post("/api/session", { name, password });
}

export async function join(invitation: string, name: string, password: string): Promise<void> {
  await post("/api/accounts", { invitation, name, password });
}

export async function logOut(): Promise<void> {
  await send("DELETE", "/api/session");
}
