// A unified diff as colored lines. Signs and line numbers say the same as the colors.

import { element } from "/web/units.js";

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** The lines of a diff: `{kind, text, number}`, where kind is file, hunk, add, del, same or note. */
export function readDiff(text) {
  const lines = [];
  // Line numbers, and how many lines the hunk still has: a removed line may look like a file's header.
  let [old, now, oldLeft, nowLeft] = [0, 0, 0, 0];
  for (const line of text.split("\n")) {
    const hunk = HUNK.exec(line);
    if (oldLeft > 0 || nowLeft > 0) {
      if (line.startsWith("+")) {
        lines.push({ kind: "add", text: line, number: now++ });
        nowLeft--;
        continue;
      }
      if (line.startsWith("-")) {
        lines.push({ kind: "del", text: line, number: old++ });
        oldLeft--;
        continue;
      }
      if (line.startsWith(" ") || line === "") {
        lines.push({ kind: "same", text: line || " ", number: now++ });
        [old, oldLeft, nowLeft] = [old + 1, oldLeft - 1, nowLeft - 1];
        continue;
      }
    }
    if (hunk) {
      [old, now] = [Number(hunk[1]), Number(hunk[3])];
      [oldLeft, nowLeft] = [Number(hunk[2] ?? 1), Number(hunk[4] ?? 1)];
      lines.push({ kind: "hunk", text: line, number: null });
    } else if (line.startsWith("+++ ")) lines.push({ kind: "file", text: line.slice(4), number: null });
    else if (!line.startsWith("--- ")) lines.push({ kind: "note", text: line, number: null });
  }
  if (lines.at(-1)?.text === " ") lines.pop();
  // The call names its file already.
  return countOf(lines, "file") > 1 ? lines : lines.filter(({ kind }) => kind !== "file");
}

export const countOf = (lines, kind) => lines.filter((line) => line.kind === kind).length;

/** The element that shows these lines. */
export function diffBox(lines, label) {
  const rows = lines.map(({ kind, text, number }) => {
    const place = element("span", "number", number === null ? "" : String(number));
    place.setAttribute("aria-hidden", "true");
    return element("span", `line ${kind}`, place, element("span", "", `${text}\n`));
  });
  const box = element("pre", "diff", element("code", "", ...rows));
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", label);
  return box;
}
