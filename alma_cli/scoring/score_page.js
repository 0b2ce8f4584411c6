// The page's controls: tabs of metrics, what is chosen of the segments, keys, and the button that copies.
const controls = Object.fromEntries(
  ["direction", "system", "second", "metric", "order", "flag", "marks", "search"].map((id) => [id, byId(id)]));
const state = { page: 0, lines: [], bucket: null, data: null, at: null, wanted: 0 };

function fill(select, options, keep = select.value) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text })));
  if (options.some(([value]) => value === keep)) select.value = keep;
}

const flagCount = (direction, system, flag) => (about.flags[direction][system] || {})[flag] || 0;

// The choices that depend on each other: systems on the direction, flags on the systems.
async function refresh() {
  const mine = ++state.wanted;
  const number = Number(controls.direction.value);
  let data;
  try {
    data = await directionData(number);
  } catch (problem) {
    byId("status").textContent = `The segments cannot be unpacked: ${problem.message}`;
    return;
  }
  if (mine !== state.wanted) return;
  const systems = data.outputs.map((output) => output.system);
  fill(controls.system, systems.map((name) => [name, name]));
  const others = systems.filter((name) => name !== controls.system.value);
  fill(controls.second, [["", "none"], ...others.map((name) => [name, name])]);
  const first = outputOf(data, controls.system.value), second = outputOf(data, controls.second.value);
  fill(controls.metric, about.metrics.filter(([key]) => first.scores[key]).map(([key, name]) => [key, name]));
  fill(controls.order, Object.entries(ORDERS).filter(([key]) => (second || !["ahead", "behind"].includes(key))
    && (controls.metric.value || !["worst", "best", "ahead", "behind"].includes(key))).map(([key, [name]]) => [key, name]));
  const flags = new Set([first, second].flatMap((output) => (output ? Object.keys(output.flags) : [])));
  if (controls.flag.value && controls.flag.value !== "*") flags.add(controls.flag.value);
  const counted = (flag) => [first, second].reduce((sum, output) => sum + (output && output.flags[flag] ? output.flags[flag].length : 0), 0);
  fill(controls.flag, [["", "all segments"], ["*", "any flag"], ...[...flags].map((flag) => [flag, `${flagName(flag)} (${counted(flag)})`])]);
  if (!second && controls.marks.value === "systems") controls.marks.value = "reference";
  controls.marks.options[1].disabled = !second;
  state.data = data;
  state.at = {
    first, second, metric: controls.metric.value, order: controls.order.value, flag: controls.flag.value,
    marks: controls.marks.value, search: controls.search.value.trim(), bucket: state.bucket,
  };
  state.lines = chosenLines(data, state.at);
  state.page = 0;
  drawCharts();
  drawPage();
}

function drawCharts() {
  const { data, at } = state;
  const choose = (bucket) => {
    const pressed = [...document.querySelectorAll("#charts button")].indexOf(document.activeElement);
    state.bucket = bucket;
    refresh().then(() => { const again = document.querySelectorAll("#charts button")[pressed]; if (again) again.focus(); });
  };
  byId("charts").replaceChildren();
  if (!at.metric) return;
  const unit = data.source ? "source" : "reference";
  const upTo = (low, high) => (high === Infinity ? `${low} or more` : high - 1 === low ? `${low}` : `${low}–${high - 1}`);
  const percent = (low, high) => (high === Infinity ? `${low}% or more` : high - 1 === low ? `${low}%` : `${low}–${high - 1}%`);
  const mean = `mean ${metricName(at.metric)} of the segments`;
  byId("charts").append(
    bucketChart(data, at, "words", "By length", `${mean}, by words in the ${unit}`, upTo, choose),
    bucketChart(data, at, "rare", "By rare words", `${mean}, by the share of the reference’s words that occur nowhere else in the references`, percent, choose));
}

