// Links with which others read one branch of a conversation (docs/reference/page-api.md).
import { getJson, postJson, requireOk, send } from "../api/http.ts";

export interface Link {
  id: string;
  created: string;
  renewed: string;
}

export interface SharedMessage {
  role: "user" | "assistant";
  text: string;
  model: string;
}

const PREFIX = "#/shared/";

// The token is behind the #, so that browsers send it to no server and no other site sees it.
export const linkAddress = (token: string): string => `${location.origin}/${PREFIX}${token}`;

// The token in the address of this page; "" for the page of one's own conversations.
export const addressedToken = (): string => (location.hash.startsWith(PREFIX) ? location.hash.slice(PREFIX.length) : "");

const linksPath = (conversation: string) => `/api/conversations/${encodeURIComponent(conversation)}/links`;
const linkPath = (link: string) => `/api/links/${encodeURIComponent(link)}`;

export const getLinks = async (conversation: string) => (await getJson<{ links: Link[] }>(linksPath(conversation))).links;
export const makeLink = (conversation: string) => postJson<Link & { token: string }>(linksPath(conversation), {});
export const renewLink = (link: string) => postJson<Link>(`${linkPath(link)}/renew`, {});
export const revokeLink = (link: string) => send("DELETE", linkPath(link));

// Read what a link shows, as anyone: without cookies and keys.
export async function readShared(token: string): Promise<SharedMessage[]> {
  const options: RequestInit = { credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" };
  const response = await fetch(`/api/shared/${encodeURIComponent(token)}`, options);
  return (await (await requireOk(response)).json()).messages;
}
