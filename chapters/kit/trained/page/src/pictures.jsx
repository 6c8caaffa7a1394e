// Networks of photographs: choose, drop or paste a picture, and see what the network says and what its layers do.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Layers } from './layers.jsx';
import { softmax } from './planes.js';
import { readPicture, sampleOf } from './sample.js';
import { percent } from './words.js';

const KEPT = 8; // of the last pictures
const SHOWN = 5; // of the classes
const NAMED = 24; // of the classes, before there is a picture
const SIDE = 640; // of the picture as the page shows it

export function Pictures({ network, run, words, language }) {
  const [pictures, setPictures] = useState([]); // the newest first
  const [chosen, setChosen] = useState(null); // the picture shown
  const [over, setOver] = useState(false); // something is being dragged over the page
  const [problems, setProblems] = useState([]); // functions of the words, since the language may change
  const [looking, setLooking] = useState(0); // pictures on their way
  const take = useRef();
  const classes = language === 'zh' ? network.classes_zh : network.classes;

  // The function of this rendering, for listeners of the first: `run` may come later than the first picture.
  take.current = async (files) => {
    setProblems([]);
    setLooking((count) => count + files.length);
    for (const file of files) {
      try {
        const picture = await readPicture(file);
        const { pixels, frame } = sampleOf(picture, network), preview = previewOf(picture, frame);
        picture.close?.();
        const one = { name: file.name, pixels, ...preview };
        setPictures((all) => [one, ...all].slice(0, KEPT));
        setChosen(one);
      } catch {
        setProblems((all) => [...all, (words) => words.noPicture(file.name || words.pasted)]);
      }
      setLooking((count) => count - 1);
    }
  };
  useEffect(() => {
    const paste = (event) => {
      const files = [...event.clipboardData.files];
      if (!files.length) return;
      event.preventDefault();
      take.current(files);
    };
    const drag = (event) => {
      if (!event.dataTransfer.types.includes('Files')) return;
      event.preventDefault(); // or the browser would go to the file
      setOver(event.type === 'dragover');
      if (event.type === 'drop') take.current([...event.dataTransfer.files]);
    };
    const leave = (event) => { if (!event.relatedTarget) setOver(false); };
    const listeners = { paste, dragover: drag, drop: drag, dragleave: leave };
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
    return () => { for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener); };
  }, []);
  useEffect(() => { // ask the network about every picture once
    for (const one of run ? pictures : []) {
      if (one.asked) continue;
      one.asked = true;
      run(Float32Array.from(one.pixels, (value) => value * network.scale), [1, ...network.shape]).then((outputs) => {
        const answered = { ...one, probabilities: softmax(outputs[0].data), layers: outputs.slice(1).map(({ data }) => data) };
        setPictures((all) => all.map((other) => (other === one ? answered : other)));
        setChosen((other) => (other === one ? answered : other));
      }).catch((error) => setProblems((all) => [...all, (words) => words.failed + error.message]));
    }
  }, [run, pictures]);

  const answer = chosen?.probabilities, best = answer && ranking(answer).slice(0, SHOWN);
  const busy = looking > 0 || (chosen && !answer);
  const choose = (event) => {
    take.current([...event.target.files]);
    event.target.value = ''; // the same file may be chosen again
  };
  return <div class="pictures">
    <section class="show">
      <h2>{words.picture}</h2>
      <div class={over ? 'drop over' : 'drop'}>
        {chosen ? <Framed picture={chosen} words={words} /> : <p class="hint drop-hint">{words.pictureHint}</p>}
        <div class="buttons">
          <label class="file">{words.choose}<input type="file" accept="image/*" multiple onChange={choose} /></label>
          <label class="file camera">{words.camera}
            <input type="file" accept="image/*" capture="environment" onChange={choose} />
          </label>
        </div>
      </div>
      {chosen && <p class="hint drop-hint">{words.pictureHint}</p>}
      <p class="hint">{words.stay}</p>
      <div role="alert">{problems.map((problem) => <p class="problem">{problem(words)}</p>)}</div>
    </section>
    <section class="says">
      <h2>{words.says}</h2>
      <p role="status" class="answer" aria-busy={Boolean(busy)}>{!run ? words.loading : busy ? words.looking
        : best ? words.answer(classes[best[0]], percent(answer[best[0]])) : words.noPictureYet}</p>
      {best ? <ol class="bars">
        {best.map((index, place) => <li class={place ? '' : 'best'}>
          <span class="name" title={classes[index]}>{classes[index]}</span>
          <meter max="1" value={answer[index]} aria-label={classes[index]} />
          <span class="share">{percent(answer[index])}</span>
        </li>)}
      </ol> : <p class="hint">{words.knows(classes.length, classes.slice(0, NAMED), classes.length - NAMED)}</p>}
      {chosen && <>
        <h2>{words.seen}</h2>
        <Sample picture={chosen} network={network} words={words} />
        <p class="hint">{words.seenPicture(...network.shape)}</p>
      </>}
    </section>
    {pictures.length > 1 && <ul class="last" aria-label={words.last8}>
      {pictures.map((one) => {
        const first = one.probabilities && ranking(one.probabilities)[0];
        const said = one.probabilities ? `${classes[first]} ${percent(one.probabilities[first])}` : '…';
        return <li><button aria-pressed={one === chosen} title={one.name} aria-label={`${one.name}: ${said}`}
          onClick={() => setChosen(one)}>
          <img src={one.preview} draggable={false} alt="" /><span>{said}</span>
        </button></li>;
      })}
    </ul>}
    {chosen && <Layers network={network} values={chosen.layers} words={words} />}
  </div>;
}

/** Numbers of the classes, the likeliest first. */
function ranking(probabilities) {
  return [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
}

/** The picture small enough to be kept, as a data address, and what of it the network sees, as shares of its sides. */
function previewOf(picture, { left, top, width, height }) {
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height)), canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = canvas.getContext('2d', { alpha: false });
  Object.assign(context, { fillStyle: '#fff', imageSmoothingQuality: 'high' });
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const percentOf = (part, whole) => `${100 * part / whole}%`;
  return { preview: canvas.toDataURL('image/jpeg', 0.9), sides: [canvas.width, canvas.height], frame: {
    left: percentOf(left, picture.width), top: percentOf(top, picture.height),
    width: percentOf(width, picture.width), height: percentOf(height, picture.height) } };
}

/** The picture, what the network does not see of it in the shade. */
function Framed({ picture: { name, preview, sides: [width, height], frame }, words }) {
  return <figure>
    <div class="framed" style={{ aspectRatio: `${width} / ${height}`, '--ratio': width / height }}>
      <img src={preview} draggable={false} alt={words.pictureOf(name)} />
      <span class="frame" style={frame} aria-hidden="true" />
    </div>
    <figcaption class="hint">{name}</figcaption>
  </figure>;
}

/** The sample that went into the network. */
function Sample({ picture, network: { shape: [channels, height, width] }, words }) {
  const canvas = useRef();
  useEffect(() => {
    const context = canvas.current.getContext('2d'), image = context.createImageData(width, height);
    const area = height * width, next = channels === 3 ? area : 0; // from a pixel's red to its green
    for (let at = 0; at < area; at++) {
      for (let colour = 0; colour < 3; colour++) image.data[4 * at + colour] = picture.pixels[at + next * colour];
      image.data[4 * at + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }, [picture.pixels]);
  return <canvas ref={canvas} class={width < 112 ? 'seen coarse' : 'seen'} width={width} height={height} role="img" aria-label={words.seen} />;
}
