// Read server-sent events of the OpenAI API.

// Yield the JSON of each event. Returns true if the closing [DONE] arrived.
export async function* readEvents(response: Response): AsyncGenerator<any, boolean> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        if (!block.startsWith("data: ")) continue; // a comment that keeps the connection open
        const data = block.slice("data: ".length);
        if (data === "[DONE]") return true;
        yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
