// Networks that make images of codes: a map to wander on, codes to set, and ways from one code to another (8.3 to 8.5).
import { useEffect, useRef, useState } from 'preact/hooks';

const MAP = 3, PLACES = 13; // a map from -3 to 3, drawn as so many images a side
const FIRST = 8; // numbers of a long code that have sliders

export function Codes(props) {
  const View = props.network.numbers === 2 ? CodeMap : props.network.classes ? Meanings : Ways;
  return <div class="codes"><View {...props} /></div>;
}

/** Images of codes, remade whenever `codes` change; null before the network is there. */
function useImages({ run, network }, codes) {
  const [images, setImages] = useState(null), latest = useRef(0);
  const flat = codes.flat();
  useEffect(() => {
    const mine = ++latest.current;
    if (!run) return;
    Promise.all(codes.map((code) => run(Float32Array.from(code), [1, code.length], () => mine === latest.current))).then((outputs) => {
      if (mine === latest.current) setImages(outputs.map(([output]) => output && pixelsOf(output.data, network)));
    });
  }, [run, flat.join()]);
  return images;
}

/** Numbers from 0 to 1. */
const pixelsOf = (data, { logits }) => data.map((value) => (logits ? 1 / (1 + Math.exp(-value)) : (value + 1) / 2));

function Picture({ pixels, network: { shape: [channels, height, width] }, label, ...others }) {
  const canvas = useRef();
  useEffect(() => { if (pixels) paint(canvas.current, pixels, [channels, height, width]); }, [pixels]);
  return <canvas ref={canvas} width={width} height={height} role="img" aria-label={label} {...others} />;
}

function paint(canvas, pixels, [channels, height, width], left = 0, top = 0) {
  const context = canvas.getContext('2d'), picture = context.createImageData(width, height), size = height * width;
  for (let at = 0; at < size; at++) {
    for (let colour = 0; colour < 3; colour++) picture.data[4 * at + colour] = 255 * pixels[at + size * (channels === 3 ? colour : 0)];
    picture.data[4 * at + 3] = 255;
  }
  context.putImageData(picture, left, top);
}

function Slider({ name, value, set, low = -MAP, high = MAP, step = 0.05 }) {
  return <label class="slider"><span>{name}</span>
    <input type="range" aria-label={name} min={low} max={high} step={step} value={value} onInput={(event) => set(Number(event.target.value))} />
    <output>{value.toFixed(2)}</output>
  </label>;
}

/** Two numbers: every place of a map is an image. */
function CodeMap({ network, run, words }) {
  const map = useRef(), [place, setPlace] = useState([0, 0]);
  const { shape, numbers } = network, [, height, width] = shape;
  useEffect(() => {
    let current = true;
    (async () => {
      for (let row = 0; run && row < PLACES; row++) {
        for (let column = 0; column < PLACES; column++) {
          const at = (index) => MAP * (2 * index / (PLACES - 1) - 1);
          const [output] = await run(Float32Array.of(at(column), -at(row)), [1, numbers], () => current);
          if (!current) return;
          paint(map.current, pixelsOf(output.data, network), shape, width * column, height * row);
        }
      }
    })();
    return () => { current = false; };
  }, [run]);
  const images = useImages({ run, network }, [place]);
  const within = (value) => Math.max(-MAP, Math.min(MAP, value));
  function point(event) {
    if (event.type === 'pointermove' && !(event.buttons & 1)) return;
    if (event.type === 'pointerdown') event.currentTarget.setPointerCapture(event.pointerId);
    const box = event.currentTarget.getBoundingClientRect();
    setPlace([within(MAP * (2 * (event.clientX - box.left) / box.width - 1)), within(-MAP * (2 * (event.clientY - box.top) / box.height - 1))]);
  }
  function key(event) {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    setPlace(([x, y]) => [within(x + step[0]), within(y + step[1])]);
  }
  return <>
    <section>
      <h2>{words.map}</h2>
      <div class="map" tabIndex={0} role="application" aria-label={words.map} aria-describedby="map-hint" onPointerDown={point}
        onPointerMove={point} onKeyDown={key}>
        <canvas ref={map} width={width * PLACES} height={height * PLACES} role="img" aria-label={words.map} />
        <span class="place" aria-hidden="true" style={{ left: `${50 * (place[0] / MAP + 1)}%`, top: `${50 * (1 - place[1] / MAP)}%` }} />
      </div>
      <p class="hint" id="map-hint">{words.mapHint}</p>
    </section>
    <section>
      <h2>{words.made}</h2>
      <Picture class="made" network={network} pixels={images?.[0]} label={words.made} />
      <p role="status">{run ? words.place(...place.map((value) => value.toFixed(2))) : words.loading}</p>
      {place.map((value, index) => <Slider name={`z${index + 1}`} value={value}
        set={(given) => setPlace((before) => before.map((old, one) => (one === index ? given : old)))} />)}
    </section>
  </>;
}

