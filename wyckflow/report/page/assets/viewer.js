"use strict";
// A crystal on a canvas: atoms, bonds and cell, turned with the pointer or the keys.
const ELEMENTS = JSON.parse(document.getElementById("elements").textContent);
const BOND_REACH = 1.15; // of the sum of two covalent radii
const MOST_ATOMS = 3000;
const MOST_BONDED = 1500;

function cartesian(cell, x, y, z) {
  return [0, 1, 2].map((i) => x * cell[0][i] + y * cell[1][i] + z * cell[2][i]);
}

// All atoms of n x n x n cells, those on the borders on both sides.
function expandCrystal(crystal, n) {
  const atoms = [];
  const near = 1e-3;
  for (let k = 0; k < crystal.atoms.length; k += 4) {
    const place = crystal.atoms.slice(k + 1, k + 4);
    const choices = place.map((value) => {
      const along = [];
      for (let i = 0; i < n; i++) along.push(value + i);
      if (value < near) along.push(value + n);
      if (value > 1 - near) along.push(value - 1);
      return along;
    });
    for (const x of choices[0])
      for (const y of choices[1])
        for (const z of choices[2])
          atoms.push({ symbol: crystal.symbols[crystal.atoms[k]], at: cartesian(crystal.cell, x, y, z) });
  }
  return atoms.slice(0, MOST_ATOMS);
}

function findBonds(atoms) {
  if (atoms.length > MOST_BONDED) return [];
  const bonds = [];
  const isMetal = atoms.map((atom) => Boolean(ELEMENTS[atom.symbol][2]));
  const isAlloy = isMetal.every(Boolean);
  for (let i = 0; i < atoms.length; i++)
    for (let j = i + 1; j < atoms.length; j++) {
      if (isMetal[i] && isMetal[j] && !isAlloy) continue; // their radii reach too far
      const reach = BOND_REACH * (ELEMENTS[atoms[i].symbol][1] + ELEMENTS[atoms[j].symbol][1]);
      const d = Math.hypot(...[0, 1, 2].map((a) => atoms[i].at[a] - atoms[j].at[a]));
      if (d > 0.4 && d < reach) bonds.push([i, j]);
    }
  return bonds;
}

function multiply(a, b) {
  return a.map((row) => [0, 1, 2].map((j) => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));
}

