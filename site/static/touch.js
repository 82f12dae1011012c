/* The pages to touch. Each page loads its numbers (touch/NAME.js, written by site/export_weights.py) before this file. */
(() => {
  "use strict";
  const SIDE = 28;
  const SVG = "http://www.w3.org/2000/svg";
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  // ---- numbers

  /** Two letters are 12 bits; each column has its lowest value and its step. */
  function unpack({ shape, low, step, data }) {
    const place = Object.fromEntries([...LETTERS].map((letter, i) => [letter, i]));
    const values = new Float64Array(data.length / 2);
    for (let i = 0; i < values.length; i++) {
      const column = i % low.length;
      values[i] = low[column] + step[column] * (64 * place[data[2 * i]] + place[data[2 * i + 1]]);
    }
    return { shape, values };
  }

  const ACTIVATIONS = {
    linear: (a) => a,
    relu: (a) => Math.max(0, a),
    elu: (a) => (a > 0 ? a : Math.expm1(a)),
    sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  };

  function unpackLayers(layers) {
    return layers.map(({ activation, kernel, bias }) => ({ activation, kernel: unpack(kernel), bias: unpack(bias).values }));
  }

  /** Send one example through dense layers. */
  function run(layers, x) {
    for (const { activation, kernel, bias } of layers) {
      const [rows, columns] = kernel.shape;
      const sums = Float64Array.from(bias);
      for (let i = 0; i < rows; i++) {
        if (x[i] !== 0) for (let j = 0; j < columns; j++) sums[j] += x[i] * kernel.values[i * columns + j];
      }
      x = sums.map(ACTIVATIONS[activation]);
    }
    return x;
  }

  /** The image that is left of x after n principal components (one column of the matrix each). */
  function projectOn(components, mean, x, n) {
    const columns = components.shape[1];
    const result = Float64Array.from(mean);
    for (let k = 0; k < n; k++) {
      let z = 0;
      for (let i = 0; i < x.length; i++) z += (x[i] - mean[i]) * components.values[i * columns + k];
      for (let i = 0; i < x.length; i++) result[i] += z * components.values[i * columns + k];
    }
    return result.map((value) => Math.min(1, Math.max(0, value)));
  }

  /** Standard normal numbers from a seed. */
  function drawNoise(n, seed) {
    const uniform = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return Float64Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  const computeMse = (a, b) => a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length;
  const image = (images, i) => images.values.slice(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);

  /** Recall, false alarms, precision where a share of the examples are anomalies. */
  function judge(normal, anomalies, threshold, share) {
    const above = (scores) => scores.reduce((n, score) => n + (score > threshold), 0) / scores.length;
    const [falseAlarms, recall] = [above(normal), above(anomalies)];
    const alarms = share * recall + (1 - share) * falseAlarms;
    return { recall, falseAlarms, precision: alarms ? (share * recall) / alarms : NaN };
  }

  /** The points of the ROC curve, from the highest threshold to the lowest, and the area under it. */
  function computeRoc(normal, anomalies) {
    const all = [...normal].map((s) => [s, 0]).concat([...anomalies].map((s) => [s, 1])).sort((a, b) => b[0] - a[0]);
    const points = [[0, 0]];
    let [x, y, area] = [0, 0, 0];
    for (let i = 0; i < all.length; ) {
      const [score, before] = [all[i][0], [x, y]];
      for (; i < all.length && all[i][0] === score; i++) all[i][1] ? (y += 1 / anomalies.length) : (x += 1 / normal.length);
      area += ((x - before[0]) * (y + before[1])) / 2;
      points.push([x, y]);
    }
    return { points, area };
  }

  // ---- elements

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function makeSvg(name, attributes = {}, parent = null) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (parent) parent.append(element);
    return element;
  }

  function drawImage(canvas, pixels) {
    const context = canvas.getContext("2d");
    const data = context.createImageData(SIDE, SIDE);
    pixels.forEach((value, i) => data.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
    context.putImageData(data, 0, 0);
  }

  const makePicture = (label) => make("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });

  /** A slider with its name and its value, which calls `move` with the number. */
  function makeSlider(name, { min, max, step, value, format = String }, move) {
    const input = make("input", { type: "range", min, max, step, value });
    const output = make("output");
    const label = make("label", { class: "touch-slider" }, make("span", {}, name), input, output);
    const show = () => {
      output.textContent = format(Number(input.value));
      move(Number(input.value));
    };
    input.addEventListener("input", show);
    const set = (number) => {
      input.value = number;
      show();
    };
    return { label, input, set, show };
  }

  /** Call `move` with the place inside the element (0 to 1 in both directions) while a mouse or a finger drags. */
  function onDrag(element, move) {
    let held = false;
    const report = (event) => {
      const box = element.getBoundingClientRect();
      const clip = (share) => Math.min(1, Math.max(0, share));
      move(clip((event.clientX - box.left) / box.width), clip((event.clientY - box.top) / box.height));
    };
    element.addEventListener("pointerdown", (event) => {
      held = true;
      element.setPointerCapture(event.pointerId);
      report(event);
    });
    element.addEventListener("pointermove", (event) => held && report(event));
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => (held = false));
  }

  /** Columns of pictures, one for each example; `rows` are the names of the pictures in a column. */
  function makeColumns(n, rows) {
    const canvases = Array.from({ length: n }, (_, i) => rows.map((row) => makePicture(`${row}, image ${i + 1}`)));
    const columns = canvases.map((column) => make("div", { class: "touch-column" }, ...column));
    return { canvases, element: make("div", { class: "touch-columns" }, ...columns) };
  }

  function makeTable(heads) {
    const cells = heads.map(() => make("td"));
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    const element = make("table", { class: "touch-table" }, make("thead", {}, head), make("tbody", {}, make("tr", {}, ...cells)));
    return { element, show: (texts) => texts.forEach((text, i) => (cells[i].textContent = text)) };
  }

  // ---- pages

  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a900", "#8c564b", "#777777", "#7b3fc4"];

  function startCode(place, data) {
    const decoder = unpackLayers(data.decoder);
    const points = unpack(data.points).values;
    const bounds = [0, 1].map((unit) => {
      const values = points.filter((_, i) => i % 2 === unit).sort();
      const [low, high] = [values[5], values[values.length - 6]];
      return [low - 0.06 * (high - low), high + 0.06 * (high - low)];
    });
    const toShare = (value, unit) => (value - bounds[unit][0]) / (bounds[unit][1] - bounds[unit][0]);
    const toValue = (share, unit) => bounds[unit][0] + share * (bounds[unit][1] - bounds[unit][0]);

    const label = "Map of the code: 1,000 test images. Arrow keys move the point.";
    const map = makeSvg("svg", { viewBox: "0 0 400 400", class: "touch-map", tabindex: 0, role: "application", "aria-label": label });
    const dots = data.labels.map((k, i) => {
      const [cx, cy] = [400 * toShare(points[2 * i], 0), 400 - 400 * toShare(points[2 * i + 1], 1)];
      return makeSvg("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 3, fill: COLOURS[k % 10], "fill-opacity": 0.75 }, map);
    });
    const handle = makeSvg("circle", { r: 9, class: "touch-handle" }, map);
    const picture = makePicture("Decoded picture");
    const nearest = make("p", { class: "touch-say", "aria-live": "polite" });
    const z = [0, 0];

    const show = () => {
      drawImage(picture, run(decoder, z));
      handle.setAttribute("cx", 400 * toShare(z[0], 0));
      handle.setAttribute("cy", 400 - 400 * toShare(z[1], 1));
      let best = 0;
      const distance = (i) => (points[2 * i] - z[0]) ** 2 + (points[2 * i + 1] - z[1]) ** 2;
      for (let i = 1; i < data.labels.length; i++) if (distance(i) < distance(best)) best = i;
      nearest.textContent = `Nearest test image: ${data.classes[data.labels[best]]}.`;
    };
    const sliders = [0, 1].map((unit) => {
      const [min, max] = bounds[unit];
      const options = { min: min.toFixed(3), max: max.toFixed(3), step: 0.001, value: 0, format: (v) => v.toFixed(2) };
      return makeSlider(`unit ${unit + 1}`, options, (value) => {
        z[unit] = value;
        show();
      });
    });
    onDrag(map, (x, y) => {
      sliders[0].set(toValue(x, 0));
      sliders[1].set(toValue(1 - y, 1));
    });
    map.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!step) return;
      event.preventDefault();
      step.forEach((sign, unit) => sign && sliders[unit].set(z[unit] + (sign * (bounds[unit][1] - bounds[unit][0])) / 50));
    });

    const choice = make("select", {}, make("option", { value: "" }, "all kinds"));
    data.classes.forEach((name, k) => choice.append(make("option", { value: k }, name)));
    choice.addEventListener("change", () => {
      dots.forEach((dot, i) => dot.classList.toggle("faint", choice.value !== "" && data.labels[i] !== Number(choice.value)));
    });
    const legend = make("ul", { class: "touch-legend" });
    data.classes.forEach((name, k) => {
      legend.append(make("li", {}, make("span", { class: "dot", style: `background: ${COLOURS[k % 10]}` }), name));
    });
    const side = make("div", { class: "touch-side" }, picture, nearest, ...sliders.map((slider) => slider.label));
    side.append(make("label", { class: "touch-slider" }, make("span", {}, "show"), choice));
    place.append(make("div", { class: "touch-pair" }, map, side), legend);
    sliders.forEach((slider, unit) => slider.set(data.probes[1][unit]));
    return { decode: (code) => [...run(decoder, code)], code: () => [...z] };
  }

  function startThreshold(place, data) {
    const scores = unpack(data.scores).values;
    const isAnomaly = [...data.is_anomaly].map(Number);
    const normal = scores.filter((_, i) => !isAnomaly[i]);
    const anomalies = scores.filter((_, i) => isAnomaly[i]);
    const top = [...scores].sort((a, b) => a - b)[Math.floor(0.998 * scores.length)];
    const roc = computeRoc(normal, anomalies);

    // Histogram: the shares of both groups, on one axis with the same bins.
    const [width, height, bins] = [480, 200, 60];
    const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height + 30}`, class: "touch-histogram" });
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Histogram of the scores of normal images and anomalies, with the threshold as a line");
    const shares = [normal, anomalies].map((group) => {
      const counts = new Array(bins).fill(0);
      group.forEach((score) => score < top && counts[Math.floor((score / top) * bins)]++);
      return counts.map((count) => count / group.length);
    });
    const highest = Math.max(...shares.flat());
    shares.forEach((group, k) => {
      let path = `M0 ${height}`;
      group.forEach((share, i) => {
        const y = (height - (share / highest) * (height - 8)).toFixed(1);
        path += `L${(i / bins) * width} ${y}L${((i + 1) / bins) * width} ${y}`;
      });
      makeSvg("path", { d: `${path}L${width} ${height}Z`, class: k ? "anomalies" : "normal" }, svg);
    });
    makeSvg("line", { x1: 0, x2: width, y1: height, y2: height, class: "axis" }, svg);
    for (const share of [0, 0.25, 0.5, 0.75]) {
      makeSvg("text", { x: share * width + 2, y: height + 18, class: "tick" }, svg).textContent = (share * top).toFixed(3);
    }
    makeSvg("text", { x: width - 4, y: height + 18, class: "tick", "text-anchor": "end" }, svg).textContent = "score";
    const line = makeSvg("line", { y1: 0, y2: height, class: "threshold" }, svg);

    const curve = makeSvg("svg", { viewBox: "-34 -8 250 246", class: "touch-roc", role: "img", "aria-label": "ROC curve" });
    const path = roc.points.map(([x, y], i) => `${i ? "L" : "M"}${(200 * x).toFixed(1)} ${(200 - 200 * y).toFixed(1)}`).join("");
    makeSvg("rect", { width: 200, height: 200, class: "frame" }, curve);
    makeSvg("line", { x1: 0, y1: 200, x2: 200, y2: 0, class: "chance" }, curve);
    makeSvg("path", { d: path, class: "roc" }, curve);
    makeSvg("text", { x: 100, y: 224, class: "tick", "text-anchor": "middle" }, curve).textContent = "false alarms";
    const up = { x: -100, y: -12, class: "tick", "text-anchor": "middle", transform: "rotate(-90)" };
    makeSvg("text", up, curve).textContent = "recall";
    const dot = makeSvg("circle", { r: 6, class: "touch-handle" }, curve);

    const images = unpack(data.images);
    const order = data.chosen.map((_, i) => i).sort((a, b) => scores[data.chosen[a]] - scores[data.chosen[b]]);
    const tiles = order.map((i) => {
      const kind = isAnomaly[data.chosen[i]] ? "anomaly" : "normal";
      const picture = makePicture(`${kind}, score ${scores[data.chosen[i]].toFixed(3)}`);
      drawImage(picture, image(images, i));
      const note = make("figcaption");
      return { kind, score: scores[data.chosen[i]], note, element: make("figure", {}, picture, note) };
    });

    const table = makeTable(["recall", "false alarms", "precision", "area under the ROC curve"]);
    const state = { threshold: 0, share: 0.1 };
    const show = () => {
      const figures = judge(normal, anomalies, state.threshold, state.share);
      state.figures = { ...figures, auroc: roc.area };
      table.show([figures.recall, figures.falseAlarms, figures.precision, roc.area].map((v) => (Number.isNaN(v) ? "–" : v.toFixed(3))));
      line.setAttribute("x1", (state.threshold / top) * width);
      line.setAttribute("x2", (state.threshold / top) * width);
      dot.setAttribute("cx", 200 * figures.falseAlarms);
      dot.setAttribute("cy", 200 - 200 * figures.recall);
      for (const { kind, score, note, element } of tiles) {
        const flagged = score > state.threshold;
        element.className = flagged === (kind === "anomaly") ? "right" : "wrong";
        note.textContent = flagged ? (kind === "anomaly" ? "found" : "false alarm") : kind === "anomaly" ? "missed" : "passes";
      }
    };
    const options = { min: 0, max: top.toFixed(4), step: 0.0001, value: 0, format: (v) => v.toFixed(4) };
    const slider = makeSlider("threshold", options, (value) => {
      state.threshold = value;
      show();
    });
    const percent = (v) => `${v.toFixed(v < 10 ? 1 : 0)}%`;
    const share = makeSlider("share of anomalies", { min: 0.5, max: 90, step: 0.5, value: 10, format: percent }, (value) => {
      state.share = value / 100;
      show();
    });
    onDrag(svg, (x) => slider.set(x * top));

    const usual = make("button", { type: "button" }, "95% of the held-out normal images pass");
    usual.addEventListener("click", () => slider.set(data.quantile));
    const legend = make("ul", { class: "touch-legend" });
    for (const kind of ["normal", "anomalies"]) {
      legend.append(make("li", {}, make("span", { class: `dot ${kind}` }), kind === "normal" ? "normal: threes" : "anomalies: all other digits"));
    }
    const left = make("div", { class: "touch-wide" }, svg, legend, slider.label, share.label, usual);
    place.append(make("div", { class: "touch-pair" }, left, curve), make("div", { class: "table-wrapper" }, table.element));
    place.append(make("div", { class: "touch-tiles" }, ...tiles.map((tile) => tile.element)));
    slider.set(data.quantile);
    share.show();
    return { judge: (t, s) => judge(normal, anomalies, t, s), auroc: roc.area, threshold: () => state.threshold };
  }

  function startUnits(place, data) {
    const [images, mean, components] = [unpack(data.images), unpack(data.mean).values, unpack(data.components)];
    const networks = data.networks.map((network) => ({ ...network, images: unpack(network.images) }));
    const n = images.shape[0];
    const { canvases, element } = makeColumns(n, ["input", "PCA", "autoencoder"]);
    const table = makeTable(["upper row", "middle row", "lower row"]);
    const project = (i, units) => projectOn(components, mean, image(images, i), units);
    let units = 0;
    const show = () => {
      const network = networks.filter((candidate) => candidate.units <= units).pop();
      for (let i = 0; i < n; i++) {
        drawImage(canvases[i][0], image(images, i));
        drawImage(canvases[i][1], project(i, units));
        drawImage(canvases[i][2], image(network.images, i));
      }
      const name = (k) => `${k} ${k === 1 ? "unit" : "units"}`;
      table.show([
        "input",
        `PCA, ${name(units)}: MSE ${data.errors[units - 1].toFixed(4)}`,
        `autoencoder, ${name(network.units)}: MSE ${network.error.toFixed(4)}`,
      ]);
    };
    const number = make("input", { type: "number", min: 1, max: data.errors.length, step: 1, "aria-label": "number of units" });
    const slider = makeSlider("units", { min: 1, max: data.errors.length, step: 1, value: 8 }, (value) => {
      units = value;
      number.value = value;
      show();
    });
    slider.label.querySelector("output").remove();
    number.addEventListener("input", () => {
      const value = Math.round(Number(number.value));
      if (value >= 1 && value <= data.errors.length && number.value !== "") slider.set(value);
    });
    const buttons = networks.map((network) => {
      const button = make("button", { type: "button" }, String(network.units));
      button.addEventListener("click", () => slider.set(network.units));
      return button;
    });
    const trained = make("p", { class: "touch-buttons" }, "networks: ", ...buttons);
    place.append(make("div", { class: "touch-line" }, slider.label, number), trained, element);
    place.append(make("div", { class: "table-wrapper" }, table.element));
    slider.show();
    return { project: (i, k) => [...project(i, k)], units: () => units };
  }

  function startNoise(place, data) {
    const [layers, images] = [unpackLayers(data.layers), unpack(data.images)];
    const n = images.shape[0];
    const { canvases, element } = makeColumns(n, ["clean", "noisy", "restored"]);
    const table = makeTable(["middle row: noisy", "lower row: restored", "difference"]);
    const restore = (x) => run(layers, x);
    let [sigma, seed] = [data.sigma, 1];
    const show = () => {
      const noise = drawNoise(images.values.length, seed);
      const errors = [0, 0];
      for (let i = 0; i < n; i++) {
        const x = image(images, i);
        const noisy = x.map((value, p) => Math.min(1, Math.max(0, value + sigma * noise[i * x.length + p])));
        const restored = restore(noisy);
        [x, noisy, restored].forEach((pixels, row) => drawImage(canvases[i][row], pixels));
        [noisy, restored].forEach((pixels, row) => (errors[row] += computeMse(x, pixels) / n));
      }
      const [before, after] = errors.map((error) => (error ? -10 * Math.log10(error) : Infinity));
      const decibels = (value) => (Number.isFinite(value) ? `${value.toFixed(1)} dB` : "no error");
      const gain = Number.isFinite(before) ? `${after > before ? "+" : "−"}${Math.abs(after - before).toFixed(1)} dB` : "–";
      table.show([decibels(before), decibels(after), gain]);
    };
    const options = { min: 0, max: 1, step: 0.02, value: sigma, format: (v) => v.toFixed(2) };
    const slider = makeSlider("noise", options, (value) => {
      sigma = value;
      show();
    });
    const again = make("button", { type: "button" }, "other noise");
    again.addEventListener("click", () => {
      seed += 1;
      show();
    });
    place.append(make("div", { class: "touch-line" }, slider.label, again), element);
    place.append(make("div", { class: "table-wrapper" }, table.element));
    slider.show();
    return { restore: (x) => [...restore(x)], image: (i) => [...image(images, i)] };
  }

  const STARTS = { code: startCode, vae: startCode, threshold: startThreshold, units: startUnits, noise: startNoise };
  const place = document.querySelector(".touch");
  place.replaceChildren(); // the picture that stands here without JavaScript
  globalThis.touch = STARTS[globalThis.touchData.page](place, globalThis.touchData);
})();
