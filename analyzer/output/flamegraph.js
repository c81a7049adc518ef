
// The flame graph's page. The profile is a tree in preorder, siblings largest first; a canvas of the window's
// size shows the rows that are scrolled into view, so that neither deep stacks nor many of them cost more
// than the boxes that can be seen. Text from the profile reaches the page as text only, never as markup.
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const profile = JSON.parse(byId('profile').textContent);
  const {strings, unit} = profile;
  const frames = profile.frames.map(([kind, name, module, source, hue, saturation, lightness]) => ({
    kind, name: strings[name], module: strings[module], source: strings[source],
    hue, saturation, lightness,
  }));
  const frameOf = Uint32Array.from(profile.frame);
  const depthOf = Uint32Array.from(profile.depth);
  const count = frameOf.length;

  // ---- the tree's sums ----
  const parentOf = new Uint32Array(count);
  const endOf = new Uint32Array(count);
  const zeros = () => new Float64Array(count);
  const total = {bytes: zeros(), bytesVariance: zeros(), objects: zeros(), objectsVariance: zeros()};
  for (let i = 0, node = 0; i < profile.self.length; i += 5) {
    node += profile.self[i];
    total.bytes[node] = profile.self[i + 1];
    total.bytesVariance[node] = profile.self[i + 2] ** 2;
    total.objects[node] = profile.self[i + 3];
    total.objectsVariance[node] = profile.self[i + 4] ** 2;
  }
  // Of a comparison: what was before too; a box is as wide as the larger of both.
  const compared = profile.before !== undefined;
  const before = {amount: zeros(), variance: zeros()};
  const after = {amount: total[unit], variance: total[unit + 'Variance']};
  if (compared) {
    const column = unit === 'bytes' ? 0 : 2;
    for (let i = 0, node = 0; i < profile.self.length / 5; ++i) {
      node += profile.self[5 * i];
      before.amount[node] = profile.before[4 * i + column];
      before.variance[node] = profile.before[4 * i + column + 1] ** 2;
    }
  }
  const amount = compared ? after.amount.map((value, node) => Math.max(value, before.amount[node])) : after.amount;
  const self = Float64Array.from(amount);
  const path = [];
  for (let i = 0; i < count; ++i) {
    while (path.length > depthOf[i]) endOf[path.pop()] = i;
    parentOf[i] = path.length ? path[path.length - 1] : 0;
    path.push(i);
  }
  for (const node of path) endOf[node] = count;
  const sumsOfTree = [...Object.values(total), before.amount, before.variance];
  if (compared) sumsOfTree.push(amount);
  for (let i = count - 1; i > 0; --i) {
    for (const sums of sumsOfTree) sums[parentOf[i]] += sums[i];
  }
  const start = zeros();
  const used = zeros();  // by the children placed so far
  for (let i = 1; i < count; ++i) {
    const parent = parentOf[i];
    start[i] = start[parent] + used[parent];
    used[parent] += amount[i];
  }

  // ---- words ----
  const nameOf = (node) => node === 0 ? 'all' : frames[frameOf[node]].name;
  const bytesText = (bytes) => {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
    let i = 0;
    for (; i + 1 < units.length && bytes >= 1023.5; ++i) bytes /= 1024;
    return `${bytes.toFixed(i === 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2)} ${units[i]}`;
  };
  const countText = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  const shareText = (value, whole) => `${(whole > 0 ? 100 * value / whole : 0).toFixed(1)} %`;
  const amountText = (value) => unit === 'bytes' ? bytesText(value) : `${countText(value)} objects`;

  // Of a comparison.
  const stepOf = (node) => after.amount[node] - before.amount[node];
  const signed = (value) => (value < 0 ? '-' : '+') + amountText(Math.abs(value));
  // Fullness of red (above 0) or blue, and 0 where the errors allow it to be chance: ColorOfChange() says the same.
  const depthOfChange = (node) => {
    const step = stepOf(node);
    if (step === 0 || Math.abs(step) < 2 * Math.sqrt(after.variance[node] + before.variance[node])) return 0;
    return Math.sign(step) * (0.25 + 0.75 * Math.min(1, Math.abs(step) / amount[node]));
  };

  // A long C++ or Rust name says the same without its arguments.
  const shortNames = new Map();
  const shortName = (name) => {
    let short = shortNames.get(name);
    if (short !== undefined) return short;
    short = '';
    let nesting = 0;
    for (let i = 0; i < name.length; ++i) {
      const c = name[i];
      const isOperator = /operator[<>\-=()]*$/.test(name.slice(Math.max(0, i - 10), i));
      if (!isOperator && nesting === 0 && i > 0 && (c === '(' && !name.startsWith('(anonymous', i))) break;
      if (!isOperator && c === '<' && i > 0) ++nesting;
      if (nesting === 0) short += c;
      if (!isOperator && c === '>' && nesting > 0) --nesting;
    }
    short = short.trim() || name;
    shortNames.set(name, short);
    return short;
  };

  const describe = (box, parent) => {
    parent.replaceChildren();
    const line = (kind, text) => {
      const element = document.createElement('div');
      element.className = kind;
      element.textContent = text;
      parent.append(element);
      return element;
    };
    if (box.rest) {
      line('name', `${countText(box.rest)} frames too narrow to draw`);
      line('where', `below ${nameOf(box.node)}`);
      line('amount', `${amountText(box.amount)}, ${shareText(box.amount, amount[0])} of all`);
      return;
    }
    const node = box.node;
    const frame = node === 0 ? null : frames[frameOf[node]];
    line('name', nameOf(node));
    if (frame) {
      const where = [frame.module, frame.source].filter(Boolean);
      if (frame.kind === 'b') where.unshift('on behalf of');
      if (frame.kind === 'i') where.push('inlined');
      if (where.length) line('where', where.join(' · '));
    }
    const figures = line('amount', '');
    const strong = document.createElement('b');
    strong.textContent = amountText(amount[node]);
    if (compared) {
      strong.textContent = signed(stepOf(node));
      const errorText = (variance) => ` ± ${unit === 'bytes' ? bytesText(Math.sqrt(variance)) : countText(Math.sqrt(variance))}`;
      figures.append(strong, [errorText(after.variance[node] + before.variance[node]),
        `${amountText(before.amount[node])}${errorText(before.variance[node])} ${profile.sides[0]}`,
        `${amountText(after.amount[node])}${errorText(after.variance[node])} ${profile.sides[1]}`].join(' · '));
      return;
    }
    const error = Math.sqrt(total[unit + 'Variance'][node]);
    const rest = [` ± ${unit === 'bytes' ? bytesText(error) : countText(error)}`];
    rest.push(`${shareText(amount[node], amount[0])} of all`);
    if (zoom !== 0 && node !== zoom) rest.push(`${shareText(amount[node], amount[zoom])} of ${shortName(nameOf(zoom))}`);
    rest.push(unit === 'bytes' ? `${countText(total.objects[node])} objects` : bytesText(total.bytes[node]));
    if (self[node] > 0 && endOf[node] > node + 1) rest.push(`itself ${amountText(self[node])}`);
    figures.append(strong, rest.join(' · '));
  };

  // ---- what is where ----
  const view = byId('view'), extent = byId('extent'), canvas = byId('graph');
  const pen = canvas.getContext('2d', {alpha: false});
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const coarse = matchMedia('(pointer: coarse)');
  const kNarrowest = 1;   // pixels; narrower boxes are gathered
  const kRowsBefore = 2;  // of the callers of what the picture begins with
  const kRowsOfColumn = 24;  // as many are shown of a column that never forks
  // Where the picture first says something: below the callers that nearly everything has in common.
  let fork = 0;
  while (fork + 1 < endOf[fork] && amount[fork + 1] >= 0.9 * amount[0]) ++fork;
  // A column that never forks is one leak's: what it was for stands above its leaf.
  if (fork + 1 >= endOf[fork]) fork = Math.max(0, fork - kRowsOfColumn);
  let rowHeight = 20, width = 1, height = 1;
  let zoom = 0;      // the node that fills the width
  let cursor = 0;    // the node that keys act on
  let flames = false;
  let rows = [];     // by depth: boxes from left to right
  let extentHeight = 1;
  let matching = null;  // by frame; null: no search

  function layOut() {
    rows = [];
    const put = (depth, box) => (rows[depth] ||= []).push(box);
    for (let node = zoom; node !== 0;) {
      node = parentOf[node];
      put(depthOf[node], {node, x: 0, w: width, above: true});
    }
    const scale = amount[zoom] > 0 ? width / amount[zoom] : 0;
    for (let i = zoom; i < endOf[zoom];) {
      const x = (start[i] - start[zoom]) * scale;
      const w = i === zoom ? width : amount[i] * scale;
      if (w >= kNarrowest) {
        put(depthOf[i], {node: i, x, w});
        ++i;
        continue;
      }
      // The largest of those that are left is too narrow, so all of them are.
      const parent = parentOf[i];
      const left = start[parent] + used[parent] - start[i];
      if (left * scale >= kNarrowest) {
        let rest = 0;
        for (let k = i; k < endOf[parent]; k = endOf[k]) ++rest;
        put(depthOf[i], {node: parent, x, w: left * scale, rest, amount: left});
      }
      i = endOf[parent];
    }
    // Room to scroll the box that the picture begins with to its place, however little lies below it; none
    // where everything can be seen at once.
    const drawn = rows.length * rowHeight;
    const first = Math.max(0, depthOf[zoom === 0 ? fork : zoom] - kRowsBefore) * rowHeight;
    extentHeight = zoom === 0 && drawn <= height ? height : Math.max(drawn, first + height);
    extent.style.height = `${extentHeight}px`;
  }

  const rowTop = (depth) => flames ? extentHeight - (depth + 1) * rowHeight : depth * rowHeight;

  function boxAt(x, y) {
    const at = y + view.scrollTop;
    const depth = Math.floor((flames ? extentHeight - at : at) / rowHeight);
    const row = rows[depth];
    if (!row) return null;
    let low = 0, high = row.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (row[middle].x <= x) low = middle + 1; else high = middle;
    }
    const box = row[low - 1];
    return box && x < box.x + box.w ? box : null;
  }

  const boxOf = (node) => (rows[depthOf[node]] || []).find((box) => box.node === node && !box.rest) || null;

  // ---- drawing ----
  const kFont = 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';
  let letter = 7;
  let hovered = null;

  function colors(box, frame) {
    const isDark = dark.matches;
    const matches = frame && matching && matching[frameOf[box.node]];
    if (matches) return isDark ? ['#8b5cf6', '#ffffff'] : ['#7c3aed', '#ffffff'];
    const text = isDark ? '#f1eee8' : '#211d18';
    if (compared && !matching) {
      const change = depthOfChange(box.node);
      const full = Math.abs(change);
      if (change === 0) return [isDark ? 'hsl(40 4% 30%)' : 'hsl(40 8% 84%)', text];
      const lightnessOfChange = isDark ? 30 + 14 * full : 86 - 18 * full;
      return [`hsl(${change > 0 ? 6 : 214} ${80 * full * (isDark ? 0.8 : 1)}% ${lightnessOfChange}%)`, text];
    }
    if (!frame || frame.kind === 's') return [isDark ? 'hsl(40 4% 30%)' : 'hsl(40 8% 84%)', text];
    if (matching) return [isDark ? 'hsl(40 4% 22%)' : 'hsl(40 10% 90%)', isDark ? '#a39d92' : '#7d776c'];
    const lightness = (isDark ? 35 : 76) + frame.lightness * (isDark ? 0.8 : 1);
    const saturation = frame.saturation * (isDark ? 0.66 : 1);
    return [`hsl(${frame.hue} ${saturation}% ${lightness}%)`, text];
  }

  const clip = (text, room) => text.length <= room ? text : room < 3 ? '' : text.slice(0, room - 1) + '…';

  function drawBox(box, top) {
    const gap = box.w > 3 ? 1 : 0;
    const boxHeight = rowHeight - 1;
    if (box.rest) {
      pen.fillStyle = dark.matches ? '#4a463f' : '#cfcac0';
      for (let x = Math.ceil(box.x); x < box.x + box.w - 0.5; x += 3) pen.fillRect(x, top, 1, boxHeight);
      return;
    }
    const frame = box.node === 0 ? null : frames[frameOf[box.node]];
    const [fill, text] = colors(box, frame);
    pen.globalAlpha = box.above ? 0.55 : 1;
    pen.fillStyle = fill;
    pen.fillRect(box.x, top, box.w - gap, boxHeight);
    pen.globalAlpha = 1;
    if (frame && frame.kind === 'b') {
      pen.fillStyle = text;
      for (let x = box.x; x < box.x + box.w - gap; x += 6) pen.fillRect(x, top, Math.min(3, box.x + box.w - x), 1);
    }
    if (hovered && hovered.node === box.node && !hovered.rest) {
      pen.fillStyle = dark.matches ? 'rgb(255 255 255 / 18%)' : 'rgb(255 255 255 / 45%)';
      pen.fillRect(box.x, top, box.w - gap, boxHeight);
    }
    const room = Math.floor((box.w - gap - 8) / letter);
    if (room >= 3) {
      const full = nameOf(box.node);
      const name = clip(full.length <= room ? full : shortName(full), room);
      const middle = top + boxHeight / 2 + 0.5;
      pen.fillStyle = text;
      pen.fillText(name, box.x + 4, middle);
      const share = compared ? ` ${signed(stepOf(box.node))}` : ` ${shareText(amount[box.node], amount[0])}`;
      const module = frame ? (frame.kind === 'p' || frame.kind === 'b' ? frame.source.replace(/^.*\//, '') : frame.module) : '';
      const left = room - name.length - 1;
      const beside = module && left >= module.length + share.length + 2 ? `${module} ${share}`
        : left >= share.length + 1 ? share : '';
      if (beside) {
        pen.globalAlpha = 0.62;
        pen.textAlign = 'right';
        pen.fillText(beside, box.x + box.w - gap - 5, middle);
        pen.textAlign = 'left';
        pen.globalAlpha = 1;
      }
    }
    if (box.node === cursor && document.activeElement === canvas) {
      pen.strokeStyle = dark.matches ? '#ffffff' : '#000000';
      pen.lineWidth = 2;
      pen.strokeRect(box.x + 1, top + 1, Math.max(box.w - gap - 2, 1), boxHeight - 2);
    }
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, 0, width, height);
    pen.font = `12px ${kFont}`;
    pen.textBaseline = 'middle';
    letter = pen.measureText('mmmmmmmmmm').width / 10;
    for (let depth = 0; depth < rows.length; ++depth) {
      const top = rowTop(depth) - view.scrollTop;
      if (top + rowHeight < 0 || top > height) continue;
      for (const box of rows[depth] || []) drawBox(box, top);
    }
  }

  let scheduled = false;
  function redraw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      draw();
    });
  }

  function resize() {
    rowHeight = coarse.matches ? 26 : 20;
    width = view.clientWidth;
    height = view.clientHeight;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    canvas.style.height = `${height}px`;
    layOut();
    draw();
  }

  // ---- moving about ----
  function beginWith(node) {
    const top = rowTop(depthOf[node]);
    view.scrollTop = flames ? top + (kRowsBefore + 1) * rowHeight - height : top - kRowsBefore * rowHeight;
  }

  function reveal(node) {
    const top = rowTop(depthOf[node]);
    if (top < view.scrollTop + rowHeight) view.scrollTop = top - rowHeight;
    if (top + 2 * rowHeight > view.scrollTop + height) view.scrollTop = top + 2 * rowHeight - height;
  }

  function showCrumbs() {
    const crumbs = byId('crumbs');
    crumbs.replaceChildren();
    const chain = [zoom];
    while (chain[0] !== 0) chain.unshift(parentOf[chain[0]]);
    for (const node of chain) {
      if (node !== 0) crumbs.append('›');
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = shortName(nameOf(node));
      button.title = nameOf(node);
      if (node === zoom) button.setAttribute('aria-current', 'location');
      button.addEventListener('click', () => zoomTo(node));
      crumbs.append(button);
    }
    crumbs.scrollLeft = crumbs.scrollWidth;
    byId('reset').disabled = zoom === 0;
  }

  function zoomTo(node) {
    zoom = node;
    cursor = node;
    hovered = null;
    byId('tip').hidden = true;
    layOut();
    showCrumbs();
    describe({node}, byId('details'));
    beginWith(node);
    draw();
  }

  function moveTo(node) {
    cursor = node;
    if (!boxOf(node)) return zoomTo(node);
    reveal(node);
    describe({node}, byId('details'));
    redraw();
  }

  function flip() {
    flames = !flames;
    byId('flip').setAttribute('aria-pressed', String(flames));
    beginWith(zoom === 0 ? fork : zoom);
    draw();
  }

  // ---- search ----
  let matches = [];  // outermost matching nodes, largest first
  let nextMatch = 0;

  function search() {
    const text = byId('search').value.trim();
    matches = [];
    nextMatch = 0;
    if (!text) {
      matching = null;
      byId('matched').textContent = '';
      return redraw();
    }
    const lower = text.toLowerCase();
    let expression = null;
    try { expression = new RegExp(text, 'i'); } catch { /* then it is text */ }
    matching = frames.map((frame) => [frame.name, frame.module, frame.source].some(
      (word) => word.toLowerCase().includes(lower) || (expression !== null && expression.test(word))));
    let sum = 0;
    for (let i = 1; i < count;) {
      if (matching[frameOf[i]]) {
        sum += compared ? stepOf(i) : amount[i];
        matches.push(i);
        i = endOf[i];
      } else {
        ++i;
      }
    }
    matches.sort((a, b) => amount[b] - amount[a] || a - b);
    byId('matched').textContent =
      !matches.length ? 'no match' : compared ? signed(sum) : `${shareText(sum, amount[0])} · ${amountText(sum)}`;
    redraw();
  }

  // ---- events ----
  const placeOf = (event) => {
    const frame = canvas.getBoundingClientRect();
    return boxAt(event.clientX - frame.left, event.clientY - frame.top);
  };
  canvas.addEventListener('click', (event) => {
    const box = placeOf(event);
    if (box) zoomTo(box.node);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerType !== 'mouse') return;
    const box = placeOf(event);
    const tip = byId('tip');
    tip.hidden = !box;
    if (box) {
      describe(box, tip);
      const {width: w, height: h} = tip.getBoundingClientRect();
      const x = Math.min(event.clientX + 14, innerWidth - w - 8);
      const y = event.clientY + 18 + h > innerHeight ? event.clientY - h - 12 : event.clientY + 18;
      tip.style.left = `${Math.max(8, x)}px`;
      tip.style.top = `${Math.max(8, y)}px`;
    }
    if ((box && box.node) !== (hovered && hovered.node)) {
      hovered = box;
      redraw();
    }
  });
  canvas.addEventListener('pointerleave', () => {
    byId('tip').hidden = true;
    hovered = null;
    redraw();
  });
  canvas.addEventListener('focus', redraw);
  canvas.addEventListener('blur', redraw);
  const sibling = (node, step) => {
    const siblings = (rows[depthOf[node]] || []).filter((box) => !box.rest && !box.above);
    const box = siblings[siblings.findIndex((other) => other.node === node) + step];
    return box ? box.node : node;
  };
  const outwards = () => moveTo(parentOf[cursor]);
  const inwards = () => {
    if (endOf[cursor] > cursor + 1) moveTo(cursor + 1);
  };
  const keys = {
    ArrowUp: () => flames ? inwards() : outwards(),
    ArrowDown: () => flames ? outwards() : inwards(),
    ArrowLeft: () => moveTo(sibling(cursor, -1)),
    ArrowRight: () => moveTo(sibling(cursor, 1)),
    Enter: () => zoomTo(cursor),
    ' ': () => zoomTo(cursor),
  };
  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    byId('tip').hidden = true;
    keys[event.key]();
  });
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = byId('search');
    if (event.target === field) {
      if (event.key === 'Enter' && matches.length) {
        zoomTo(matches[nextMatch]);
        nextMatch = (nextMatch + 1) % matches.length;
      } else if (event.key === 'Escape') {
        field.value = '';
        search();
        canvas.focus();
      }
      return;
    }
    if (event.key === '/') {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === 'f') {
      flip();
    } else if (event.key === 'Escape') {
      zoomTo(parentOf[zoom]);
    } else if (event.key === 'Home') {
      zoomTo(0);
    }
  });
  byId('search').addEventListener('input', search);
  byId('flip').addEventListener('click', flip);
  byId('reset').addEventListener('click', () => zoomTo(0));
  view.addEventListener('scroll', redraw);
  dark.addEventListener('change', redraw);
  coarse.addEventListener('change', resize);

  new ResizeObserver(resize).observe(view);
  resize();
  showCrumbs();
  describe({node: 0}, byId('details'));
  beginWith(fork);
  draw();
})();
