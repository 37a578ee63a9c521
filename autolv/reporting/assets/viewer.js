"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const element = (name) => document.getElementById(name);
  const canvas = element("image"), strip = element("strip"), play = element("play");
  const frameSlider = element("frame"), sliceSlider = element("slice"), outlines = element("outlines");
  const steps = [[2, 0], [1, 1], [0, 2], [-1, 1], [-2, 0], [-1, -1], [0, -2], [1, -1]];
  const state = { frame: data.start.frame, slice: data.start.slice, timer: 0 };
  const sheets = data.sheets.map((text, index) => {
    if (!text) return null;
    const image = new Image();
    image.onload = () => { if (index === state.frame) draw(); };
    image.src = "data:image/jpeg;base64," + text;
    return image;
  });
  const paths = new Map();
  const turn = (slice) => data.reversed ? data.slices - 1 - slice : slice; // array to file, and back

  function pathOf(frame, slice, structure) {
    const key = (frame * data.slices + slice) * 8 + structure;
    if (!paths.has(key)) {
      const path = new Path2D();
      for (const text of data.outlines[frame][slice][structure].split("|")) {
        if (!text) continue;
        const [start, chain] = text.split(":");
        let [x, y] = start.split(",").map(Number);
        path.moveTo(x, y);
        for (const digit of chain) { x += steps[digit][0]; y += steps[digit][1]; path.lineTo(x, y); }
        path.closePath();
      }
      paths.set(key, path);
    }
    return paths.get(key);
  }

  function paint(target, slice) {
    const context = target.getContext("2d"), wide = target.width, high = target.height;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, wide, high);
    const sheet = sheets[state.frame];
    if (sheet && sheet.complete && sheet.naturalWidth) {
      const row = Math.floor(slice / data.columns), column = slice % data.columns;
      context.imageSmoothingQuality = "high";
      context.drawImage(sheet, column * data.tile[1], row * data.tile[0], data.tile[1], data.tile[0], 0, 0, wide, high);
    }
    if (!outlines.checked) return;
    const across = wide / data.size[1] / 2, down = high / data.size[0] / 2;
    context.setTransform(across, 0, 0, down, across, down);
    context.lineWidth = (target === canvas ? 2.2 : 1.3) * (wide / target.clientWidth || 1) / across;
    context.lineJoin = "round";
    for (let structure = data.colours.length - 1; structure >= 0; structure--) {
      context.strokeStyle = data.colours[structure];
      context.stroke(pathOf(state.frame, slice, structure));
    }
  }

  function draw() {
    paint(canvas, state.slice);
    small.forEach((one, slice) => {
      paint(one, slice);
      one.classList.toggle("current", slice === state.slice);
    });
    const number = data.frames[state.frame];
    const phase = number === data.ed ? ", end-diastole" : number === data.es ? ", end-systole" : "";
    element("frame-text").textContent = `Frame ${number}${data.total > 1 ? ` of ${data.total}` : ""}${phase}`;
    element("slice-text").textContent = `Slice ${turn(state.slice) + 1} of ${data.slices}`;
    frameSlider.value = state.frame;
    sliceSlider.value = turn(state.slice);
    const cursor = element("cursor");
    if (cursor) {
      const x = Number(cursor.dataset.left) + (state.frame / data.frames.length) * Number(cursor.dataset.width);
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.style.visibility = "visible";
    }
  }

  function go(frame, slice) {
    const count = data.frames.length;
    state.frame = ((frame % count) + count) % count;
    state.slice = Math.min(Math.max(slice, 0), data.slices - 1);
    draw();
  }

  function step(by) {
    go(state.frame, turn(turn(state.slice) + by));
  }

  function toggle() {
    if (state.timer) {
      clearInterval(state.timer);
      state.timer = 0;
    } else if (data.frames.length > 1) {
      state.timer = setInterval(() => go(state.frame + 1, state.slice), data.step);
    }
    play.textContent = state.timer ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(Boolean(state.timer)));
  }

  const small = [];
  for (let place = 0; place < data.slices; place++) {
    const slice = turn(place);
    const one = document.createElement("canvas");
    one.width = 120;
    one.height = Math.round(120 * data.aspect);
    one.setAttribute("aria-label", `slice ${place + 1}`);
    one.addEventListener("click", () => go(state.frame, slice));
    strip.append(one);
    small[slice] = one;
  }
  canvas.width = 640;
  canvas.height = Math.round(640 * data.aspect);
  frameSlider.max = data.frames.length - 1;
  sliceSlider.max = data.slices - 1;
  frameSlider.addEventListener("input", () => go(Number(frameSlider.value), state.slice));
  sliceSlider.addEventListener("input", () => go(state.frame, turn(Number(sliceSlider.value))));
  outlines.addEventListener("change", draw);
  play.addEventListener("click", toggle);
  canvas.addEventListener("click", () => viewer.focus());
  viewer.addEventListener("keydown", (event) => {
    const moves = {
      ArrowLeft: () => go(state.frame - 1, state.slice), ArrowRight: () => go(state.frame + 1, state.slice),
      ArrowUp: () => step(-1), ArrowDown: () => step(1),
      " ": toggle, c: () => { outlines.checked = !outlines.checked; draw(); },
    };
    if (moves[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      moves[event.key]();
    }
  });
  viewer.addEventListener("keyup", (event) => { if (event.key === " ") event.preventDefault(); });
  for (const button of document.querySelectorAll("button.jump")) {
    button.addEventListener("click", () => {
      const place = data.frames.indexOf(Number(button.dataset.frame));
      go(place < 0 ? state.frame : place, button.dataset.slice === "" ? state.slice : Number(button.dataset.slice));
      viewer.scrollIntoView({ block: "center" });
      viewer.focus({ preventScroll: true });
    });
  }
  draw();
})();