/** Numbers that mean something: an image for each class, and sliders for the others. */
function Meanings({ network, run, words }) {
  const { numbers, classes, continuous } = network, noise = numbers - classes - continuous;
  const [others, setOthers] = useState(new Array(continuous).fill(0)), [chosen, setChosen] = useState(0);
  const [drawn, setDrawn] = useState(() => normal(noise));
  const images = useImages({ run, network }, Array.from({ length: classes }, (_, one) =>
    [...drawn, ...Array.from({ length: classes }, (_, index) => Number(index === one)), ...others]));
  return <>
    <section class="wide">
      <h2>{words.meanings(classes)}</h2>
      <div class="row" role="radiogroup" aria-label={words.meanings(classes)}>
        {Array.from({ length: classes }, (_, one) => <button role="radio" aria-checked={one === chosen} aria-label={`c1 = ${one}`}
          onClick={() => setChosen(one)}>
          <Picture network={network} pixels={images?.[one]} label={`c1 = ${one}`} />
        </button>)}
      </div>
      <p class="hint">{words.meaningsHint}</p>
    </section>
    <section>
      <h2>{words.made}</h2>
      <Picture class="made" network={network} pixels={images?.[chosen]} label={words.made} />
      <p role="status">{run ? `c1 = ${chosen}` : words.loading}</p>
    </section>
    <section>
      <h2>{words.numbers}</h2>
      {others.map((value, index) => <Slider name={`c${index + 2}`} value={value} low={-2} high={2}
        set={(given) => setOthers((before) => before.map((old, one) => (one === index ? given : old)))} />)}
      <button onClick={() => setDrawn(normal(noise))}>{words.newNoise}</button>
    </section>
  </>;
}

/** Only noise: a way from one code to another, and the first numbers of a code by themselves. */
function Ways({ network, run, words }) {
  const [ends, setEnds] = useState(() => [normal(network.numbers), normal(network.numbers)]);
  const [way, setWay] = useState(0), [moved, setMoved] = useState(new Array(Math.min(FIRST, network.numbers)).fill(0));
  const at = between(...ends, way).map((value, index) => value + (moved[index] ?? 0));
  const images = useImages({ run, network }, [at, ...[0, 0.25, 0.5, 0.75, 1].map((share) => between(...ends, share))]);
  return <>
    <section>
      <h2>{words.made}</h2>
      <Picture class="made" network={network} pixels={images?.[0]} label={words.made} />
      <p role="status">{run ? words.onTheWay(Math.round(100 * way)) : words.loading}</p>
    </section>
    <section>
      <h2>{words.way}</h2>
      <div class="row">
        {[1, 2, 3, 4, 5].map((one) => <Picture network={network} pixels={images?.[one]} label={words.onTheWay(25 * (one - 1))} />)}
      </div>
      <Slider name={words.wayName} value={way} set={setWay} low={0} high={1} step={0.01} />
      <p class="buttons">
        <button onClick={() => { setEnds([normal(network.numbers), normal(network.numbers)]); setWay(0); }}>{words.newCodes}</button>
        <button onClick={() => { setMoved(moved.map(() => 0)); setWay(0); }}>{words.back}</button>
      </p>
      <h2>{words.numbersOf(moved.length, network.numbers)}</h2>
      {moved.map((value, index) => <Slider name={`z${index + 1}`} value={value}
        set={(given) => setMoved((before) => before.map((old, one) => (one === index ? given : old)))} />)}
      <p class="hint">{words.numbersHint}</p>
    </section>
  </>;
}

/** So many normally distributed numbers. */
const normal = (count) => Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));

/** A share of the way from one code to the other, on the great circle: there the codes are as long as those learnt from. */
function between(first, second, share) {
  const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
  const angle = Math.acos(dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second)));
  const [a, b] = [Math.sin((1 - share) * angle), Math.sin(share * angle)].map((value) => value / Math.sin(angle));
  return first.map((value, index) => a * value + b * second[index]);
}
