"use strict";
// Anybody's text as nodes: never as HTML, what cannot be seen by its code point, long ones cut, differences marked.
const CUT = 1200; // characters of a text that are shown at first
const MOST_CELLS = 2000000; // of the table that compares two texts; beyond it nothing is marked
const UNSEEN = /(?<![\p{L}\p{M}\p{Extended_Pictographic}\u{1f3fb}-\u{1f3ff}])[\u200c\u200d]|[\u200c\u200d](?![\p{L}\p{Extended_Pictographic}])|(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029]/gu;
const TOKEN = /[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2fa1f}]|[\p{L}\p{M}\p{N}\u200c\u200d]+|\s+|[^]/gu;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function seen(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > from) parts.push(text.slice(from, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(element("span", { className: "unseen", textContent: `U+${code}` }));
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

const tokens = (text) => text.match(TOKEN) || [];
const isSpace = (token) => /^\s/.test(token);

// For each word of `ours` whether a longest common subsequence of words with `theirs` has it; null: too long to tell.
function shared(ours, theirs) {
  const a = ours.filter((token) => !isSpace(token)), b = theirs.filter((token) => !isSpace(token));
  const found = new Array(a.length).fill(false);
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) found[start++] = true;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) {
    found[a.length - 1 - end++] = true;
  }
  const n = a.length - start - end, m = b.length - start - end, width = m + 1;
  if ((n + 1) * width > MOST_CELLS) return null;
  const longest = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      const at = i * width + j;
      longest[at] = a[start + i] === b[start + j] ? longest[at + width + 1] + 1
        : Math.max(longest[at + width], longest[at + 1]);
    }
  }
  for (let i = 0, j = 0; i < n && j < m;) {
    if (a[start + i] === b[start + j]) { found[start + i++] = true; j++; }
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
    else j++;
  }
  return found;
}

// The text with the words marked that `other` lacks; runs of them, with the spaces between, as one mark.
function marked(text, other, className) {
  const ours = tokens(text), found = other === null ? null : shared(ours, tokens(other));
  if (!found || !found.length) return seen(text);
  const parts = [];
  let word = 0, run = "", spaces = "", plain = "";
  const close = () => {
    if (run) parts.push(element("mark", { className }, ...seen(run)));
    run = "";
    plain += spaces;
    spaces = "";
  };
  for (const token of ours) {
    if (isSpace(token)) { if (run) spaces += token; else plain += token; continue; }
    if (found[word++]) { close(); plain += token; continue; }
    if (!run && plain) { parts.push(...seen(plain)); plain = ""; }
    run += spaces + token;
    spaces = "";
  }
  close();
  if (plain) parts.push(...seen(plain));
  return parts;
}

// A paragraph of its own direction; a long text with a button for the rest of it.
function textBlock(text, other = null, className = "") {
  const block = element("div", { className: "text", dir: "auto" });
  const show = (length) => {
    const others = other === null || length === text.length ? other : other.slice(0, 2 * length);
    block.replaceChildren(element("bdi", {}, ...marked(text.slice(0, length), others, className)));
  };
  if (!text) {
    block.append(element("span", { className: "none", textContent: "empty" }));
  } else if (text.length <= CUT) {
    show(text.length);
  } else {
    const cut = /[\ud800-\udbff]/.test(text[CUT - 1]) ? CUT - 1 : CUT;
    show(cut);
    const rest = element("button", { type: "button", className: "rest" });
    rest.textContent = `… show all ${text.length.toLocaleString("en")} characters`;
    rest.onclick = () => { show(text.length); block.closest("li").focus(); };
    block.append(rest);
  }
  return block;
}
