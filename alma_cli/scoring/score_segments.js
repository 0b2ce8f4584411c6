// The segments of one direction: unpacked when they are wanted, put in order, filtered, drawn a page at a time.
const PAGE = 20;
const byId = (id) => document.getElementById(id);
const about = JSON.parse(byId("about").textContent);
const unpacked = new Map(); // direction number: promise of its data

function directionData(number) {
  if (!unpacked.has(number)) unpacked.set(number, unpack(byId(`direction-${number}`)));
  return unpacked.get(number);
}

async function unpack(script) {
  const bytes = Uint8Array.from(atob(script.textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  data.count = data.words.length;
  for (const output of data.outputs) {
    output.flagsOf = Array.from({ length: data.count }, () => []);
    for (const [flag, lines] of Object.entries(output.flags)) for (const line of lines) output.flagsOf[line].push(flag);
  }
  return data;
}

const outputOf = (data, system) => data.outputs.find((output) => output.system === system) || null;
const flagName = (flag) => flag.replaceAll("_", " ");
const lowerIsBetter = (metric) => about.metrics.some(([key, , lower]) => key === metric && lower);
const metricName = (metric) => (about.metrics.find(([key]) => key === metric) || [metric, metric])[1];
const scoreOf = (output, metric, line) => (output && output.scores[metric] ? output.scores[metric][line] : null);

function written(score, signed = false) {
  if (score === null || Number.isNaN(score)) return "–";
  const text = Math.abs(score) <= 2 && !Number.isInteger(score * 10) ? score.toFixed(3) : score.toFixed(1);
  return (signed && score > 0 ? `+${text}` : text).replace("-", "−");
}

// Better is higher, whatever the metric.
function goodness(output, metric, line) {
  const score = scoreOf(output, metric, line);
  return score === null ? null : lowerIsBetter(metric) ? -score : score;
}

const ORDERS = {
  file: ["as in the file", null],
  worst: ["worst score first", (data, at, line) => goodness(at.first, at.metric, line)],
  best: ["best score first", (data, at, line) => -goodness(at.first, at.metric, line)],
  behind: ["second system ahead", (data, at, line) => lead(at, line)],
  ahead: ["second system behind", (data, at, line) => -lead(at, line)],
  longest: ["longest first", (data, at, line) => -data.words[line]],
  shortest: ["shortest first", (data, at, line) => data.words[line]],
  flags: ["most flags first", (data, at, line) => -flagsAt(at, line).length],
};
const lead = (at, line) => goodness(at.first, at.metric, line) - goodness(at.second, at.metric, line);
const flagsAt = (at, line) => [at.first, at.second].flatMap((output) => (output ? output.flagsOf[line] : []));

// The lines that `at` (what the controls say) leaves, in its order.
function chosenLines(data, at) {
  const search = at.search.toLocaleLowerCase();
  let lines = Array.from({ length: data.count }, (_, line) => line);
  if (at.flag) {
    lines = lines.filter((line) => (at.flag === "*" ? flagsAt(at, line).length > 0 : flagsAt(at, line).includes(at.flag)));
  }
  if (at.bucket) {
    const { key, low, high } = at.bucket;
    lines = lines.filter((line) => data[key][line] >= low && data[key][line] < high);
  }
  if (search) {
    const matches = data.texts.map((text) => text.toLocaleLowerCase().includes(search));
    const columns = [data.source, ...data.references, at.first.texts, at.second && at.second.texts].filter(Boolean);
    lines = lines.filter((line) => columns.some((column) => matches[column[line]]));
  }
  const weigh = ORDERS[at.order][1];
  if (weigh) {
    const weight = new Map(lines.map((line) => [line, weigh(data, at, line)]));
    lines.sort((a, b) => weight.get(a) - weight.get(b) || a - b);
  }
  return lines;
}

function segmentItem(data, at, line) {
  const item = element("li", { tabIndex: 0 });
  const reference = data.texts[data.references[0][line]];
  const first = data.texts[at.first.texts[line]];
  const second = at.second ? data.texts[at.second.texts[line]] : null;
  const toReference = at.marks === "reference", between = at.marks === "systems" && second !== null;
  const head = element("div", { className: "where" }, element("b", { textContent: `#${line + 1}` }));
  const words = data.words[line];
  head.append(element("span", { textContent: `${words} ${words === 1 ? "word" : "words"}` }));
  if (at.second) {
    const a = scoreOf(at.first, at.metric, line), b = scoreOf(at.second, at.metric, line);
    if (a !== null && b !== null) {
      head.append(element("span", { textContent: `${metricName(at.metric)} difference ${written(b - a, true)}` }));
    }
  }
  const rows = element("dl");
  const row = (name, kind, text, output) => {
    const label = element("dt", { className: kind }, element("bdi", { textContent: name }));
    const value = element("dd", { className: kind }, text);
    if (output) value.append(details(output, at.metric, line));
    rows.append(label, value);
  };
  if (data.source) row("source", "source", textBlock(data.texts[data.source[line]]));
  data.references.forEach((column, n) => row(
    data.references.length > 1 ? `reference ${n + 1}` : "reference", "reference",
    textBlock(data.texts[column[line]], toReference && n === 0 ? first : null, "lacking")));
  row(at.first.system, "hypothesis", textBlock(first, toReference ? reference : between ? second : null, "other"), at.first);
  if (at.second) {
    row(at.second.system, "hypothesis second", textBlock(second, toReference ? reference : between ? first : null, "other"), at.second);
  }
  item.append(head, rows);
  return item;
}

function details(output, metric, line) {
  const line_ = element("p", { className: "details" });
  for (const [key, name] of about.metrics) {
    const score = scoreOf(output, key, line);
    if (score === null) continue;
    line_.append(element("span", { className: key === metric ? "chosen" : "" }, `${name} `, element("b", { textContent: written(score) })));
  }
  for (const flag of output.flagsOf[line]) line_.append(element("span", { className: "flag", textContent: flagName(flag) }));
  return line_;
}

// Mean scores of the segments of each bucket, as rows of buttons that show these segments.
function bucketChart(data, at, key, title, meaning, label, choose) {
  const bounds = data[key === "words" ? "wordBounds" : "rareBounds"];
  const outputs = [at.first, at.second].filter((output) => output && output.scores[at.metric]);
  const rows = bounds.map((low, n) => {
    const high = n + 1 < bounds.length ? bounds[n + 1] : Infinity;
    const lines = data[key].flatMap((value, line) => (value >= low && value < high ? [line] : []));
    const means = outputs.map((output) => lines.reduce((sum, line) => sum + output.scores[at.metric][line], 0) / lines.length);
    return { key, low, high, name: label(low, high), count: lines.length, means };
  }).filter((row) => row.count);
  const most = Math.max(...rows.flatMap((row) => row.means), 1e-9);
  const figure = element("figure", { className: "buckets" },
    element("figcaption", {}, element("h3", { textContent: title }), element("p", { textContent: meaning })),
    element("p", { className: "names" }, element("span", { textContent: key === "words" ? "words" : "rare words" }),
      element("span", {}, ...outputs.map((output) => element("bdi", { textContent: output.system }))),
      element("span", { textContent: "segments" })));
  for (const row of rows) {
    const pressed = at.bucket && at.bucket.key === key && at.bucket.low === row.low;
    const bars = element("span", { className: "bars" });
    row.means.forEach((mean, n) => {
      const fill = element("i", { className: n ? "second" : "" });
      fill.style.width = `${Math.max(0, 100 * mean / most)}%`;
      bars.append(element("span", {}, element("span", { className: "track" }, fill), element("span", { className: "mean", textContent: written(mean) })));
    });
    const button = element("button", { type: "button" }, element("span", { textContent: row.name }), bars,
      element("span", { className: "count", textContent: row.count.toLocaleString("en") }));
    button.setAttribute("aria-pressed", String(Boolean(pressed)));
    button.onclick = () => choose(pressed ? null : { key, low: row.low, high: row.high, name: `${title.toLowerCase()}: ${row.name}` });
    figure.append(button);
  }
  return figure;
}
