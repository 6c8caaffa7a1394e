// Networks that learnt strokes: draw, and see what the network says and what its layers do.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Layers, Planes } from './layers.jsx';
import { softmax } from './planes.js';
import { percent } from './words.js';

const SIDE = 280; // of the canvas to draw on
const PEN = 22;

export function Digits({ network, run, words, language }) {
  const canvas = useRef(), busy = useRef(false), dirty = useRef(false);
  const [answer, setAnswer] = useState(null);
  const classes = language === 'zh' ? network.classes_zh : network.classes;

  async function look() {
    dirty.current = true;
    if (!run || busy.current) return;
    busy.current = true;
    while (dirty.current) { // strokes go on while the network computes: then look again
      dirty.current = false;
      const pixels = imageOf(canvas.current, network);
      if (!pixels) { setAnswer(null); continue; }
      const outputs = await run(pixels.map((value) => value * network.scale), [1, ...network.shape]);
      setAnswer({ pixels, probabilities: softmax(outputs[0].data), layers: outputs.slice(1).map(({ data }) => data) });
    }
    busy.current = false;
  }
  useEffect(() => { look(); }, [run]);

  const best = answer && answer.probabilities.indexOf(Math.max(...answer.probabilities));
  const [, height, width] = network.shape;
  const said = answer ? words.answer(classes[best], percent(answer.probabilities[best])) : run ? words.nothingYet : words.loading;
  return <div class="digits">
    <section>
      <h2>{words.draw}</h2>
      <DrawingCanvas reference={canvas} changed={look} words={words} />
    </section>
    <section>
      <h2>{words.seen}</h2>
      <Planes class="seen" values={answer ? answer.pixels : new Float32Array(height * width)} shape={[1, height, width]}
        paint={gray} label={words.seen} />
      <p class="hint">{words.seenCentred}</p>
    </section>
    <section class="says">
      <h2>{words.says}</h2>
      <p role="status" class="answer">{said}</p>
      <ol class="bars">
        {classes.map((name, index) => <li class={index === best ? 'best' : ''}>
          <span class="name">{name}</span>
          <meter max="1" value={answer ? answer.probabilities[index] : 0} aria-label={name} />
          <span class="share">{answer ? percent(answer.probabilities[index]) : ''}</span>
        </li>)}
      </ol>
    </section>
    <Layers network={network} values={answer && answer.layers} words={words} />
  </div>;
}

function DrawingCanvas({ reference, changed, words }) {
  const pen = useRef({ x: SIDE / 2, y: SIDE / 2, down: false });

  function line(x, y) {
    const context = reference.current.getContext('2d', { willReadFrequently: true });
    Object.assign(context, { lineWidth: PEN, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
    context.beginPath();
    context.moveTo(pen.current.x, pen.current.y);
    context.lineTo(x, y);
    context.stroke();
    Object.assign(pen.current, { x, y });
    changed();
  }
  function place(event) {
    const box = reference.current.getBoundingClientRect();
    return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
  }
  function begin(event) {
    event.preventDefault();
    reference.current.focus();
    reference.current.setPointerCapture(event.pointerId);
    const [x, y] = place(event);
    Object.assign(pen.current, { x, y, down: true });
    line(x, y + 0.01);
  }
  function draw(event) {
    if (!pen.current.down || !(event.buttons & 1)) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) line(...place(one));
    line(...place(event));
  }
  function clear() {
    reference.current.getContext('2d').clearRect(0, 0, SIDE, SIDE);
    Object.assign(pen.current, { x: SIDE / 2, y: SIDE / 2, down: false });
    setCursor(null);
    changed();
  }
  const [cursor, setCursor] = useState(null); // of the keyboard
  function key(event) {
    const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    if (step) {
      const [x, y] = [pen.current.x + step[0], pen.current.y + step[1]].map((at) => Math.min(SIDE - 10, Math.max(10, at)));
      if (pen.current.down) line(x, y); else Object.assign(pen.current, { x, y });
    } else if (event.key === ' ') {
      pen.current.down = !pen.current.down;
      if (pen.current.down) line(pen.current.x, pen.current.y + 0.01);
    } else if (event.key === 'Escape') {
      clear();
    } else return;
    event.preventDefault();
    if (event.key !== 'Escape') setCursor({ ...pen.current });
  }
  return <>
    <div class="drawing">
      <canvas ref={reference} width={SIDE} height={SIDE} tabIndex={0} role="application" aria-label={words.draw}
        aria-describedby="draw-hint" onPointerDown={begin} onPointerMove={draw} onPointerUp={() => { pen.current.down = false; }}
        onPointerCancel={() => { pen.current.down = false; }} onKeyDown={key} />
      {cursor && <span class={cursor.down ? 'pen down' : 'pen'} aria-hidden="true"
        style={{ left: `${100 * cursor.x / SIDE}%`, top: `${100 * cursor.y / SIDE}%` }} />}
    </div>
    <p class="hint" id="draw-hint">{words.drawHint}</p>
    <button onClick={clear}>{words.clear}</button>
  </>;
}

/** What is drawn as the network wants it, numbers from 0 to 1; null where nothing is. */
function imageOf(canvas, { shape: [, height, width] }) {
  const alpha = canvas.getContext('2d', { willReadFrequently: true }).getImageData(0, 0, SIDE, SIDE).data.filter((_, index) => index % 4 === 3);
  let left = SIDE, right = -1, top = SIDE, bottom = -1;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      if (!alpha[x + SIDE * y]) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < 0) return null;
  // As MNIST was made: the figure in 20x20 pixels, then its centre of mass in the middle of 28x28.
  const scale = Math.max(right - left + 1, bottom - top + 1) / (20 / 28 * Math.min(width, height));
  let mass = 0, x = 0, y = 0;
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const weight = alpha[column + SIDE * row];
      mass += weight;
      x += weight * (column + 0.5);
      y += weight * (row + 0.5);
    }
  }
  const within = (low, start, high) => Math.max(low, Math.min(start, high)); // and nothing cut off at an edge
  return shrunk(alpha, within(right + 1 - scale * width, x / mass - scale * width / 2, left),
    within(bottom + 1 - scale * height, y / mass - scale * height / 2, top), scale, width, height);
}

/** The mean of each pixel's square, `scale` wide, from (left, top) on. */
function shrunk(alpha, left, top, scale, width, height) {
  const pixels = new Float32Array(width * height), inner = Math.max(2, Math.ceil(scale));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let i = 0; i < inner; i++) {
        const row = Math.floor(top + (y + (i + 0.5) / inner) * scale);
        for (let j = 0; j < inner; j++) {
          const column = Math.floor(left + (x + (j + 0.5) / inner) * scale);
          if (row >= 0 && row < SIDE && column >= 0 && column < SIDE) total += alpha[column + SIDE * row];
        }
      }
      pixels[x + width * y] = total / (255 * inner * inner);
    }
  }
  return pixels;
}

const gray = (value) => [255 * value, 255 * value, 255 * value];
