"use strict";

// The drawing is a list of strokes, each a list of points in the paper's 400 x 400 pixels.
const at = (id) => document.getElementById(id);
const paper = at("paper"), ink = paper.getContext("2d");
const THICK = 28, STEP = 16, FINE = 4, SHOWN = 10;
const classes = JSON.parse(at("bars").dataset.classes);
let strokes = [], current = null, version = 0, asking = false, readings = [], chosen = 0;

// --- drawing ---------------------------------------------------------------------------------------------------------

function paint() {
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, paper.width, paper.height);
  ink.strokeStyle = ink.fillStyle = "#000";
  ink.lineWidth = THICK;
  ink.lineCap = ink.lineJoin = "round";
  for (const points of strokes) {
    ink.beginPath();
    ink.moveTo(...points[0]);
    for (let i = 1; i < points.length; i++) {
      const [x, y] = points[i - 1], [nextX, nextY] = points[i];
      ink.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    ink.lineTo(...points.at(-1));
    ink.stroke();
  }
}

function changed() {
  version++;
  paint();
  at("hint").hidden = strokes.length > 0;
  at("undo").disabled = at("clear").disabled = strokes.length === 0;
  if (strokes.length) ask();
  else show([], version);
}

function begin(point) { strokes.push(current = [point, point]); changed(); }
function extend(points) { current.push(...points); changed(); }
function undo() { strokes.pop(); current = null; lift(); changed(); }
function clear() { strokes = []; current = null; lift(); changed(); }

function pointOf(event) {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) * paper.width / box.width, (event.clientY - box.top) * paper.height / box.height];
}

paper.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  lift();
  paper.setPointerCapture(event.pointerId);
  at("pen").hidden = true;
  begin(pointOf(event));
});
paper.addEventListener("pointermove", (event) => {
  if (current === null || !event.isPrimary || !paper.hasPointerCapture(event.pointerId)) return;
  const passed = event.getCoalescedEvents?.() ?? [];
  extend((passed.length ? passed : [event]).map(pointOf));
});
for (const end of ["pointerup", "pointercancel"]) {
  paper.addEventListener(end, (event) => { if (event.isPrimary) current = null; });
}

// --- the keyboard ----------------------------------------------------------------------------------------------------

const pen = { x: 200, y: 80, down: false };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function showPen() {
  const mark = at("pen");
  mark.hidden = false;
  mark.style.left = `${100 * pen.x / paper.width}%`;
  mark.style.top = `${100 * pen.y / paper.height}%`;
  mark.classList.toggle("down", pen.down);
}

function lift() {
  pen.down = false;
  at("pen").classList.remove("down");
}

function move([x, y], step) {
  pen.x = Math.min(paper.width, Math.max(0, pen.x + x * step));
  pen.y = Math.min(paper.height, Math.max(0, pen.y + y * step));
  if (pen.down) extend([[pen.x, pen.y]]);
  showPen();
}

function press() {
  if (pen.down) { current = null; lift(); } else { begin([pen.x, pen.y]); pen.down = true; }
  showPen();
}

paper.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (event.key in MOVES) move(MOVES[event.key], event.shiftKey ? FINE : STEP);
  else if (key === " ") press();
  else if (key === "u") undo();
  else if (key === "c") clear();
  else return;
  event.preventDefault();
});
paper.addEventListener("blur", () => { if (pen.down) { current = null; lift(); } at("pen").hidden = true; });
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && strokes.length) {
    event.preventDefault();
    undo();
  }
});
at("undo").addEventListener("click", undo);
at("clear").addEventListener("click", clear);
at("several").addEventListener("change", () => { if (strokes.length) { version++; ask(); } });

// --- asking ----------------------------------------------------------------------------------------------------------

// One picture is on its way at a time; what was drawn meanwhile is asked about when its answer is there.
async function ask() {
  if (asking) return;
  asking = true;
  let asked;
  do {
    asked = version;
    const picture = await new Promise((done) => paper.toBlob(done, "image/png"));
    const found = await answer(picture);
    if (strokes.length === 0) break;
    if (Array.isArray(found)) show(found, asked);
    else fail(found, asked);
  } while (asked !== version);
  asking = false;
  if (strokes.length && asked !== version) ask();
}

