// Close what an unfinished text has opened, so that Markdown that is still being written does not
// flicker between markers and formatting.

const MARKERS = ["**", "__", "~~", "*", "_"];

// Return a paragraph with its open markers closed. Code blocks need no healing: an open one ends
// with the text.
export function heal(text: string): string {
  if (/^\s*(```|~~~)/.test(text)) return text;
  let healed = text.replace(/!?\[([^\]\n]*)\]\([^)\n]*$/, "$1"); // a link whose address is incomplete
  healed = healed.replace(/!?\[([^\]\n]*)$/, "$1"); // or whose text is
  const open: string[] = [];
  let codeFence = "";
  for (let at = 0; at < healed.length; ) {
    const character = healed[at]!;
    if (character === "\\") {
      at += 2;
      continue;
    }
    if (character === "`") {
      const fence = /^`+/.exec(healed.slice(at))![0];
      if (!codeFence) codeFence = fence;
      else if (codeFence === fence) codeFence = "";
      at += fence.length;
      continue;
    }
    const before = healed[at - 1] ?? " ";
    const last = open.at(-1);
    // "***" closes "*" and then "**", in the order in which they were opened.
    const closes = last !== undefined && healed.startsWith(last, at) && !/\s/.test(before);
    const found = closes ? last : MARKERS.find((one) => healed.startsWith(one, at));
    const marker = codeFence ? undefined : found;
    if (!marker) {
      at += 1;
      continue;
    }
    const after = healed[at + marker.length] ?? " ";
    const isInWord = marker[0] === "_" && /\w/.test(before) && /\w/.test(after);
    if (open.at(-1) === marker && !/\s/.test(before)) open.pop();
    else if (!isInWord && !/\s/.test(after)) open.push(marker);
    at += marker.length;
  }
  if (codeFence) return /`$/.test(healed) ? healed.replace(/`+$/, "") : healed + codeFence;
  healed = healed.replace(/(?<!\\)(\*{1,2}|_{1,2}|~~?)$/, (end) => (open.includes(end) ? end : ""));
  const trimmed = healed.trimEnd();
  return open.length ? trimmed + open.reverse().join("") : healed;
}