function drawPage(focus = null) {
  const { data, at, lines } = state;
  const pages = Math.max(1, Math.ceil(lines.length / PAGE));
  state.page = Math.min(Math.max(state.page, 0), pages - 1);
  const from = state.page * PAGE, shown = lines.slice(from, from + PAGE);
  byId("list").replaceChildren(...shown.map((line) => segmentItem(data, at, line)));
  byId("list").start = from + 1;
  const number = (value) => value.toLocaleString("en");
  const status = byId("status");
  status.textContent = lines.length
    ? `${number(from + 1)}–${number(from + shown.length)} of ${number(lines.length)} segments` : "No segment is left by these filters.";
  if (state.bucket) {
    const clear = element("button", { type: "button", className: "clear", textContent: `${state.bucket.name} ✕` });
    clear.setAttribute("aria-label", `no longer only ${state.bucket.name}`);
    clear.onclick = () => { state.bucket = null; refresh(); };
    status.append(clear);
  }
  for (const button of document.querySelectorAll("[data-page]")) {
    const to = state.page + Number(button.dataset.page);
    button.disabled = to < 0 || to >= pages;
  }
  if (focus !== null && shown.length) byId("list").children[focus < 0 ? shown.length - 1 : focus].focus();
}

function turn(by, focus = null) {
  const before = state.page;
  state.page += by;
  drawPage(focus);
  if (state.page !== before) byId("status").scrollIntoView({ block: "nearest" });
}

function listKey(event) {
  const items = [...byId("list").children], now = items.indexOf(document.activeElement);
  if (now < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const pages = Math.ceil(state.lines.length / PAGE);
  const go = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "ArrowRight") turn(1, 0);
  else if (event.key === "ArrowLeft") turn(-1, 0);
  else if (go === undefined) return;
  else if (go >= items.length) { if (state.page + 1 < pages) turn(1, 0); }
  else if (go < 0) { if (state.page > 0) turn(-1, -1); }
  else items[go].focus();
  event.preventDefault();
}

function showFlagged(system, flag) {
  let most = 0;
  about.directions.forEach((_, n) => { if (flagCount(n, system, flag) > flagCount(most, system, flag)) most = n; });
  controls.direction.value = String(most);
  fill(controls.system, about.systems.map((name) => [name, name]), system);
  controls.second.value = "";
  fill(controls.flag, [[flag, flag]], flag);
  controls.search.value = "";
  state.bucket = null;
  refresh().then(() => { byId("segments").scrollIntoView(); controls.flag.focus({ preventScroll: true }); });
}

function showTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const show = (chosen, focus) => {
    for (const tab of tabs) {
      const on = tab === chosen;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).classList.toggle("away", !on);
    }
    if (focus) chosen.focus();
  };
  for (const tab of tabs) {
    tab.onclick = () => show(tab, false);
    tab.onkeydown = (event) => {
      const n = tabs.indexOf(tab);
      const to = { ArrowRight: (n + 1) % tabs.length, ArrowLeft: (n - 1 + tabs.length) % tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(tabs[to], true);
    };
  }
  if (!tabs.length) return;
  tabs[0].parentElement.hidden = tabs.length < 2;
  document.body.classList.add("tabbed");
  show(tabs[0], false);
}

function copyBibtex() {
  const text = byId("bibtex"), button = byId("copy");
  button.hidden = false;
  button.onclick = async () => {
    getSelection().selectAllChildren(text);
    try { await navigator.clipboard.writeText(text.textContent); } catch { document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
}

function start() {
  showTabs();
  copyBibtex();
  if (!about.directions.length) return;
  byId("controls").hidden = false;
  for (const buttons of document.querySelectorAll(".buttons")) buttons.hidden = false;
  fill(controls.direction, about.directions.map((name, n) => [String(n), name]));
  controls.direction.onchange = () => { state.bucket = null; refresh(); };
  for (const name of ["system", "second", "metric", "order", "flag", "marks"]) controls[name].onchange = refresh;
  let typing = 0;
  controls.search.oninput = () => { clearTimeout(typing); typing = setTimeout(refresh, 150); };
  byId("controls").onsubmit = (event) => { event.preventDefault(); refresh(); };
  for (const button of document.querySelectorAll("[data-page]")) button.onclick = () => turn(Number(button.dataset.page));
  for (const button of document.querySelectorAll(".jump")) button.onclick = () => showFlagged(button.dataset.system, button.dataset.flag);
  byId("list").addEventListener("keydown", listKey);
  document.addEventListener("keydown", (event) => {
    const typed = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typed && !event.ctrlKey && !event.metaKey) { event.preventDefault(); controls.search.focus(); }
    if (event.key === "Escape" && event.target === controls.search) { controls.search.value = ""; refresh(); }
  });
  refresh().then(() => { document.body.dataset.ready = Math.round(performance.now()); });
}
start();
