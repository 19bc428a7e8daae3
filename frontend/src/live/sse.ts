export type Message = { id: string; event: string; data: string };

/**
 * Reads server-sent events by the rules of the HTML standard. Not EventSource: that gives up for good on a 502 (a
 * gateway that restarts), hides which error it was, hears only names it was told beforehand, and cannot resume by
 * Last-Event-ID once it was made anew.
 */
export function sseParser(onMessage: (message: Message) => void): (chunk: string) => void {
  let rest = "";
  let [id, event] = ["", ""];
  let data: string[] = [];

  const line = (text: string) => {
    if (text === "") {
      if (data.length > 0) onMessage({ id, event: event || "message", data: data.join("\n") });
      [event, data] = ["", []];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  };

  return (chunk) => {
    rest += chunk;
    // A trailing CR may be half of a CRLF: it waits for what follows.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const each of lines) line(each);
  };
}