function turn(axis, angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return axis === "x" ? [[1, 0, 0], [0, c, -s], [0, s, c]]
    : axis === "y" ? [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    : [[c, -s, 0], [s, c, 0], [0, 0, 1]];
}

function shade(colour, factor) {
  const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const mixed = parts.map((v) => Math.round(factor > 0 ? v + (255 - v) * factor : v * (1 + factor)));
  return `rgb(${mixed.join(",")})`;
}

class Viewer {
  constructor(place) {
    this.crystal = JSON.parse(place.dataset.crystal);
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label",
      `Structure of ${this.crystal.formula}; arrow keys turn it, plus and minus zoom`);
    place.append(this.canvas, this.makeTools());
    this.n = 1;
    this.size = 1; // of atoms
    this.reset();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.rebuild();
  }

  reset() {
    this.zoom = 1;
    this.rotation = multiply(turn("x", -1.25), turn("z", -0.6));
  }

  rebuild() {
    this.atoms = expandCrystal(this.crystal, this.n);
    this.bonds = findBonds(this.atoms);
    const far = cartesian(this.crystal.cell, this.n, this.n, this.n);
    this.middle = far.map((v) => v / 2);
    // The corners of the cell too, and room for the names of its axes.
    const corners = [0, 1, 2, 3].map((k) =>
      cartesian(this.crystal.cell, k & 1 && this.n, k & 2 && this.n, 0));
    const places = [...this.atoms.map((a) => a.at), ...corners];
    this.reach = 1.08 * Math.max(...places.map((at) =>
      Math.hypot(...[0, 1, 2].map((i) => at[i] - this.middle[i]))), 1) + 1;
    this.draw();
  }

  makeTools() {
    const tools = document.createElement("div");
    tools.className = "tools";
    for (const symbol of this.crystal.symbols) {
      const name = document.createElement("span");
      name.className = "atom";
      name.textContent = symbol;
      name.style.setProperty("--colour", ELEMENTS[symbol][0]);
      tools.append(name);
    }
    const button = (text, label, act) => {
      const one = document.createElement("button");
      one.type = "button";
      one.textContent = text;
      one.setAttribute("aria-label", label);
      one.addEventListener("click", act);
      tools.append(one);
      return one;
    };
    const cells = button("1 × 1 × 1", "number of cells", () => {
      this.n = (this.n % 3) + 1;
      cells.textContent = `${this.n} × ${this.n} × ${this.n}`;
      this.rebuild();
    });
    button("+", "larger", () => this.scale(1.25));
    button("−", "smaller", () => this.scale(0.8));
    for (const [text, r] of [
      ["a", [[0, 1, 0], [0, 0, 1], [1, 0, 0]]],
      ["b", [[0, 0, 1], [1, 0, 0], [0, 1, 0]]],
      ["c", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]],
    ])
      button(text, `look along ${text}`, () => { this.rotation = r; this.draw(); });
    button("spheres", "size of atoms", () => { this.size = this.size === 1 ? 2.2 : 1; this.draw(); });
    button("reset", "as at first", () => { this.reset(); this.draw(); });
    return tools;
  }

  scale(factor) {
    this.zoom = Math.min(12, Math.max(0.3, this.zoom * factor));
    this.draw();
  }

  rotate(dx, dy) {
    this.rotation = multiply(turn("x", dy), multiply(turn("y", dx), this.rotation));
    this.draw();
  }

  listen() {
    const held = new Map();
    let apart = 0;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, [event.clientX, event.clientY]);
      apart = 0;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      held.set(event.pointerId, [event.clientX, event.clientY]);
      if (held.size === 2) {
        const [p, q] = held.values();
        const now = Math.hypot(p[0] - q[0], p[1] - q[1]);
        if (apart) this.scale(now / apart);
        apart = now;
      } else {
        this.rotate((event.clientX - before[0]) * 0.01, (event.clientY - before[1]) * 0.01);
      }
    });
    const drop = (event) => held.delete(event.pointerId);
    this.canvas.addEventListener("pointerup", drop);
    this.canvas.addEventListener("pointercancel", drop);
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== this.canvas) return; // let the page scroll
      event.preventDefault();
      this.scale(Math.exp(-event.deltaY * 0.002));
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => {
      const step = 0.12;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (moves[event.key]) this.rotate(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.scale(1.15);
      else if (event.key === "-") this.scale(0.87);
      else return;
      event.preventDefault();
    });
  }

  project(point) {
    const r = this.rotation;
    const p = point.map((v, i) => v - this.middle[i]);
    const [x, y, z] = r.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2]);
    const view = this.reach * 5; // a little perspective
    const scale = (this.unit * view) / (view - z);
    return [this.width / 2 + x * scale, this.height / 2 - y * scale, z, scale];
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth || 600;
    this.height = Math.min(460, Math.max(260, this.width * 0.7));
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.unit = (Math.min(this.width, this.height) / (2 * this.reach)) * this.zoom;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const ink = getComputedStyle(document.documentElement);
    const things = [];
    const spots = this.atoms.map((atom) => this.project(atom.at));
    this.atoms.forEach((atom, i) => things.push({ z: spots[i][2], draw: () => this.drawAtom(pen, atom, spots[i]) }));
    for (const [i, j] of this.bonds) {
      const z = Math.min(spots[i][2], spots[j][2]);
      things.push({ z, draw: () => this.drawBond(pen, [this.atoms[i], this.atoms[j]], [spots[i], spots[j]]) });
    }
    this.drawCell(pen, ink.getPropertyValue("--quiet").trim());
    things.sort((a, b) => a.z - b.z);
    things.forEach((thing) => thing.draw());
  }

  drawCell(pen, colour) {
    const corner = (bits) => this.project(cartesian(this.crystal.cell, ...[1, 2, 4].map((b) => (bits & b ? this.n : 0))));
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    for (let bits = 0; bits < 8; bits++)
      for (const b of [1, 2, 4])
        if (!(bits & b)) {
          const [p, q] = [corner(bits), corner(bits | b)];
          pen.beginPath();
          pen.moveTo(p[0], p[1]);
          pen.lineTo(q[0], q[1]);
          pen.stroke();
        }
    pen.fillStyle = colour;
    pen.font = "13px sans-serif";
    const origin = corner(0);
    ["a", "b", "c"].forEach((name, i) => {
      const end = corner(1 << i);
      pen.fillText(name, end[0] + (end[0] - origin[0]) * 0.04 - 4, end[1] + (end[1] - origin[1]) * 0.04 + 4);
    });
  }

  radius(atom, scale) {
    return Math.max(1.5, ELEMENTS[atom.symbol][1] * 0.42 * this.size * scale);
  }

  drawAtom(pen, atom, [x, y, , scale]) {
    const colour = ELEMENTS[atom.symbol][0];
    const r = this.radius(atom, scale);
    const light = pen.createRadialGradient(x - r * 0.35, y - r * 0.35, r * 0.1, x, y, r);
    light.addColorStop(0, shade(colour, 0.65));
    light.addColorStop(0.5, colour);
    light.addColorStop(1, shade(colour, -0.4));
    pen.fillStyle = light;
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fill();
  }

  drawBond(pen, atoms, spots) {
    const middle = [(spots[0][0] + spots[1][0]) / 2, (spots[0][1] + spots[1][1]) / 2];
    atoms.forEach((atom, i) => {
      const half = Math.hypot(middle[0] - spots[i][0], middle[1] - spots[i][1]) || 1;
      const part = Math.min(0.9, (0.8 * this.radius(atom, spots[i][3])) / half); // outside the sphere
      const start = [0, 1].map((a) => spots[i][a] + part * (middle[a] - spots[i][a]));
      pen.strokeStyle = shade(ELEMENTS[atom.symbol][0], -0.2);
      pen.lineWidth = Math.max(1, 0.16 * spots[i][3]);
      pen.lineCap = "round";
      pen.beginPath();
      pen.moveTo(...start);
      pen.lineTo(...middle);
      pen.stroke();
    });
  }
}

// The structure as VASP reads it, atoms of one element together.
function writePoscar(crystal, name) {
  const lines = [name, "1.0", ...crystal.cell.map((row) => row.map((v) => v.toFixed(6).padStart(12)).join(" "))];
  const groups = crystal.symbols.map(() => []);
  for (let k = 0; k < crystal.atoms.length; k += 4)
    groups[crystal.atoms[k]].push(crystal.atoms.slice(k + 1, k + 4).map((v) => v.toFixed(6).padStart(10)).join(" "));
  lines.push(crystal.symbols.join(" "), groups.map((g) => g.length).join(" "), "Direct", ...groups.flat());
  return lines.join("\n") + "\n";
}