async function answer(picture) {
  try {
    const query = at("several").checked ? "?segment=yes" : "";
    const response = await fetch(`/draw/read${query}`, {
      method: "POST", headers: { "Content-Type": "image/png" }, body: picture,
    });
    return response.ok ? await response.json() : (await response.text()).trim();
  } catch {
    return "No answer: does the command that serves this page still run?";
  }
}

// --- showing ---------------------------------------------------------------------------------------------------------

const percent = (p) => (p >= 0.9995 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`);

function text(id, words) {
  if (at(id).textContent !== words) at(id).textContent = words;  // a status is read aloud when it changes
}

function fail(words, about) {
  show([], about);
  text("said", "Not read.");
  text("why", words);
}

// `about` is the version of the drawing that was read.
function show(found, about) {
  readings = found;
  chosen = Math.min(chosen, Math.max(0, found.length - 1));
  showParts();
  showOne(found[chosen] ?? null);
  document.body.dataset.shown = String(about);
}

function showParts() {
  const place = at("parts");
  place.hidden = readings.length < 2;
  place.replaceChildren(...(readings.length < 2 ? [] : readings.map(part)));
}

function part(reading, number) {
  const button = document.createElement("button"), picture = document.createElement("img");
  button.type = "button";
  button.setAttribute("aria-pressed", String(number === chosen));
  picture.src = reading.seen;
  picture.alt = "";
  button.append(picture, reading.status === "ok" ? reading.label : `${reading.label}?`);
  button.addEventListener("click", () => { chosen = number; show(readings, document.body.dataset.shown); at("parts").children[number].focus(); });
  return button;
}

function showOne(reading) {
  const open = reading !== null && reading.status !== "ok";
  const digit = at("digit");
  digit.textContent = readings.length > 1 ? readings.map((one) => (one.status === "ok" ? one.label : "?")).join(" ") : reading?.label ?? "\u00a0";
  digit.classList.toggle("many", readings.length > 1);
  digit.classList.toggle("open", readings.some((one) => one.status !== "ok"));
  const which = readings.length > 1 ? `digit ${chosen + 1} of ${readings.length}: ` : "";
  const p = reading?.label == null ? "" : percent(reading.probabilities[classes.indexOf(reading.label)]);
  text("said", reading === null ? "Nothing is drawn yet."
    : which + (open ? `left open${p && `; likeliest ${reading.label}, ${p}`}` : `it is ${reading.label}, ${p}`));
  text("why", reading?.reason ?? "");
  text("set", reading?.set.length ? `set: ${reading.set.join(", ")}` : "");
  if (reading?.seen) at("seen").src = reading.seen;
  at("seen").classList.toggle("none", !reading?.seen);
  showBars(reading);
  showFinalists(reading);
}

function showBars(reading) {
  const p = reading?.probabilities.length ? reading.probabilities : classes.map(() => 0);
  let order = classes.map((_, number) => number);
  if (order.length > SHOWN) order = order.sort((a, b) => p[b] - p[a]).slice(0, SHOWN);
  order.forEach((number, row) => showBar(at("bars").children[row], classes[number], p[number], reading));
}

function showBar(row, name, p, reading) {
  const [label, track, share] = row.children;
  label.textContent = name;
  track.firstChild.style.width = `${100 * p}%`;
  share.textContent = reading?.probabilities.length ? percent(p) : "";
  row.classList.toggle("in", Boolean(reading?.set.includes(name)));
}

function showFinalists(reading) {
  const rows = at("finalists")?.rows ?? [];
  Array.from(rows).forEach((row, number) => {
    const opinion = reading?.finalists[number];
    row.cells[1].textContent = opinion?.label ?? "–";
    row.cells[1].classList.toggle("other", opinion !== undefined && opinion.label !== reading.label);
    row.cells[2].textContent = opinion ? percent(opinion.probability) : "–";
  });
}

function emptyBar() {
  const row = document.createElement("li");
  row.innerHTML = '<b></b><span class="track"><span class="bar"></span></span><span class="n"></span>';
  return row;
}

at("bars").append(...classes.slice(0, SHOWN).map(emptyBar));
paint();
show([], version);
