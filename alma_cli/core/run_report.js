// Reads a chart's values out under the pointer, or with the arrow keys once it has the focus.
for (const figure of document.querySelectorAll(".chart")) {
  const canvas = figure.querySelector(".canvas");
  const lines = canvas.dataset.chart.split("\n").filter(Boolean).map((row) => {
    const [name, kind, points] = row.split("|");
    return { name, kind, points: points.split(";").filter(Boolean).map((point) => {
      const [x, y, step, ...value] = point.split(" ");
      return { x: +x, y: +y, step: +step, value: value.join(" ") };
    }) };
  });
  const steps = [...new Set(lines.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
  if (!steps.length) continue;
  const cursor = canvas.appendChild(document.createElement("div"));
  const read = canvas.appendChild(document.createElement("div"));
  cursor.className = "cursor";
  read.className = "read";
  read.setAttribute("aria-live", "polite");
  cursor.hidden = read.hidden = true;
  let at = steps.length - 1;

  const nearest = (points, x) => {
    let low = 0, high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle].x < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - points[low - 1].x < points[low].x - x ? points[low - 1] : points[low];
  };
  const show = () => {
    const x = steps[at];
    read.replaceChildren();
    let y = 0;
    for (const line of lines) {
      const point = nearest(line.points, x);
      y += point.y / lines.length;
      const row = read.appendChild(document.createElement("div"));
      row.append(`${line.name} `, Object.assign(document.createElement("b"), { textContent: point.value }));
      row.append(` at step ${point.step.toLocaleString("en")}`);
    }
    cursor.hidden = read.hidden = false;
    cursor.style.left = `${100 * x}%`;
    read.style.top = y < 0.4 ? "auto" : ".25rem"; // where the curves are not
    read.style.bottom = y < 0.4 ? ".4rem" : "auto";
    read.style.left = x < 0.5 ? `calc(${100 * x}% + .6rem)` : "auto";
    read.style.right = x < 0.5 ? "auto" : `calc(${100 * (1 - x)}% + .6rem)`;
  };
  const hide = () => { cursor.hidden = read.hidden = true; };

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    at = steps.indexOf(nearest(steps.map((x) => ({ x })), (event.clientX - box.left) / box.width).x);
    show();
  });
  canvas.addEventListener("pointerleave", hide);
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? Math.max(1, Math.round(steps.length / 20)) : 1;
    const to = { ArrowLeft: at - far, ArrowRight: at + far, Home: 0, End: steps.length - 1 }[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined) return;
    event.preventDefault();
    at = Math.min(Math.max(to, 0), steps.length - 1);
    show();
  });
}
